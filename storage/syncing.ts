// Flushes stored files to disk some time after they were written: waiting for the disk on every file would cost as
// much as writing it.
// Invariant: the journal reaches the disk before the content that it describes. Otherwise a file whose line was
// lost would pass for one of ours.

import { asStorageError } from "./errors.ts";
import type { Journal } from "./journal.ts";
import type { Layout } from "./layout.ts";
import type { Shelf } from "./shelf.ts";

/** Flushes everything stored so far to disk, so that it survives a power failure. Throws `StorageError`. */
export async function syncStore(
  layout: Pick<Layout, "dir">,
  shelf: Shelf,
  journal: Journal,
): Promise<void> {
  // A file that is about to get its name does not exist yet.
  const fileIds = [...shelf.unsynced].filter((fileId) => {
    const diskName = shelf.get(fileId)?.placement.diskName;
    return diskName === undefined || !shelf.isReserved(diskName);
  });
  if (fileIds.length === 0) return;
  // The journal first, because it says who owns the files: a file whose line was lost would pass for ours.
  await journal.sync();
  for (const name of new Set(fileIds.map((id) => shelf.get(id)?.placement.diskName))) {
    if (name !== undefined) await syncPath(`${layout.dir}/${name}`);
  }
  await syncPath(layout.dir);
  const safe = fileIds.filter((fileId) => shelf.get(fileId) !== undefined);
  journal.append([{ op: "synced", fileIds: safe }]);
  for (const fileId of fileIds) shelf.unsynced.delete(fileId);
}

async function syncPath(path: string): Promise<void> {
  try {
    const file = await Deno.open(path, { read: true });
    try {
      await file.sync();
    } finally {
      file.close();
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return; // deleted in the meantime
    throw asStorageError(error, `Cannot flush ${path} to disk`);
  }
}
