// Large buffers for content, used again: a new one costs as much as filling it, and gives the garbage collector work.
// Invariant: a buffer is given back only by whoever took it, once nothing reads or writes it any more; at most `MAX_FREE` of
// each size wait.

/** Smaller buffers are made anew, in bytes. (A guess.) */
const SMALL_BYTES = 128 * 1024;
/** Maximum number of buffers kept for later. Higher: fewer are made when many connections transfer; lower: less memory. */
const MAX_FREE = 8;

/** Buffers of one size. */
export class Buffers {
  readonly #free: Uint8Array[] = [];

  /** Size of each, in bytes. */
  constructor(readonly sizeBytes: number) {}

  /** Returns a buffer of at least so many bytes, up to `sizeBytes`. What is in it is undefined. */
  take(bytes: number): Uint8Array {
    if (bytes <= SMALL_BYTES) return new Uint8Array(bytes);
    return this.#free.pop() ?? new Uint8Array(this.sizeBytes);
  }

  /** Gives a buffer back. */
  give(buffer: Uint8Array): void {
    if (buffer.length === this.sizeBytes && this.#free.length < MAX_FREE) this.#free.push(buffer);
  }
}

/** For what is sent. Larger ones are not faster. */
export const SENDING: Buffers = new Buffers(1024 * 1024);
/** For what is received, two for each connection. With 1 MiB, 1 GiB took 4 % less time and 2 MiB more memory. */
export const RECEIVING: Buffers = new Buffers(256 * 1024);
