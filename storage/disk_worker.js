// @ts-check
// Lists folders and hashes files in a thread of its own, so that a slow disk keeps nobody waiting. Runs in a worker;
// `disk_thread.ts` is the other end. Everything is synchronous: that takes a third of the time of promises here, and
// whoever waits is in another thread.

import { createHash } from "node:crypto";

/** @typedef {import("./disk_messages.ts").HashResult} HashResult */
/** @typedef {import("./disk_messages.ts").Request} Request */

/** Number of numbers for each entry of a listing. */
const FIGURES = 7;
/** Maximum number of entries sent at once: about 3 ms of work for the receiver. */
const PART_ENTRIES = 1_000;
/** Size of one read of a file, in bytes. */
const READ_BYTES = 1024 * 1024;
/** Interval between reports while a large file is hashed, in bytes. */
const REPORT_BYTES = 64 * 1024 * 1024;

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
 * Sends the names in a folder with what `lstat` says of the regular files, a part at a time.
 * @param {number} id
 * @param {string} dir
 */
function list(id, dir) {
  /** @type {string[]} */
  let names = [];
  /** @type {number[]} */
  let figures = [];
  const send = () => {
    worker.postMessage({ id, names, figures: Float64Array.from(figures) });
    names = [];
    figures = [];
  };
  for (const { name, isFile, isDirectory, isSymlink } of Deno.readDirSync(dir)) {
    const info = isFile ? lstatOrNothing(`${dir}/${name}`) : undefined;
    names.push(name);
    const kind = isFile ? 0 : isDirectory ? 1 : isSymlink ? 2 : 3;
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
    if (figures.length >= FIGURES * PART_ENTRIES) send();
  }
  send();
  worker.postMessage({ id, isEnd: true });
}

/**
 * @param {number} id
 * @param {string} path
 * @param {number} expectedBytes
 * @param {readonly string[]} suffixes
 * @returns {HashResult}
 */
function hash(id, path, expectedBytes, suffixes) {
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
    const look = {
      sizeBytes: after.isFile ? after.size : -1,
      mtimeMs: after.mtime?.getTime() ?? 0,
      ctimeMs: after.ctime?.getTime(),
      inode: after.ino || undefined,
    };
    return { sizeBytes, sha256: state.digest("hex"), digests, look };
  } finally {
    file.close();
  }
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
    if (request.kind === "list") return list(id, request.dir);
    if (request.kind === "flush") {
      for (const path of request.paths) flush(path);
      return worker.postMessage({ id, isEnd: true });
    }
    if (request.kind === "stat") {
      const missing = request.names.filter((name) => {
        const info = lstatOrNothing(`${request.dir}/${name}`);
        return !info?.isFile || (info.mode !== null && (info.mode & 0o444) === 0);
      });
      return worker.postMessage({ id, isEnd: true, value: missing });
    }
    const { dir, names, sizes, suffixes } = request.jobs;
    const results = names.map((name, i) => {
      try {
        return hash(id, `${dir}/${name}`, sizes[i] ?? 0, suffixes[i] ?? []);
      } catch (error) {
        return { error: plain(error) };
      }
    });
    worker.postMessage({ id, isEnd: true, value: results });
  } catch (error) {
    worker.postMessage({ id, isEnd: true, error: plain(error) });
  }
};
