// The trash: deleted files, kept for 24 hours. What is needed to restore a file is stored next to it.
// Invariants: everything in the trash is counted, and adding or removing a file costs the same however many there are;
// the oldest is purged first when space runs low.

import { asStorageError, StorageError } from "./errors.ts";
import { type Layout, lstatOrNothing, removeIfThere } from "./layout.ts";
import { entryOf, entryText } from "./metadata.ts";
import { removeTemporary } from "./leftovers.ts";
import { nameAgain, placeNew } from "./placing.ts";
import { parseJson } from "../protocol/wire/message.ts";
import { entryOfShelved, type ShelvedFile } from "./shelf.ts";

/** How long a deleted file can be restored, in milliseconds. */
const KEPT_MS = 24 * 3_600_000;

interface Trashed {
  readonly sizeBytes: number;
  /** Whether it had arrived in a push that this peer did not ask for. */
  readonly pushed: boolean;
  readonly sinceMs: number;
}

/** How much is in the trash, for people. */
export interface TrashSize {
  /** Number of files. */
  readonly files: number;
  /** Total size, in bytes. */
  readonly bytes: number;
}

/** The trash of one store. */
export class Trash {
  /** The oldest first. */
  readonly #index = new Map<string, Trashed>();
  /** Ids of the files that others had pushed here, the oldest first. */
  readonly #pushed = new Set<string>();
  #bytes = 0;
  #pushedBytes = 0;

  /**
   * Reads nothing yet; see `load`. `now` returns Unix milliseconds. `onPurged` is called for each file that is purged
   * early, because space was needed.
   */
  constructor(
    readonly layout: Layout,
    readonly now: () => number,
    readonly onPurged: () => void = () => {},
  ) {}

  /** Reads the folder, and purges what is older than a day. Throws file system errors as they are. */
  async load(): Promise<void> {
    const found: [string, Trashed][] = [];
    for await (const { name } of Deno.readDir(this.layout.trash)) {
      if (!/^[0-9a-f]{64}$/.test(name)) continue;
      const path = `${this.layout.trash}/${name}`;
      const [content, note] = await Promise.all([
        lstatOrNothing(path),
        lstatOrNothing(`${path}.json`),
      ]);
      const pushed = note !== undefined &&
        /"pushed": ?true/.test(await Deno.readTextFile(`${path}.json`));
      found.push([name, {
        sizeBytes: content?.size ?? 0,
        pushed,
        sinceMs: note?.mtime?.getTime() ?? 0,
      }]);
    }
    found.sort(([, a], [, b]) => a.sinceMs - b.sinceMs);
    for (const [fileId, trashed] of found) this.#note(fileId, trashed);
    await this.purge();
  }

