// Where things lie in a store. Files that are shared lie in the folder itself; all that is p2p-peer's own
// lies in one private folder beside them, which is never shared.

import { asStorageError, StorageError } from "./errors.ts";

/** How often the lock is tried for, and how long after each time the next one follows, in milliseconds. */
const LOCK_TRIES = 4;
const LOCK_PAUSE_MS = 100;

export interface Layout {
  readonly dir: string;
  readonly metadata: string;
  readonly private: string;
  readonly temporaries: string;
  readonly trash: string;
  /** What was found damaged; never removed by itself. */
  readonly damaged: string;
  readonly lock: string;
  readonly key: string;
  /** What a browser logs in with. */
  readonly webToken: string;
  readonly journal: string;
  readonly lastGood: string;
  readonly deleted: string;
  readonly peers: string;
  readonly unclaimed: string;
  readonly history: string;
}

export function layoutOf(dir: string): Layout {
  const own = `${dir}/.p2p-peer`;
  return {
    dir,
    metadata: `${dir}/metadata.json`,
    private: own,
    temporaries: `${own}/temporary`,
    trash: `${own}/trash`,
    damaged: `${own}/damaged`,
    lock: `${own}/lock`,
    key: `${own}/key.json`,
    webToken: `${own}/web-token`,
    journal: `${own}/journal.jsonl`,
    lastGood: `${own}/metadata.last-good.json`,
    deleted: `${own}/deleted.json`,
    peers: `${own}/peers.json`,
    unclaimed: `${own}/unclaimed.json`,
    history: `${own}/history`,
  };
}

/**
 * Makes the folders where they are missing and empties the one for temporaries.
 * Throws `StorageError`, also when the private folder is a link: what is written there must stay there.
 */
export async function makeFolders(layout: Layout): Promise<void> {
  try {
    await Deno.mkdir(layout.dir, { recursive: true });
    for (const folder of foldersOf(layout)) {
      await Deno.mkdir(folder, { mode: 0o700 }).catch((error) => {
        if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      });
      checkFolder(folder);
    }
    await Deno.chmod(layout.private, 0o700);
    await checkFiles(layout);
  } catch (cause) {
    const error = asStorageError(cause, `Cannot use ${layout.dir} as storage`);
    if (error.code !== "io") throw error;
    throw new StorageError("io", error.what, {
      cause,
      hint: error.hint ?? "choose another folder with --dir",
    });
  }
}

/**
 * The private folders must still be folders, and not links that somebody put in their place: what is written there
 * must stay there. Throws `StorageError`.
 */
export function checkFolders(layout: Layout): void {
  for (const folder of foldersOf(layout)) checkFolder(folder);
}

/** The private folders, each behind the one that it lies in. */
const foldersOf = (layout: Layout) => [
  layout.private,
  layout.temporaries,
  layout.trash,
  layout.damaged,
];

function checkFolder(folder: string): void {
  if (Deno.lstatSync(folder).isDirectory) return;
  throw new StorageError(
    "not-writable",
    `${folder} must be a folder, not a file or a link`,
    { hint: "remove it" },
  );
}

/** Private files that are written in place must not be links either. Throws `StorageError`. */
async function checkFiles(layout: Layout): Promise<void> {
  for (const path of [layout.lock, layout.journal, layout.history]) {
    const info = await lstatOrNothing(path);
    if (!info || info.isFile) continue;
    throw new StorageError("not-writable", `${path} must be a plain file, not a link`, {
      hint: "remove it",
    });
  }
  const { metadata, lastGood, deleted, peers, unclaimed, key, webToken } = layout;
  for (const path of [metadata, lastGood, deleted, peers, unclaimed, key, webToken]) {
    const info = await lstatOrNothing(path);
    if (!info?.isDirectory) continue;
    throw new StorageError("not-writable", `${path} must be a plain file, not a folder`, {
      hint: "remove it",
    });
  }
}

/** What is at a path, links not followed; undefined where there is nothing. Throws what the file system throws. */
export async function lstatOrNothing(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Removes a file that need not be there. Throws what the file system throws. */
export async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Removes what transfers of an earlier run left behind. Call it only while holding the lock. */
export async function clearTemporaries(layout: Layout): Promise<void> {
  for await (const { name } of Deno.readDir(layout.temporaries)) {
    await Deno.remove(`${layout.temporaries}/${name}`, { recursive: true });
  }
}

/** Takes the store for this process until the file is closed. Throws `StorageError` "in-use". */
export async function lockStore(layout: Layout): Promise<Deno.FsFile> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(layout.lock, { read: true, write: true, create: true, mode: 0o600 });
  } catch (cause) {
    throw asStorageError(cause, `Cannot use ${layout.dir} as storage`);
  }
  // A process that was just started by a thread of this one holds the lock for a moment, and so does one that is ending.
  for (let tries = 1; tries <= LOCK_TRIES; tries++) {
    if (await file.tryLock(true)) return file;
    if (tries < LOCK_TRIES) await new Promise((go) => setTimeout(go, LOCK_PAUSE_MS));
  }
  file.close();
  throw new StorageError(
    "in-use",
    `Another p2p-peer uses ${layout.dir}`,
    { hint: "stop it, or start this one with --dir and another folder" },
  );
}

/** Whether there is something of this name, a link that leads nowhere too. */
export function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
