// When a peer that still lists deleted files may be notified again: pairs of peer and file, with a delay that doubles.
// PURE. It is a cache: a pair that is forgotten starts over with the shortest delay, which costs only a message.

import { FIRST_REMIND_MS, LAST_REMIND_MS } from "../limits.ts";

/** A pair is one number: the time when it is due, in whole milliseconds, times this, plus the number of doublings. */
const STEP = 16;
/** Interval between searches for expired pairs, in milliseconds. */
const EXPIRE_EVERY_MS = 60_000;

/** The reminders sent. Times are in milliseconds on the monotonic clock. */
export class Reminders {
  readonly #byPeer = new Map<string, Map<string, number>>();
  #size = 0;
  #nextMs = 0;

  /** Starts empty. At most `max` pairs are remembered; beyond that, the peer with the most loses all of its pairs. */
  constructor(readonly max: number) {}

  /** Number of pairs. */
  get size(): number {
    return this.#size;
  }

  /** Returns whether a peer may be notified of a deletion now. */
  isDue(peerId: string, fileId: string, nowMs: number): boolean {
    const pair = this.#byPeer.get(peerId)?.get(fileId);
    return pair === undefined || nowMs >= Math.floor(pair / STEP);
  }

  /** Notes that a peer was notified again. */
  sent(peerId: string, fileId: string, nowMs: number): void {
    const before = this.#byPeer.get(peerId)?.get(fileId);
    const isOver = before !== undefined && nowMs > Math.floor(before / STEP) + LAST_REMIND_MS;
    const doublings = before === undefined || isOver ? 0 : Math.min(STEP - 1, before % STEP + 1);
    const waitMs = Math.min(LAST_REMIND_MS, FIRST_REMIND_MS * 2 ** doublings);
    if (before === undefined) {
      if (this.#size >= this.max) this.#forgetLargest();
      this.#size++;
    }
    let pairs = this.#byPeer.get(peerId);
    if (!pairs) this.#byPeer.set(peerId, pairs = new Map());
    pairs.set(fileId, Math.ceil(nowMs + waitMs) * STEP + doublings);
  }

  /** Forgets pairs that start over anyway, and peers that are not tracked. */
  expire(nowMs: number, isTracked: (peerId: string) => boolean): void {
    if (nowMs < this.#nextMs) return;
    this.#nextMs = nowMs + EXPIRE_EVERY_MS;
    for (const [peerId, pairs] of this.#byPeer) {
      if (!isTracked(peerId)) this.#forget(peerId);
      else {
        for (const [fileId, pair] of pairs) {
          if (nowMs <= Math.floor(pair / STEP) + LAST_REMIND_MS) continue;
          pairs.delete(fileId);
          this.#size--;
        }
        if (pairs.size === 0) this.#byPeer.delete(peerId);
      }
    }
  }

  #forgetLargest(): void {
    let largest: string | undefined;
    let most = 0;
    for (const [peerId, { size }] of this.#byPeer) {
      if (size > most) [most, largest] = [size, peerId];
    }
    if (largest !== undefined) this.#forget(largest);
  }

  #forget(peerId: string): void {
    this.#size -= this.#byPeer.get(peerId)?.size ?? 0;
    this.#byPeer.delete(peerId);
  }
}
