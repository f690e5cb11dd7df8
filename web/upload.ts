// Files uploaded by a browser or a script as a raw body; form.ts handles forms. Memory use is one buffer, whatever the
// size; an interrupted upload leaves nothing behind.

import { createHash } from "node:crypto";
import { isCleanName, visible } from "../protocol/wire/text.ts";
import { MAX_NAME_CHARS } from "../protocol/limits.ts";
import { NotPossible, type SharedFile, type ShareOptions, type Upload, type View } from "./view.ts";

/** Size of the buffer that each read reuses, in bytes. */
const BUFFER_BYTES = 256 * 1024;
type Headers = (name: string) => string | undefined;

/**
 * Throws `NotPossible` if the body is not a whole, unencoded file: a part of one (RFC 9110, 14.5), or with a content or
 * transfer coding; see `checkPlain`.
 */
export function checkWhole(header: Headers): void {
  if (header("content-range") !== undefined) {
    throw new NotPossible(
      400,
      "Only part of a file was sent; only whole files can be shared",
      "Send the whole file, without Content-Range; PUT /files/by-name/{name} takes the rest of an interrupted upload",
    );
  }
  checkPlain(header);
}

/** Throws `NotPossible` if the body has a content or transfer coding (RFC 9110, 8.4; RFC 9112, 6.1). */
export function checkPlain(header: Headers): void {
  const coding = header("content-encoding") ?? "identity";
  if (coding.toLowerCase() !== "identity") {
    throw new NotPossible(
      415,
      `The content encoding ${visible(coding, 80)} is not supported`,
      "Send the file unencoded, without Content-Encoding",
    );
  }
  const transfer = header("transfer-encoding") ?? "chunked";
  if (transfer.toLowerCase() !== "chunked") {
    throw new NotPossible(
      501,
      `The transfer coding ${visible(transfer, 80)} is not supported`,
      'Send the body without one, or with "chunked" alone',
    );
  }
}

/**
 * Returns the SHA-256 hashes, in base64, that a client sends for its body (RFC 9530): of the content and of the
 * representation, which are the same without a content encoding. Other algorithms are ignored.
 */
export function digestsOf(header: (name: string) => string | undefined): readonly string[] {
  return ["content-digest", "repr-digest"].flatMap((name) =>
    /(?:^|,)[ \t]*sha-256=:([\w+/]{43}=):/.exec(header(name) ?? "")?.[1] ?? []
  );
}

/** Shares a request's body under a name, if it matches the given digests. Throws `NotPossible`. */
export async function shareBody(
  view: View,
  body: ReadableStream<Uint8Array> | null,
  name: string,
  options: ShareOptions,
  digests: readonly string[] = [],
): Promise<SharedFile> {
  const upload = view.share(uploadName(name), options);
  const hash = digests.length > 0 ? createHash("sha256") : undefined;
  let read = 0;
  try {
    for await (const piece of pieces(body, upload.cancelled)) {
      read += piece.length;
      upload.write(piece);
      hash?.update(piece);
    }
    const digest = hash?.digest("base64");
    if (digests.some((promised) => promised !== digest)) {
      throw new NotPossible(
        400,
        "The content does not match its digest",
        "Send the file again; it changed in transit or while it was being read",
      );
    }
  } catch (error) {
    throw abortUpload(upload, error);
  }
  return await finishUpload(upload, read, options.totalBytes);
}

/** Returns the error itself if it is `NotPossible`, or else one that says that the upload was interrupted. */
export function asNotPossible(error: unknown): NotPossible {
  if (error instanceof NotPossible) return error;
  return new NotPossible(400, "The upload was interrupted", "Send the file again", {
    cause: error,
  });
}

/** Finishes an upload. If it is empty or its size is not the announced one, aborts it and throws `NotPossible`. */
export async function finishUpload(
  upload: Upload,
  readBytes: number,
  toldBytes: number | undefined,
): Promise<SharedFile> {
  if (toldBytes !== undefined && readBytes !== toldBytes) {
    upload.abort("The size does not match the announced one");
    throw new NotPossible(
      400,
      `Received ${readBytes} bytes, expected ${toldBytes}`,
      "Send the whole file again",
    );
  }
  if (readBytes === 0) {
    upload.abort("The file is empty");
    throw new NotPossible(
      400,
      "The file is empty, so no peer could fetch it",
      "Send a file that has content",
    );
  }
  return await upload.finish();
}

/** Aborts an upload that an error interrupted. Returns the error for the client. */
export function abortUpload(upload: Upload, error: unknown): NotPossible {
  if (error instanceof NotPossible) upload.abort(error.message);
  else if (upload.cancelled.aborted) {
    upload.abort("Canceled here");
    return new NotPossible(
      409,
      "The upload was canceled on this peer",
      "Send the file again if it is still wanted",
      {
        cause: error,
      },
    );
  } else upload.abort("The sender stopped", "stopped");
  return asNotPossible(error);
}

/** Returns the file name that a client sent, without any folders. Throws `NotPossible`. */
export function uploadName(name: string): string {
  const label = name.slice(Math.max(name.lastIndexOf("/"), name.lastIndexOf("\\")) + 1);
  if (isCleanName(label, 2 * MAX_NAME_CHARS - 1) && label !== "." && label !== "..") return label;
  throw new NotPossible(
    400,
    "The name is empty, too long, or contains control characters",
    "Give a name of 1 to 255 characters (an emoji counts as two or more)",
  );
}

/** Decodes a name from a header: percent-decoded if possible, as older pages send it, and as UTF-8 if valid. */
export function decoded(header: string): string {
  // Each byte of a header arrives as one character.
  const isBytes = /[\x80-\xff]/.test(header) && !/[^\0-\xff]/.test(header);
  const name = isBytes ? utf8Of(header) ?? header : header;
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

function utf8Of(bytes: string): string | undefined {
  try {
    const codes = Uint8Array.from(bytes, (sign) => sign.charCodeAt(0));
    return new TextDecoder("utf-8", { fatal: true }).decode(codes);
  } catch {
    return undefined;
  }
}

/** Yields the body in pieces, each valid until the next is requested. Throws if it is interrupted or canceled. */
export async function* pieces(
  body: ReadableStream<Uint8Array> | null,
  signal?: AbortSignal,
): AsyncIterable<Uint8Array> {
  if (!body) return;
  const read = readerOf(body);
  let isDone = false;
  const stop = () => void read.cancel().catch(() => {}); // it was already interrupted
  signal?.addEventListener("abort", stop, { once: true });
  try {
    for (;;) {
      const piece = await read.next();
      if (signal?.aborted) throw new Error("Canceled");
      if (piece === undefined) {
        isDone = true;
        return;
      }
      if (piece.length > 0) yield piece;
    }
  } finally {
    signal?.removeEventListener("abort", stop);
    if (!isDone) stop();
  }
}

/** Reads into one reused buffer if the body supports that, as the server's bodies do. */
function readerOf(body: ReadableStream<Uint8Array>) {
  let buffer = new ArrayBuffer(BUFFER_BYTES);
  try {
    const reader = body.getReader({ mode: "byob" });
    return {
      cancel: () => reader.cancel(),
      next: async (): Promise<Uint8Array | undefined> => {
        const { value, done } = await reader.read(new Uint8Array(buffer));
        if (done || !value) return undefined;
        buffer = value.buffer as ArrayBuffer;
        return value;
      },
    };
  } catch {
    const reader = body.getReader(); // not a byte stream
    return { cancel: () => reader.cancel(), next: async () => (await reader.read()).value };
  }
}
