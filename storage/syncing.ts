// Flushes stored files to disk some time after they were written: waiting for the disk on every file would cost as
// much as writing it.
// Invariant: the journal reaches the disk before the content that it describes. Otherwise a file whose line was
// lost would pass for one of ours.

import type { DiskThread } from "./disk_thread.ts";
import { asStorageError } from "./errors.ts";
import type { Journal } from "./journal.ts";
import type { Layout } from "./layout.ts";
import type { Placement } from "./metadata.ts";
import type { Shelf } from "./shelf.ts";

/** Number of files flushed in this thread; for more, another one is faster and keeps nobody waiting. */
const FEW_FILES = 64;
/** Maximum number of files flushed at once, so that what was flushed is noted before the rest. */
const MANY_FILES = 2_000;

/** After this long without a change, the system has written a file to the disk, in milliseconds. Linux takes 30 s. */
const WRITTEN_MS = 120_000;

/** Returns whether a file was last changed so long ago that its content has reached the disk. */
export function isOnDisk({ mtimeMs, ctimeMs }: Placement, nowMs: number): boolean {
  return ctimeMs !== undefined && nowMs - Math.max(mtimeMs, ctimeMs) >= WRITTEN_MS;
}

/**
 * Flushes everything that the store wrote so far to disk, so that it survives a power failure. Files that people put into
 * the folder count as safe once the system has written them. Throws `StorageError`.
 */
export async function syncStore({ layout, shelf, journal, thread, now }: {
  readonly layout: Pick<Layout, "dir">;
  readonly shelf: Shelf;
  readonly journal: Journal;
  readonly thread: DiskThread;
  /** The current time, Unix milliseconds. */
  readonly now: () => number;
}): Promise<void> {
  const nowMs = now();
  const placementOf = (fileId: string) => shelf.get(fileId)?.placement;
  const due = [...shelf.unsynced].filter((fileId) => {
    const placement = placementOf(fileId);
    if (!placement) return true;
    if (shelf.foreign.has(fileId)) return isOnDisk(placement, nowMs);
    return !shelf.isReserved(placement.diskName); // a file that is about to get its name does not exist yet
  });
  for (let at = 0; at < due.length; at += MANY_FILES) {
    const fileIds = due.slice(at, at + MANY_FILES);
    const names = new Set<string>();
    const flushed = new Map<string, Placement | undefined>();
    for (const fileId of fileIds) {
      const placement = placementOf(fileId);
      flushed.set(fileId, placement);
      if (placement && !shelf.foreign.has(fileId)) names.add(placement.diskName);
    }
    // The journal first, because it says who owns the files: a file whose line was lost would pass for ours.
    await journal.sync();
    await flushAll(layout.dir, [...names], thread);
    // A file that was kept again in the meantime is another one, which nobody flushed.
    const same = fileIds.filter((fileId) => placementOf(fileId) === flushed.get(fileId));
    const safe = same.filter((fileId) => placementOf(fileId) !== undefined);
    journal.append([{ op: "synced", fileIds: safe }]);
    for (const fileId of same) {
      shelf.unsynced.delete(fileId);
      shelf.foreign.delete(fileId);
    }
  }
}

async function flushAll(dir: string, names: readonly string[], thread: DiskThread): Promise<void> {
  if (names.length === 0) return;
  const paths = names.map((name) => `${dir}/${name}`);
  if (paths.length <= FEW_FILES) { for (const path of paths) await syncPath(path); }
  else {
    await thread.flush(paths).catch((error) => {
      throw asStorageError(error, `Cannot flush files in ${dir} to disk`);
    });
  }
  await syncPath(dir);
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
