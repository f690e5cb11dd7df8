// Compares the folder with the shelf: new files become ours or turn out to be known ones, renamed files keep their
// id, changed and missing files are no longer held. Runs at start and again and again while the peer runs.
// Invariants: a file is taken only after it has stopped changing; content is hashed before it is shown; nothing in the
// folder is written to; a scan costs the same per file however many files are alike, and hands over what it found in
// parts, so that neither memory nor the first files wait for the last one.

import { BackgroundHashing, LARGE_BYTES } from "./background.ts";
import { type Candidate, CandidateIndex, Wanted } from "./candidates.ts";
import {
  type Changes,
  type Knowledge,
  noChanges,
  type Progress,
  type ScanScope,
} from "./changes.ts";
import { Departed } from "./departed.ts";
import type { HashResult } from "./disk_messages.ts";
import type { DiskThread } from "./disk_thread.ts";
import { type Hashed, hashedElsewhere, hashedOf, Unhashed } from "./hashed.ts";
import { hashFile } from "./intake.ts";
import { FolderListing, isReadable, type Present } from "./listing.ts";
import { isSameLook, type Look, lookOf, looksAsHashed, Settling } from "./looks.ts";
import type { Placement } from "./metadata.ts";
import { lstatOrNothing } from "./layout.ts";
import { type OwnIds, ownSuffix } from "./ownids.ts";
import { isTransient } from "./reader.ts";
import { type Names, Recognizing, type Scanned } from "./recognizing.ts";
import type { Shelf, ShelvedFile } from "./shelf.ts";
import { Turns } from "./turns.ts";

export { SETTLE_MS } from "./looks.ts";
/** Maximum number of files hashed before the results are handed over, and of their bytes. */
const BATCH_FILES = 256;
const BATCH_BYTES = 16 * 1024 * 1024;
/** Number of batches that are hashed or were hashed before they are taken, so that neither thread waits. */
const BATCHES_AHEAD = 4;
/** Maximum number of files, and of bytes, that are hashed in this thread: starting another one takes longer. */
const FEW_FILES = 32;
const FEW_BYTES = 4 * 1024 * 1024;
/** Size above which files are hashed in order of size, in bytes, so that nothing waits for a large one. */
const SORTED_BYTES = 1024 * 1024;
/** Maximum number of files of unknown owner whose hashes are kept. Others are read again to be compared. */
const MAX_KEPT_HASHES = 1_000;
/** Maximum number of files named that wait for another scan. For more, everything is scanned. */
const MAX_WAITING = 1_001;
/** Maximum number of lost files handed over at once: about 5 ms. */
const LOST_AT_ONCE = 500;
/** Number of missing names checked in this thread. */
const FEW_MISSING = 64;
/**
 * Delay before a file that could not be read is tried again, in milliseconds. Doubles from the first up to the
 * last.
 */
const FIRST_RETRY_MS = 5_000;
const LAST_RETRY_MS = 300_000;
/** Delay before the next scan while this process is out of file descriptors, in milliseconds. */
const TRANSIENT_MS = 1_000;
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
  /** Lists and hashes what takes long. */
  readonly thread: DiskThread;
  /** Aborted when the store closes. */
  readonly signal: AbortSignal;
  /** Called when a large file was hashed, so another scan is worthwhile. */
  readonly onHashed: () => void;
  /** Writes down which names are unclaimed, before files are lost that may be under them. */
  readonly onLosing: () => Promise<void>;
}

/** One scan in progress. */
interface Pass extends Scanned {
  readonly knowledge: Knowledge;
  readonly changes: Changes;
  /** Ids that this scan has already found. */
  readonly foundIds: Set<string>;
  /** Hashes of files that have several names, by inode. */
  readonly byInode: Map<number, Hashed>;
  /** Places of files that are gone, by inode. */
  readonly gone: ReadonlyMap<number, Placement>;
  /** Ids that the files to take had when the scan saw them. */
  readonly former: ReadonlyMap<string, readonly string[]>;
  /** Receives what was found since the last call. */
  readonly commit: (changes: Changes) => void;
}

