// Content that the gateway sends itself: the server behind it answers with the head only. Through that server, each byte
// would pass two connections, and a buffer of its own.

import { Buffer } from "node:buffer";

/** Size of the pieces that are read and sent, in bytes. */
const PIECE_BYTES = 256 * 1024;
/** Less is sent by the server: another connection to it would cost more, in bytes. (A guess.) */
export const MIN_CONTENT_BYTES: number = 256 * 1024;
/** So much of what the server sent is searched for a head, in bytes. Its heads are far shorter. */
const SEARCHED_BYTES = 16 * 1024;

/** The body of an answer, from where its reader is. */
export interface Content {
  /** Number of bytes that are to be sent. */
  readonly totalBytes: number;
  /** Fills the buffer, and returns the number of bytes; 0 at the end. Throws if it cannot be read. */
  readInto(buffer: Uint8Array): number;
  /** Counts bytes that were sent. */
  sent(bytes: number): void;
  /** Called when everything was sent, or with the error of `readInto`, or with "stopped" if the client is gone. */
  ended(why?: unknown): void;
}

/** Finds the head that carries a mark in what the server sends. There may be the end of another answer before it. */
export class MarkedHead {
  #held: Uint8Array = new Uint8Array(0);
  readonly #mark: Uint8Array;

  /** `field` is a header line that nobody else can know. */
  constructor(field: string) {
    this.#mark = Buffer.from(`\r\n${field}\r\n`, "latin1");
  }

  /**
   * Takes the next bytes. Returns what can be passed on and, once it is there, the whole head without the mark. Nothing
   * follows it.
   */
  push(bytes: Uint8Array): { readonly before: Uint8Array; readonly head: string | undefined } {
    const held = Buffer.concat([this.#held, bytes]);
    const at = held.indexOf(this.#mark);
    const end = at < 0 ? -1 : held.indexOf("\r\n\r\n", at);
    if (end >= 0) {
      this.#held = new Uint8Array(0);
      const from = held.lastIndexOf("HTTP/1.", at);
      const rest = held.subarray(at + this.#mark.length - 2, end + 4);
      const head = Buffer.concat([held.subarray(from, at), rest]).toString("latin1");
      return { before: held.subarray(0, from), head };
    }
    const passed = Math.max(0, held.length - SEARCHED_BYTES);
    this.#held = held.subarray(passed);
    return { before: held.subarray(0, passed), head: undefined };
  }
}

/** Returns whether nothing can follow an answer with this head on its connection (RFC 9112, 9.3). */
export function isLastAnswer(head: string): boolean {
  if (/^connection:[ \t]*close[ \t]*\r$/im.test(head)) return true;
  return head.startsWith("HTTP/1.0") && !/^connection:[ \t]*keep-alive[ \t]*\r$/im.test(head);
}

/**
 * Sends a head and the content after it with `write`, which calls back with the number of each piece that was sent. Throws
 * what reading and writing throw: the answer is incomplete then, and its connection must be closed.
 */
export async function sendContent(
  head: string,
  content: Content,
  write: (bytes: Uint8Array, onWritten: (bytes: number) => void) => Promise<void>,
): Promise<void> {
  let left = content.totalBytes;
  const buffer = new Uint8Array(Math.min(PIECE_BYTES, head.length + left));
  let filled = Buffer.from(buffer.buffer).write(head, "latin1");
  let isReading = true;
  try {
    while (left > 0) {
      const read = content.readInto(buffer.subarray(filled, filled + left));
      if (read === 0) throw new Error("The file shrank while it was being sent");
      isReading = false;
      left -= read;
      let ofHead = filled;
      await write(buffer.subarray(0, filled + read), (bytes) => {
        const own = Math.max(0, bytes - ofHead);
        ofHead -= Math.min(bytes, ofHead);
        if (own > 0) content.sent(own);
      });
      isReading = true;
      filled = 0;
    }
    content.ended();
  } catch (error) {
    content.ended(isReading ? error : "stopped");
    throw error;
  }
}
