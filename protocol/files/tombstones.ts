// Tombstones: ids of deleted files, which gossip cannot bring back. PURE.
// Invariants: at most `MAX_TOMBSTONES`, each for `TOMBSTONE_MS`; whoever deletes the most makes space for its own
// deletions only; a DELETE that arrives before we hear of its file keeps away only a file of the same owner.

import { type Bounded, ExpiringSet } from "../bounds/expiring.ts";
import { OldestFirst } from "../bounds/oldest_first.ts";
import {
  EARLY_DELETE_MS,
  MAX_EARLY_DELETES,
  MAX_TOMBSTONE_GROUPS,
  MAX_TOMBSTONES,
  TOMBSTONE_MS,
} from "../limits.ts";
import type { FileRecord } from "../wire/message.ts";

/** The group of what was deleted here. No address is empty. */
const OURS = "";
/** The group of what was deleted before the last start. */
const EARLIER = "(earlier)";
/** The group of addresses for which there is no group of their own, and of DELETEs that came early. */
export const OTHERS = "(others)";

/** The ids of deleted files. Times are in milliseconds on the monotonic clock. */
export class Tombstones {
  /** When each id was deleted, oldest first, by the address from which the DELETE came. */
  readonly #groups = new Map<string, OldestFirst<number>>();
  /** Ids, with the owner's name, that were deleted before we heard of the file. */
  readonly #early = new ExpiringSet(MAX_EARLY_DELETES, EARLY_DELETE_MS);
  #size = 0;
  /** Increases with each change. */
  revision = 0;
  /** Number of deletions that were forgotten too early, to make space for others. */
  evicted = 0;

  /** Everything remembered here, with its bounds. */
  get sizes(): Bounded[] {
    return [
      { name: "tombstones", size: () => this.#size, max: () => MAX_TOMBSTONES },
      {
        name: "addresses that deleted files",
        size: () => this.#groups.size,
        max: () => MAX_TOMBSTONE_GROUPS,
      },
      { name: "early deletions", size: () => this.#early.size, max: () => MAX_EARLY_DELETES },
    ];
  }

  /** Number of tombstones, including expired ones not removed yet. */
  get size(): number {
    return this.#size;
  }

  /** Returns whether an id was deleted less than `TOMBSTONE_MS` ago. */
  has(fileId: string, nowMs: number): boolean {
    const sinceMs = this.deletedAt(fileId);
    return sinceMs !== undefined && nowMs - sinceMs < TOMBSTONE_MS;
  }

  /** Returns when an id was deleted, or `undefined` if it was not. */
  deletedAt(fileId: string): number | undefined {
    for (const group of this.#groups.values()) {
      const sinceMs = group.get(fileId);
      if (sinceMs !== undefined) return sinceMs;
    }
    return undefined;
  }

  /** Returns the deleted ids and when each was deleted. */
  *all(): IterableIterator<[string, number]> {
    for (const group of this.#groups.values()) yield* group.entries();
  }

  /** Loads what was deleted before the last start. */
  load(deleted: readonly (readonly [fileId: string, deletedAtMs: number])[]): void {
    const inOrder = deleted.toSorted(([, a], [, b]) => a - b);
    for (const [fileId, deletedAtMs] of inOrder) this.add(fileId, deletedAtMs, EARLIER);
  }

  /**
   * Adds a tombstone for a deletion at `sinceMs`. `from`: the address from which the DELETE came; by default it was
   * deleted here. If there are too many, the address with the most loses its oldest one.
   */
  add(fileId: string, sinceMs: number, from = OURS): void {
    this.#remove(fileId);
    if (this.#size >= MAX_TOMBSTONES) this.#evict();
    this.#groupOf(from).add(fileId, sinceMs);
    this.#size++;
    this.revision++;
  }

  /** Removes a tombstone, because the owner or a person here brought the file back. Returns whether there was one. */
  lift(fileId: string): boolean {
    return this.#remove(fileId);
  }

  /**
   * Remembers a DELETE of a file that is not known here, because it overtook the news of the file. If the news
   * arrives and names the same owner, the file gets a tombstone.
   */
  addEarly(fileId: string, owner: string, nowMs: number): void {
    if (this.#early.size >= MAX_EARLY_DELETES) this.evicted++;
    this.#early.add(`${fileId} ${owner}`, nowMs);
  }

  /** Returns whether this owner deleted the file before we heard of it. */
  isEarly({ fileId, owner }: FileRecord, nowMs: number): boolean {
    return this.#early.size > 0 && this.#early.has(`${fileId} ${owner}`, nowMs);
  }

  /** Forgets expired tombstones. Returns whether there were any. */
  expire(nowMs: number): boolean {
    const before = this.#size;
    for (const group of [...this.#groups.values()]) {
      for (let fileId = group.oldest(); fileId !== undefined; fileId = group.oldest()) {
        if (nowMs - group.get(fileId)! < TOMBSTONE_MS) break;
        this.#remove(fileId);
      }
    }
    return this.#size < before;
  }

  #groupOf(from: string): OldestFirst<number> {
    const isOwn = from === OURS || from === EARLIER;
    // Three places are kept for the groups that have a name of their own here.
    const name = isOwn || this.#groups.has(from) || this.#groups.size < MAX_TOMBSTONE_GROUPS - 3
      ? from
      : OTHERS;
    let group = this.#groups.get(name);
    if (!group) this.#groups.set(name, group = new OldestFirst());
    return group;
  }

  #evict(): void {
    let largest: OldestFirst<number> | undefined;
    for (const group of this.#groups.values()) {
      if (!largest || group.size > largest.size) largest = group;
    }
    const oldest = largest?.oldest();
    if (oldest === undefined) return;
    this.#remove(oldest);
    this.evicted++;
  }

  #remove(fileId: string): boolean {
    for (const [name, group] of this.#groups) {
      if (!group.delete(fileId)) continue;
      if (group.size === 0) this.#groups.delete(name);
      this.#size--;
      this.revision++;
      return true;
    }
    return false;
  }
}
