// Heads of requests as they come on a connection, one after the other, each within its deadline; what came behind one
// is kept for who wants it. Always holds: a head is at most `MAX_HEAD_BYTES` long; each byte is searched once.

import { Buffer } from "node:buffer";
import type { Connection } from "../net/connection.ts";
import { endOfHead } from "./request_head.ts";

/** Longest head of a request: names of files stand in it, percent-encoded. */
export const MAX_HEAD_BYTES = 32 * 1024;

/** More than a head may be came without its end. */
export class HeadTooLong extends Error {}
/** A head began, and did not end in time. */
export class HeadTooLate extends Error {}

/** Reads heads, one after the other, and keeps what came behind one. */
export class HeadReader {
  #buffer = new Uint8Array(4 * 1024);
  #filled = 0;

  constructor(readonly client: Connection, readonly timeoutMs: number) {}

  /**
   * The next head, Latin-1. Undefined when the connection ends, or stays silent, before its first byte.
   * Throws `HeadTooLate`, `HeadTooLong`.
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

  /** Takes what came already, at most so many bytes. */
  take(maxBytes: number): Uint8Array {
    const taken = this.#buffer.slice(0, Math.min(maxBytes, this.#filled));
    this.#buffer.copyWithin(0, taken.length, this.#filled);
    this.#filled -= taken.length;
    return taken;
  }

  /** Undefined when the time is over. The connection stays open: there is something to be said on it. */
  async #read(until: number): Promise<number | null | undefined> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<undefined>((go) => {
      timer = setTimeout(() => go(undefined), Math.max(0, until - performance.now()));
    });
    // The connection's own deadline would close it; this one stands behind ours.
    const reading = this.client.read(this.#buffer.subarray(this.#filled), 3 * this.timeoutMs);
    reading.catch(() => {}); // when nobody waits for it any more
    try {
      return await Promise.race([reading, late]);
    } catch {
      return null; // it has gone
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
