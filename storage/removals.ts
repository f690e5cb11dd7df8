// Deletes and restores files. The journal records first that a file is removed, then its content moves to the
// trash, one file after another, however many are removed at once.
// Invariants: a removal that is in the journal is finished, whatever happens in between; a pushed file that was
// deleted counts against the push quota as long as it is in the trash.

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
  /** What the network knows of the file. */
  readonly file: FileRecord;
  /** Size in bytes. */
  readonly sizeBytes: number;
  /** When it was deleted, Unix milliseconds. */
  readonly deletedMs: number;
}

/** Deletes and restores files of one store. */
export class Removals {
  readonly #trash: Trash;
  /** Removals in progress, by id. Reading the trash waits for them. */
  readonly #removing = new Map<string, Promise<void>>();
  /** Removed files that could not be moved to the trash yet, with the reason of their removal. */
  readonly #untrashed = new Map<string, Removal["why"]>();
  /** Ids of held files that the journal says are removed. */
  readonly #recorded = new Set<string>();
  /** Resolves when the removals requested so far have ended. */
  #turn: Promise<void> = Promise.resolve();
  #isStopping = false;

  /** Reads nothing yet; see `begin`. `options.now` returns Unix milliseconds. */
  constructor(
    readonly layout: Layout,
    readonly shelf: Shelf,
    readonly options: {
      readonly now: () => number;
      readonly pushQuotaBytes: number;
      readonly onPurged?: () => void;
    },
  ) {
    this.#trash = new Trash(layout, options.now, options.onPurged);
  }

  /**
   * Records in the journal that a held file will be removed, before any peer is notified. Throws `StorageError` if
   * that cannot be written, except on a full disk: the removal itself frees space.
   */
  announce(fileId: string, why: Removal["why"]): void {
    if (this.shelf.get(fileId)) this.#recordAll([fileId], why);
  }

  /** Returns whether a held file is removed, although its content has not been moved to the trash yet. */
  isRemoving(fileId: string): boolean {
    return this.#recorded.has(fileId);
  }

  /** Moves no more content, because the store is closing. The next start moves the rest. */
  stop(): void {
    this.#isStopping = true;
  }

