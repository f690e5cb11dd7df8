// Takes files in the folder that differ from the shelf: hashes them, recognizes the known ones, publishes the new ones.
// Invariants: content is hashed before it is shown, and counts only if the file looks the same afterwards; a file of
// unknown owner is never published; what takes more than a moment is hashed in another thread; what was found is handed
// over in parts, so that neither memory nor the first files wait for the last one.

import { BackgroundHashing, LARGE_BYTES } from "./background.ts";
import { type Changes, type Knowledge, noChanges } from "./changes.ts";
import { Departed } from "./departed.ts";
import type { DiskThread } from "./disk_thread.ts";
import { type Hashed, hashedElsewhere, hashedOf, Unhashed } from "./hashed.ts";
import { hashFile } from "./intake.ts";
import type { Present } from "./listing.ts";
import { isSameLook, type Look, lookOf, looksAsHashed } from "./looks.ts";
import type { Placement } from "./metadata.ts";
import { type OwnIds, ownSuffix } from "./ownids.ts";
import { isTransient } from "./reader.ts";
import { Recognizing, type Scanned } from "./recognizing.ts";
import type { Shelf } from "./shelf.ts";
import { Turns } from "./turns.ts";

/** Maximum number of files hashed before the results are handed over, and of their bytes. */
export const BATCH_FILES = 256;
const BATCH_BYTES = 16 * 1024 * 1024;
/** Number of batches that are hashed or were hashed before they are taken, so that neither thread waits. */
const BATCHES_AHEAD = 4;
/** Maximum number of files, and of bytes, that are hashed in this thread: starting another one takes longer. */
const FEW_FILES = 32;
const FEW_BYTES = 4 * 1024 * 1024;
/** Maximum number of files of unknown owner whose hashes are kept. Others are read again to be compared. */
const MAX_KEPT_HASHES = 1_000;
/** Maximum number of files named that wait for another scan. For more, everything is scanned. */
const MAX_WAITING = 1_001;
/**
 * Delay before a file that could not be read is tried again, in milliseconds. Doubles from the first up to the
 * last.
 */
const FIRST_RETRY_MS = 5_000;
const LAST_RETRY_MS = 300_000;
/** Delay before the next scan while this process is out of file descriptors, in milliseconds. */
const TRANSIENT_MS = 1_000;

/** What `Taking` needs of the store. */
export interface TakingOptions {
  /** The folder with the shared files. */
  readonly dir: string;
  /** Owner of the files that are published. */
  readonly owner: string;
  /** The held files. The store applies the changes that are handed over. */
  readonly shelf: Shelf;
  /** Chooses ids for new files. */
  readonly ownIds: OwnIds;
  /** Names of files whose owner is unknown: never published, only recognized. */
  readonly unclaimed: Set<string>;
  /** Former places, by id, of files that a crash may have damaged and that are hashed again. */
  readonly suspects: ReadonlyMap<string, Placement>;
  /** The current time, Unix milliseconds. */
  readonly now: () => number;
  /** Hashes what takes long. */
  readonly thread: DiskThread;
  /** Aborted when the store closes. */
  readonly signal: AbortSignal;
  /** Called when a large file was hashed, so another scan is worthwhile. */
  readonly onHashed: () => void;
}

/** The part of a scan that takes files. */
export interface Pass extends Scanned {
  /** What the rest of the peer knows. */
  readonly knowledge: Knowledge;
  /** Receives what is found. */
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
  /** Called for a file that could be shared but must not be, and why. */
  readonly onBarred: (name: string, what: string) => void;
  /** Called for each file that was taken. */
  readonly onTaken: (name: string) => void;
  /** Called for each file that needs no more work. */
  readonly onDone: (sizeBytes: number) => void;
}

interface Unrecognized {
  readonly look: Look;
  readonly revision: number;
  readonly state: string;
  readonly hashed: Hashed | undefined;
}

/** What the other thread made of a file: an error if it could not be read, and undefined if it was not asked. */
type Elsewhere = Hashed | Error | undefined;

/** Takes files, and remembers what it needs between scans. */
export class Taking {
  readonly #background: BackgroundHashing;
  readonly #recognizing: Recognizing;
  /** Files that left the folder a while ago. */
  readonly departed = new Departed();
  /** Files that matched no known file, and what they were compared with. */
  readonly #unrecognized = new Map<string, Unrecognized>();
  readonly #unread = new Map<string, { look: Look; pauseMs: number; untilMs: number }>();
  /** Whether this file system does not keep inode numbers stable, as with some FUSE file systems. */
  ignoresInode = false;

