// Makes what was kept safe from a power cut, some time after it was kept: waiting for the disk on every file would cost as
// much as writing it.
// Invariant: the journal is on the disk before the content that it describes; a file that outlived its line would pass for
// one of ours.

import { asStorageError } from "./errors.ts";
import type { Journal } from "./journal.ts";
import type { Layout } from "./layout.ts";
import type { Shelf } from "./shelf.ts";

/** Makes everything kept so far safe from a power cut. Throws `StorageError`. */
export async function syncStore(
  layout: Pick<Layout, "dir">,
  shelf: Shelf,
  journal: Journal,
): Promise<void> {
  // What is about to get its name is not there yet to be synced.
  const fileIds = [...shelf.unsynced].filter((fileId) => {
    const diskName = shelf.get(fileId)?.placement.diskName;
    return diskName === undefined || !shelf.isReserved(diskName);
  });
  if (fileIds.length === 0) return;
  // First what says whose the files are: a file that outlives its line would pass for ours.
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
    if (error instanceof Deno.errors.NotFound) return; // it was deleted meanwhile
    throw asStorageError(error, `Cannot make ${path} safe from a power cut`);
  }
}
