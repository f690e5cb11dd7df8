// Many small files in one answer (GET_FILE with `ext.more`): for each file a header line, then its bytes, in the order in
// which they were asked for. PURE.
// Invariants: each header is believed only if it is about the file whose turn it is; not more than one header line is kept.

import { ProtocolError } from "./errors.ts";
import type { Timestamp } from "./fileid.ts";
import { extFields } from "./ext.ts";
import { decodeMessage, type FileRecord } from "./message.ts";
import { MAX_HEADER_BYTES, rawHeader } from "./raw.ts";
import { asciiJson } from "./text.ts";

const NEWLINE = 0x0a;
const utf8 = new TextEncoder();
const utf8Text = new TextDecoder();

/** Returns the header line of a file in a batch, of which all `sizeBytes` bytes follow. */
export function batchHeader(file: FileRecord, sizeBytes: number): Uint8Array {
  return rawHeader(file, { v: 1 }, { offset: 0, length: sizeBytes }, sizeBytes);
}

/** Returns the line that says that a file of a batch is not here: a header without a range. No content follows. */
export function absentHeader(fileId: string): Uint8Array {
  const none = { file_name: null, file_size: 0, file_owner: null, file_timestamp: null };
  const ext = extFields({ v: 1, raw: [] });
  return utf8.encode(`${asciiJson({ type: "FILE_DATA", file_id: fileId, ...none, ext })}\n`);
}

/** Receives the files of a batch, one after another. */
export interface BatchSink {
  /**
   * A file begins, of which `sizeBytes` bytes follow. `timestamp` returns the timestamp under which the source knows it,
   * if it is valid; hardly ever needed, and not cheap.
   */
  begin(index: number, sizeBytes: number, timestamp: () => Timestamp | undefined): void;
  /** Content of that file. If it is all of it, the bytes are not written to before the sink has settled. */
  write(content: Uint8Array): void;
  /** The file is complete. */
  end(): void;
  /** The source does not have this file. */
  absent(index: number): void;
}

/** Reads a batch. */
export class BatchReader {
  /** Number of files that are complete or absent: the index of the one whose turn it is. */
  index = 0;
  /** Bytes missing of the file that has begun. */
  #left = 0;
  #isBegun = false;
  /** The header line so far. */
  #line: Uint8Array = new Uint8Array(0);

  /** `fileIds` are the files asked for. */
  constructor(readonly fileIds: readonly string[], readonly sink: BatchSink) {}

  /** Whether all files were read. */
  get isDone(): boolean {
    return this.index === this.fileIds.length;
  }

  /**
   * Takes the next bytes, which must not be written to before the sink has settled. Throws `ProtocolError` "bad-field" for a header that
   * contradicts the request, other `ProtocolError`s, and what the sink throws.
   */
  feed(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      if (this.isDone) throw new ProtocolError("bad-field", "More came than was asked for");
      if (this.#isBegun) {
        const content = bytes.subarray(at, at + this.#left);
        at += content.length;
        this.#left -= content.length;
        this.sink.write(content);
        if (this.#left === 0) this.#end();
        continue;
      }
      const end = bytes.indexOf(NEWLINE, at);
      const piece = bytes.subarray(at, end < 0 ? bytes.length : end);
      at += piece.length + 1;
      const line = this.#line.length === 0 ? piece : joined(this.#line, piece);
      if (line.length > MAX_HEADER_BYTES) {
        throw new ProtocolError("bad-field", "A header line of a batch is too long");
      }
      if (end < 0) {
        // A source of an earlier version, which says "data" before it begins with digits.
        if (this.index === 0 && utf8Text.decode(line).includes('"data":')) {
          throw new ProtocolError(
            "cut-short",
            "The source answers only the first of several files",
          );
        }
        this.#line = line.slice();
      } else this.#onHeader(line, bytes.length - at);
    }
  }

  /** `following` bytes are there after the line. */
  #onHeader(line: Uint8Array, following: number): void {
    this.#line = new Uint8Array(0);
    const { file_id: fileId, ext } = headerOf(line);
    const raw = ext?.raw ?? [];
    if (fileId === this.fileIds[this.index] && raw.length === 0) {
      this.sink.absent(this.index++);
      return;
    }
    const [offset, length = -1, total] = raw;
    const isWanted = fileId === this.fileIds[this.index] && offset === 0 && length === total;
    if (!isWanted || !Number.isSafeInteger(length) || length < 0) {
      throw new ProtocolError("bad-field", "A header of a batch contradicts the request");
    }
    const kept = following < length ? line.slice() : line;
    this.sink.begin(this.index, length, () => timestampIn(kept));
    this.#isBegun = true;
    this.#left = length;
    if (length === 0) this.#end();
  }

  #end(): void {
    this.#isBegun = false;
    this.index++;
    this.sink.end();
  }
}

interface Header {
  readonly file_id?: unknown;
  readonly ext?: { readonly raw?: readonly number[] };
}

/** Returns the fields of a header line that say which content follows. Throws `ProtocolError`. */
function headerOf(line: Uint8Array): Header {
  let value: unknown;
  try {
    value = JSON.parse(utf8Text.decode(line));
  } catch (cause) {
    throw new ProtocolError("not-json", "A header line of a batch is not JSON", { cause });
  }
  const { type, ext } = (value ?? {}) as { readonly type?: unknown; readonly ext?: unknown };
  const isHeader = type === "FILE_DATA" && typeof ext === "object" && ext !== null &&
    "raw" in ext && Array.isArray(ext.raw);
  if (isHeader) return value as Header;
  throw new ProtocolError("bad-field", "A header line of a batch does not say what follows it");
}

function timestampIn(line: Uint8Array): Timestamp | undefined {
  try {
    const { message } = decodeMessage(line);
    return message.type === "FILE_DATA" ? message.file?.timestamp : undefined;
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const all = new Uint8Array(a.length + b.length);
  all.set(a);
  all.set(b, a.length);
  return all;
}
