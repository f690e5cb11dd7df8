// The log of our own deletions, in order: each peer that must hear of them needs only a position in it. PURE.
// Invariants: positions only grow and are never reused; at most `MAX_DELETIONS` are remembered, and the oldest are
// forgotten first.

import { MAX_DELETIONS } from "../limits.ts";

/** Number of forgotten positions after which the arrays are cut. */
const CUT_AFTER = 4_096;

/** Our deletions. A position is the number of deletions before it. */
export class DeletionLog {
  /** Ids by position; undefined for those that were restored. */
  #ids: (string | undefined)[] = [];
  #sinceMs: number[] = [];
  /** Position of the first element of the arrays, and of the first one that is remembered. */
  #base = 0;
  #first = 0;
  readonly #positions = new Map<string, number>();

  /** Number of deletions remembered, including restored ones. */
  get size(): number {
    return this.end - this.#first;
  }

  /** Position of the oldest deletion remembered. */
  get first(): number {
    return this.#first;
  }

  /** Position of the next deletion. */
  get end(): number {
    return this.#base + this.#ids.length;
  }

  /** Adds a deletion. Returns its position. If there are too many, the oldest one is forgotten. */
  add(fileId: string, nowMs: number): number {
    this.remove(fileId);
    if (this.size >= MAX_DELETIONS) this.dropBefore(this.#first + 1);
    const position = this.end;
    this.#ids.push(fileId);
    this.#sinceMs.push(nowMs);
    this.#positions.set(fileId, position);
    return position;
  }

  /** Returns the id at a position, or `undefined` if the file was restored or the deletion is forgotten. */
  at(position: number): string | undefined {
    return position < this.#first ? undefined : this.#ids[position - this.#base];
  }

  /** Returns the position of a deletion, or `undefined` if it is not remembered. */
  positionOf(fileId: string): number | undefined {
    return this.#positions.get(fileId);
  }

  /** Forgets one deletion, because the file was restored. */
  remove(fileId: string): void {
    const position = this.#positions.get(fileId);
    if (position === undefined) return;
    this.#positions.delete(fileId);
    this.#ids[position - this.#base] = undefined;
  }

  /** Returns the position of the first deletion at or after a time. */
  firstSince(ms: number): number {
    let [low, high] = [this.#first, this.end];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#sinceMs[middle - this.#base]! < ms) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Forgets the deletions before a position. */
  dropBefore(position: number): void {
    for (; this.#first < Math.min(position, this.end); this.#first++) {
      const fileId = this.#ids[this.#first - this.#base];
      if (fileId !== undefined) this.#positions.delete(fileId);
    }
    const forgotten = this.#first - this.#base;
    if (forgotten < CUT_AFTER || 2 * forgotten < this.#ids.length) return;
    this.#ids = this.#ids.slice(forgotten);
    this.#sinceMs = this.#sinceMs.slice(forgotten);
    this.#base = this.#first;
  }
}
