// Compares the folder with the shelf: new files become ours or turn out to be known ones, renamed files keep their
// id, changed and missing files are no longer held. Runs at start and every few seconds while the peer runs.
// Invariants: only regular files directly in the folder are considered, never links, devices, folders, hidden files
// or the store's own; a file is taken only after it has stopped changing; content is hashed before it is shown;
// nothing in the folder is written to; a scan costs the same per file however many files are alike.

import type { Hash } from "node:crypto";
import { type Timestamp, verifyingTimestamp } from "../protocol/wire/fileid.ts";
import { type FileRecord, labelOf } from "../protocol/wire/message.ts";
import { BackgroundHashing, type Hashed, LARGE_BYTES } from "./background.ts";
import { type Candidate, CandidateIndex } from "./candidates.ts";
import { hashFile } from "./intake.ts";
import { isSameLook, type Look, lookOf, looksAsHashed, Settling } from "./looks.ts";
import type { Placement } from "./metadata.ts";
import { lstatOrNothing } from "./layout.ts";
import { isHidden, isOwnName } from "./names.ts";
import type { OwnIds } from "./ownids.ts";
import { isTransient } from "./reader.ts";
import type { Shelf, ShelvedFile } from "./shelf.ts";

export { SETTLE_MS } from "./looks.ts";
const BYTES_PER_MIB = 1024 * 1024;
/**
 * Maximum content, in bytes, and number of files hashed in one scan, so that the first results are shown before the
 * rest is read.
 */
const MAX_HASHED_BYTES = 256 * BYTES_PER_MIB;
const MAX_HASHED_FILES = 1_000;
/** Maximum number of files of unknown owner whose hash state is kept. Others are read again to be compared. */
const MAX_KEPT_HASHES = 1_000;
/**
 * Delay before a file that could not be read is tried again, in milliseconds. Doubles from the first up to the
 * last.
 */
const FIRST_RETRY_MS = 5_000;
const LAST_RETRY_MS = 300_000;
/** Delay before the next scan while this process is out of file descriptors, in milliseconds. */
const TRANSIENT_MS = 1_000;
/**
 * How long a hidden file must exist before it is reported, in milliseconds: editors and rsync remove theirs sooner.
 */
const HIDDEN_MS = 30_000;

/** What the rest of the peer knows about files, needed to recognize the ones in the folder. */
export interface Knowledge {
  /** Returns the known files that are not held, with all timestamps reported for each. */
  unheld(): Iterable<{ readonly file: FileRecord; readonly otherTimestamps: readonly Timestamp[] }>;
  /** Returns a number that grows whenever the result of `unheld` may have changed. */
  revision(): number;
  /** Returns whether a new file must not take this id, because it is known or was deleted. */
  isTaken(fileId: string): boolean;
}

/** A file in the folder that was recognized as a known one. */
export interface FoundFile extends ShelvedFile {
  /** Whether a person renamed it in the folder; `file.name` is the new name. */
  readonly isRenamed?: boolean;
}

/** What one scan found. */
export interface Changes {
  /** Known files, recognized by their content. */
  found: FoundFile[];
  /** New files, which are ours from now on. */
  published: ShelvedFile[];
  /** Ids that are no longer held: the file was removed, or has different content now. */
  lost: string[];
  /** The part of `lost` whose file now has different content. */
  edited: Set<string>;
  /**
   * Ids of other owners' files whose content changed while their modification time did not. No person does that, so
   * the file is damaged.
   */
  damaged: string[];
  /** Number of files that were seen but not taken yet. */
  unsettled: number;
  /** Delay after which another scan is worthwhile, in milliseconds; `undefined` if nothing is waiting for one. */
  againMs: number | undefined;
  /** Files whose content could not be read, with the reason. */
  unreadable: { readonly name: string; readonly text: string }[];
  /** Entries of the folder that are not shared, with the reason. Each is reported once. */
  passedOver: { readonly name: string; readonly what: string }[];
  /** Whether the folder had been removed and was created again. */
  isRemade?: boolean;
  /** How long listing the folder took, without hashing, in milliseconds. */
  lookedMs?: number;
}

/** Returns the result of a scan that found nothing. */
export function noChanges(): Changes {
  return {
    found: [],
    published: [],
    lost: [],
    edited: new Set(),
    damaged: [],
    unsettled: 0,
    againMs: undefined,
    unreadable: [],
    passedOver: [],
  };
}