/** What a listing found. */
interface Listed {
  /** The regular files in the folder. */
  readonly seen: Names;
  /** Those that differ from the shelf. */
  readonly differing: ReadonlyMap<string, Present>;
}

interface Unrecognized {
  readonly look: Look;
  readonly revision: number;
  readonly state: string;
  readonly hashed: Hashed | undefined;
}

/** What the other thread makes of a file, with the suffixes that it was given. */
interface Elsewhere {
  readonly suffixes: readonly string[];
  readonly result: HashResult | Error;
}

/** Scans the folder and remembers what it needs between scans. */
export class Reconciler {
  readonly #settling = new Settling();
  readonly #background: BackgroundHashing;
  readonly #listing: FolderListing;
  readonly #recognizing: Recognizing;
  readonly #departed = new Departed();
  /** Files that matched no known file, and what they were compared with. */
  readonly #unrecognized = new Map<string, Unrecognized>();
  readonly #unread = new Map<string, { look: Look; pauseMs: number; untilMs: number }>();
  /** Whether this file system does not keep inode numbers stable, as with some FUSE file systems. */
  #ignoresInode = false;
  #progress = { files: 0, totalFiles: 0, bytes: 0, totalBytes: 0 };

  /** Scans nothing yet. */
  constructor(readonly options: ReconcileOptions) {
    const { signal, shelf } = options;
    this.#background = new BackgroundHashing(options.dir, signal, options.onHashed);
    this.#recognizing = new Recognizing(options);
    this.#listing = new FolderListing({
      ...options,
      isReserved: (name) => shelf.isReserved(name),
    });
  }

  /** Number of large files being hashed or queued. */
  get hashing(): number {
    return this.#background.pending;
  }

  /** How far the current scan, or the last one, is. */
  get progress(): Progress {
    const { files, totalFiles, bytes, totalBytes } = this.#progress;
    const { pending, pendingBytes } = this.#background;
    return {
      files: Math.max(0, files - pending),
      totalFiles,
      bytes: Math.max(0, bytes - pendingBytes),
      totalBytes,
    };
  }

  /**
   * Scans the folder once. Calls `commit` with each part of what it finds, which applies it; the
   * last part is returned. What is lost comes last. At start, files need not be seen twice unless they changed a
   * moment ago. Scans must not overlap. Throws file system errors as they are.
   */
  async scan(
    knowledge: Knowledge,
    { atStart, names }: ScanScope,
    commit: (changes: Changes) => void,
  ): Promise<Changes> {
    const beganMs = performance.now();
    const changes = noChanges();
    const { seen, differing } = names
      ? await this.#listSome(names)
      : await this.#list(changes, atStart);
    const gone = await this.#goneNames(names ?? this.options.shelf.names(), seen);
    const missed = await this.#missed(gone, differing);
    for (const fileId of missed.keys()) changes.lost.push(fileId);
    this.#forgetMissing(seen);
    changes.lookedMs = performance.now() - beganMs;

    const toTake: Present[] = [];
    const turns = new Turns();
    for (const file of differing.values()) {
      if (this.#isDue(file, atStart, changes) && this.#hasNews(file, knowledge)) toTake.push(file);
      if (turns.isOver) await turns.next();
    }
    if (!names) {
      this.#progress.files -= toTake.length;
      for (const { look } of toTake) this.#progress.bytes -= look.sizeBytes;
    }
    if (toTake.length > 0) {
      const places = new Map<number, Placement>();
      for (const name of gone) {
        const [fileId] = this.options.shelf.idsAt(name);
        const placement = fileId === undefined
          ? undefined
          : this.options.shelf.get(fileId)?.placement;
        if (placement?.inode !== undefined) places.set(placement.inode, placement);
      }
      const pass: Pass = {
        knowledge,
        atStart,
        changes,
        seen,
        index: await this.#index(knowledge, toTake, gone, differing),
        foundIds: new Set(),
        byInode: new Map(),
        gone: places,
        former: this.#formerIds(toTake),
        commit,
      };
      await this.#takeAll(this.#inOrder(toTake, pass), pass);
    }
    await this.#lose(changes, missed, commit);
    return changes;
  }

  /** Hands over what is lost, except the last of it. */
  async #lose(
    changes: Changes,
    missed: ReadonlyMap<string, ShelvedFile>,
    commit: Pass["commit"],
  ): Promise<void> {
    if (changes.lost.length === 0) return;
    const { shelf, onLosing } = this.options;
    await onLosing();
    const { lost, edited } = changes;
    const turns = new Turns();
    for (let at = 0; at < lost.length; at += LOST_AT_ONCE) {
      if (turns.isOver) await turns.next();
      // A file that came back while others were hashed, in a download for example, is not lost.
      const part = lost.slice(at, at + LOST_AT_ONCE).filter((fileId) =>
        !missed.has(fileId) || shelf.get(fileId) === missed.get(fileId)
      );
      for (const fileId of part) {
        const shelved = shelf.get(fileId);
        if (shelved && !edited.has(fileId)) this.#departed.add(shelved);
      }
      if (at + LOST_AT_ONCE < lost.length) commit({ ...noChanges(), lost: part, edited });
      else changes.lost = part;
    }
  }

  /** Returns the ids of those of the files that have some. */
  #formerIds(files: readonly Present[]): Map<string, string[]> {
    const { shelf } = this.options;
    const ids = new Map<string, string[]>();
    for (const { name } of files) if (shelf.hasName(name)) ids.set(name, shelf.idsAt(name));
    return ids;
  }

  /** Returns the names of all regular files in the folder, and those that differ from the shelf. */
  async #list(
    changes: Changes,
    atStart: boolean,
  ): Promise<Listed> {
    const seen = new Set<string>();
    const differing = new Map<string, Present>();
    const progress = { files: 0, totalFiles: 0, bytes: 0, totalBytes: 0 };
    this.#progress = progress;
    changes.passedOver = await this.#listing.read(atStart, (file) => {
      if (seen.has(file.name)) return; // the listing began again in the other thread
      seen.add(file.name);
      if (!this.#isUnchanged(file)) differing.set(file.name, file);
      progress.totalFiles++;
      progress.files++;
      progress.totalBytes += file.look.sizeBytes;
      progress.bytes += file.look.sizeBytes;
    });
    return { seen, differing };
  }

  /** Returns those of the names that are regular files, and differ from the shelf. */
  async #listSome(names: readonly string[]): Promise<Listed> {
    const there = new Set<string>();
    const asked = new Set(names);
    const differing = new Map<string, Present>();
    await this.#listing.readSome(names, (file) => {
      there.add(file.name);
      if (!this.#isUnchanged(file)) differing.set(file.name, file);
    });
    // Nothing is known of the others, so they count as being there.
    return { seen: { has: (name) => there.has(name) || !asked.has(name) }, differing };
  }

  /** Returns those of the names that are shelved, and gone from the folder. */
  async #goneNames(names: Iterable<string>, seen: Names): Promise<Set<string>> {
    const { dir, shelf } = this.options;
    const missing: string[] = [];
    const turns = new Turns();
    for (const name of names) {
      const isMissing = !seen.has(name) && shelf.hasName(name) && !shelf.isReserved(name);
      if (isMissing) missing.push(name);
      if (turns.isOver) await turns.next();
    }
    // A directory listing may miss a name that is being renamed; only a second check proves that it is gone.
    const gone = new Set<string>();
    if (missing.length > FEW_MISSING) {
      for (const name of await this.options.thread.missing(dir, missing)) gone.add(name);
    } else {
      for (const name of missing) if (!await isThere(`${dir}/${name}`)) gone.add(name);
    }
    for (const name of gone) if (shelf.isReserved(name)) gone.delete(name);
    return gone;
  }

  /** Returns the files that are gone and were not merely renamed, by id. */
  async #missed(
    gone: ReadonlySet<string>,
    differing: ReadonlyMap<string, Present>,
  ): Promise<Map<string, ShelvedFile>> {
    const { shelf, unclaimed } = this.options;
    const missed = new Map<string, ShelvedFile>();
    if (gone.size === 0) return missed;
    const turns = new Turns();
    const newInodes = new Set<number>();
    for (const { name, look, barred } of differing.values()) {
      const isNew = !shelf.hasName(name) && !unclaimed.has(name) && barred === undefined;
      if (isNew && look.inode !== undefined) newInodes.add(look.inode);
      if (turns.isOver) await turns.next();
    }
    for (const name of gone) {
      if (turns.isOver) await turns.next();
      const ids = shelf.idsAt(name);
      if (ids.length === 0) continue;
      // The same inode under a new name means it was renamed; it will be recognized once it has stopped changing.
      const { inode } = shelf.get(ids[0]!)!.placement;
      if (inode !== undefined && newInodes.has(inode)) continue;
      for (const fileId of ids) missed.set(fileId, shelf.get(fileId)!);
    }
    return missed;
  }

  /** Indexes the known files that may be among those to take: ones that are not where they were or were never here. */
  async #index(
    knowledge: Knowledge,
    toTake: readonly Present[],
    gone: ReadonlySet<string>,
    differing: ReadonlyMap<string, Present>,
  ): Promise<CandidateIndex> {
    const { shelf, suspects } = this.options;
    const wanted = new Wanted();
    for (const { name, look } of toTake) wanted.add({ name, ...look });
    const index = new CandidateIndex([]);
    const turns = new Turns();
    for (const { file, otherTimestamps } of knowledge.unheld()) {
      if (turns.isOver) await turns.next();
      const before = suspects.get(file.fileId) ?? this.#departed.get(file.fileId)?.placement;
      if ((!before && !wanted.has(file)) || shelf.get(file.fileId)) continue;
      index.add({ file, otherTimestamps, ...(before ? traitsOf(before) : {}) });
    }
    // A file that is no longer where it was may have been renamed.
    for (const names of [gone, differing.keys()]) {
      for (const name of names) {
        for (const candidate of this.#shelvedAt(name)) index.add(candidate);
        if (turns.isOver) await turns.next();
      }
    }
    return index;
  }

  *#shelvedAt(name: string): Iterable<Candidate> {
    const { shelf } = this.options;
    for (const fileId of shelf.idsAt(name)) {
      const { file, placement } = shelf.get(fileId)!;
      yield { file, otherTimestamps: [], ...traitsOf(placement) };
    }
  }

  /**
   * Files that were here before come first and keep their ids, then renamed ones, then new ones, the large ones by size,
   * so that nothing waits for a large file.
   */
  #inOrder(files: readonly Present[], { gone }: Pass): Present[] {
    const ranks: Present[][] = [[], [], [], []];
    for (const file of files) {
      const { inode, sizeBytes } = file.look;
      const rank = this.options.shelf.hasName(file.name)
        ? 0
        : inode !== undefined && gone.has(inode)
        ? 1
        : sizeBytes <= SORTED_BYTES
        ? 2
        : 3;
      ranks[rank]!.push(file);
    }
    const byName = (a: Present, b: Present) => a.name < b.name ? -1 : 1;
    for (const rank of ranks.slice(0, 3)) if (rank.length <= BATCH_FILES) rank.sort(byName);
    ranks[3]!.sort((a, b) => a.look.sizeBytes - b.look.sizeBytes || byName(a, b));
    return ranks.flat();
  }

  /** Takes files in order. While one batch is taken, the other thread hashes the next ones. */
  async #takeAll(toTake: readonly Present[], pass: Pass): Promise<void> {
    const { changes, foundIds, commit } = pass;
    const turns = new Turns();
    const batches = batchesOf(toTake);
    const ahead: Promise<Map<string, Elsewhere>>[] = [];
    for (const [i, batch] of batches.entries()) {
      while (ahead.length < BATCHES_AHEAD && i + ahead.length < batches.length) {
        const hashing = this.#hashElsewhere(batches[i + ahead.length], pass);
        hashing.catch(() => {}); // thrown when it is its turn
        ahead.push(hashing);
      }
      const hashes = await ahead.shift()!;
      this.options.signal.throwIfAborted(); // a stop does not wait for the rest
      for (const file of batch) {
        if (turns.isOver) await turns.next();
        await this.#tryToTake(file, hashes.get(file.name), pass);
        this.#progress.files++;
        this.#progress.bytes += file.look.sizeBytes;
      }
      if (i < batches.length - 1) this.#handOver(changes, commit);
    }
    // An id that moved to another name is not lost.
    changes.lost = changes.lost.filter((fileId) => !foundIds.has(fileId));
    for (const fileId of foundIds) changes.edited.delete(fileId);
  }

  /** Hands over everything except what is lost, which may still be found under another name. */
  #handOver(changes: Changes, commit: Pass["commit"]): void {
    const { found, published, damaged, unreadable, passedOver } = changes;
    const part = { ...noChanges(), found, published, damaged, unreadable, passedOver };
    Object.assign(changes, {
      found: [],
      published: [],
      damaged: [],
      unreadable: [],
      passedOver: [],
    });
    commit(part);
  }

  /** Hashes those files of a batch that the other thread can hash, unless they are few. */
  async #hashElsewhere(
    batch: readonly Present[] | undefined,
    pass: Pass,
  ): Promise<Map<string, Elsewhere>> {
    const hashes = new Map<string, Elsewhere>();
    const files = batch?.filter((file) => this.#isHashedElsewhere(file, pass)) ?? [];
    const bytes = files.reduce((sum, { look }) => sum + look.sizeBytes, 0);
    if (files.length <= FEW_FILES && bytes <= FEW_BYTES) return hashes;
    const names = files.map(({ name }) => name);
    const suffixes = files.map(({ name, look }) => this.#suffixes(name, look, pass));
    const sizes = files.map(({ look }) => look.sizeBytes);
    const { dir, thread } = this.options;
    const results = await thread.hash({ dir, names, sizes, suffixes });
    for (const [i, name] of names.entries()) {
      hashes.set(name, { suffixes: suffixes[i]!, result: results[i]! });
    }
    return hashes;
  }

  #isHashedElsewhere({ name, look, links, barred }: Present, pass: Pass): boolean {
    return barred === undefined && links === 1 && look.sizeBytes <= LARGE_BYTES &&
      !this.options.unclaimed.has(name) && !this.#isMoved(name, look, pass);
  }

  /** The texts that may be needed after the content of a file: for the id of a known file, and for one of ours. */
  #suffixes(name: string, look: Look, { index }: Pass): string[] {
    const own = ownSuffix(look.mtimeMs / 1000);
    const suffixes = index.suffixes({ name, ...look });
    if (own !== undefined && !suffixes.includes(own)) suffixes.push(own);
    return suffixes;
  }

  #forgetMissing(seen: Names): void {
    const isPresent = (name: string) => seen.has(name);
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
    if (barred !== undefined && known === undefined && this.#listing.isReported(name)) return false;
    const nowMs = now();
    const placed = known === undefined ? undefined : shelf.get(known)!.placement;
    const waitMs = this.#settling.waitMs(name, look, nowMs, placed?.mtimeMs);
    const isOld = atStart && nowMs - look.mtimeMs >= waitMs;
    if (waitMs > 0 && !isOld) {
      wait(changes, name, waitMs);
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

  /** Takes a file, or records why not. */
  async #tryToTake(file: Present, elsewhere: Elsewhere | undefined, pass: Pass): Promise<void> {
    const { name, barred } = file;
    const { changes } = pass;
    const { shelf, now } = this.options;
    if (barred !== undefined) {
      changes.passedOver.push(...this.#listing.report(name, barred));
      this.#edit(shelf.idsAt(name), changes);
      return;
    }
    try {
      const hashed = await this.#hash(file, elsewhere, pass);
      if (!hashed) return;
      this.#unread.delete(name);
      await this.#take(file, hashed, pass).catch(async (error) => {
        if (!(error instanceof Unhashed)) throw error;
        await this.#take(file, await this.#hashHere(file), pass);
      });
      this.#settling.taken(name);
    } catch (error) {
      this.options.signal.throwIfAborted();
      // While many files move to the trash, some are gone since they were listed.
      const isGone = error instanceof Deno.errors.NotFound;
      if (error instanceof Changed || isGone) wait(changes, name, 0);
      else if (isTransient(error)) wait(changes, name, TRANSIENT_MS); // says nothing about the file
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
  }

  /**
   * Returns `undefined` while the file is being hashed in the background, or if there is nothing new to compare it
   * with.
   */
  async #hash(
    file: Present,
    elsewhere: Elsewhere | undefined,
    pass: Pass,
  ): Promise<Hashed | undefined> {
    const { index, knowledge, byInode, changes } = pass;
    const { name, look, links } = file;
    if (elsewhere) {
      if (elsewhere.result instanceof Error) throw elsewhere.result;
      return hashedElsewhere(elsewhere.result, elsewhere.suffixes);
    }
    if (this.options.unclaimed.has(name)) {
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
    const moved = this.#isMoved(name, look, pass);
    if (moved) return moved;
    const inode = links > 1 ? look.inode : undefined;
    const known = inode === undefined ? undefined : byInode.get(inode);
    if (known) return known;
    let hashed: Hashed | undefined;
    if (look.sizeBytes > LARGE_BYTES) {
      const taken = this.#background.take(name, look, this.#suffixes(name, look, pass));
      // That may have been a while ago.
      hashed = taken && { ...taken, look: await this.#lookAt(name) };
      if (!hashed) changes.unsettled++; // `onHashed` requests the next scan
    } else hashed = await this.#hashHere(file);
    if (hashed && inode !== undefined) byInode.set(inode, hashed);
    return hashed;
  }

  async #hashHere({ name, look }: Present): Promise<Hashed> {
    const { dir, signal } = this.options;
    const expectedBytes = look.sizeBytes;
    const { hash, sizeBytes } = await hashFile(`${dir}/${name}`, { expectedBytes, signal });
    return hashedOf(hash, sizeBytes);
  }

  /**
   * Returns the hashes of a file that has the inode, size and modification time of one that is gone, which was renamed
   * or moved away and back: its content is not read again.
   */
  #isMoved(name: string, look: Look, { gone }: Pass): Hashed | undefined {
    if (this.#ignoresInode || look.inode === undefined) return undefined;
    if (this.options.shelf.hasName(name)) return undefined;
    const before = gone.get(look.inode);
    const departed = before ? [] : this.#departed.lookingLike(look);
    const placement = before ?? departed[0]?.placement;
    if (placement?.sizeBytes !== look.sizeBytes || placement.mtimeMs !== look.mtimeMs) {
      return undefined;
    }
    return {
      sizeBytes: look.sizeBytes,
      sha256: placement.sha256,
      digestWith(suffix) {
        const same = departed.find(({ file }) => file.timestamp.text === suffix);
        // Our own ids are made with the timestamp as it is; those of others may be made with another form of it.
        if (same && /^\d+$/.test(suffix)) return same.file.fileId;
        throw new Unhashed();
      },
    };
  }

  async #take(file: Present, hashed: Hashed, pass: Pass): Promise<void> {
    const { owner, shelf, unclaimed } = this.options;
    const { name } = file;
    const { knowledge, changes, index } = pass;
    const placement = await this.#placement(file, hashed);
    const { found, isCopy } = this.#recognizing.recognize(file, hashed, placement, pass);
    const former = shelf.idsAt(name);
    // Deleted since it was hashed: this content is on its way to the trash, whoever's it was.
    const isRemoved = (pass.former.get(name) ?? []).some((fileId) => !shelf.get(fileId));
    if (isRemoved) throw new Changed();
    if (found.length === 0 && this.#isDamaged(file, former)) {
      for (const fileId of former) changes.damaged.push(fileId);
      return;
    }
    if (found.length > 0) {
      this.#edit(
        former.filter((fileId) => !found.some((each) => each.file.fileId === fileId)),
        changes,
      );
      this.#noteInode(file.look, former, placement);
      for (const each of found) {
        pass.foundIds.add(each.file.fileId);
        this.#departed.delete(each.file.fileId);
      }
      changes.found.push(...found);
      unclaimed.delete(name);
      this.#unrecognized.delete(name);
      return;
    }
    // A copy of somebody else's file is not ours, and neither is what somebody else's file turned into.
    const isOthers = former.some((fileId) => shelf.get(fileId)!.file.owner !== owner);
    if (isCopy || isOthers) unclaimed.add(name);
    if (unclaimed.has(name)) {
      this.#edit(former, changes);
      const keeps = this.#unrecognized.size < MAX_KEPT_HASHES;
      this.#unrecognized.set(name, {
        look: file.look,
        revision: knowledge.revision(),
        state: index.state({ name, ...file.look }),
        hashed: keeps ? hashed : undefined,
      });
      return;
    }
    const published = this.#recognizing.publish(file, hashed, placement, knowledge);
    this.#edit(former, changes);
    changes.published.push(published);
    this.#departed.delete(published.file.fileId);
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

  /** Returns where the content is stored. Throws `Changed` if the file no longer is what was hashed. */
  async #placement(
    { name, look }: Present,
    { sha256, sizeBytes, look: after }: Hashed,
  ): Promise<Placement> {
    const now = after ?? await this.#lookAt(name);
    if (sizeBytes !== look.sizeBytes || !isSameLook(now, look)) throw new Changed();
    const { mtimeMs, ctimeMs, inode } = look;
    return {
      diskName: name,
      sizeBytes,
      sha256,
      mtimeMs,
      ...(ctimeMs === undefined ? {} : { ctimeMs }),
      ...(inode === undefined || this.#ignoresInode ? {} : { inode }),
    };
  }

  async #lookAt(name: string): Promise<Look> {
    const info = await Deno.lstat(`${this.options.dir}/${name}`);
    if (!info.isFile) throw new Changed();
    return lookOf(info);
  }

  /** Records that a file has different content now. */
  #edit(fileIds: readonly string[], changes: Changes): void {
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

