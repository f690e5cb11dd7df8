// What lies in the folder against what the shelf says: new files become ours or turn out to be known ones,
// changed and missing ones are no longer held. Runs at start and every few seconds while the peer runs.
// Always holds: only plain files directly in the folder are looked at, never links, devices, folders,
// hidden files or our own; a file is taken only after it stood still; content is hashed before it is shown.

import type { Hash } from "node:crypto";
import {
  isBindingTimestamp,
  ownTimestamp,
  type Timestamp,
  timestampSeconds,
  verifyingTimestamp,
} from "../protocol/fileid.ts";
import type { FileRecord } from "../protocol/message.ts";
import { hashFile } from "./intake.ts";
import type { Placement } from "./metadata.ts";
import { isOwnName, nameKey, safeName } from "./names.ts";
import type { Shelf, ShelvedFile } from "./shelf.ts";

/** A file must look the same twice, so far apart, before it is taken: it may still be written. */
export const SETTLE_MS = 400;
const BYTES_PER_MIB = 1024 * 1024;

/** What the rest of the peer knows, for finding out which file lies there. */
export interface Knowledge {
  /** Known files that are not held, with all timestamps told for each. */
  unheld(): Iterable<{ readonly file: FileRecord; readonly otherTimestamps: readonly Timestamp[] }>;
  /** Whether a new file must not take this id: it is known or was deleted. */
  isTaken(fileId: string): boolean;
}

export interface Changes {
  /** Files of others, noticed by their content. */
  found: ShelvedFile[];
  /** New files, ours from now on. */
  published: ShelvedFile[];
  lost: string[];
  /** Names that were seen but not taken yet: look again soon. */
  unsettled: number;
  /** Names whose content could not be read, with the reason. */
  unreadable: { readonly name: string; readonly text: string }[];
  /** What lies in the folder and is no plain file, told once for each. */
  passedOver: { readonly name: string; readonly what: string }[];
  /** The folder had been removed, and was made anew. */
  isRemade?: boolean;
}

interface Look {
  readonly size: number;
  readonly mtimeMs: number;
  readonly sinceMs: number;
}

type Candidate = { readonly file: FileRecord; readonly otherTimestamps: readonly Timestamp[] };

export interface ReconcileOptions {
  readonly dir: string;
  readonly owner: string;
  readonly shelf: Shelf;
  /** Names whose owner is not known any more: never published, only recognized. */
  readonly unclaimed: Set<string>;
  /** Where files lay by the word of the journal that are to be looked at again. */
  readonly homes: ReadonlyMap<string, string>;
  /** Unix milliseconds. */
  readonly now: () => number;
}

export class Reconciler {
  /** What was seen and not taken yet. */
  readonly #looks = new Map<string, Look>();
  /** What is no plain file, and was told. */
  readonly #passedOver = new Set<string>();
  /** Files that were tried in vain, so that they are not hashed at each scan. */
  readonly #unrecognized = new Map<string, string>();

  constructor(readonly options: ReconcileOptions) {}

