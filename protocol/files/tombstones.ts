// What was deleted: ids that do not come back by gossip. PURE.
// Always holds: at most `MAX_TOMBSTONES`, each for `TOMBSTONE_MS`; a deletion that came before the news of its file
// keeps away files of that owner only.

import { ExpiringSet } from "../bounds/expiring.ts";
import { EARLY_DELETE_MS, MAX_EARLY_DELETES, MAX_TOMBSTONES, TOMBSTONE_MS } from "../limits.ts";
import type { FileRecord } from "../wire/message.ts";

export class Tombstones {
  /** When each was deleted, on the machine's clock; the oldest first. */
  readonly #since = new Map<string, number>();
  /** What an owner deleted before anybody told of it here: ids with the owner's name. */
  readonly #early = new ExpiringSet(MAX_EARLY_DELETES, EARLY_DELETE_MS);

  get size(): number {
    return this.#since.size;
  }

  has(fileId: string, nowMs: number): boolean {
    const sinceMs = this.#since.get(fileId);
    return sinceMs !== undefined && nowMs - sinceMs < TOMBSTONE_MS;
  }

  /** When an id was deleted, on the machine's clock. */
  deletedAt(fileId: string): number | undefined {
    return this.#since.get(fileId);
  }

  /** Deleted ids and when. */
  all(): IterableIterator<[string, number]> {
    return this.#since.entries();
  }

  /** Sets a tombstone that was made at `sinceMs`; the oldest makes room. */
  add(fileId: string, sinceMs: number): void {
    this.#since.delete(fileId);
    if (this.#since.size >= MAX_TOMBSTONES) this.#since.delete(this.#since.keys().next().value!);
    this.#since.set(fileId, sinceMs);
  }

  /** An explicit act of the owner, or of the person here, makes the id possible again. */
  lift(fileId: string): boolean {
    return this.#since.delete(fileId);
  }

  /**
   * An owner deleted a file that is not known here: its DELETE overtook the news of it. When the news comes, and
   * names the same owner, the file is buried.
   */
  addEarly(fileId: string, owner: string, nowMs: number): void {
    this.#early.add(`${fileId} ${owner}`, nowMs);
  }

  isEarly({ fileId, owner }: FileRecord, nowMs: number): boolean {
    return this.#early.has(`${fileId} ${owner}`, nowMs);
  }

  /** Forgets tombstones that are over. Returns whether there were any. */
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
