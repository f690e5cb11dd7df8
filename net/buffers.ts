// Large buffers for content, used again: a new one costs as much as filling it, and gives the garbage collector work.
// Invariant: a buffer is given back only by whoever took it, once nothing reads or writes it any more; at most `MAX_FREE`
// wait.

/** Size of a large buffer, in bytes: a larger one is not faster. */
export const BUFFER_BYTES: number = 1024 * 1024;
/** Smaller buffers are made anew, in bytes. (A guess.) */
const SMALL_BYTES = 128 * 1024;
/** Maximum number of buffers kept for later. Higher: fewer are made when many connections transfer; lower: less memory. */
const MAX_FREE = 8;

const free: Uint8Array[] = [];

/** Returns a buffer of at least so many bytes, up to `BUFFER_BYTES`. What is in it is undefined. */
export function takeBuffer(bytes: number): Uint8Array {
  if (bytes <= SMALL_BYTES) return new Uint8Array(bytes);
  return free.pop() ?? new Uint8Array(BUFFER_BYTES);
}

/** Gives a buffer back. */
export function giveBuffer(buffer: Uint8Array): void {
  if (buffer.length === BUFFER_BYTES && free.length < MAX_FREE) free.push(buffer);
}