  /** Number and total size of the files. */
  get size(): TrashSize {
    return { files: this.#index.size, bytes: this.#bytes };
  }

  /** Returns the size of each file and when it was deleted, Unix milliseconds; the oldest first. */
  list(): { fileId: string; sizeBytes: number; sinceMs: number }[] {
    return [...this.#index].map(([fileId, { sizeBytes, sinceMs }]) => ({
      fileId,
      sizeBytes,
      sinceMs,
    }));
  }

  /** Total size of the files that others had pushed here, in bytes. */
  get pushedBytes(): number {
    return this.#pushedBytes;
  }

  /** Returns the ids of the files, the oldest first. */
  ids(): string[] {
    return [...this.#index.keys()];
  }

  /**
   * Moves content to the trash, or, if other ids still need it, gives it a second name there. On a full disk,
   * purges older files; if there are none, removes the content for good. Throws `StorageError`.
   */
  async put(shelved: ShelvedFile, move: boolean): Promise<void> {
    const { fileId } = shelved.file;
    const content = `${this.layout.trash}/${fileId}`;
    const source = `${this.layout.dir}/${shelved.placement.diskName}`;
    try {
      if (this.has(fileId)) await this.remove(fileId); // an older file with the same id
      await this.#writeNote(shelved);
      if (move) await Deno.rename(source, content);
      else await nameAgain(source, content);
      const { sizeBytes } = shelved.placement;
      this.#note(fileId, { sizeBytes, pushed: shelved.pushed, sinceMs: this.now() });
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) {
        await this.remove(fileId); // already gone: nothing to keep
        return;
      }
      const error = asStorageError(cause, `Cannot delete ${shelved.file.name}`);
      if (error.code !== "no-space") throw error;
      await this.remove(fileId);
      if (move) await removeIfThere(source);
    }
  }

  /** Returns what is known of a file in the trash. Throws `StorageError` "not-found". */
  async entry(fileId: string): Promise<ShelvedFile> {
    try {
      await Deno.lstat(`${this.layout.trash}/${fileId}`);
      const text = await Deno.readTextFile(`${this.layout.trash}/${fileId}.json`);
      const entry = entryOf(parseJson(text));
      if (entry?.placement) {
        return { file: entry.file, placement: entry.placement, pushed: entry.pushed ?? false };
      }
    } catch (cause) {
      if (!(cause instanceof Deno.errors.NotFound || cause instanceof SyntaxError)) {
        throw asStorageError(cause, `Cannot restore ${fileId}`);
      }
    }
    throw new StorageError(
      "not-found",
      `${fileId} is not in the trash, where deleted files stay for 24 hours`,
      { hint: "The list of deleted files shows what can be restored" },
    );
  }

  /** Moves content to `target`. Throws `Deno.errors.AlreadyExists` if it exists. */
  async takeOut(fileId: string, target: string): Promise<void> {
    await placeNew(`${this.layout.trash}/${fileId}`, target);
    await this.remove(fileId);
  }

  /** Purges files older than a day. Throws file system errors as they are. */
  async purge(): Promise<void> {
    for (const [fileId, { sinceMs }] of this.#index) {
      if (this.now() - sinceMs >= KEPT_MS) await this.remove(fileId);
    }
  }

  /** Frees space immediately by purging the oldest file, or the oldest pushed one. Returns false if there is none. */
  freeOldestSync(onlyPushed = false): boolean {
    const [fileId] = onlyPushed ? this.#pushed : this.#index.keys();
    if (fileId === undefined) return false;
    this.#forget(fileId);
    this.onPurged();
    for (const path of this.#pathsOf(fileId)) {
      removeTemporary(path); // retried later if that fails
    }
    return true;
  }

  /** Returns whether the file is in the trash. */
  has(fileId: string): boolean {
    return this.#index.has(fileId);
  }

  /** Removes a file from the trash for good. Throws file system errors as they are. */
  async remove(fileId: string): Promise<void> {
    this.#forget(fileId);
    for (const path of this.#pathsOf(fileId)) await removeIfThere(path);
  }

  #note(fileId: string, trashed: Trashed): void {
    this.#forget(fileId);
    this.#index.set(fileId, trashed);
    this.#bytes += trashed.sizeBytes;
    if (!trashed.pushed) return;
    this.#pushed.add(fileId);
    this.#pushedBytes += trashed.sizeBytes;
  }

  #forget(fileId: string): void {
    const trashed = this.#index.get(fileId);
    if (!trashed) return;
    this.#index.delete(fileId);
    this.#bytes -= trashed.sizeBytes;
    if (this.#pushed.delete(fileId)) this.#pushedBytes -= trashed.sizeBytes;
  }

  #pathsOf(fileId: string): string[] {
    const path = `${this.layout.trash}/${fileId}`;
    return [path, `${path}.json`];
  }

  /** Writes the note from which the time of deletion is read later; the content keeps its own time. */
  async #writeNote(shelved: ShelvedFile): Promise<void> {
    const path = `${this.layout.trash}/${shelved.file.fileId}.json`;
    const text = entryText(entryOfShelved(shelved)) + "\n";
    for (;;) {
      try {
        await Deno.writeTextFile(path, text, { mode: 0o600 });
        return;
      } catch (cause) {
        const isFull = asStorageError(cause, "").code === "no-space";
        if (!isFull || !this.freeOldestSync()) throw cause;
      }
    }
  }
}
