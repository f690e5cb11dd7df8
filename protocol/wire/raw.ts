// Raw content: which bytes of a file a GET_FILE asks for (`ext.raw`), and the header line before them in the answer.
// PURE.
// Invariants: a range that makes no sense is never answered with content; a header is believed only if it fits what
// was asked for; no more than `MAX_HEADER_BYTES` are kept while it is unknown whether an answer is raw.

import { ProtocolError } from "./errors.ts";
import { type Ext, extFields } from "./ext.ts";
import { decodeMessage, fileFields, type FileRecord } from "./message.ts";
import { asciiJson } from "./text.ts";

/** Maximum length of the header line, in bytes. Names have at most 1,024 characters, each up to 12 bytes as escapes. */
export const MAX_HEADER_BYTES = 64 * 1024;
/** A length that means: to the end. */
export const TO_THE_END: number = Number.MAX_SAFE_INTEGER;

/** Size of the first buffer, in bytes: most headers fit. */
const FIRST_BYTES = 1024;
/** Maximum number of spaces between a key and its colon. */
const MAX_SPACES = 8;

const [NEWLINE, SPACE, COLON, BRACE] = [0x0a, 0x20, 0x3a, 0x7b];
const utf8 = new TextEncoder();
const DATA = utf8.encode('"data"');

/** Bytes of a file. */
export interface Range {
  /** Position of the first one, from 0. */
  readonly offset: number;
  /** Number of bytes. */
  readonly length: number;
}

/**
 * Returns the bytes that a request with `ext.raw` gets of a file of this size: a length past the end is cut. Returns
 * `undefined` if the request is invalid, or begins past the end.
 */
export function requestedRange(raw: readonly number[], sizeBytes: number): Range | undefined {
  const [offset, length] = raw;
  if (raw.length !== 2 || offset === undefined || length === undefined) return undefined;
  if (offset > sizeBytes) return undefined;
  return { offset, length: Math.min(length, sizeBytes - offset) };
}

/**
 * Returns the header line before raw content, or, with `ext.chunks`, before a list of hashes. `total` is the size of the
 * whole file or list, in bytes.
 */
export function rawHeader(
  file: FileRecord,
  ext: Ext,
  { offset, length }: Range,
  total: number,
): Uint8Array {
  const fields = extFields({ ...ext, raw: [offset, length, total] });
  return utf8.encode(`${asciiJson({ type: "FILE_DATA", ...fileFields(file), ext: fields })}\n`);
}

/** The header of a raw answer. */
export interface RawHeader extends Range {
  /** What the source says of the file. */
  readonly file: FileRecord;
  /** Size of the whole file, in bytes. */
  readonly total: number;
  /** What the source says of parts of the file; see `Ext`. */
  readonly parts: Pick<Ext, "have" | "peers" | "next">;
}

/** What a request for raw bytes wants. */
export interface Wanted extends Range {
  /** Size of the chunks, if a list of their hashes is wanted, in bytes. */
  readonly chunks?: number;
  /** Whether the answer may be shorter: the request had `ext.have`. */
  readonly isPartial?: boolean;
}

/**
 * What the first bytes of an answer turned out to be: a header line with the first bytes of content after it, or the
 * first bytes of a plain answer.
 */
export type Opening =
  | { readonly kind: "raw"; readonly header: RawHeader; readonly content: Uint8Array }
  | { readonly kind: "plain"; readonly bytes: Uint8Array };

/**
 * Reads the beginning of the answer to a request for raw content. A peer that does not know `ext.raw` answers in hex.
 * Looks at each byte a bounded number of times, however it is split.
 */
export class RawOpening {
  #bytes = new Uint8Array(FIRST_BYTES);
  #length = 0;
  /** Where a search for the key "data" continues. */
  #searched = 0;

  /** `wanted` is what was asked for. */
  constructor(readonly fileId: string, readonly wanted: Wanted) {}

  /**
   * Takes the next bytes. Returns `undefined` as long as more are needed. Throws `ProtocolError` "bad-field" if a header
   * contradicts the request.
   */
  feed(bytes: Uint8Array): Opening | undefined {
    const before = this.#length;
    this.#append(bytes);
    const all = this.rest;
    const end = all.indexOf(NEWLINE, before);
    if (end >= 0) {
      const header = this.#header(all.subarray(0, end));
      if (header) return { kind: "raw", header, content: all.subarray(end + 1) };
      return { kind: "plain", bytes: all };
    }
    // Content in hex, or "I do not have it": only a raw answer has no "data".
    const isPlain = (all.length > 0 && all[0] !== BRACE) || all.length > MAX_HEADER_BYTES ||
      this.#hasData();
    return isPlain ? { kind: "plain", bytes: all } : undefined;
  }

  /** What was read if the connection ended before it was known what it is. */
  get rest(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #append(bytes: Uint8Array): void {
    const length = this.#length + bytes.length;
    if (length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(length, 2 * this.#bytes.length));
      grown.set(this.rest);
      this.#bytes = grown;
    }
    this.#bytes.set(bytes, this.#length);
    this.#length = length;
  }

  /** Returns whether the key "data" is in the text so far. A name may be "data" too, but no colon follows it. */
  #hasData(): boolean {
    const all = this.rest;
    for (;;) {
      const at = indexOfData(all, this.#searched);
      let next = at + DATA.length;
      if (next >= all.length) {
        this.#searched = at;
        return false;
      }
      while (next < at + DATA.length + MAX_SPACES && all[next] === SPACE) next++;
      if (next === all.length) {
        this.#searched = at;
        return false;
      }
      if (all[next] === COLON || all[next] === SPACE) return true;
      this.#searched = at + 1;
    }
  }

  #header(line: Uint8Array): RawHeader | undefined {
    let decoded;
    try {
      decoded = decodeMessage(line).message;
    } catch (error) {
      if (error instanceof ProtocolError) return undefined; // a plain answer with a line break in it, or garbage
      throw error;
    }
    if (decoded.type !== "FILE_DATA" || !decoded.ext?.raw) return undefined;
    const { wanted } = this;
    const { file, ext: { raw, have, peers, next, chunks } } = decoded;
    const [offset, length, total] = raw;
    const isRange = file?.fileId === this.fileId && offset === wanted.offset &&
      length !== undefined && total !== undefined && offset <= total;
    const whole = isRange ? Math.min(wanted.length, total - offset) : 0;
    const isShort = wanted.isPartial === true &&
      (have !== undefined || next !== undefined || peers !== undefined);
    if (!isRange || chunks !== wanted.chunks || (isShort ? length > whole : length !== whole)) {
      const text = `The header of raw content contradicts the request: ${
        raw.join(", ") || "no range"
      }`;
      throw new ProtocolError("bad-field", text);
    }
    const parts = {
      ...(have ? { have } : {}),
      ...(peers ? { peers } : {}),
      ...(next ? { next } : {}),
    };
    return { file, offset, length, total, parts };
  }
}

/** Returns where `"data"` is from a position on, or where it may begin at the end of the text, or its length. */
function indexOfData(text: Uint8Array, from: number): number {
  for (let at = text.indexOf(DATA[0]!, from); at >= 0; at = text.indexOf(DATA[0]!, at + 1)) {
    let same = 1;
    while (same < DATA.length && at + same < text.length && text[at + same] === DATA[same]) same++;
    if (same === DATA.length || at + same === text.length) return at;
  }
  return text.length;
}