  /**
   * Moves content to the trash, where it stays for 24 hours. When this returns its promise, the journal already
   * says that the files are removed, so a crash does not bring them back. `tidy` retries what fails. Throws
   * `StorageError`; the other files are moved nevertheless.
   */
  async remove(fileIds: readonly string[], why: Removal["why"]): Promise<void> {
    const held = fileIds.filter((fileId) => this.shelf.get(fileId));
    for (const fileId of fileIds) this.#untrashed.delete(fileId);
    try {
      this.#recordAll(held, why);
    } catch (error) {
      for (const fileId of held) this.#untrashed.set(fileId, why);
      throw error;
    }
    const removing = this.#turn.then(() => this.#removeAll(held, why));
    this.#turn = removing.catch(() => {}); // reported to this caller
    for (const fileId of held) this.#removing.set(fileId, removing);
    try {
      await removing;
    } finally {
      for (const fileId of held) {
        if (this.#removing.get(fileId) === removing) this.#removing.delete(fileId);
      }
    }
  }

  async #removeAll(fileIds: readonly string[], why: Removal["why"]): Promise<void> {
    let failure: unknown;
    for (const fileId of fileIds) {
      if (this.#isStopping) return;
      try {
        await this.#remove(fileId, why);
      } catch (error) {
        this.#untrashed.set(fileId, why);
        failure ??= error;
      }
    }
    if (failure !== undefined) throw failure;
  }

  async #remove(fileId: string, why: Removal["why"]): Promise<void> {
    const shelved = this.shelf.get(fileId);
    if (!shelved) return;
    checkFolders(this.layout);
    const { diskName } = shelved.placement;
    const shared = this.shelf.idsAt(diskName).length > 1;
    if (this.#recorded.has(fileId) || this.#noted(this.#record(fileId, why))) {
      this.#recorded.add(fileId);
      const path = `${this.layout.dir}/${diskName}`;
      const isIntact = shared && looksAsHashed(lookOf(await Deno.lstat(path)), shelved.placement);
      await this.#trash.put(shelved, !shared);
      // The second name changed the inode, but not the content that the other ids have there.
      if (isIntact) this.shelf.relook(diskName, lookOf(await Deno.lstat(path)));
    } else {
      // There is no space even for a line: removing the file makes some.
      if (!shared) await Deno.remove(`${this.layout.dir}/${diskName}`);
      this.shelf.journal.append([this.#record(fileId, why)]);
    }
    this.shelf.remove([fileId]);
    this.#recorded.delete(fileId);
    this.keepWithinQuota();
  }

  /** Records removals in the journal, unless the disk is full: they free space. Throws `StorageError`. */
  #recordAll(fileIds: readonly string[], why: Removal["why"]): void {
    const news = fileIds.filter((fileId) => !this.#recorded.has(fileId));
    if (news.length === 0) return;
    try {
      this.shelf.journal.append(news.map((fileId) => this.#record(fileId, why)));
    } catch (error) {
      if (asStorageError(error, "").code !== "no-space") throw error;
      return;
    }
    for (const fileId of news) this.#recorded.add(fileId);
  }

  #record(fileId: string, why: Removal["why"]): JournalRecord {
    return { op: "remove", fileId, why, unixSeconds: Math.round(this.options.now() / 1000) };
  }

  /** Returns whether the journal has the record now; false if the disk is full and the trash is empty. */
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

  /**
   * Restores a file from the trash, including one that is still on its way there. Throws `StorageError`,
   * "not-found" if it is not in the trash.
   */
  async restore(fileId: string): Promise<HeldContent> {
    await this.#removing.get(fileId)?.catch(() => {}); // reported to the caller that removed it
    const { file, placement, pushed } = await this.#trash.entry(fileId);
    const here = this.shelf.get(fileId);
    if (here) {
      // It came back another way in the meantime.
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

  /** Drops a file from the trash after it came back another way. Throws file system errors as they are. */
  async forget(fileId: string): Promise<void> {
    if (this.#trash.has(fileId)) await this.#trash.remove(fileId);
  }

  /** Total size of the files in the trash, in bytes. */
  get trashBytes(): number {
    return this.#trash.size.bytes;
  }

  /** Returns the ids of the files in the trash. */
  ids(): string[] {
    return this.#trash.ids();
  }

  /** Returns the files in the trash, the oldest removal first. Skips entries that cannot be read. */
  async list(): Promise<Deleted[]> {
    await this.#turn;
    return await this.#read(this.#trash.list());
  }

  /**
   * Returns one page of the list, the latest removal first, and the number of all files. Reads the notes of that
   * page only.
   */
  async page(start: number, limit: number): Promise<{ found: Deleted[]; total: number }> {
    await this.#turn;
    const all = this.#trash.list().reverse();
    return { found: await this.#read(all.slice(start, start + limit)), total: all.length };
  }

  async #read(trashed: ReturnType<Trash["list"]>): Promise<Deleted[]> {
    const found: Deleted[] = [];
    for (const { fileId, sizeBytes, sinceMs } of trashed) {
      const entry = await this.#trash.entry(fileId).catch((error) => {
        if (asStorageError(error, "").code !== "not-found") throw error;
        return undefined; // removed meanwhile, or its note is damaged
      });
      if (entry) found.push({ file: entry.file, sizeBytes, deletedMs: sinceMs });
    }
    return found;
  }

  /** Number and total size of the files in the trash. */
  get size(): TrashSize {
    return this.#trash.size;
  }

  /**
   * Loads the trash, and finishes removals that a crash interrupted between the journal entry and the move. Throws
   * `StorageError`.
   */
  async begin(removing: readonly ShelvedFile[]): Promise<void> {
    await this.#trash.load();
    for (const shelved of removing) {
      const { fileId } = shelved.file;
      const { diskName } = shelved.placement;
      // Whatever state it is in, it is not ours to publish.
      const reader = openHeld(this.layout.dir, shelved.placement);
      reader?.close();
      if (reader) await this.#trash.put(shelved, this.shelf.idsAt(diskName).length === 0);
      this.shelf.journal.append([{ op: "drop", fileId }]);
    }
  }

  /** Purges the oldest pushed files from the trash until pushed content, held and deleted, fits into the quota. */
  keepWithinQuota(): void {
    const { pushQuotaBytes } = this.options;
    while (this.shelf.pushedBytes + this.#trash.pushedBytes > pushQuotaBytes) {
      if (!this.#trash.freeOldestSync(true)) return;
    }
  }

  /** Frees space immediately by purging the oldest file in the trash. Returns false if the trash is empty. */
  freeOldestSync(): boolean {
    return this.#trash.freeOldestSync();
  }

  /** Purges files older than a day, and retries removals that failed. Throws `StorageError`. */
  async tidy(): Promise<void> {
    await this.#trash.purge();
    for (const [fileId, why] of [...this.#untrashed]) await this.remove([fileId], why);
  }
}
