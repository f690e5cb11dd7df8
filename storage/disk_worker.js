// @ts-check
// Lists folders and hashes files in a thread of its own, so that neither a slow disk nor hashing keeps anybody waiting. Runs
// in a worker; `disk_thread.ts` is the other end. Everything is synchronous: that takes a third of the time of promises here,
// and whoever waits is in another thread.

import { createHash } from "node:crypto";

/** @typedef {import("./disk_messages.ts").Failure} Failure */
/** @typedef {import("./disk_messages.ts").Following} Following */
/** @typedef {import("./disk_messages.ts").HashedBatch} HashedBatch */
/** @typedef {import("./disk_messages.ts").HashJobs} HashJobs */
/** @typedef {import("./disk_messages.ts").Request} Request */

/** Maximum number of entries sent at once: about 3 ms of work for the receiver. */
const PART_ENTRIES = 1_000;
/** Size of one read of a file, in bytes. */
const READ_BYTES = 512 * 1024;
/** Interval between reports while a large file is hashed, in bytes. */
const REPORT_BYTES = 64 * 1024 * 1024;

/** Number of the kind of regular files; see `KINDS` in disk_thread.ts. */
const FILE = 0;

const buffer = new Uint8Array(READ_BYTES);
const worker = /** @type {{ postMessage(value: unknown): void, onmessage: unknown }} */ (
  /** @type {unknown} */ (globalThis)
);

/** @param {string} path */
function flush(path) {
  let file;
  try {
    file = Deno.openSync(path, { read: true });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return; // deleted in the meantime
    throw error;
  }
  try {
    file.syncSync();
  } finally {
    file.close();
  }
}

/** @param {string} path @returns {Deno.FileInfo | undefined} */
function lstatOrNothing(path) {
  try {
    return Deno.lstatSync(path);
  } catch {
    return undefined; // removed meanwhile, or not ours to see
  }
}

/**
 * What is left of a listing. Deno reads a folder in one piece, and an object for each entry takes ten times as much
 * memory as its name.
 * @typedef {{ dir: string, names: string[], kinds: Uint8Array, at: number }} Listing
 */

/**
 * Listings that have not been asked for to their end, by the number of the first request.
 * @type {Map<number, Listing>}
 */
const listings = new Map();

/** @param {string} dir @returns {Listing} */
function listingOf(dir) {
  /** @type {string[]} */
  const names = [];
  /** @type {number[]} */
  const kinds = [];
  for (const { name, isFile, isDirectory, isSymlink } of Deno.readDirSync(dir)) {
    names.push(name);
    kinds.push(isFile ? FILE : isDirectory ? 1 : isSymlink ? 2 : 3);
  }
  return { dir, names, kinds: Uint8Array.from(kinds), at: 0 };
}

/**
 * Returns the next names in a folder with what `lstat` says of the regular files. The other side asks for one part at a
 * time: a hundred of them at once would keep it busy for half a second.
 * @param {number} of
 */
function more(of) {
  const listing = listings.get(of) ?? { dir: "", names: [], kinds: new Uint8Array(0), at: 0 };
  const { dir, at: from } = listing;
  const names = listing.names.slice(from, from + PART_ENTRIES);
  /** @type {number[]} */
  const figures = [];
  for (const [i, name] of names.entries()) {
    const kind = listing.kinds[from + i] ?? 3;
    const info = kind === FILE ? lstatOrNothing(`${dir}/${name}`) : undefined;
    if (info?.isFile) {
      figures.push(
        kind,
        info.size,
        info.mtime?.getTime() ?? 0,
        info.ctime?.getTime() ?? NaN,
        info.ino ?? 0,
        info.mode ?? NaN,
        info.nlink ?? 1,
      );
    } else figures.push(kind, -1, NaN, NaN, NaN, NaN, NaN);
  }
  listing.at += names.length;
  const isLast = listing.at >= listing.names.length;
  if (isLast) listings.delete(of);
  return { names, figures: Float64Array.from(figures), isLast };
}

/**
 * Hashes a file. `figures` receives five numbers.
 * @param {number} id
 * @param {string} path
 * @param {number} expectedBytes
 * @param {readonly string[]} suffixes
 * @param {number[]} figures
 * @returns {string[]} The digests with each suffix, then the one without.
 */