/** What `Reconciler` needs of the store. */
export interface ReconcileOptions {
  /** The folder with the shared files. */
  readonly dir: string;
  /** Owner of new files. */
  readonly owner: string;
  /** The held files. The store applies the changes that a scan returns. */
  readonly shelf: Shelf;
  /** Chooses ids for new files. */
  readonly ownIds: OwnIds;
  /** Larger files are not shared, in bytes. */
  readonly maxFileBytes: number;
  /** Names of files whose owner is unknown: never published, only recognized. */
  readonly unclaimed: Set<string>;
  /** Former places, by id, of files that a crash may have damaged and that are hashed again. */
  readonly suspects: ReadonlyMap<string, Placement>;
  /** The current time, Unix milliseconds. */
  readonly now: () => number;
  /** Aborted when the store closes. */
  readonly signal: AbortSignal;
  /** Called when a large file was hashed, so another scan is worthwhile. */
  readonly onHashed: () => void;
}

/** A regular file in the folder. */
interface Present {
  readonly name: string;
  readonly look: Look;
  readonly info: Deno.FileInfo;
  /** Why it is not shared although it could be read. */
  readonly barred: string | undefined;
}

/** One scan in progress. */
interface Pass {
  readonly knowledge: Knowledge;
  readonly atStart: boolean;
  readonly changes: Changes;
  readonly present: ReadonlyMap<string, Present>;
  readonly index: CandidateIndex;
  /** Ids that this scan has already found. */
  readonly foundIds: Set<string>;
  /** Hashes of files that have several names, by inode. */
  readonly byInode: Map<string, Hashed>;
}

interface Unrecognized {
  readonly look: Look;
  readonly revision: number;
  readonly state: string;
  readonly hashed: Hashed | undefined;
}

/** Scans the folder and remembers what it needs between scans. */
export class Reconciler {
  readonly #settling = new Settling();
  readonly #background: BackgroundHashing;
  /** Names that are not shared and have been reported. */
  readonly #reported = new Set<string>();
  /** Hidden files, and when each was first seen, Unix milliseconds. */
  readonly #hidden = new Map<string, number>();
  /** Files that matched no known file, and what they were compared with. */
  readonly #unrecognized = new Map<string, Unrecognized>();
  readonly #unread = new Map<string, { look: Look; pauseMs: number; untilMs: number }>();
  /** Whether this file system does not keep inode numbers stable, as with some FUSE file systems. */
  #ignoresInode = false;

  /** Scans nothing yet. */
  constructor(readonly options: ReconcileOptions) {
    this.#background = new BackgroundHashing(options.signal, options.onHashed);
  }

  /** Number of large files being hashed or queued. */
  get hashing(): number {
    return this.#background.pending;
  }

