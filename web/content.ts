// A held file as a download: one range, never shown as a page, with a name that cannot break the header.
// RFC 9110 (ranges, validators), RFC 6266 and 8187 (names).

import type { Context } from "hono";
import type { View, ViewedContent } from "./view.ts";

/** Read and sent at once. */
const CHUNK_BYTES = 256 * 1024;

/** GET and HEAD of `/api/v1/files/{file_id}/content`. */
export function serveContent(c: Context, view: View, fileId: string): Response {
  const content = view.content(fileId);
  if (!content) {
    return c.json({
      title: "Not here",
      status: 404,
      detail: "This file is not held here",
      hint: 'Fetch it first: type "get" and its id at the prompt',
    }, 404);
  }
  const { file, sizeBytes } = content;
  // The id names the content, so it never changes.
  const etag = `"${file.fileId}"`;
  const headers: Record<string, string> = {
    "content-type": "application/octet-stream",
    "content-disposition": attachment(file.name),
    "content-security-policy": "sandbox; default-src 'none'",
    "accept-ranges": "bytes",
    "cache-control": "private, no-cache",
    etag,
  };
  const done = (status: 304 | 416, more: Record<string, string> = {}) => {
    content.close();
    return c.body(null, status, { ...headers, ...more });
  };
  const known = c.req.header("if-none-match")?.split(",").map((tag) =>
    tag.trim().replace(/^W\//, "")
  );
  if (known?.some((tag) => tag === etag || tag === "*")) return done(304);

  const ifRange = c.req.header("if-range");
  // Ranges belong to GET alone (RFC 9110, 14.2).
  const isRangeWanted = c.req.method === "GET" && (ifRange === undefined || ifRange === etag);
  const range = isRangeWanted ? rangeOf(c.req.header("range"), sizeBytes) : undefined;
  if (range === "unsatisfiable") return done(416, { "content-range": `bytes */${sizeBytes}` });
  const { start, end } = range ?? { start: 0, end: sizeBytes };
  headers["content-length"] = String(end - start);
  if (range) headers["content-range"] = `bytes ${start}-${end - 1}/${sizeBytes}`;
  const status = range ? 206 : 200;
  if (c.req.method === "HEAD") {
    content.close();
    return c.body(null, status, headers);
  }
  try {
    content.seek(start);
  } catch (error) {
    content.close();
    throw error;
  }
  return c.body(streamOf(content, end - start), status, headers);
}

/** `attachment` with a name that any client reads and none misreads (RFC 6266, RFC 8187). */
export function attachment(name: string): string {
  const safe = name.toWellFormed();
  const ascii = safe.replaceAll(/[^ -~]|["\\%]/g, "_");
  const encoded = encodeURIComponent(safe).replaceAll(
    /['()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${ascii}"; filename*=UTF-8''${encoded}`;
}

/** One range of `bytes`; undefined where the header is to be ignored (several ranges, other units). */
export function rangeOf(
  header: string | undefined,
  sizeBytes: number,
): { start: number; end: number } | "unsatisfiable" | undefined {
  const match = /^bytes=\s*(\d{0,15})\s*-\s*(\d{0,15})\s*$/i.exec(header ?? "");
  if (!match || (match[1] === "" && match[2] === "")) return undefined;
  const first = match[1] === "" ? undefined : Number(match[1]);
  const last = match[2] === "" ? undefined : Number(match[2]);
  if (first === undefined) {
    if (last === 0 || sizeBytes === 0) return "unsatisfiable";
    return { start: Math.max(0, sizeBytes - last!), end: sizeBytes };
  }
  if (last !== undefined && last < first) return undefined;
  if (first >= sizeBytes) return "unsatisfiable";
  return { start: first, end: Math.min(sizeBytes, (last ?? sizeBytes) + 1) };
}

function streamOf(content: ViewedContent, totalBytes: number): ReadableStream<Uint8Array> {
  let left = totalBytes;
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      const buffer = new Uint8Array(Math.min(CHUNK_BYTES, left));
      let read = 0;
      try {
        read = left === 0 ? 0 : content.readInto(buffer);
      } catch (error) {
        content.close();
        throw error;
      }
      left -= read;
      if (read > 0) controller.enqueue(buffer.subarray(0, read));
      if (left > 0 && read > 0) return;
      content.close();
      if (left > 0) controller.error(new Error("File became shorter while it was sent"));
      else controller.close();
    },
    cancel: () => content.close(),
  }, { highWaterMark: 0 });
}
