// Framing: an incremental scanner that finds where each message on a connection ends. PURE.
// The protocol has no length prefix, so the end of a JSON value is found by its brackets, looking at each byte once no
// matter how the bytes are split into chunks. Nothing is parsed here, and only the bytes of one message are buffered;
// depth, counts and sizes are bounded before anything else happens. File content (the string under the top-level key
// "data") never becomes part of a message: it is passed on as it arrives, wherever the key is among the others.
//
// Theory: one state machine over bytes. `depth` counts open containers, and `kinds` has one bit for each that says
// whether it is an array. Strings are skipped, except that the first characters of keys at depth 1 are kept, because
// two of these keys change the rules: "data" is streamed, and "files" may be long.

import { ProtocolError } from "./errors.ts";
import { type Limits, MAX_DEPTH, MAX_VALUES } from "../limits.ts";

/** Receives what the scanner finds, in byte order. Byte arrays are valid only during the call. */
export interface FrameHandler {
  /** Receives a complete message. `streamed`: its "data" went to `data` and is an empty string in `bytes`. */
  message(bytes: Uint8Array, streamed: boolean): void;
  /** Called at the start of the string under "data". `envelope` is the message so far. */
  dataStart(envelope: Uint8Array): void;
  /** Receives a piece of the string under "data", exactly as it is between the quotes. */
  data(piece: string): void;
  /** Called at the end of the string under "data"; the rest of the message follows. */
  dataEnd(): void;
}

const QUOTE = 0x22, BACKSLASH = 0x5c, COMMA = 0x2c, COLON = 0x3a;
const OPEN_BRACE = 0x7b, CLOSE_BRACE = 0x7d, OPEN_BRACKET = 0x5b, CLOSE_BRACKET = 0x5d;
const isSpace = (byte: number) => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;

/** Maximum number of strings under "data" in one message. More are an attack: each one makes us read all before it. */
const MAX_CONTENTS = 8;
/** Most messages arrive in one chunk and need no buffer of their own. */
const NOTHING = new Uint8Array(0);
const FIRST_KEPT_BYTES = 1024;
/** Number of characters kept of a key at depth 1; the keys that matter are shorter. */
const KEY_CHARS = 8;

/** The limits that the scanner enforces. */
export type ScannerLimits = Pick<Limits, "maxMessageBytes" | "maxListBytes" | "maxListFiles">;

/** Finds the messages in the bytes of one connection. Unusable once it has thrown a `ProtocolError`. */
export class FrameScanner {
  /** Number of bytes looked at so far. A test limits this to twice the bytes fed. */
  steps = 0;

  #depth = 0;
  #kinds = 0; // bit d: the container at depth d + 1 is an array
  #counts = new Array<number>(MAX_DEPTH + 1).fill(0); // commas per open container
  #values = 0;
  #inString = false;
  #escaped = false;
  #expectKey = false; // at depth 1, the next string is a key
  #inKey = false;
  #key = "";
  #afterColon = false;
  #inData = false;
  #streamed = false;
  #contents = 0; // number of strings under "data" in this message; the last one counts
  #inFiles = false;
  #listBytes = 0;
  #start = 0; // where the open message starts in this chunk
  #listStart = 0; // where its list starts in this chunk
  #kept: Uint8Array<ArrayBuffer> = NOTHING; // the part of the open message from earlier chunks
  #keptLength = 0;

  /** Creates a scanner for one connection. */
  constructor(readonly handler: FrameHandler, readonly limits: ScannerLimits) {}

  /** Whether no message is open: a connection that closes now closed cleanly. */
  get idle(): boolean {
    return this.#depth === 0;
  }

  /** Whether the string under "data" is being read, which has deadlines of its own. */
  get inData(): boolean {
    return this.#inData;
  }

  /** Whether a list ("files") is being read. */
  get inList(): boolean {
    return this.#inFiles;
  }