  /**
   * Scans the folder once. At start, files need not be seen twice unless they changed a moment ago. Scans must not
   * overlap. Throws file system errors as they are.
   */
  async scan(knowledge: Knowledge, atStart = false): Promise<Changes> {
    const { shelf } = this.options;
    const beganMs = performance.now();
    const changes = noChanges();
    // Files that are shelved during this scan, or are just being put in place, are not missing.
    const known = new Set([...shelf.names()].filter((name) => !shelf.isReserved(name)));
    const present = await this.#list(changes, atStart);
    changes.lost = await this.#lostIds(present, known);
    this.#forgetMissing(present);
    changes.lookedMs = performance.now() - beganMs;

    const due = [...present.values()].filter((file) => this.#isDue(file, atStart, changes));
    const toTake = due.filter((file) => this.#hasNews(file, knowledge));
    if (toTake.length === 0) return changes;
    const isIntact = (diskName: string) => {
      const there = present.get(diskName);
      return !known.has(diskName) || (there !== undefined && this.#isUnchanged(there));
    };
    const look: Pass = {
      knowledge,
      atStart,
      changes,
      present,
      index: new CandidateIndex(this.#candidates(knowledge, isIntact)),
      foundIds: new Set(),
      byInode: new Map(),
    };
    await this.#takeAll(this.#inOrder(toTake, present, known), look);
    return changes;
  }

  /** Returns the ids of shelved files that are gone from the folder, and were not merely renamed. */
  async #lostIds(
    present: ReadonlyMap<string, Present>,
    known: ReadonlySet<string>,
  ): Promise<string[]> {
    const { dir, shelf, unclaimed } = this.options;
    const newInodes = new Set<number>();
    for (const { name, look, barred } of present.values()) {
      const isNew = !known.has(name) && !unclaimed.has(name) && barred === undefined;
      if (isNew && look.inode !== undefined) newInodes.add(look.inode);
    }
    const lost: string[] = [];
    for (const name of [...shelf.names()]) {
      if (present.has(name) || shelf.isReserved(name) || await isThere(`${dir}/${name}`)) continue;
      const ids = shelf.idsAt(name);
      // The same inode under a new name means it was renamed; it will be recognized once it has stopped changing.
      const { inode } = shelf.get(ids[0]!)!.placement;
      if (inode !== undefined && newInodes.has(inode)) continue;
      for (const fileId of ids) lost.push(fileId);
    }
    return lost;
  }

  /**
   * Files that were here before come first and keep their ids, then renamed ones, then new ones by size, so that nothing
   * waits for a large file.
   */
  #inOrder(
    files: Present[],
    present: ReadonlyMap<string, Present>,
    known: ReadonlySet<string>,
  ): Present[] {
    const gone = new Set<number | undefined>();
    for (const { placement } of this.options.shelf.all()) {
      if (!present.has(placement.diskName)) gone.add(placement.inode);
    }
    gone.delete(undefined);
    const rank = ({ name, look }: Present) => known.has(name) ? 0 : gone.has(look.inode) ? 1 : 2;
    return files.sort((a, b) =>
      rank(a) - rank(b) || a.look.sizeBytes - b.look.sizeBytes || (a.name < b.name ? -1 : 1)
    );
  }

  /** Takes files in order, at most so many at once that the scan stays short: the rest waits for the next one. */
  async #takeAll(toTake: readonly Present[], look: Pass): Promise<void> {
    const { atStart, changes } = look;
    let [files, bytes] = [0, 0];
    for (const file of toTake) {
      if (!atStart && (files >= MAX_HASHED_FILES || bytes >= MAX_HASHED_BYTES)) {
        wait(changes, 0);
        continue;
      }
      if (!await this.#tryToTake(file, look)) continue;
      files++;
      if (file.look.sizeBytes <= LARGE_BYTES) bytes += file.look.sizeBytes;
    }
    // An id that moved to another name is not lost.
    changes.lost = changes.lost.filter((fileId) => !look.foundIds.has(fileId));
    for (const fileId of look.foundIds) changes.edited.delete(fileId);
  }

  /** Returns the regular files of the folder, and reports what is not shared. */
  async #list(changes: Changes, atStart: boolean): Promise<Map<string, Present>> {
    const { dir, shelf, maxFileBytes, now } = this.options;
    const present = new Map<string, Present>();
    const aside = new Map<string, string>();
    const hidden = new Set<string>();
    for await (const entry of Deno.readDir(dir)) {
      const { name } = entry;
      if (isOwnName(name) || shelf.isReserved(name)) continue;
      if (isHidden(name)) {
        hidden.add(name);
        if (!this.#hidden.has(name)) this.#hidden.set(name, now());
        if (atStart || now() - this.#hidden.get(name)! >= HIDDEN_MS) aside.set(name, "hidden");
        continue;
      }
      const info = entry.isFile ? await lstatOrNothing(`${dir}/${name}`) : undefined;
      if (info?.isFile && isReadable(info)) {
        const barred = info.size === 0
          ? "empty"
          : info.size > maxFileBytes
          ? "larger than --max-file-size"
          : undefined;
        present.set(name, { name, look: lookOf(info), info, barred });
      } else {
        const what = whyNot(entry, info);
        if (what !== undefined) aside.set(name, what);
      }
    }
    for (const name of this.#hidden.keys()) if (!hidden.has(name)) this.#hidden.delete(name);
    for (const name of this.#reported) {
      if (!aside.has(name) && present.get(name)?.barred === undefined) this.#reported.delete(name);
    }
    for (const [name, what] of aside) this.#report(name, what, changes);
    return present;
  }

  #report(name: string, what: string, changes: Changes): void {
    if (this.#reported.has(name)) return;
    this.#reported.add(name);
    changes.passedOver.push({ name, what });
  }

  #forgetMissing(present: ReadonlyMap<string, Present>): void {
    const isPresent = (name: string) => present.has(name);
    this.#settling.tidy(isPresent, this.options.now());
    this.#background.tidy(isPresent);
    for (const names of [this.options.unclaimed, this.#unrecognized, this.#unread]) {
      for (const name of names.keys()) if (!isPresent(name)) names.delete(name);
    }
  }

  /** Returns whether a file differs from what the shelf says and has stopped changing. */
  #isDue(file: Present, atStart: boolean, changes: Changes): boolean {
    const { shelf, now } = this.options;
    const { name, look, barred } = file;
    if (this.#isUnchanged(file)) return false;
    const [known] = shelf.idsAt(name);
    if (barred !== undefined && known === undefined && this.#reported.has(name)) return false;
    const nowMs = now();
    const placed = known === undefined ? undefined : shelf.get(known)!.placement;
    const waitMs = this.#settling.waitMs(name, look, nowMs, placed?.mtimeMs);
    const isOld = atStart && nowMs - look.mtimeMs >= waitMs;
    if (waitMs > 0 && !isOld) {
      wait(changes, waitMs);
      return false;
    }
    const unread = this.#unread.get(name);
    if (!unread || !isSameLook(unread.look, look)) return true;
    return nowMs >= unread.untilMs;
  }

  /** Returns false for a file of unknown owner if everything known has already been compared with it. */
  #hasNews({ name, look }: Present, knowledge: Knowledge): boolean {
    if (!this.options.unclaimed.has(name)) return true;
    const before = this.#unrecognized.get(name);
    return !before || before.revision !== knowledge.revision() ||
      !isSameLook(before.look, look);
  }

  #isUnchanged({ name, look }: Present): boolean {
    const { shelf } = this.options;
    const [fileId] = shelf.idsAt(name);
    if (fileId === undefined) return false;
    const { placement } = shelf.get(fileId)!;
    if (looksAsHashed(look, placement)) return true;
    if (!this.#ignoresInode || !looksAsHashed(look, placement, true)) return false;
    shelf.relook(name, { ...look, inode: undefined });
    return true;
  }

  /** Yields known files that are not where they were or were never here. */
  *#candidates(
    knowledge: Knowledge,
    isIntact: (diskName: string) => boolean,
  ): Iterable<Candidate> {
    const { shelf, suspects } = this.options;
    for (const { file, otherTimestamps } of knowledge.unheld()) {
      if (shelf.get(file.fileId)) continue;
      const before = suspects.get(file.fileId);
      yield {
        file,
        otherTimestamps,
        ...(before ? { home: before.diskName, sha256: before.sha256 } : {}),
      };
    }
    // A file that is no longer where it was may have been renamed.
    for (const { file, placement } of shelf.all()) {
      const { diskName, sha256 } = placement;
      if (!isIntact(diskName)) yield { file, otherTimestamps: [], sha256, home: diskName };
    }
  }

  /** Takes a file or records why not. Returns false if that cost no reading. */
  async #tryToTake(file: Present, look: Pass): Promise<boolean> {
    const { name, barred } = file;
    const { changes } = look;
    const { shelf, now } = this.options;
    if (barred !== undefined) {
      this.#report(name, barred, changes);
      this.#lose(shelf.idsAt(name), changes);
      return false;
    }
    try {
      const hashed = await this.#hash(file, look);
      if (!hashed) return false;
      this.#unread.delete(name);
      await this.#take(file, hashed, look);
      this.#settling.taken(name);
    } catch (error) {
      this.options.signal.throwIfAborted();
      // While many files move to the trash, some are gone since they were listed.
      if (error instanceof Changed || error instanceof Deno.errors.NotFound) wait(changes, 0);
      else if (isTransient(error)) wait(changes, TRANSIENT_MS); // says nothing about the file
      else {
        const pauseMs = Math.min(
          LAST_RETRY_MS,
          2 * (this.#unread.get(name)?.pauseMs ?? FIRST_RETRY_MS / 2),
        );
        this.#unread.set(name, { look: file.look, pauseMs, untilMs: now() + pauseMs });
        const text = error instanceof Error ? error.message : String(error);
        changes.unreadable.push({ name, text });
      }
    }
    return true;
  }

  /**
   * Returns `undefined` while the file is being hashed in the background, or if there is nothing new to compare it
   * with.
   */
  async #hash(file: Present, { index, knowledge, atStart, byInode, changes }: Pass) {
    const { dir, unclaimed, signal } = this.options;
    const { name, look, info } = file;
    if (unclaimed.has(name)) {
      const clues = { name, ...look };
      const before = this.#unrecognized.get(name);
      const isSame = before !== undefined && isSameLook(before.look, look);
      if (!index.hasAny(clues) || (isSame && before?.state === index.state(clues))) {
        const revision = knowledge.revision();
        const kept = isSame ? before : undefined;
        const state = index.state(clues);
        this.#unrecognized.set(name, { look, revision, state, hashed: kept?.hashed });
        return undefined;
      }
      if (isSame && before?.hashed) return before.hashed;
    }
    const inode = info.nlink !== null && info.nlink > 1 ? `${info.dev} ${info.ino}` : undefined;
    const known = inode === undefined ? undefined : byInode.get(inode);
    if (known) return known;
    const path = `${dir}/${name}`;
    let hashed: Hashed | undefined;
    if (look.sizeBytes > LARGE_BYTES && !atStart) {
      hashed = this.#background.take(name, path, look);
      if (!hashed) changes.unsettled++; // `onHashed` requests the next scan
    } else hashed = await hashFile(path, { expectedBytes: look.sizeBytes, signal });
    if (hashed && inode !== undefined) byInode.set(inode, hashed);
    return hashed;
  }

  async #take(file: Present, hashed: Hashed, look: Pass): Promise<void> {
    const { owner, shelf, unclaimed } = this.options;
    const { name } = file;
    const { knowledge, changes, index } = look;
    const placement = await this.#placement(file, hashed);
    const { found, isCopy } = this.#recognize(file, hashed.hash, placement, look);
    const former = shelf.idsAt(name);
    if (found.length === 0 && this.#isDamaged(file, former)) {
      for (const fileId of former) changes.damaged.push(fileId);
      return;
    }
    this.#lose(
      former.filter((fileId) => !found.some((each) => each.file.fileId === fileId)),
      changes,
    );
    if (found.length > 0) {
      this.#noteInode(file.look, former, placement);
      for (const each of found) look.foundIds.add(each.file.fileId);
      changes.found.push(...found);
      unclaimed.delete(name);
      this.#unrecognized.delete(name);
      return;
    }
    // A copy of somebody else's file is not ours, and neither is what somebody else's file turned into.
    const isOthers = former.some((fileId) => shelf.get(fileId)!.file.owner !== owner);
    if (isCopy || isOthers) unclaimed.add(name);
    if (unclaimed.has(name)) {
      const keeps = this.#unrecognized.size < MAX_KEPT_HASHES;
      this.#unrecognized.set(name, {
        look: file.look,
        revision: knowledge.revision(),
        state: index.state({ name, ...file.look }),
        hashed: keeps ? hashed : undefined,
      });
      return;
    }
    changes.published.push(this.#publish(file, hashed.hash, placement, knowledge));
  }

  /**
   * Returns whether a fetched file changed without a new modification time, as a bad disk or a bad restore would
   * do.
   */
  #isDamaged({ look }: Present, former: readonly string[]): boolean {
    const { shelf, owner } = this.options;
    return former.length > 0 && former.every((fileId) => {
      const { file, placement } = shelf.get(fileId)!;
      return file.owner !== owner && placement.mtimeMs === look.mtimeMs;
    });
  }

  /**
   * Returns the known files that have this content. `isCopy` is true if it is also the content of somebody else's file
   * that is held under another name.
   */
  #recognize(
    { name, look }: Present,
    hash: Hash,
    placement: Placement,
    { index, foundIds, present, atStart }: Pass,
  ): { found: FoundFile[]; isCopy: boolean } {
    const { shelf, suspects } = this.options;
    const digests = new Map<string, string>();
    const digestWith = (suffix: string) => {
      let digest = digests.get(suffix);
      if (digest === undefined) {
        digests.set(suffix, digest = hash.copy().update(suffix).digest("hex"));
      }
      return digest;
    };
    const { sizeBytes, sha256 } = placement;
    const found: FoundFile[] = [];
    let isCopy = false;
    for (const { file, otherTimestamps, home } of index.likely({ name, ...look, sha256 })) {
      const timestamp = verifyingTimestamp(
        file.fileId,
        [file.timestamp, ...otherTimestamps],
        digestWith,
      );
      if (!timestamp) continue;
      // If several files have the same content, each id stays with its own file.
      const journalled = atStart ? suspects.get(file.fileId)?.diskName : undefined;
      const isAtHome = journalled !== undefined && journalled !== name && present.has(journalled);
      if (foundIds.has(file.fileId) || isAtHome) {
        isCopy ||= file.owner !== this.options.owner; // a copy of our own file is ours too
        continue;
      }
      const pushed = shelf.get(file.fileId)?.pushed ?? false;
      const isRenamed = home !== undefined && home !== name;
      const label = isRenamed ? { name: labelOf(name) } : {};
      found.push({
        file: { ...file, ...label, timestamp, sizeBytes },
        pushed,
        placement,
        ...(isRenamed ? { isRenamed } : {}),
      });
    }
    // An id that was already here stays. An id from another name with this content was removed together with that
    // name.
    const own = new Set(shelf.idsAt(name));
    const isStill = found.some((each) => own.has(each.file.fileId));
    if (isStill) return { found: found.filter((each) => !each.isRenamed), isCopy };
    // If several names had this content, the one with this inode was renamed; the others were edited or removed.
    const wasIt = ({ file }: FoundFile) =>
      look.inode !== undefined && shelf.get(file.fileId)?.placement.inode === look.inode;
    if (!found.some((each) => each.isRenamed && wasIt(each))) return { found, isCopy };
    return { found: found.filter((each) => !each.isRenamed || wasIt(each)), isCopy };
  }

  #publish(
    { name, look }: Present,
    hash: Hash,
    placement: Placement,
    knowledge: Knowledge,
  ): ShelvedFile {
    const { owner, shelf, ownIds, now } = this.options;
    const { sizeBytes } = placement;
    const { fileId, timestamp } = ownIds.free(
      (suffix) => hash.copy().update(suffix).digest("hex"),
      look.mtimeMs / 1000,
      now() / 1000,
      (id) => knowledge.isTaken(id) || shelf.isTaken(id),
    );
    shelf.claim(fileId);
    const size = sizeBytes / BYTES_PER_MIB;
    const file = { fileId, name: labelOf(name), owner, timestamp, size, sizeBytes };
    return { file, pushed: false, placement };
  }

  /** Returns where the content is stored. Throws `Changed` if the file no longer is what was hashed. */
  async #placement({ name, look }: Present, { hash, sizeBytes }: Hashed): Promise<Placement> {
    const info = await Deno.lstat(`${this.options.dir}/${name}`);
    const now = lookOf(info);
    if (!info.isFile || sizeBytes !== look.sizeBytes || !isSameLook(now, look)) {
      throw new Changed();
    }
    const { mtimeMs, ctimeMs, inode } = look;
    return {
      diskName: name,
      sizeBytes,
      sha256: hash.copy().digest("hex"),
      mtimeMs,
      ...(ctimeMs === undefined ? {} : { ctimeMs }),
      ...(inode === undefined || this.#ignoresInode ? {} : { inode }),
    };
  }

  #lose(fileIds: readonly string[], changes: Changes): void {
    for (const fileId of fileIds) changes.lost.push(fileId);
    for (const fileId of fileIds) changes.edited.add(fileId);
  }

  /** If the content is the same and only the inode differs, inode numbers mean nothing on this file system. */
  #noteInode(look: Look, former: readonly string[], { sha256 }: Placement): void {
    for (const fileId of former) {
      const { placement } = this.options.shelf.get(fileId)!;
      if (placement.sha256 === sha256 && looksAsHashed(look, placement, true)) {
        this.#ignoresInode = true;
      }
    }
  }
}

