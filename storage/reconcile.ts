// Compares the folder with the shelf, at start and again and again while the peer runs: what differs is taken
// (`taking.ts`), renamed files keep their id, missing ones are no longer held.
// Invariants: a file is taken only after it has stopped changing; nothing in the folder is written to; a scan costs the
// same per file however many files are alike.

import { type Candidate, CandidateIndex, Wanted } from "./candidates.ts";
import {
  type Changes,
  type Knowledge,
  noChanges,
  type Progress,
  type ScanScope,
} from "./changes.ts";
import { FolderListing, isReadable, type Present } from "./listing.ts";
import { FORGET_MS, looksAsHashed, Settling } from "./looks.ts";
import type { Placement } from "./metadata.ts";
import { lstatOrNothing } from "./layout.ts";
import type { Names } from "./recognizing.ts";
import type { ShelvedFile } from "./shelf.ts";
import { BATCH_FILES, type Pass, Taking, type TakingOptions, wait } from "./taking.ts";
import { Turns } from "./turns.ts";

export { SETTLE_MS } from "./looks.ts";
/** Size above which files are hashed in order of size, in bytes, so that nothing waits for a large one. */
const SORTED_BYTES = 1024 * 1024;
/** Maximum number of lost files handed over at once: about 5 ms. */
const LOST_AT_ONCE = 500;
/** Number of missing names checked in this thread. */
const FEW_MISSING = 64;

/** What `Reconciler` needs of the store. */
export interface ReconcileOptions extends TakingOptions {
  /** Larger files are not shared, in bytes. */
  readonly maxFileBytes: number;
  /** Writes down which names are unclaimed, before files are lost that may be under them. */
  readonly onLosing: () => Promise<void>;
}

/** What a listing found. */
interface Listed {
  /** The regular files in the folder. */
  readonly seen: Names;
  /** Those that differ from the shelf. */
  readonly differing: ReadonlyMap<string, Present>;
}

/** Scans the folder and remembers what it needs between scans. */
export class Reconciler {
  readonly #settling = new Settling();
  readonly #listing: FolderListing;
  readonly #taking: Taking;
  #progress = { files: 0, totalFiles: 0, bytes: 0, totalBytes: 0 };

  /** Scans nothing yet. */
  constructor(readonly options: ReconcileOptions) {
    const { shelf } = options;
    this.#taking = new Taking(options);
    this.#listing = new FolderListing({
      ...options,
      isReserved: (name) => shelf.isReserved(name),
    });
  }

  /** Number of large files being hashed or queued. */
  get hashing(): number {
    return this.#taking.pending;
  }

  /** How far the current scan, or the last one, is. */
  get progress(): Progress {
    const { files, totalFiles, bytes, totalBytes } = this.#progress;
    const { pending, pendingBytes } = this.#taking;
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
      if (this.#isDue(file, atStart, changes) && this.#taking.isWorthTrying(file, knowledge)) {
        toTake.push(file);
      }
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
        onBarred: (name, what) => changes.passedOver.push(...this.#listing.report(name, what)),
        onTaken: (name) => this.#settling.taken(name),
        onDone: (sizeBytes) => {
          this.#progress.files++;
          this.#progress.bytes += sizeBytes;
        },
      };
      await this.#taking.takeAll(this.#inOrder(toTake, pass), pass);
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
        if (shelved && !edited.has(fileId)) this.#taking.departed.add(shelved);
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
      const before = suspects.get(file.fileId) ?? this.#taking.departed.get(file.fileId)?.placement;
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

  #forgetMissing(seen: Names): void {
    const isPresent = (name: string) => seen.has(name);
    this.#settling.tidy(isPresent, this.options.now());
    this.#taking.forgetMissing(isPresent);
    const { unclaimed } = this.options;
    for (const name of unclaimed) if (!isPresent(name)) unclaimed.delete(name);
  }

  /** Returns whether a file differs from what the shelf says and has stopped changing. */
  #isDue(file: Present, atStart: boolean, changes: Changes): boolean {
    const { shelf, now } = this.options;
    const { name, look, barred } = file;
    if (this.#isUnchanged(file)) return false;
    const [known] = shelf.idsAt(name);
    if (barred !== undefined && known === undefined && this.#listing.isReported(name)) return false;
    const nowMs = now();
    // Nearly all files of a first scan are older than anything that is remembered here.
    if (atStart && known === undefined && nowMs - look.mtimeMs > FORGET_MS) return true;
    const placed = known === undefined ? undefined : shelf.get(known)!.placement;
    const waitMs = this.#settling.waitMs(name, look, nowMs, placed?.mtimeMs);
    const isOld = atStart && nowMs - look.mtimeMs >= waitMs;
    if (waitMs > 0 && !isOld) {
      wait(changes, name, waitMs);
      return false;
    }
    return true;
  }

  #isUnchanged({ name, look }: Present): boolean {
    const { shelf } = this.options;
    const [fileId] = shelf.idsAt(name);
    if (fileId === undefined) return false;
    const { placement } = shelf.get(fileId)!;
    if (looksAsHashed(look, placement)) return true;
    if (!this.#taking.ignoresInode || !looksAsHashed(look, placement, true)) return false;
    shelf.relook(name, { ...look, inode: undefined });
    return true;
  }
}

/** Returns what a file is recognized by that was at this place. */
function traitsOf(
  { diskName, sha256, inode }: Placement,
): Omit<Candidate, "file" | "otherTimestamps"> {
  return { home: diskName, sha256, ...(inode === undefined ? {} : { inode }) };
}

async function isThere(path: string): Promise<boolean> {
  const info = await lstatOrNothing(path);
  return info?.isFile === true && isReadable(info);
}
