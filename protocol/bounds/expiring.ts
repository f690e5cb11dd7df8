// A set of keys that expire, bounded in number and time; the oldest is forgotten first. PURE.

import { OldestFirst } from "./oldest_first.ts";

/** The size and the bound of a collection. The simulation asserts that every bound holds. */
export interface Bounded {
  /** What is counted, in plain words. */
  readonly name: string;
  /** Returns the current number of members. */
  readonly size: () => number;
  /** Returns the maximum number of members. */
  readonly max: () => number;
}

/** A set whose members expire after `lifeMs` milliseconds, or once `maxSize` newer ones were added. */
export class ExpiringSet {
  readonly #addedAt = new OldestFirst<number>();

  /** Creates an empty set. */
  constructor(readonly maxSize: number, readonly lifeMs: number) {}

  /** Adds a key. Returns false if it is already a member, whose lifetime is then not renewed. */
  add(key: string, nowMs: number): boolean {
    this.#expire(nowMs);
    if (this.#addedAt.has(key)) return false;
    if (this.#addedAt.size >= this.maxSize) this.#addedAt.delete(this.#addedAt.oldest()!);
    this.#addedAt.add(key, nowMs);
    return true;
  }

  /** Returns whether a key is a member. */
  has(key: string, nowMs: number): boolean {
    this.#expire(nowMs);
    return this.#addedAt.has(key);
  }

  /** Number of members, including expired ones not removed yet. */
  get size(): number {
    return this.#addedAt.size;
  }

  #expire(nowMs: number): void {
    // The order is chronological, so the first member that has not expired ends the search.
    for (let key = this.#addedAt.oldest(); key !== undefined; key = this.#addedAt.oldest()) {
      if (nowMs - this.#addedAt.get(key)! < this.lifeMs) return;
      this.#addedAt.delete(key);
    }
  }
}