  /** One look at the folder. `atStart`: files need not be seen twice, unless they changed just now. */
  async scan(knowledge: Knowledge, atStart = false): Promise<Changes> {
    const { dir, shelf, homes, now } = this.options;
    const changes: Changes = {
      found: [],
      published: [],
      lost: [],
      unsettled: 0,
      unreadable: [],
      passedOver: [],
    };
    const present = new Map<string, Deno.FileInfo>();
    const aside = new Map<string, string>();
    const known = new Set(shelf.names()); // what is shelved while we look is not missing
    for await (const entry of Deno.readDir(dir)) {
      if (isOwnName(entry.name) || shelf.isReserved(entry.name)) continue;
      const info = entry.isFile ? await lstatOrNothing(`${dir}/${entry.name}`) : undefined;
      if (info?.isFile && isReadable(info)) present.set(entry.name, info);
      else {
        const what = whyNot(entry, info);
        if (what !== undefined) aside.set(entry.name, what);
      }
    }
    for (const name of this.#passedOver) if (!aside.has(name)) this.#passedOver.delete(name);
    for (const [name, what] of aside) {
      if (this.#passedOver.has(name)) continue;
      this.#passedOver.add(name);
      changes.passedOver.push({ name, what });
    }
    for (const name of [...shelf.names()]) {
      if (!present.has(name) && !shelf.isReserved(name) && !(await this.#isThere(name))) {
        changes.lost.push(...shelf.idsAt(name));
      }
    }
    for (const name of this.#looks.keys()) if (!present.has(name)) this.#looks.delete(name);
    for (const name of this.options.unclaimed) {
      if (!present.has(name)) this.options.unclaimed.delete(name);
    }

    const isIntact = (diskName: string) => {
      if (!known.has(diskName)) return true;
      const there = present.get(diskName);
      return there !== undefined && this.#isUnchanged(diskName, there.size, mtimeOf(there));
    };
    let index: CandidateIndex | undefined;
    for (const [name, info] of present) {
      const mtimeMs = mtimeOf(info);
      if (this.#isUnchanged(name, info.size, mtimeMs)) continue;
      if (!this.#isSettled(name, info.size, mtimeMs, now(), atStart)) {
        changes.unsettled++;
        continue;
      }
      index ??= new CandidateIndex(knowledge, shelf, (diskName) => isIntact(diskName));
      const former = shelf.idsAt(name).map((fileId) => shelf.get(fileId)!.file);
      const candidates = index.fitting(name, info.size, former);
      // Of several files with the same content, each id stays with its own.
      const isElsewhere = (fileId: string) => {
        const home = atStart ? homes.get(fileId) : undefined;
        return (home !== undefined && home !== name && present.has(home)) ||
          changes.found.some(({ file }) => file.fileId === fileId);
      };
      if (this.options.unclaimed.has(name)) {
        // Hashing again makes sense only when there is something new to compare with.
        const key = [info.size, mtimeMs, ...candidates.map(({ file }) => file.fileId)].join();
        if (candidates.length === 0 || this.#unrecognized.get(name) === key) continue;
        this.#unrecognized.set(name, key);
      }
      try {
        await this.#take(name, info, candidates, isElsewhere, knowledge, changes);
        this.#looks.delete(name);
      } catch (error) {
        if (error instanceof Changed) changes.unsettled++;
        else {
          changes.unreadable.push({
            name,
            text: error instanceof Error ? error.message : String(error),
          });
        }
      }
    }
    return changes;
  }

  /** Readdir may miss a name that is being renamed; only a second look says that it is gone. */
  async #isThere(name: string): Promise<boolean> {
    const info = await lstatOrNothing(`${this.options.dir}/${name}`);
    return info?.isFile === true && isReadable(info);
  }

  #isUnchanged(name: string, size: number, mtimeMs: number): boolean {
    const [fileId] = this.options.shelf.idsAt(name);
    if (fileId === undefined) return false;
    const { placement } = this.options.shelf.get(fileId)!;
    return placement.sizeBytes === size && placement.mtimeMs === mtimeMs;
  }

  #isSettled(
    name: string,
    size: number,
    mtimeMs: number,
    nowMs: number,
    atStart: boolean,
  ): boolean {
    if (atStart && nowMs - mtimeMs >= SETTLE_MS) return true;
    const look = this.#looks.get(name);
    if (look && look.size === size && look.mtimeMs === mtimeMs) {
      return nowMs - look.sinceMs >= SETTLE_MS;
    }
    this.#looks.set(name, { size, mtimeMs, sinceMs: nowMs });
    return false;
  }

  async #take(
    name: string,
    info: Deno.FileInfo,
    candidates: readonly Candidate[],
    isElsewhere: (fileId: string) => boolean,
    knowledge: Knowledge,
    changes: Changes,
  ): Promise<void> {
    const { dir, owner, shelf, unclaimed, now } = this.options;
    const path = `${dir}/${name}`;
    const { hash, sizeBytes } = await hashFile(path);
    const digestWith = (suffix: string) => hash.copy().update(suffix).digest("hex");
    const found: { file: FileRecord; pushed: boolean }[] = [];
    let isCopy = false;
    for (const { file, otherTimestamps } of candidates) {
      const timestamps = [file.timestamp, ...otherTimestamps];
      const timestamp = verifyingTimestamp(file.fileId, timestamps, digestWith);
      if (!timestamp) continue;
      if (isElsewhere(file.fileId)) {
        isCopy = true;
        continue;
      }
      const pushed = shelf.get(file.fileId)?.pushed ?? false;
      found.push({ file: { ...file, timestamp, sizeBytes }, pushed });
    }
    const foundIds = new Set(found.map(({ file }) => file.fileId));
    changes.lost.push(...shelf.idsAt(name).filter((fileId) => !foundIds.has(fileId)));
    if (found.length === 0) {
      // A copy of what somebody owns is not ours, nor what became of somebody else's file.
      const isOthers = shelf.idsAt(name).some((fileId) => shelf.get(fileId)!.file.owner !== owner);
      if (isCopy || isOthers) unclaimed.add(name);
      if (unclaimed.has(name)) return;
      const seconds = (info.mtime?.getTime() ?? 0) / 1000;
      const { fileId, timestamp } = freeId(
        digestWith,
        seconds,
        now() / 1000,
        (id) => knowledge.isTaken(id) || shelf.isTaken(id),
      );
      const file = { fileId, name, owner, timestamp, size: sizeBytes / BYTES_PER_MIB, sizeBytes };
      shelf.claim(fileId);
      try {
        const placement = await this.#settle(name, info, hash, sizeBytes, timestamp);
        changes.published.push({ file, pushed: false, placement });
      } catch (cause) {
        shelf.unclaim(fileId);
        throw cause;
      }
      return;
    }
    const placement = await this.#settle(name, info, hash, sizeBytes, found[0]!.file.timestamp);
    for (const each of found) changes.found.push({ ...each, placement });
    unclaimed.delete(name);
  }

  /** Gives the file its timestamp as modification time, if it is still what was hashed. */
  async #settle(
    name: string,
    hashed: Deno.FileInfo,
    hash: Hash,
    sizeBytes: number,
    timestamp: Timestamp,
  ): Promise<Placement> {
    const path = `${this.options.dir}/${name}`;
    const info = await Deno.lstat(path);
    if (
      !info.isFile || info.size !== sizeBytes || info.mtime?.getTime() !== hashed.mtime?.getTime()
    ) throw new Changed();
    await setModified(path, timestamp);
    const after = await Deno.lstat(path);
    return {
      diskName: name,
      sizeBytes,
      sha256: hash.copy().digest("hex"),
      mtimeMs: after.mtime?.getTime() ?? 0,
    };
  }
}

/** The file changed while it was hashed; it is looked at again. */
class Changed extends Error {}

/** Sets the modification time to what the timestamp means; not possible for files of other users. */
export async function setModified(path: string, timestamp: Timestamp): Promise<void> {
  const seconds = timestampSeconds(timestamp);
  if (seconds === undefined) return;
  const time = new Date(seconds * 1000);
  await Deno.utime(path, time, time).catch((error) => {
    // A file of another user can be shared but not touched; its own time then serves as well.
    if (
      !(error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable)
    ) {
      throw error;
    }
  });
}

/** The id of a new file of ours: by its own time where that is possible, else by the present second. */
export function freeId(
  digestWith: (suffix: string) => string,
  modifiedSeconds: number,
  nowSeconds: number,
  isTaken: (fileId: string) => boolean,
): { fileId: string; timestamp: Timestamp } {
  let timestamp = ownTimestamp(modifiedSeconds);
  for (let seconds = nowSeconds;; seconds++) {
    const fileId = digestWith(timestamp.text);
    if (isBindingTimestamp(timestamp) && !isTaken(fileId)) return { fileId, timestamp };
    timestamp = ownTimestamp(seconds);
  }
}

/** Known files by name and size, made once per scan that needs it. */
class CandidateIndex {
  readonly #byKey = new Map<string, Candidate[]>();