  /** Takes nothing yet. */
  constructor(readonly options: TakingOptions) {
    this.#background = new BackgroundHashing(
      options.dir,
      options.signal,
      options.now,
      options.onHashed,
    );
    this.#recognizing = new Recognizing(options);
  }

  /** Number of large files being hashed or queued. */
  get pending(): number {
    return this.#background.pending;
  }

  /** What is left to read of those, in bytes. */
  get pendingBytes(): number {
    return this.#background.pendingBytes;
  }

  /** Forgets files that are no longer in the folder. */
  forgetMissing(isPresent: (name: string) => boolean): void {
    this.#background.tidy(isPresent);
    for (const names of [this.#unrecognized, this.#unread]) {
      for (const name of names.keys()) if (!isPresent(name)) names.delete(name);
    }
  }

  /**
   * Returns false for a file that could not be read a moment ago, and for one of unknown owner if everything known has
   * already been compared with it.
   */
  isWorthTrying({ name, look }: Present, knowledge: Knowledge): boolean {
    const unread = this.#unread.get(name);
    if (unread && isSameLook(unread.look, look) && this.options.now() < unread.untilMs) {
      return false;
    }
    if (!this.options.unclaimed.has(name)) return true;
    const before = this.#unrecognized.get(name);
    return !before || before.revision !== knowledge.revision() || !isSameLook(before.look, look);
  }

  /** Takes files in order. While one batch is taken, the other thread hashes the next ones. */
  async takeAll(toTake: readonly Present[], pass: Pass): Promise<void> {
    const { changes, foundIds, commit } = pass;
    const turns = new Turns();
    const batches = batchesOf(toTake);
    const ahead: Promise<readonly Elsewhere[]>[] = [];
    for (const [i, batch] of batches.entries()) {
      while (ahead.length < BATCHES_AHEAD && i + ahead.length < batches.length) {
        const hashing = this.#hashElsewhere(batches[i + ahead.length]!, pass);
        hashing.catch(() => {}); // thrown when it is its turn
        ahead.push(hashing);
      }
      const hashes = await ahead.shift()!;
      this.options.signal.throwIfAborted(); // a stop does not wait for the rest
      for (const [at, file] of batch.entries()) {
        if (turns.isOver) await turns.next();
        if (!this.#takeAtOnce(file, hashes[at], pass)) await this.#take(file, hashes[at], pass);
        pass.onDone(file.look.sizeBytes);
      }
      if (i < batches.length - 1) handOver(changes, commit);
    }
    // An id that moved to another name is not lost.
    if (changes.lost.length > 0) {
      changes.lost = changes.lost.filter((fileId) => !foundIds.has(fileId));
    }
    if (changes.edited.size > 0) { for (const fileId of foundIds) changes.edited.delete(fileId); }
  }

  /**
   * Hashes those files of a batch that the other thread can hash, unless they are few. Resolves to one result for each
   * file of the batch.
   */
  async #hashElsewhere(batch: readonly Present[], pass: Pass): Promise<readonly Elsewhere[]> {
    const files = batch.filter((file) => this.#isHashedElsewhere(file, pass));
    let bytes = 0;
    for (const { look } of files) bytes += look.sizeBytes;
    if (files.length <= FEW_FILES && bytes <= FEW_BYTES) return [];
    const hashed = await this.#hashInThread(files, pass);
    if (files.length === batch.length) return hashed;
    let at = 0;
    return batch.map((file) => file === files[at] ? hashed[at++] : undefined);
  }

  async #hashInThread(files: readonly Present[], pass: Pass): Promise<(Hashed | Error)[]> {
    const names = files.map(({ name }) => name);
    const suffixes = files.map((file) => this.#suffixes(file, pass));
    const sizes = files.map(({ look }) => look.sizeBytes);
    const { dir, thread } = this.options;
    const results = await thread.hash({ dir, names, sizes, suffixes });
    return results.map((result, i) =>
      result instanceof Error ? result : hashedElsewhere(result, suffixes[i]!)
    );
  }

  #isHashedElsewhere({ name, look, links, barred }: Present, pass: Pass): boolean {
    return barred === undefined && links === 1 && look.sizeBytes <= LARGE_BYTES &&
      !this.options.unclaimed.has(name) && !this.#moved(name, look, pass);
  }

  /** The texts that may be needed after the content of a file: for the id of a known file, and for one of ours. */
  #suffixes({ name, look }: Present, { index }: Pass): string[] {
    const own = ownSuffix(look.mtimeMs / 1000);
    if (index.isEmpty) return own === undefined ? [] : [own];
    const suffixes = index.suffixes(cluesOf(name, look));
    if (own !== undefined && !suffixes.includes(own)) suffixes.push(own);
    return suffixes;
  }

  /**
   * Takes a file that the other thread hashed, without waiting for anything. Returns false if that is not possible:
   * nearly all files of a first scan come this way, and promises would double what each costs.
   */
  #takeAtOnce(file: Present, hashed: Elsewhere, pass: Pass): boolean {
    if (!hashed || hashed instanceof Error || !hashed.look) return false;
    try {
      this.#judge(file, hashed, this.#placement(file, hashed, hashed.look), pass);
    } catch (error) {
      if (error instanceof Changed || error instanceof Unhashed) return false;
      throw error;
    }
    if (this.#unread.size > 0) this.#unread.delete(file.name);
    pass.onTaken(file.name);
    return true;
  }

  /** Takes a file, or records why not. */
  async #take(file: Present, elsewhere: Elsewhere, pass: Pass): Promise<void> {
    const { name, barred } = file;
    const { changes } = pass;
    const { shelf, now } = this.options;
    if (barred !== undefined) {
      pass.onBarred(name, barred);
      edit(shelf.idsAt(name), changes);
      return;
    }
    try {
      const hashed = await this.#hash(file, elsewhere, pass);
      if (!hashed) return;
      this.#unread.delete(name);
      const isTaken = await this.#takeHashed(file, hashed, pass) ||
        await this.#takeAgain(file, pass);
      if (isTaken) pass.onTaken(name);
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

  /** Resolves to false if a digest is missing, for which the content must be read again. */
  async #takeHashed(file: Present, hashed: Hashed, pass: Pass): Promise<boolean> {
    const after = hashed.look ?? await this.#lookAt(file.name);
    try {
      this.#judge(file, hashed, this.#placement(file, hashed, after), pass);
      return true;
    } catch (error) {
      if (error instanceof Unhashed) return false;
      throw error;
    }
  }

  /**
   * Reads the content again and takes the file: a large one in the background, with what is known now, and resolves to
   * false until that is done.
   */
  async #takeAgain(file: Present, pass: Pass): Promise<boolean> {
    const isLarge = file.look.sizeBytes > LARGE_BYTES;
    const hashed = isLarge ? await this.#read(file, pass) : await this.#readHere(file);
    return hashed !== undefined && await this.#takeHashed(file, hashed, pass);
  }

  /**
   * Returns `undefined` while the file is being hashed in the background, or if there is nothing new to compare it
   * with.
   */
  async #hash(file: Present, elsewhere: Elsewhere, pass: Pass): Promise<Hashed | undefined> {
    const { index, knowledge, byInode } = pass;
    const { name, look, links } = file;
    if (elsewhere instanceof Error) throw elsewhere;
    if (elsewhere) return elsewhere;
    if (this.options.unclaimed.has(name)) {
      const clues = cluesOf(name, look);
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
    const moved = this.#moved(name, look, pass);
    if (moved) return moved;
    const inode = links > 1 ? look.inode : undefined;
    const known = inode === undefined ? undefined : byInode.get(inode);
    if (known) return known;
    const hashed = await this.#read(file, pass);
    if (hashed && inode !== undefined) byInode.set(inode, hashed);
    return hashed;
  }

  /**
   * Reads the content of a file: a small one here, others in another thread, and a large one in the background, which
   * resolves to `undefined` until it is done.
   */
  async #read(file: Present, pass: Pass): Promise<Hashed | undefined> {
    const { name, look } = file;
    if (look.sizeBytes > LARGE_BYTES) {
      const taken = this.#background.take(name, look, this.#suffixes(file, pass));
      if (!taken) pass.changes.unsettled++; // `onHashed` requests the next scan
      if (!taken) return undefined;
      const { sizeBytes, sha256, aheadSeconds = 0 } = taken;
      const now = await this.#lookAt(name); // it may have been read a while ago
      const digestWith = (suffix: string) => taken.digestWith(suffix);
      return { sizeBytes, sha256, look: now, aheadSeconds, digestWith };
    }
    if (look.sizeBytes > FEW_BYTES) {
      const [hashed] = await this.#hashInThread([file], pass);
      if (hashed instanceof Error) throw hashed;
      return hashed;
    }
    return await this.#readHere(file);
  }

  /** Reads the content of a file here, so that every digest can be made of it. */
  async #readHere({ name, look }: Present): Promise<Hashed> {
    const { dir, signal } = this.options;
    const expectedBytes = look.sizeBytes;
    const { hash, sizeBytes } = await hashFile(`${dir}/${name}`, { expectedBytes, signal });
    return hashedOf(hash, sizeBytes);
  }

  /**
   * Returns the hashes of a file that has the inode, size and modification time of one that is gone, which was renamed
   * or moved away and back: its content is not read again.
   */
  #moved(name: string, look: Look, { gone }: Pass): Hashed | undefined {
    if (this.ignoresInode || look.inode === undefined) return undefined;
    if (gone.size === 0 && this.departed.size === 0) return undefined;
    if (this.options.shelf.hasName(name)) return undefined;
    const before = gone.get(look.inode);
    const departed = before ? [] : this.departed.lookingLike(look);
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

  /** Decides what a file is. Throws `Changed` and `Unhashed`; nothing has happened then. */
  #judge(file: Present, hashed: Hashed, placement: Placement, pass: Pass): void {
    const { owner, shelf, unclaimed } = this.options;
    const { name } = file;
    const { knowledge, changes, index } = pass;
    const { found, isCopy } = this.#recognizing.recognize(file, hashed, placement, pass);
    const former = shelf.hasName(name) ? shelf.idsAt(name) : NONE;
    // Deleted since it was hashed: this content is on its way to the trash, whoever's it was.
    const isRemoved = (pass.former.get(name) ?? NONE).some((fileId) => !shelf.get(fileId));
    if (isRemoved) throw new Changed();
    if (found.length === 0 && this.#isDamaged(file, former)) {
      for (const fileId of former) changes.damaged.push(fileId);
      return;
    }
    if (found.length > 0) {
      edit(
        former.filter((fileId) => !found.some((each) => each.file.fileId === fileId)),
        changes,
      );
      this.#noteInode(file.look, former, placement);
      for (const each of found) {
        pass.foundIds.add(each.file.fileId);
        this.departed.delete(each.file.fileId);
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
      edit(former, changes);
      const keeps = this.#unrecognized.size < MAX_KEPT_HASHES;
      this.#unrecognized.set(name, {
        look: file.look,
        revision: knowledge.revision(),
        state: index.state(cluesOf(name, file.look)),
        hashed: keeps ? hashed : undefined,
      });
      return;
    }
    const published = this.#recognizing.publish(file, hashed, placement, knowledge);
    edit(former, changes);
    changes.published.push(published);
    this.departed.delete(published.file.fileId);
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
   * Returns where the content is stored. `after` is how the file looked once it had been read. Throws `Changed` if it
   * no longer is what was hashed.
   */
  #placement({ name, look }: Present, { sha256, sizeBytes }: Hashed, after: Look): Placement {
    if (sizeBytes !== look.sizeBytes || !isSameLook(after, look)) throw new Changed();
    const { mtimeMs, ctimeMs, inode } = look;
    // Written out, because an object made of parts takes more memory and twice the time.
    if (ctimeMs !== undefined && inode !== undefined && !this.ignoresInode) {
      return { diskName: name, sizeBytes, sha256, mtimeMs, ctimeMs, inode };
    }
    return {
      diskName: name,
      sizeBytes,
      sha256,
      mtimeMs,
      ...(ctimeMs === undefined ? {} : { ctimeMs }),
      ...(inode === undefined || this.ignoresInode ? {} : { inode }),
    };
  }

  async #lookAt(name: string): Promise<Look> {
    const info = await Deno.lstat(`${this.options.dir}/${name}`);
    if (!info.isFile) throw new Changed();
    return lookOf(info);
  }

  /** If the content is the same and only the inode differs, inode numbers mean nothing on this file system. */
  #noteInode(look: Look, former: readonly string[], { sha256 }: Placement): void {
    for (const fileId of former) {
      const { placement } = this.options.shelf.get(fileId)!;
      if (placement.sha256 === sha256 && looksAsHashed(look, placement, true)) {
        this.ignoresInode = true;
      }
    }
  }
}

const NONE: readonly string[] = [];

/** The file changed while it was being hashed; the next scan looks at it again. */
class Changed extends Error {}

const cluesOf = (name: string, { sizeBytes, mtimeMs, inode }: Look) => ({
  name,
  sizeBytes,
  mtimeMs,
  inode,
});

/** Records that a file has different content now. */
function edit(fileIds: readonly string[], changes: Changes): void {
  for (const fileId of fileIds) {
    changes.lost.push(fileId);
    changes.edited.add(fileId);
  }
}

/** Records that a file needs another scan, at the latest after this time. */
export function wait(changes: Changes, name: string, waitMs: number): void {
  changes.unsettled++;
  if (changes.waiting.length < MAX_WAITING) changes.waiting.push(name);
  changes.againMs = Math.min(changes.againMs ?? Infinity, waitMs);
}

/** Hands over everything except what is lost, which may still be found under another name. */
function handOver(changes: Changes, commit: Pass["commit"]): void {
  const { found, published, damaged, unreadable, passedOver } = changes;
  changes.found = [];
  changes.published = [];
  changes.damaged = [];
  changes.unreadable = [];
  changes.passedOver = [];
  commit({ ...noChanges(), found, published, damaged, unreadable, passedOver });
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
