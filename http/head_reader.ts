// Reads request heads from a connection, one after another, each within its deadline. Bytes that follow a head are
// kept for whoever wants them.
// Invariants: a head is at most `MAX_HEAD_BYTES` long; each byte is searched only once.

import { Buffer } from "node:buffer";
import type { Connection } from "../net/connection.ts";
import { endOfHead } from "./request_head.ts";

/** Maximum length of a request head, in bytes. Heads contain file names, percent-encoded. */
export const MAX_HEAD_BYTES = 32 * 1024;

/** Thrown when a head exceeds `MAX_HEAD_BYTES`. */
export class HeadTooLong extends Error {}
/** Thrown when a head has begun but does not end in time. */
export class HeadTooLate extends Error {}

/** Reads heads one after another, and keeps the bytes that follow. */
export class HeadReader {
  #buffer = new Uint8Array(4 * 1024);
  #filled = 0;

  /** Reads from `client`. Each head must arrive within `timeoutMs`. */
  constructor(readonly client: Connection, readonly timeoutMs: number) {}

  /**
   * Returns the next head, as Latin-1. Returns `undefined` if the connection ends, or stays silent, before its
   * first byte. Throws `HeadTooLate` and `HeadTooLong`.
   */
  async next(): Promise<string | undefined> {
    const until = performance.now() + this.timeoutMs;
    this.#skipEmptyLines();
    for (let searched = 0;;) {
      const end = endOfHead(this.#buffer.subarray(0, this.#filled), searched);
      if (end >= 0) return Buffer.from(this.take(end)).toString("latin1");
      searched = this.#filled;
      if (this.#filled === this.#buffer.length) this.#grow();
      const read = await this.#read(until);
      if (read === undefined) {
        if (this.#filled === 0) return undefined;
        throw new HeadTooLate();
      }
      if (read === null) return undefined;
      this.#filled += read;
      if (searched === 0) this.#skipEmptyLines();
    }
  }

  /** Takes bytes that have already arrived, at most `maxBytes`. */
  take(maxBytes: number): Uint8Array {
    const taken = this.#buffer.slice(0, Math.min(maxBytes, this.#filled));
    this.#buffer.copyWithin(0, taken.length, this.#filled);
    this.#filled -= taken.length;
    return taken;
  }

  /**
   * Reads more. Resolves to `undefined` when the time is over, to `null` at the end. The connection stays open,
   * because there is an answer to send.
   */
  async #read(until: number): Promise<number | null | undefined> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<undefined>((go) => {
      timer = setTimeout(() => go(undefined), Math.max(0, until - performance.now()));
    });
    // The connection's own deadline would close it, so it comes after ours.
    const reading = this.client.read(this.#buffer.subarray(this.#filled), 3 * this.timeoutMs);
    reading.catch(() => {}); // when nobody waits for it any longer
    try {
      return await Promise.race([reading, late]);
    } catch {
      return null; // the client is gone
    } finally {
      clearTimeout(timer);
    }
  }

  /** Empty lines before a request are allowed (RFC 9112, 2.2). */
  #skipEmptyLines(): void {
    let at = 0;
    while (at < this.#filled && (this.#buffer[at] === 13 || this.#buffer[at] === 10)) at++;
    if (at > 0) this.take(at);
  }

  #grow(): void {
    if (this.#filled >= MAX_HEAD_BYTES) throw new HeadTooLong();
    const larger = new Uint8Array(Math.min(MAX_HEAD_BYTES, 4 * this.#buffer.length));
    larger.set(this.#buffer);
    this.#buffer = larger;
  }
}
