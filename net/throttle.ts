// A limit on how fast content moves, shared by all transfers in one direction.
// Invariants: what is taken waits its turn, in the order of taking, so no transfer starves another; a piece is small enough
// that a turn comes soon however many there are.

/** A limited stream gives way to others this many times a second. (A guess.) */
const TURNS_PER_SECOND = 20;
/** How much lateness is made up for, in milliseconds: one turn. */
const SLACK_MS = 1_000 / TURNS_PER_SECOND;
/** Smallest piece, in bytes: smaller ones would cost more than they move. */
const MIN_PIECE_BYTES = 1024;

/** The limit on one direction. */
export class Throttle {
  /** When everything taken so far has been paid for, in milliseconds. */
  #paidMs = -Infinity;

  /** `bytesPerSecond` may be changed at any time; 0 means no limit. */
  constructor(
    public bytesPerSecond: number = 0,
    /** A monotonic clock, in milliseconds, and how to wait; replaced in tests. */
    readonly clock: { now(): number; wait(ms: number): Promise<void> } = {
      now: () => performance.now(),
      wait: (ms) => new Promise((go) => setTimeout(go, ms)),
    },
  ) {}

  /** Returns how many of these bytes to move in one piece. */
  pieceOf(bytes: number): number {
    if (this.bytesPerSecond === 0) return bytes;
    const most = Math.max(MIN_PIECE_BYTES, Math.floor(this.bytesPerSecond / TURNS_PER_SECOND));
    // Even pieces: a small rest would be due before the timer of the piece before has fired, and that time would be lost.
    return Math.ceil(bytes / Math.max(1, Math.ceil(bytes / most)));
  }

  /** Resolves when bytes that are about to move, or just moved, fit into the limit. */
  async take(bytes: number): Promise<void> {
    if (this.bytesPerSecond === 0) return;
    const nowMs = this.clock.now();
    // What is late by less than a turn is a late timer or a slow write: it is made up for, or the limit is never reached.
    const isLate = nowMs > this.#paidMs && nowMs - this.#paidMs < SLACK_MS;
    const startMs = isLate ? this.#paidMs : Math.max(nowMs, this.#paidMs);
    this.#paidMs = startMs + bytes / this.bytesPerSecond * 1_000;
    if (startMs > nowMs) await this.clock.wait(startMs - nowMs);
  }
}

/** The limits on both directions. */
export interface Throttles {
  /** Content that this peer receives. */
  readonly down: Throttle;
  /** Content that this peer sends. */
  readonly up: Throttle;
}