/** The file changed while it was being hashed; the next scan looks at it again. */
class Changed extends Error {}

/** Records that a file needs another scan, at the latest after this time. */
function wait(changes: Changes, waitMs: number): void {
  changes.unsettled++;
  changes.againMs = Math.min(changes.againMs ?? Infinity, waitMs);
}

/** A file that nobody has permission to read is not shared until somebody grants one. */
const isReadable = ({ mode }: Deno.FileInfo) => mode === null || (mode & 0o444) !== 0;

/** A directory listing may miss a name that is being renamed; only a second check proves that it is gone. */
async function isThere(path: string): Promise<boolean> {
  const info = await lstatOrNothing(path);
  return info?.isFile === true && isReadable(info);
}

/** Returns why an entry of the folder is not shared, or `undefined` for a regular file that disappeared meanwhile. */
function whyNot(entry: Deno.DirEntry, info: Deno.FileInfo | undefined): string | undefined {
  const { name, isFile, isDirectory, isSymlink } = entry;
  if (isDirectory) return "a folder";
  if (isSymlink) return "a link";
  if (!isFile) return "not a regular file";
  if (info?.isFile) return "no read permission";
  // Deno cannot open a file whose name is not valid UTF-8.
  return name.includes("\ufffd") ? "a name that is not UTF-8" : undefined;
}
