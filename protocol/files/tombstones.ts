// Tombstones: ids of deleted files, which gossip cannot bring back. PURE.
// Invariants: at most `MAX_TOMBSTONES`, each for `TOMBSTONE_MS`; a DELETE that arrives before we hear of its file keeps
// away only a file of the same owner.

import { type Bounded, ExpiringSet } from "../bounds/expiring.ts";
import { EARLY_DELETE_MS, MAX_EARLY_DELETES, MAX_TOMBSTONES, TOMBSTONE_MS } from "../limits.ts";
import type { FileRecord } from "../wire/message.ts";

/** The ids of deleted files. Times are in milliseconds on the monotonic clock. */
export class Tombstones {
  /** When each id was deleted; oldest first. */
  readonly #since = new Map<string, number>();
  /** Ids, with the owner's name, that were deleted before we heard of the file. */
  readonly #early = new ExpiringSet(MAX_EARLY_DELETES, EARLY_DELETE_MS);

  /** Everything remembered here, with its bounds. */
  get sizes(): Bounded[] {
    return [
      { name: "tombstones", size: () => this.#since.size, max: () => MAX_TOMBSTONES },
      { name: "early deletions", size: () => this.#early.size, max: () => MAX_EARLY_DELETES },
    ];
  }

  /** Number of tombstones, including expired ones not removed yet. */
  get size(): number {
    return this.#since.size;
  }

  /** Returns whether an id was deleted less than `TOMBSTONE_MS` ago. */
  has(fileId: string, nowMs: number): boolean {
    const sinceMs = this.#since.get(fileId);
    return sinceMs !== undefined && nowMs - sinceMs < TOMBSTONE_MS;
  }

  /** Returns when an id was deleted, or `undefined` if it was not. */
  deletedAt(fileId: string): number | undefined {
    return this.#since.get(fileId);
  }

  /** Returns the deleted ids and when each was deleted. */
  all(): IterableIterator<[string, number]> {
    return this.#since.entries();
  }

  /** Adds a tombstone for a deletion at `sinceMs`. If there are too many, the oldest one is forgotten. */
  add(fileId: string, sinceMs: number): void {
    this.#since.delete(fileId);
    if (this.#since.size >= MAX_TOMBSTONES) this.#since.delete(this.#since.keys().next().value!);
    this.#since.set(fileId, sinceMs);
  }

  /** Removes a tombstone, because the owner or a person here brought the file back. Returns whether there was one. */
  lift(fileId: string): boolean {
    return this.#since.delete(fileId);
  }

  /**
   * Remembers a DELETE of a file that is not known here, because it overtook the news of the file. If the news
   * arrives and names the same owner, the file gets a tombstone.
   */
  addEarly(fileId: string, owner: string, nowMs: number): void {
    this.#early.add(`${fileId} ${owner}`, nowMs);
  }

  /** Returns whether this owner deleted the file before we heard of it. */
  isEarly({ fileId, owner }: FileRecord, nowMs: number): boolean {
    return this.#early.has(`${fileId} ${owner}`, nowMs);
  }

  /** Forgets expired tombstones. Returns whether there were any. */
  expire(nowMs: number): boolean {
    let any = false;
    for (const [fileId, sinceMs] of this.#since) {
      if (nowMs - sinceMs < TOMBSTONE_MS) break;
      this.#since.delete(fileId);
      any = true;
    }
    return any;
  }
}
