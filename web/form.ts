// Forms with several files (RFC 7578), as browsers and `curl -F` send them. Each file is shared or refused
// independently of the others.

import type { Busboy, BusboyFileStream } from "@fastify/busboy";
import { abortUpload, asNotPossible, finishUpload, pieces, uploadName } from "./upload.ts";
import { NotPossible, type SharedFile, type ShareOptions, type Upload, type View } from "./view.ts";

/** Maximum number of files in one form. */
const MAX_PARTS = 100;

/** Outcome for each file of a form. */
export interface SharedForm {
  readonly files: readonly SharedFile[];
  readonly failed: readonly { readonly name: string; readonly error: NotPossible }[];
}

/** Shares every file of a form (RFC 7578) independently. Throws `NotPossible` if none could be shared. */
export async function shareForm(
  view: View,
  body: ReadableStream<Uint8Array> | null,
  contentType: string,
  options: ShareOptions,
): Promise<SharedForm> {
  const parser = await formParser(contentType);
  const parts: Part[] = [];
  let isTooMany = false;
  parser.on("file", (_field: string, stream: BusboyFileStream, name: string) => {
    parts.push(new Part(view, stream, name ?? "", options));
  });
  parser.on("filesLimit", () => isTooMany = true);
  try {
    await feed(parser, body);
  } catch (cause) {
    for (const part of parts) part.breakOff(cause);
    await Promise.all(parts.map(({ outcome }) => outcome));
    throw new NotPossible(400, "The form is incomplete or malformed", "Send it again", { cause });
  }
  return sharedForm(await Promise.all(parts.map(({ outcome }) => outcome)), isTooMany);
}

type Parser = InstanceType<typeof Busboy>;

/** Resolves to a parser for a form of this type. Throws `NotPossible`. */
async function formParser(contentType: string): Promise<Parser> {
  // Loaded with the first form: it costs 10 MB, and most peers never receive one.
  const { Busboy } = await import("@fastify/busboy");
  try {
    return new Busboy({
      headers: { "content-type": contentType },
      limits: { files: MAX_PARTS, fields: MAX_PARTS, fieldSize: 1024, headerSize: 16 * 1024 },
    });
  } catch (cause) {
    throw new NotPossible(400, "The form has no boundary", "Let the HTTP client set Content-Type", {
      cause,
    });
  }
}

/** Feeds the body to the parser. Resolves once the form has ended; throws if it is cut short or malformed. */
async function feed(parser: Parser, body: ReadableStream<Uint8Array> | null): Promise<void> {
  const { Readable } = await import("node:stream");
  const ended = Promise.withResolvers<void>();
  parser.on("finish", () => ended.resolve());
  parser.on("error", (error: unknown) => ended.reject(error));
  const source = Readable.from(copies(body), { objectMode: false });
  source.on("error", (error) => {
    parser.destroy(error);
    ended.reject(error);
  });
  source.pipe(parser);
  await ended.promise;
}

/** Sums up the outcomes of a form's files. Throws `NotPossible` if none was shared. */
function sharedForm(outcomes: readonly Outcome[], isTooMany: boolean): SharedForm {
  if (outcomes.length === 0) {
    throw new NotPossible(400, "The form contains no file", 'Give the field a "filename"');
  }
  const files = outcomes.flatMap((outcome) => "file" in outcome ? [outcome] : []);
  const failed = outcomes.flatMap((outcome) => "error" in outcome ? [outcome] : []);
  if (files.length === 0) throw failed[0]!.error;
  if (isTooMany) {
    const error = new NotPossible(
      413,
      `A form may contain at most ${MAX_PARTS} files; the rest were not read`,
      "Send the rest in another form",
    );
    failed.push({ name: "(the rest)", error });
  }
  return { files, failed };
}

type Outcome = SharedFile | { readonly name: string; readonly error: NotPossible };

/** One file of a form. It is always read to its end, whatever its outcome, so that the files after it arrive. */
class Part {
  readonly outcome: Promise<Outcome>;
  readonly #settle: (outcome: Outcome | Promise<Outcome>) => void;
  #upload: Upload | undefined;
  #error: NotPossible | undefined;
  #readBytes = 0;

  constructor(
    view: View,
    readonly stream: BusboyFileStream,
    readonly name: string,
    options: ShareOptions,
  ) {
    ({ promise: this.outcome, resolve: this.#settle } = Promise.withResolvers<Outcome>());
    try {
      this.#upload = view.share(uploadName(name), { ...options, totalBytes: undefined });
    } catch (error) {
      this.#fail(error);
    }
    stream.on("data", (piece: Uint8Array) => this.#take(piece));
    stream.on("error", (error: unknown) => this.breakOff(error));
    stream.on("end", () => this.#settle(this.#end()));
    stream.on("close", () => this.breakOff(new Error("The part is incomplete"))); // unless it ended
  }

  /** Fails the file as incomplete. Does nothing if it has already ended. */
  breakOff(cause: unknown): void {
    this.#fail(cause);
    this.#settle({ name: this.name, error: this.#error! });
  }

  #take(piece: Uint8Array): void {
    if (this.#error || !this.#upload) return;
    try {
      if (this.#upload.cancelled.aborted) throw new Error("Canceled");
      this.#upload.write(piece);
      this.#readBytes += piece.length;
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (this.#error || this.#isEnded) return;
    this.#error = this.#upload ? abortUpload(this.#upload, error) : asNotPossible(error);
  }

  #isEnded = false;

  async #end(): Promise<Outcome> {
    if (this.stream.truncated) this.#fail(new Error("The part is incomplete"));
    this.#isEnded = true;
    if (!this.#error && this.#upload) {
      try {
        return await finishUpload(this.#upload, this.#readBytes, undefined);
      } catch (error) {
        this.#error = asNotPossible(error);
      }
    }
    return { name: this.name, error: this.#error! };
  }
}

/** Yields copies of the pieces, because the form parser holds on to them. */
async function* copies(body: ReadableStream<Uint8Array> | null): AsyncIterable<Uint8Array> {
  for await (const piece of pieces(body)) yield piece.slice();
}