function hash(id, path, expectedBytes, suffixes, figures) {
  const file = Deno.openSync(path, { read: true });
  try {
    const state = createHash("sha256");
    let sizeBytes = 0;
    let reported = 0;
    for (;;) {
      const read = file.readSync(buffer);
      if (read === null) break;
      state.update(buffer.subarray(0, read));
      sizeBytes += read;
      if (sizeBytes - reported >= REPORT_BYTES) {
        worker.postMessage({ id, readBytes: sizeBytes - reported });
        reported = sizeBytes;
      }
      // A short read at the expected end is the end, and one call less. If the file grew, its look tells.
      if (read < buffer.length && sizeBytes === expectedBytes) break;
    }
    // A file that was replaced meanwhile has one name less, and so another change time.
    const after = file.statSync();
    const digests = suffixes.map((suffix) => state.copy().update(suffix).digest("hex"));
    digests.push(state.digest("hex"));
    figures.push(
      sizeBytes,
      after.isFile ? after.size : -1,
      after.mtime?.getTime() ?? 0,
      after.ctime?.getTime() ?? NaN,
      after.ino ?? 0,
    );
    return digests;
  } finally {
    file.close();
  }
}

/**
 * @param {number} id
 * @param {HashJobs} jobs
 * @returns {HashedBatch}
 */
function hashAll(id, { dir, names, sizes, suffixes }) {
  /** @type {string[]} */
  const sha256s = [];
  /** @type {string[]} */
  const digests = [];
  /** @type {number[]} */
  const figures = [];
  /** @type {Map<number, Failure>} */
  const errors = new Map();
  for (const [i, name] of names.entries()) {
    const own = suffixes[i] ?? [];
    try {
      const made = hash(id, `${dir}/${name}`, sizes[i] ?? 0, own, figures);
      sha256s.push(made.pop() ?? "");
      digests.push(...made);
    } catch (error) {
      sha256s.push("");
      digests.push(...own.map(() => ""));
      figures.push(0, -1, 0, NaN, 0);
      errors.set(i, plain(error));
    }
  }
  return { sha256s, digests, figures: Float64Array.from(figures), errors };
}

/**
 * Files that are hashed as they grow, by their number.
 * @type {Map<number, { file: Deno.FsFile, state: import("node:crypto").Hash, at: number }>}
 */
const followed = new Map();

/**
 * Hashes a file on to `end`, and returns the state.
 * @param {Following} following
 */
function follow({ of, path, end }) {
  let following = followed.get(of);
  if (!following) {
    following = { file: Deno.openSync(path, { read: true }), state: createHash("sha256"), at: 0 };
    followed.set(of, following);
  }
  while (following.at < end) {
    const piece = buffer.subarray(0, Math.min(buffer.length, end - following.at));
    const read = following.file.readSync(piece);
    if (read === null) throw new Error("The file became shorter while it was being written");
    following.state.update(piece.subarray(0, read));
    following.at += read;
  }
  return following.state;
}

/** @param {number} of */
function unfollow(of) {
  followed.get(of)?.file.close();
  followed.delete(of);
}

/** @param {unknown} error */
const plain = (error) =>
  error instanceof Error
    ? {
      name: error.name,
      message: error.message,
      code: "code" in error ? String(error.code) : undefined,
    }
    : { name: "Error", message: String(error), code: undefined };

worker.onmessage = (/** @type {{ data: Request }} */ { data: request }) => {
  const { id } = request;
  try {
    if (request.kind === "list") {
      listings.clear(); // of a listing that was given up
      listings.set(id, listingOf(request.dir));
      return worker.postMessage({ id, isEnd: true, value: { ...more(id), of: id } });
    }
    if (request.kind === "more") {
      return worker.postMessage({
        id,
        isEnd: true,
        value: { ...more(request.of), of: request.of },
      });
    }
    if (request.kind === "flush") {
      for (const path of request.paths) flush(path);
      return worker.postMessage({ id, isEnd: true });
    }
    if (request.kind === "follow") {
      follow(request);
      return worker.postMessage({ id, isEnd: true });
    }
    if (request.kind === "digests") {
      const state = follow(request);
      const digests = request.suffixes.map((suffix) => state.copy().update(suffix).digest("hex"));
      return worker.postMessage({ id, isEnd: true, value: digests });
    }
    if (request.kind === "unfollow") {
      unfollow(request.of);
      return worker.postMessage({ id, isEnd: true });
    }
    if (request.kind === "stat") {
      const missing = request.names.filter((name) => {
        const info = lstatOrNothing(`${request.dir}/${name}`);
        return !info?.isFile || (info.mode !== null && (info.mode & 0o444) === 0);
      });
      return worker.postMessage({ id, isEnd: true, value: missing });
    }
    worker.postMessage({ id, isEnd: true, value: hashAll(id, request.jobs) });
  } catch (error) {
    worker.postMessage({ id, isEnd: true, error: plain(error) });
  }
};
