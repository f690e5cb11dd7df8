// Serves a held file as a download: whole or as one range, never rendered as a page, with a file name that cannot break
// the header. See RFC 9110 (ranges, validators), RFC 6266 and 8187 (names), and RFC 9530 (digests).

import type { Context } from "hono";
import { timestampSeconds } from "../protocol/wire/fileid.ts";
import type { FileRecord } from "../protocol/wire/message.ts";
import type { Env } from "./env.ts";
import { isSameForRange, preconditionOf, type Representation } from "./preconditions.ts";
import { problem } from "./problem.ts";
import { NotPossible, type View, type ViewedContent } from "./view.ts";

const UNREADABLE = "The file cannot be read";
/** Size of each chunk that is read and sent, in bytes. */
const CHUNK_BYTES = 256 * 1024;
/** Matches one range, with optional empty list elements around it (RFC 9110, 5.6.1 and 14.1.2). */
const RANGE = /^bytes=[, \t]*(\d{0,300})[ \t]*-[ \t]*(\d{0,300})[, \t]*$/i;

/** Responds to GET and HEAD for a file's content. */
export function serveContent(c: Context<Env>, view: View, fileId: string): Response {
  const content = view.content(fileId, c.env.ip);
  if (!content) {
    return problem(
      c,
      404,
      "This file is not held here",
      `Fetch it first: POST /api/v1/files/${fileId}/fetch, or type "get" and its id at the prompt`,
    );
  }
  return sendContent(c, content, view.status().now);
}

/** Responds to GET and HEAD with content: whole, or the range that was asked for. Closes it in the end. */
export function sendContent(
  c: Context<Env>,
  content: ViewedContent,
  nowSeconds: number,
): Response {
  const { file, sizeBytes } = content;
  const current: Representation = {
    etag: `"${file.fileId}"`, // the id is a hash of the content, so the etag never changes
    modifiedSeconds: lastModified(file, nowSeconds),
    nowSeconds,
  };
  const precondition = preconditionOf(c, current);
  if (precondition !== undefined) {
    content.close();
    return precondition === 304
      ? c.body(null, 304, validatorsOf(current))
      : preconditionFailed(c, current);
  }
  // Ranges belong to GET alone (RFC 9110, 14.2).
  const isRangeWanted = c.req.method === "GET" && isSameForRange(c.req.header("if-range"), current);
  const range = isRangeWanted ? rangeOf(c.req.header("range"), sizeBytes) : undefined;
  if (range === "unsatisfiable") {
    content.close();
    return rangeNotSatisfiable(c, current, sizeBytes);
  }
  const status = range ? 206 : 200;
  const headers = contentHeaders(content, current, range);
  if (c.req.method === "HEAD") {
    content.close();
    return c.body(null, status, headers);
  }
  const { start, end } = range ?? { start: 0, end: sizeBytes };
  try {
    content.seek(start, end - start);
  } catch (error) {
    content.close(UNREADABLE);
    throw error;
  }
  const body = streamOf(content, end - start);
  c.env.handOver?.(body, {
    totalBytes: end - start,
    readInto: (buffer) => content.readInto(buffer),
    sent: (bytes) => content.sent(bytes),
    ended: (why) => {
      if (why === undefined) content.close();
      else if (why === "stopped") content.close("The receiver stopped", "stopped");
      else content.close(why instanceof NotPossible ? why.message : UNREADABLE);
    },
  });
  return c.body(body, status, headers);
}

/** Returns the headers that a 304 carries too (RFC 9110, 15.4.5). */
function validatorsOf({ etag }: Representation) {
  return { etag, "cache-control": "private, no-cache" };
}

function preconditionFailed(c: Context<Env>, { etag }: Representation): Response {
  return problem(
    c,
    412,
    "The content does not match If-Match or If-Unmodified-Since",
    "Send the request without them to get the current content",
    { etag },
  );
}

function rangeNotSatisfiable(
  c: Context<Env>,
  { etag }: Representation,
  sizeBytes: number,
): Response {
  return problem(
    c,
    416,
    `The range is outside the file, which has ${sizeBytes} bytes`,
    "Ask for a range within it, or omit Range to get all of it",
    { etag, "content-range": `bytes */${sizeBytes}` },
  );
}

/** Returns the headers of a 200, or of a 206 if there is a range. */
function contentHeaders(
  { file, sizeBytes, sha256 }: ViewedContent,
  current: Representation,
  range: ByteRange | undefined,
): Record<string, string> {
  const { modifiedSeconds } = current;
  const digest = Uint8Array.fromHex(sha256).toBase64();
  const { start, end } = range ?? { start: 0, end: sizeBytes };
  return {
    ...validatorsOf(current),
    "content-type": "application/octet-stream",
    "content-disposition": attachment(file.name),
    "content-security-policy": "sandbox; default-src 'none'",
    "accept-ranges": "bytes",
    // Both cover the whole file, even if only a part is sent. aria2 checks only the older one (RFC 3230).
    "repr-digest": `sha-256=:${digest}:`,
    digest: `SHA-256=${digest}`,
    ...(modifiedSeconds !== undefined && {
      "last-modified": new Date(modifiedSeconds * 1000).toUTCString(),
    }),
    "content-length": String(end - start),
    // Covers the response, which without a range is the whole file.
    ...range
      ? { "content-range": `bytes ${start}-${end - 1}/${sizeBytes}` }
      : { "content-digest": `sha-256=:${digest}:` },
  };
}

/**
 * Returns the time for `Last-Modified` in whole Unix seconds, or undefined if the owner gave no date or one in the
 * future, which says nothing about when the file was modified (RFC 9110, 8.8.2.1).
 */
function lastModified(file: FileRecord, nowSeconds: number): number | undefined {
  const seconds = timestampSeconds(file.timestamp);
  if (seconds === undefined || seconds > nowSeconds) return undefined;
  return Math.floor(seconds);
}

/** Returns an `attachment` header with a name that every client reads correctly (RFC 6266, RFC 8187). */
export function attachment(name: string): string {
  const safe = name.toWellFormed();
  const ascii = safe.replaceAll(/[^ -~]|["\\%]/g, "_");
  const encoded = encodeURIComponent(safe).replaceAll(
    /['()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${ascii}"; filename*=UTF-8''${encoded}`;
}

/** Offsets in a file, in bytes: from `start` up to, but not including, `end`. */
interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * Returns the requested range of `bytes`, or undefined if the header is to be ignored (several ranges, other units).
 * Accepts numbers of any size: some clients ask for up to 2^63 - 1 (RFC 9110, 14.1.2).
 */
export function rangeOf(
  header: string | undefined,
  sizeBytes: number,
): ByteRange | "unsatisfiable" | undefined {
  const match = RANGE.exec(header ?? "");
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
        // The connection is cut, so the receiver sees fewer bytes than promised.
        content.close(error instanceof NotPossible ? error.message : UNREADABLE);
        throw error;
      }
      left -= read;
      if (read > 0) {
        controller.enqueue(buffer.subarray(0, read));
        content.sent(read);
      }
      if (left > 0 && read > 0) return;
      content.close(left > 0 ? "The file shrank while it was being sent" : undefined);
      if (left > 0) controller.error(new Error("File shrank while it was being sent"));
      else controller.close();
    },
    cancel: () => content.close("The receiver stopped", "stopped"),
  }, { highWaterMark: 0 });
}
