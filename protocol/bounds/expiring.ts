// Keys remembered for a while, bounded in number and time, oldest forgotten first. PURE.

/** How much a collection holds, and how much it may; what the invariants of the simulation look at. */
export interface Bounded {
  readonly name: string;
  readonly size: () => number;
  readonly max: () => number;
}

/** A set whose members leave by themselves: after `lifeMs`, or when `maxSize` newer ones came. */
export class ExpiringSet {
  readonly #addedAt = new Map<string, number>();

  constructor(readonly maxSize: number, readonly lifeMs: number) {}

  /** Adds a key; false when it was there already (its time is not renewed). */
  add(key: string, nowMs: number): boolean {
    this.#expire(nowMs);
    if (this.#addedAt.has(key)) return false;
    if (this.#addedAt.size >= this.maxSize) {
      this.#addedAt.delete(this.#addedAt.keys().next().value!);
    }
    this.#addedAt.set(key, nowMs);
    return true;
  }

  has(key: string, nowMs: number): boolean {
    this.#expire(nowMs);
    return this.#addedAt.has(key);
  }

  get size(): number {
    return this.#addedAt.size;
  }

  #expire(nowMs: number): void {
    // Insertion order is order of time, so the first one that stays ends the search.
    for (const [key, at] of this.#addedAt) {
      if (nowMs - at < this.lifeMs) return;
      this.#addedAt.delete(key);
    }
  }
}
