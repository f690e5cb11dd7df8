// Files that come from a browser or a script: a raw body, or a form with several. Memory is one buffer, whatever the
// size; what breaks off leaves nothing behind.

import type { Busboy as Form, BusboyFileStream } from "@fastify/busboy";
import { isCleanName } from "../protocol/text.ts";
import { MAX_NAME_CHARS } from "../protocol/limits.ts";
import { NotPossible, type ShareOptions, type Upload, type View, type ViewedFile } from "./view.ts";

/** Read at once, into one buffer that is used again. */
const BUFFER_BYTES = 256 * 1024;
/** Files in one form. */
const MAX_PARTS = 100;

/** Shares the body of a request under a name. Throws `NotPossible`. */
export async function shareBody(
  view: View,
  body: ReadableStream<Uint8Array> | null,
  name: string,
  options: ShareOptions,
): Promise<ViewedFile> {
  const upload = view.share(labelOf(name), options);
  let read = 0;
  try {
    for await (const piece of pieces(body, upload.cancelled)) {
      read += piece.length;
      upload.write(piece);
    }
  } catch (error) {
    throw aborted(upload, error);
  }
  return await finished(upload, read, options.totalBytes);
}

/** Shares every file of a form (RFC 7578). Throws `NotPossible`. */
export async function shareForm(
  view: View,
  body: ReadableStream<Uint8Array> | null,
  contentType: string,
  options: ShareOptions,
): Promise<ViewedFile[]> {
  // Loaded when the first form comes: it costs 10 MB, and most peers never see one.
  const [{ Busboy }, { Readable }] = await Promise.all([
    import("@fastify/busboy"),
    import("node:stream"),
  ]);
  let form: Form;
  try {
    form = new Busboy({
      headers: { "content-type": contentType },
      limits: { files: MAX_PARTS, fields: MAX_PARTS, fieldSize: 1024, headerSize: 16 * 1024 },
    });
  } catch (cause) {
    throw new NotPossible(400, "The form has no boundary", "Let the client make it", { cause });
  }
  const shared: Promise<ViewedFile>[] = [];
  const streams: BusboyFileStream[] = [];
  form.on("file", (_field: string, stream: BusboyFileStream, name: string) => {
    streams.push(stream);
    shared.push(sharePart(view, stream, name, options));
  });
  const ended = Promise.withResolvers<void>();
  form.on("finish", () => ended.resolve());
  form.on("error", (error: unknown) => ended.reject(error));
  const source = Readable.from(copies(body), { objectMode: false });
  source.on("error", (error) => {
    form.destroy(error);
    ended.reject(error);
  });
  source.pipe(form);
  try {
    await ended.promise;
  } catch (cause) {
    for (const stream of streams) stream.destroy(cause as Error); // they would wait for ever
    await Promise.allSettled(shared);
    throw new NotPossible(400, "The form broke off, or is none", "Send it again", { cause });
  }
  const outcomes = await Promise.allSettled(shared);
  const failed = outcomes.find((outcome) => outcome.status === "rejected");
  if (failed) throw failed.reason;
  if (outcomes.length === 0) {
    throw new NotPossible(400, "There is no file in the form", 'Give the field a "filename"');
  }
  return outcomes.flatMap((outcome) => outcome.status === "fulfilled" ? [outcome.value] : []);
}

async function sharePart(
  view: View,
  stream: BusboyFileStream,
  name: string,
  options: ShareOptions,
): Promise<ViewedFile> {
  let upload: Upload | undefined;
  let read = 0;
  try {
    upload = view.share(labelOf(name ?? ""), { ...options, totalBytes: undefined });
    for await (const piece of stream as AsyncIterable<Uint8Array>) {
      if (upload.cancelled.aborted) throw new Error("Cancelled");
      read += piece.length;
      upload.write(piece);
    }
    if (stream.truncated) throw new Error("The part broke off");
  } catch (error) {
    stream.resume(); // the parts behind it are read all the same
    throw upload ? aborted(upload, error) : error;
  }
  return await finished(upload, read, undefined);
}

async function finished(
  upload: Upload,
  readBytes: number,
  toldBytes: number | undefined,
): Promise<ViewedFile> {
  if (toldBytes !== undefined && readBytes !== toldBytes) {
    upload.abort("Its size is not what was told");
    throw new NotPossible(
      400,
      `${readBytes} bytes came, ${toldBytes} were told`,
      "Send the file again, whole",
    );
  }
  if (readBytes === 0) {
    upload.abort("It is empty");
    throw new NotPossible(
      400,
      "The file is empty, and no peer could fetch it",
      "Send a file with content",
    );
  }
  return await upload.finish();
}

function aborted(upload: Upload, error: unknown): Error {
  if (error instanceof NotPossible) {
    upload.abort(error.message);
    return error;
  }
  upload.abort(upload.cancelled.aborted ? "Cancelled here" : "It broke off");
  return new NotPossible(400, "The upload broke off", "Send the file again", { cause: error });
}

/** A name as a client gives it, without the folders that it may come with. Throws `NotPossible`. */
export function labelOf(name: string): string {
  const label = name.slice(Math.max(name.lastIndexOf("/"), name.lastIndexOf("\\")) + 1);
  if (isCleanName(label, 2 * MAX_NAME_CHARS - 1) && label !== "." && label !== "..") return label;
  throw new NotPossible(
    400,
    "The name is empty, too long, or has control characters in it",
    "Send one of 1 to 255 characters as X-File-Name (percent-encoded), ?name= or in the path",
  );
}

/** URL-decoded where it decodes, as older pages send it. */
export function decoded(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** The body piece by piece, each valid until the next is asked for. Throws when it breaks off or is cancelled. */
async function* pieces(
  body: ReadableStream<Uint8Array> | null,
  signal?: AbortSignal,
): AsyncIterable<Uint8Array> {
  if (!body) return;
  const read = readerOf(body);
  let isDone = false;
  const stop = () => void read.cancel().catch(() => {}); // it broke off already
  signal?.addEventListener("abort", stop, { once: true });
  try {
    for (;;) {
      const piece = await read.next();
      if (signal?.aborted) throw new Error("Cancelled");
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

/** Reads into one buffer where the body can do that, as those of the server can. */
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
    const reader = body.getReader(); // no byte stream
    return { cancel: () => reader.cancel(), next: async () => (await reader.read()).value };
  }
}

/** Pieces that may be kept: what parses a form looks back at them. */
async function* copies(body: ReadableStream<Uint8Array> | null): AsyncIterable<Uint8Array> {
  for await (const piece of pieces(body)) yield piece.slice();
}
