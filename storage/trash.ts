// Deleted files, kept aside for 24 hours. What is needed to bring one back lies beside it.

import { asStorageError, StorageError } from "./errors.ts";
import type { Layout } from "./layout.ts";
import { entryOf, entryText } from "./metadata.ts";
import { parseJson } from "../protocol/message.ts";
import { entryOfShelved, type ShelvedFile } from "./shelf.ts";

/** How long a deleted file can be restored. */
const KEPT_MS = 24 * 3_600_000;

export class Trash {
  constructor(readonly layout: Layout, readonly now: () => number) {}

  /** Moves (or, where other ids need it, links) content here. Throws `StorageError`. */
  async put(shelved: ShelvedFile, move: boolean): Promise<void> {
    const { fileId } = shelved.file;
    const content = `${this.layout.trash}/${fileId}`;
    const source = `${this.layout.dir}/${shelved.placement.diskName}`;
    try {
      await Deno.remove(content).catch(() => {}); // an older one of the same id
      await Deno.writeTextFile(`${content}.json`, entryText(entryOfShelved(shelved)) + "\n", {
        mode: 0o600,
      });
      if (move) await Deno.rename(source, content);
      else await Deno.link(source, content);
      // The time of deletion is when this was written; content keeps its own time.
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) {
        await this.remove(fileId); // gone already: nothing to keep aside
        return;
      }
      throw asStorageError(cause, `Cannot delete ${shelved.file.name}`);
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
      if (!(cause instanceof Deno.errors.NotFound)) {
        throw asStorageError(cause, `Cannot restore ${fileId}`);
      }
    }
    throw new StorageError(
      "not-found",
      `${fileId} is not in the trash (it is kept there for 24 hours)`,
    );
  }

  /** Moves content to `target`, which must not exist. */
  async takeOut(fileId: string, target: string): Promise<void> {
    await Deno.link(`${this.layout.trash}/${fileId}`, target);
    await this.remove(fileId);
  }

  async ids(): Promise<string[]> {
    const ids: string[] = [];
    for await (const { name } of Deno.readDir(this.layout.trash)) {
      if (/^[0-9a-f]{64}$/.test(name)) ids.push(name);
    }
    return ids;
  }

  /** Removes what is older than a day. */
  async purge(): Promise<void> {
    for (const fileId of await this.ids()) {
      const info = await Deno.lstat(`${this.layout.trash}/${fileId}.json`).catch(() => undefined);
      const deletedMs = info?.mtime?.getTime() ?? 0;
      if (this.now() - deletedMs >= KEPT_MS) await this.remove(fileId);
    }
  }

  /** Removes everything: room is needed now. Returns whether there was anything. */
  emptySync(): boolean {
    let any = false;
    for (const { name } of Deno.readDirSync(this.layout.trash)) {
      Deno.removeSync(`${this.layout.trash}/${name}`);
      any = true;
    }
    return any;
  }

  /** Forgets a file for good. */
  async remove(fileId: string): Promise<void> {
    await Deno.remove(`${this.layout.trash}/${fileId}`).catch(() => {}); // either may be missing
    await Deno.remove(`${this.layout.trash}/${fileId}.json`).catch(() => {});
  }
}