  /**
   * Scans the next bytes of the connection and calls the handler for everything they complete. Throws `ProtocolError`
   * ("not-json", "too-deep", "too-long", "too-many-values") and whatever the handler throws.
   */
  feed(chunk: Uint8Array): void {
    this.#start = this.#listStart = 0;
    let i = 0;
    while (i < chunk.length) {
      if (this.#inData) i = this.#skimData(chunk, i);
      else if (this.#inString) i = this.#skipString(chunk, i);
      else this.#betweenStrings(chunk[i++]!, chunk, i);
    }
    if (this.#depth === 0) return;
    if (this.#inFiles) this.#listBytes += chunk.length - this.#listStart;
    this.#keep(chunk, this.#start, chunk.length);
    this.#checkSize(0);
  }

  /** Passes on this chunk's part of the string under "data". Returns the index where the rest of the message begins. */
  #skimData(chunk: Uint8Array, from: number): number {
    const { text, end } = untilQuote(chunk.subarray(from));
    this.steps += end;
    if (end > 0) this.handler.data(text);
    const quoteAt = this.#start = from + end;
    if (quoteAt === chunk.length) return quoteAt;
    this.#inData = false;
    this.handler.dataEnd();
    this.steps++;
    return quoteAt + 1; // the closing quote belongs to the envelope
  }

  /** Skips this chunk's part of a string, keeping the start of a key. Returns the index after it. */
  #skipString(chunk: Uint8Array, from: number): number {
    let escaped = this.#escaped;
    let i = from;
    while (i < chunk.length) {
      const byte = chunk[i++]!;
      if (escaped) escaped = false;
      else if (byte === BACKSLASH) escaped = true;
      else if (byte === QUOTE) {
        if (this.#inKey) this.#inKey = this.#expectKey = false;
        this.#inString = false;
        break;
      }
      if (this.#inKey && this.#key.length <= KEY_CHARS) this.#key += String.fromCharCode(byte);
    }
    this.#escaped = escaped;
    this.steps += i - from;
    return i;
  }

  /** Takes one byte outside strings. `next` is the index after it. */
  #betweenStrings(byte: number, chunk: Uint8Array, next: number): void {
    this.steps++;
    switch (byte) {
      case QUOTE:
        return this.#beginString(chunk, next);
      case OPEN_BRACE:
      case OPEN_BRACKET:
        if (this.#depth === 0) this.#start = next - 1;
        this.#open(byte === OPEN_BRACKET);
        if (this.#depth === 2 && this.#key === "files" && this.#afterColon) {
          this.#inFiles = true;
          this.#listStart = next;
        }
        return;
      case CLOSE_BRACE:
      case CLOSE_BRACKET:
        this.#close(byte === CLOSE_BRACKET);
        if (this.#depth === 1 && this.#inFiles) {
          this.#inFiles = false;
          this.#listBytes += next - this.#listStart;
        }
        if (this.#depth === 0) this.#complete(chunk, next);
        return;
      case COMMA:
        if (this.#depth === 0) throw notAMessage(byte);
        return this.#comma();
      case COLON:
        if (this.#depth === 0) throw notAMessage(byte);
        if (this.#depth === 1) this.#afterColon = true;
        return;
      default:
        if (this.#depth === 0 && !isSpace(byte)) throw notAMessage(byte);
    }
  }

  #beginString(chunk: Uint8Array, next: number): void {
    if (this.#depth === 0) throw notAMessage(QUOTE);
    const isData = this.#depth === 1 && !this.#expectKey && this.#afterColon &&
      this.#key === "data";
    if (isData) return this.#beginData(chunk, next);
    if (this.#depth === 1 && this.#expectKey) {
      this.#inKey = true;
      this.#key = "";
    }
    this.#inString = true;
  }

  #beginData(chunk: Uint8Array, next: number): void {
    this.#afterColon = false;
    this.#keep(chunk, this.#start, next);
    this.#start = next;
    this.#checkSize(0);
    if (++this.#contents > MAX_CONTENTS) {
      throw new ProtocolError(
        "too-many-values",
        `Message has more than ${MAX_CONTENTS} "data" fields`,
      );
    }
    this.#inData = true;
    this.#streamed = true;
    this.handler.dataStart(this.#kept.subarray(0, this.#keptLength));
  }

  #open(isArray: boolean): void {
    this.#depth++;
    if (this.#depth >= MAX_DEPTH) {
      throw new ProtocolError("too-deep", `Message is nested deeper than ${MAX_DEPTH - 1} levels`);
    }
    const bit = 1 << this.#depth;
    this.#kinds = isArray ? this.#kinds | bit : this.#kinds & ~bit;
    this.#counts[this.#depth] = 0;
    this.#countValue();
    if (this.#depth === 1) {
      this.#expectKey = !isArray;
      this.#key = "";
      this.#afterColon = false;
    }
  }

  #close(isArray: boolean): void {
    if (this.#depth === 0 || ((this.#kinds >> this.#depth) & 1) !== (isArray ? 1 : 0)) {
      throw new ProtocolError("not-json", "Message closes a bracket that is not open");
    }
    this.#depth--;
  }

  #comma(): void {
    const count = ++this.#counts[this.#depth]!;
    if (count >= this.limits.maxListFiles) {
      throw new ProtocolError(
        "too-many-values",
        `Message contains a list of more than ${this.limits.maxListFiles} elements`,
      );
    }
    this.#countValue();
    if (this.#depth === 1) {
      this.#expectKey = (this.#kinds & 2) === 0;
      this.#afterColon = false;
    }
  }

  #countValue(): void {
    if (++this.#values > MAX_VALUES) {
      throw new ProtocolError("too-many-values", `Message contains more than ${MAX_VALUES} values`);
    }
  }

  /** `pending`: number of bytes of the open message that are not in `#kept` yet. */
  #checkSize(pending: number): void {
    const { maxMessageBytes, maxListBytes } = this.limits;
    if (this.#listBytes > maxListBytes) {
      throw new ProtocolError("too-long", `List is longer than ${maxListBytes} bytes`);
    }
    if (this.#keptLength + pending - this.#listBytes > maxMessageBytes) {
      throw new ProtocolError("too-long", `Message is longer than ${maxMessageBytes} bytes`);
    }
  }

  #complete(chunk: Uint8Array, end: number): void {
    const start = this.#start;
    this.#checkSize(end - start);
    let bytes: Uint8Array;
    if (this.#keptLength === 0) bytes = chunk.subarray(start, end);
    else {
      this.#keep(chunk, start, end);
      bytes = this.#kept.subarray(0, this.#keptLength);
    }
    const streamed = this.#streamed;
    this.#start = end;
    this.#keptLength = 0;
    this.#listBytes = 0;
    this.#values = 0;
    this.#contents = 0;
    this.#streamed = false;
    this.handler.message(bytes, streamed);
    if (this.#kept.length > 1 << 20) this.#kept = NOTHING; // free the space that a long list took
  }

  #keep(chunk: Uint8Array, start: number, end: number): void {
    const length = this.#keptLength + end - start;
    if (length > this.#kept.length) {
      const larger = new Uint8Array(
        Math.max(length, this.#kept.length * 2, FIRST_KEPT_BYTES),
      );
      larger.set(this.#kept.subarray(0, this.#keptLength));
      this.#kept = larger;
    }
    this.#kept.set(chunk.subarray(start, end), this.#keptLength);
    this.#keptLength = length;
  }
}

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
/** Number of bytes searched for a quote before decoding, so that many short contents do not each decode the rest. */
const SHORT_BYTES = 1024;

/** Returns the text before the first quote and its length in bytes, or everything if there is no quote. */
function untilQuote(bytes: Uint8Array): { text: string; end: number } {
  // Searching the decoded string is thirty times as fast as searching the bytes, and hex has to become a string anyway.
  // If a byte is not ASCII, positions differ, but then the data is not hex, and it may be slow.
  const near = bytes.subarray(0, SHORT_BYTES).indexOf(QUOTE);
  if (near >= 0) return { text: utf8.decode(bytes.subarray(0, near)), end: near };
  const text = utf8.decode(bytes);
  if (text.length === bytes.length) {
    const end = text.indexOf('"');
    return end < 0 ? { text, end: bytes.length } : { text: text.slice(0, end), end };
  }
  const found = bytes.indexOf(QUOTE);
  const end = found < 0 ? bytes.length : found;
  return { text: utf8.decode(bytes.subarray(0, end)), end };
}

function notAMessage(byte: number): ProtocolError {
  return new ProtocolError(
    "not-json",
    `Message must begin with "{", got byte 0x${byte.toString(16).padStart(2, "0")}`,
  );
}