/** Returns what a file is recognized by that was at this place. */
function traitsOf(
  { diskName, sha256, inode }: Placement,
): Omit<Candidate, "file" | "otherTimestamps"> {
  return { home: diskName, sha256, ...(inode === undefined ? {} : { inode }) };
}

/** The file changed while it was being hashed; the next scan looks at it again. */
class Changed extends Error {}

/** Records that a file needs another scan, at the latest after this time. */
function wait(changes: Changes, name: string, waitMs: number): void {
  changes.unsettled++;
  if (changes.waiting.length < MAX_WAITING) changes.waiting.push(name);
  changes.againMs = Math.min(changes.againMs ?? Infinity, waitMs);
}

async function isThere(path: string): Promise<boolean> {
  const info = await lstatOrNothing(path);
  return info?.isFile === true && isReadable(info);
}

/** Returns the files in batches of at most `BATCH_FILES` and, unless it is a single file, `BATCH_BYTES`. */
function batchesOf(files: readonly Present[]): Present[][] {
  const batches: Present[][] = [];
  let bytes = 0;
  for (const file of files) {
    const last = batches.at(-1);
    if (!last || last.length >= BATCH_FILES || bytes + file.look.sizeBytes > BATCH_BYTES) {
      batches.push([file]);
      bytes = 0;
    } else last.push(file);
    bytes += file.look.sizeBytes;
  }
  return batches;
}
