// Deleting and bringing back: the journal says first that a file is removed, then its content moves to the trash.
// Always holds: a removal that was written down is finished, whatever comes between; what others pushed here and was
// deleted counts against their quota as long as it lies in the trash.

import { asStorageError } from "./errors.ts";
import type { FileRecord } from "../protocol/wire/message.ts";
import type { JournalRecord, Removal } from "./journal.ts";
import { checkFolders, exists, type Layout } from "./layout.ts";
import { lookOf, looksAsHashed } from "./looks.ts";
import { openHeld } from "./reader.ts";
import type { HeldContent, Shelf, ShelvedFile } from "./shelf.ts";
import { Trash, type TrashSize } from "./trash.ts";

/** A deleted file that can be restored. */
export interface Deleted {
  readonly file: FileRecord;
  readonly sizeBytes: number;
  /** Unix milliseconds. */
  readonly deletedMs: number;
}

export class Removals {
  readonly #trash: Trash;
  /** Removals under way, by id: who asks for what is in the trash waits for them. */
  readonly #removing = new Map<string, Promise<void>>();
  /** Removed files that could not be moved to the trash yet. */
  readonly #untrashed = new Map<string, Removal["why"]>();

  constructor(
    readonly layout: Layout,
    readonly shelf: Shelf,
    readonly options: { readonly now: () => number; readonly pushQuotaBytes: number },
  ) {
    this.#trash = new Trash(layout, options.now);
  }

