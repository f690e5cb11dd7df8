// The layout of a store. Shared files are in the folder itself; everything that belongs to p2p-peer is in one
// private folder inside it, which is never shared.

import { asStorageError, StorageError } from "./errors.ts";

/** Number of attempts to take the lock, and the delay between them, in milliseconds. */
const LOCK_TRIES = 4;
const LOCK_PAUSE_MS = 100;

/** Paths of everything in a store. */
export interface Layout {
  /** The folder with the shared files. */
  readonly dir: string;
  /** metadata.json, which older peers can read too. */
  readonly metadata: string;
  /** The private folder; all paths below are inside it. */
  readonly private: string;
  /** Folder for files that are being written. Emptied at start. */
  readonly temporaries: string;
  /** Folder for the beginnings of files whose download ended early, kept for 24 hours. */
  readonly partials: string;
  /** Folder for uploads that were interrupted, kept for 24 hours. */
  readonly uploads: string;
  /** Folder for deleted files, kept for 24 hours. */
  readonly trash: string;
  /** Folder for files that were found damaged. Never cleaned up automatically. */
  readonly damaged: string;
  /** Locked by the process that uses the store. */
  readonly lock: string;
  /** The peer's key pair. */
  readonly key: string;
  /** The token that a browser logs in with. */
  readonly webToken: string;
  /** The URL of the pages while the peer runs, for commands that ask it. */
  readonly address: string;
  /** The journal; see `Journal`. */
  readonly journal: string;
  /** The previous metadata.json. */
  readonly lastGood: string;
  /** Ids of deleted files, and when they were deleted. */
  readonly deleted: string;
  /** Peers of earlier runs. */
  readonly peers: string;
  /** Names of files whose owner is unknown. */
  readonly unclaimed: string;
  /** Lines typed at the prompt. */
  readonly history: string;
}

/** Name of the private folder. */
const PRIVATE = ".p2p-peer";

/**
 * Throws `StorageError` if a path leads to one of a store's private files, such as its token or its key. Files in subfolders of the
 * private folder (trash, damaged) are users' files, and may be shared.
 */
export async function refuseSecrets(path: string): Promise<void> {
  const real = await Deno.realPath(path).catch(() => path); // whoever opens it says what is wrong
  if (real.split(/[\\/]/).at(-2) !== PRIVATE) return;
  throw new StorageError("not-found", `${path} is a private file of a peer, and cannot be shared`);
}

/** Returns the paths of the store in `dir`. */
export function layoutOf(dir: string): Layout {
  const own = `${dir}/${PRIVATE}`;
  return {
    dir,
    metadata: `${dir}/metadata.json`,
    private: own,
    temporaries: `${own}/temporary`,
    partials: `${own}/partial`,
    uploads: `${own}/upload`,
    trash: `${own}/trash`,
    damaged: `${own}/damaged`,
    lock: `${own}/lock`,
    key: `${own}/key.json`,
    webToken: `${own}/web-token`,
    address: `${own}/address`,
    journal: `${own}/journal.jsonl`,
    lastGood: `${own}/metadata.last-good.json`,
    deleted: `${own}/deleted.json`,
    peers: `${own}/peers.json`,
    unclaimed: `${own}/unclaimed.json`,
    history: `${own}/history`,
  };
}

/**
 * Creates missing folders, and sets the permissions of the private one. Throws `StorageError`, also when a private
 * folder or file is a link: writing through it would write outside the store.
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
      hint: error.hint ?? "Choose another folder with --dir",
    });
  }
}

/**
 * Checks that the private folders still are folders and have not been replaced with links: writing through one
 * would write outside the store. Throws `StorageError`.
 */
export function checkFolders(layout: Layout): void {
  for (const folder of foldersOf(layout)) checkFolder(folder);
}

/** The private folders, parents first. */
const foldersOf = (layout: Layout) => [
  layout.private,
  layout.temporaries,
  layout.partials,
  layout.uploads,
  layout.trash,
  layout.damaged,
];

function checkFolder(folder: string): void {
  if (Deno.lstatSync(folder).isDirectory) return;
  throw new StorageError(
    "not-writable",
    `${folder} must be a folder, not a file or a link`,
    { hint: "Remove it" },
  );
}

/** Checks that private files which are written in place are not links. Throws `StorageError`. */
async function checkFiles(layout: Layout): Promise<void> {
  for (const path of [layout.lock, layout.journal, layout.history]) {
    const info = await lstatOrNothing(path);
    if (!info || info.isFile) continue;
    throw new StorageError("not-writable", `${path} must be a regular file, not a link`, {
      hint: "Remove it",
    });
  }
  const { metadata, lastGood, deleted, peers, unclaimed, key, webToken, address } = layout;
  for (const path of [metadata, lastGood, deleted, peers, unclaimed, key, webToken, address]) {
    const info = await lstatOrNothing(path);
    if (!info?.isDirectory) continue;
    throw new StorageError("not-writable", `${path} must be a regular file, not a folder`, {
      hint: "Remove it",
    });
  }
}

/**
 * Resolves to what is at a path, without following links, or to `undefined` if there is nothing. Throws other file
 * system errors as they are.
 */
export async function lstatOrNothing(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Removes a file if it exists. Throws other file system errors as they are. */
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

/**
 * Locks the store for this process until the returned file is closed. Throws `StorageError`, "in-use" if another
 * process holds the lock.
 */
export async function lockStore(layout: Layout): Promise<Deno.FsFile> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(layout.lock, { read: true, write: true, create: true, mode: 0o600 });
  } catch (cause) {
    throw asStorageError(cause, `Cannot use ${layout.dir} as storage`);
  }
  // A process that a thread of this one has just started inherits the lock for a moment, and one that is exiting
  // may still hold it.
  for (let tries = 1; tries <= LOCK_TRIES; tries++) {
    if (await file.tryLock(true)) return file;
    if (tries < LOCK_TRIES) await new Promise((go) => setTimeout(go, LOCK_PAUSE_MS));
  }
  file.close();
  throw inUse(layout);
}

/** Returns the error for a store that a running peer has. */
export function inUse({ dir }: Layout): StorageError {
  return new StorageError("in-use", `Another p2p-peer is using ${dir}`, {
    hint: `Stop it, ask it (p2p-peer status --dir ${dir}), or choose another folder with --dir`,
  });
}

/** Resolves to whether a process uses the store. Throws `StorageError`. */
export async function isInUse(layout: Layout): Promise<boolean> {
  try {
    using file = await Deno.open(layout.lock, { read: true });
    // A shared lock, held for a moment: a peer that is starting tries again.
    return !await file.tryLock(false);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return false;
    throw asStorageError(cause, `Cannot use ${layout.dir} as storage`);
  }
}

/** Returns whether anything has this name, including a dangling link. */
export function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
