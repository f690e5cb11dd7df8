// Deleted files, kept aside for 24 hours. What is needed to bring one back lies beside it.
// Always holds: what is in the trash is counted; the oldest goes first when room is needed.

import { asStorageError, StorageError } from "./errors.ts";
import { type Layout, lstatOrNothing, removeIfThere } from "./layout.ts";
import { entryOf, entryText } from "./metadata.ts";
import { removeTemporary } from "./leftovers.ts";
import { nameAgain, placeNew } from "./placing.ts";
import { parseJson } from "../protocol/wire/message.ts";
import { entryOfShelved, type ShelvedFile } from "./shelf.ts";

/** How long a deleted file can be restored. */
const KEPT_MS = 24 * 3_600_000;

interface Trashed {
  readonly sizeBytes: number;
  /** It had come by a push that nobody asked for. */
  readonly pushed: boolean;
  readonly sinceMs: number;
}

/** What the trash takes, for people. */
export interface TrashSize {
  readonly files: number;
  readonly bytes: number;
}

export class Trash {
  /** The oldest first. */
  #index = new Map<string, Trashed>();

  constructor(readonly layout: Layout, readonly now: () => number) {}

  /** Looks what is there, and removes what is older than a day. */
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
    this.#index = new Map(found.sort(([, a], [, b]) => a.sinceMs - b.sinceMs));
    await this.purge();
  }

  get size(): TrashSize {
    let bytes = 0;
    for (const { sizeBytes } of this.#index.values()) bytes += sizeBytes;
    return { files: this.#index.size, bytes };
  }

  /** When each was deleted, Unix milliseconds, and its size; the oldest first. */
  list(): { fileId: string; sizeBytes: number; sinceMs: number }[] {
    return [...this.#index].map(([fileId, { sizeBytes, sinceMs }]) => ({
      fileId,
      sizeBytes,
      sinceMs,
    }));
  }

  /** Bytes of what others had pushed here. */
  get pushedBytes(): number {
    let bytes = 0;
    for (const { sizeBytes, pushed } of this.#index.values()) if (pushed) bytes += sizeBytes;
    return bytes;
  }

  ids(): string[] {
    return [...this.#index.keys()];
  }

  /**
   * Moves content here, or gives it a second name where other ids need it. Throws `StorageError`.
   * On a full disk what was deleted before gives its room, and without any, the content is removed for good.
   */
  async put(shelved: ShelvedFile, move: boolean): Promise<void> {
    const { fileId } = shelved.file;
    const content = `${this.layout.trash}/${fileId}`;
    const source = `${this.layout.dir}/${shelved.placement.diskName}`;
    try {
      await this.remove(fileId); // an older one of the same id
      await this.#writeNote(shelved);
      if (move) await Deno.rename(source, content);
      else await nameAgain(source, content);
      const { sizeBytes } = shelved.placement;
      this.#index.set(fileId, { sizeBytes, pushed: shelved.pushed, sinceMs: this.now() });
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) {
        await this.remove(fileId); // gone already: nothing to keep aside
        return;
      }
      const error = asStorageError(cause, `Cannot delete ${shelved.file.name}`);
      if (error.code !== "no-space") throw error;
      await this.remove(fileId);
      if (move) await removeIfThere(source);
    }
  }

  /** What is known of a trashed file. Throws `StorageError` "not-found". */
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
      { hint: "the list of deleted files shows which there are" },
    );
  }

  /** Moves content to `target`, which must not exist. */
  async takeOut(fileId: string, target: string): Promise<void> {
    await placeNew(`${this.layout.trash}/${fileId}`, target);
    await this.remove(fileId);
  }

  /** Removes what is older than a day. */
  async purge(): Promise<void> {
    for (const [fileId, { sinceMs }] of this.#index) {
      if (this.now() - sinceMs >= KEPT_MS) await this.remove(fileId);
    }
  }

  /** Room is needed now: removes the oldest, of what was pushed only if so wished. False when there is none. */
  freeOldestSync(onlyPushed = false): boolean {
    for (const [fileId, { pushed }] of this.#index) {
      if (onlyPushed && !pushed) continue;
      this.#index.delete(fileId);
      for (const path of this.#pathsOf(fileId)) {
        removeTemporary(path); // tried again later where that fails
      }
      return true;
    }
    return false;
  }

  has(fileId: string): boolean {
    return this.#index.has(fileId);
  }

  /** Forgets a file for good. */
  async remove(fileId: string): Promise<void> {
    this.#index.delete(fileId);
    for (const path of this.#pathsOf(fileId)) await removeIfThere(path);
  }

  #pathsOf(fileId: string): string[] {
    const path = `${this.layout.trash}/${fileId}`;
    return [path, `${path}.json`];
  }

  /** What the time of deletion is read from later; content keeps its own time. */
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