  constructor(knowledge: Knowledge, shelf: Shelf, isIntact: (diskName: string) => boolean) {
    for (const candidate of knowledge.unheld()) {
      if (!shelf.get(candidate.file.fileId)) this.#add(candidate);
    }
    // What is not any more where it was may have been renamed.
    for (const { file, placement } of shelf.all()) {
      if (!isIntact(placement.diskName)) this.#add({ file, otherTimestamps: [] });
    }
  }

  #add(candidate: Candidate): void {
    const { file } = candidate;
    this.#put(`name ${nameKey(safeName(file.name))}`, candidate);
    for (const bytes of new Set([file.sizeBytes, file.size, file.size * BYTES_PER_MIB])) {
      if (bytes !== undefined) this.#put(`size ${Math.round(bytes)}`, candidate);
    }
  }

  /** What may lie in a file of this name and size, and what lay there before. */
  fitting(name: string, size: number, former: readonly FileRecord[]): Candidate[] {
    const fitting = new Map<string, Candidate>();
    for (const file of former) fitting.set(file.fileId, { file, otherTimestamps: [] });
    for (const key of [`name ${nameKey(name)}`, `size ${size}`]) {
      for (const candidate of this.#byKey.get(key) ?? []) {
        fitting.set(candidate.file.fileId, candidate);
      }
    }
    return [...fitting.values()];
  }

  #put(key: string, candidate: Candidate): void {
    const known = this.#byKey.get(key);
    if (known) known.push(candidate);
    else this.#byKey.set(key, [candidate]);
  }
}

/** A file that nobody may read is as good as none, until somebody may again. */
const isReadable = ({ mode }: Deno.FileInfo) => mode === null || (mode & 0o444) !== 0;

/** Why an entry of the folder is not shared; undefined for a plain file that went meanwhile. */
function whyNot(entry: Deno.DirEntry, info: Deno.FileInfo | undefined): string | undefined {
  const { name, isFile, isDirectory, isSymlink } = entry;
  if (isDirectory) return "a folder";
  if (isSymlink) return "a link";
  if (!isFile) return "no plain file";
  if (info?.isFile) return "nobody may read it";
  // Deno cannot open a file whose name is no UTF-8.
  return name.includes("\ufffd") ? "a name that is not UTF-8" : undefined;
}

const mtimeOf = (info: Deno.FileInfo) => info.mtime?.getTime() ?? 0;

async function lstatOrNothing(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