  /**
   * Writes down that a held file will be removed, before anybody is told of it. Throws `StorageError` when that cannot
   * be written, but not for want of room: a removal makes some.
   */
  announce(fileId: string, why: Removal["why"]): void {
    if (!this.shelf.get(fileId)) return;
    try {
      this.shelf.journal.append([this.#record(fileId, why)]);
    } catch (error) {
      if (asStorageError(error, "").code !== "no-space") throw error;
    }
  }

  /**
   * Moves content to the trash, for 24 hours. That the file is removed stands in the journal when this
   * returns its promise, so it does not come back by a crash. What fails is tried again by `tidy`.
   * Throws `StorageError`.
   */
  async remove(fileId: string, why: Removal["why"]): Promise<void> {
    const removing = this.#remove(fileId, why);
    this.#removing.set(fileId, removing);
    try {
      await removing;
    } finally {
      if (this.#removing.get(fileId) === removing) this.#removing.delete(fileId);
    }
  }

  async #remove(fileId: string, why: Removal["why"]): Promise<void> {
    const shelved = this.shelf.get(fileId);
    this.#untrashed.delete(fileId);
    if (!shelved) return;
    try {
      checkFolders(this.layout);
      const record = this.#record(fileId, why); // also where it was announced: twice is as good as once
      const { diskName } = shelved.placement;
      const shared = this.shelf.idsAt(diskName).length > 1;
      if (this.#noted(record)) {
        const path = `${this.layout.dir}/${diskName}`;
        const isIntact = shared && looksAsHashed(lookOf(await Deno.lstat(path)), shelved.placement);
        await this.#trash.put(shelved, !shared);
        // The second name changed the inode, but not the content that the other ids have there.
        if (isIntact) this.shelf.relook(diskName, lookOf(await Deno.lstat(path)));
      } else {
        // Not even a line can be written: the file itself makes the room for it.
        if (!shared) await Deno.remove(`${this.layout.dir}/${diskName}`);
        this.shelf.journal.append([record]);
      }
      this.shelf.remove([fileId]);
      this.keepWithinQuota();
    } catch (error) {
      this.#untrashed.set(fileId, why);
      throw error;
    }
  }

  #record(fileId: string, why: Removal["why"]): JournalRecord {
    return { op: "remove", fileId, why, unixSeconds: Math.round(this.options.now() / 1000) };
  }

  /** Whether it stands in the journal now; false when the disk is full and nothing in the trash gives room. */
  #noted(record: JournalRecord): boolean {
    for (;;) {
      try {
        this.shelf.journal.append([record]);
        return true;
      } catch (error) {
        if (asStorageError(error, "").code !== "no-space") throw error;
        if (!this.#trash.freeOldestSync()) return false;
      }
    }
  }

  /** Brings a file back from the trash, also one that is on its way there. Throws `StorageError` "not-found". */
  async restore(fileId: string): Promise<HeldContent> {
    await this.#removing.get(fileId)?.catch(() => {}); // who removed it hears of it
    const { file, placement, pushed } = await this.#trash.entry(fileId);
    const here = this.shelf.get(fileId);
    if (here) {
      // It came back another way meanwhile.
      await this.#trash.remove(fileId);
      return { file: here.file, sizeBytes: here.placement.sizeBytes, pushed: here.pushed };
    }
    const { dir } = this.layout;
    const diskName = this.shelf.reserve(file.name, (name) => exists(`${dir}/${name}`));
    const { sizeBytes, sha256, mtimeMs } = placement;
    const knownSince = Math.trunc(this.options.now() / 1000);
    try {
      const moved = { diskName, sizeBytes, sha256, mtimeMs };
      this.shelf.add([{ file, pushed, placement: moved, knownSince }]);
      await this.#trash.takeOut(fileId, `${dir}/${diskName}`);
      const look = lookOf(await Deno.lstat(`${dir}/${diskName}`));
      if (look.sizeBytes === sizeBytes && look.mtimeMs === mtimeMs) {
        this.shelf.relook(diskName, look);
      }
    } catch (cause) {
      this.shelf.remove([fileId]);
      throw asStorageError(cause, `Cannot restore ${file.name}`);
    } finally {
      this.shelf.release(diskName);
    }
    return { file, sizeBytes: placement.sizeBytes, pushed };
  }

  /** The file came back another way: the trash does not keep it a second time. */
  async forget(fileId: string): Promise<void> {
    if (this.#trash.has(fileId)) await this.#trash.remove(fileId);
  }

  /** Ids in the trash. */
  ids(): string[] {
    return this.#trash.ids();
  }

  /** What is in the trash and when it was deleted, Unix milliseconds; what cannot be read is left out. */
  async list(): Promise<Deleted[]> {
    await Promise.allSettled(this.#removing.values());
    return await this.#read(this.#trash.list());
  }

  /** As `list`, for one page of it, what was deleted last first. Only the notes of that page are read. */
  async page(start: number, limit: number): Promise<{ found: Deleted[]; total: number }> {
    await Promise.allSettled(this.#removing.values());
    const all = this.#trash.list().reverse();
    return { found: await this.#read(all.slice(start, start + limit)), total: all.length };
  }

  async #read(trashed: ReturnType<Trash["list"]>): Promise<Deleted[]> {
    const found: Deleted[] = [];
    for (const { fileId, sizeBytes, sinceMs } of trashed) {
      const entry = await this.#trash.entry(fileId).catch((error) => {
        if (asStorageError(error, "").code !== "not-found") throw error;
        return undefined; // gone meanwhile, or its note is damaged
      });
      if (entry) found.push({ file: entry.file, sizeBytes, deletedMs: sinceMs });
    }
    return found;
  }

  /** What the trash takes of the disk. */
  get size(): TrashSize {
    return this.#trash.size;
  }

  /**
   * Looks what is in the trash, and finishes what a crash cut short between the word of the journal and the move.
   * Throws `StorageError`.
   */
  async begin(removing: readonly ShelvedFile[]): Promise<void> {
    await this.#trash.load();
    for (const shelved of removing) {
      const { fileId } = shelved.file;
      const { diskName } = shelved.placement;
      // In whatever state it is, it is not ours to publish.
      const reader = openHeld(this.layout.dir, shelved.placement);
      reader?.close();
      if (reader) await this.#trash.put(shelved, this.shelf.idsAt(diskName).length === 0);
      this.shelf.journal.append([{ op: "drop", fileId }]);
    }
  }

  /** Others' pushes that were deleted count as long as they lie in the trash, and give their room first. */
  keepWithinQuota(): void {
    const { pushQuotaBytes } = this.options;
    while (this.shelf.pushedBytes + this.#trash.pushedBytes > pushQuotaBytes) {
      if (!this.#trash.freeOldestSync(true)) return;
    }
  }

  /** Room is needed now: removes the oldest of the trash. False when there is nothing in it. */
  freeOldestSync(): boolean {
    return this.#trash.freeOldestSync();
  }

  /** Removes what is older than a day, and tries again what failed. Throws `StorageError`. */
  async tidy(): Promise<void> {
    await this.#trash.purge();
    for (const [fileId, why] of [...this.#untrashed]) await this.remove(fileId, why);
  }
}
