// The store: one folder with files that people can read, and what the peer remembers of them.
// Invariants: a file is in the journal before anybody learns of it; nothing is overwritten, no link is followed for
// writing, and nothing is written outside the folder; what is served has been verified and still looks as it did
// then; a file that a person put into the folder is only read.

import { statfs } from "node:fs/promises";
import type { FileRecord } from "../protocol/wire/message.ts";
import type { Timestamp } from "../protocol/wire/fileid.ts";
import { Adopting } from "./adopting.ts";
import { DiskThread } from "./disk_thread.ts";
import { Assembly } from "./assembly.ts";
import { ChunkLists } from "./chunk_lists.ts";
import type { Changes, Knowledge, Progress, ScanScope } from "./changes.ts";
import { asStorageError, StorageError } from "./errors.ts";
import { FileIntake } from "./intake.ts";
import { Journal } from "./journal.ts";
import {
  checkFolders,
  clearTemporaries,
  exists,
  type Layout,
  layoutOf,
  lockStore,
  lstatOrNothing,
  makeFolders,
} from "./layout.ts";
import { removeLeftovers } from "./leftovers.ts";
import { type KnownLoading, type LoadedStore, loadJournal, loadKnown } from "./load.ts";
import { loadNodeKey } from "./identity.ts";
import { Keeping, SmallContent } from "./keeping.ts";
import type { MetadataEntry } from "./metadata.ts";
import {
  contentOfHeld,
  examine,
  type Examined,
  type FileReader,
  isTransient,
  openHeld,
} from "./reader.ts";
import { OwnIds } from "./ownids.ts";
import { hasHardLinks } from "./placing.ts";
import { type PublishedContent, Publishing } from "./publishing.ts";
import { Reconciler } from "./reconcile.ts";
import { entryOfShelved, type HeldContent, Shelf, type ShelvedFile } from "./shelf.ts";
import { Partials } from "./partials.ts";
import { Removals } from "./removals.ts";
import { Snapshots } from "./snapshots.ts";
import { Space } from "./space.ts";
import { isOnDisk, syncStore } from "./syncing.ts";
import { Uploads } from "./uploads.ts";
import { Turns } from "./turns.ts";

const GiB = 1024 ** 3;

/** How to open a store. */
export interface StoreOptions {
  /** The folder. Created if it does not exist. */
  readonly dir: string;
  /** Owner of the files that are published here. */
  readonly owner: string;
  /** Maximum size of a file, in bytes. Larger ones are neither shared nor received. */
  readonly maxFileBytes: number;
  /** Disk space that must stay free, in bytes; `undefined` means 1 GiB or 1 % of the disk, whichever is larger. */
  readonly minFreeBytes: number | undefined;
  /** Called for each deleted file that is purged before its time, because space was needed. */
  readonly onPurged?: () => void;
  /** Maximum total size of files that others push here, including the ones in the trash, in bytes. */
  readonly pushQuotaBytes: number;
  /** "full": content is safely on disk before it is shown. "normal": within 5 s. */
  readonly durability: "normal" | "full";
  /** The current time, Unix milliseconds. */
  readonly now: () => number;
  /** When this machine was started, Unix seconds; the system says if it is left out. */
  readonly bootSeconds?: number;
}

/** A damaged file that was moved out of the folder. */
export interface SetAside {
  /** The file, by the id under which the damage was found. */
  readonly file: FileRecord;
  /** All ids that the file had. */
  readonly fileIds: readonly string[];
  /** Path where the damaged content is kept. */
  readonly keptAt: string;
}

/** What a part of a scan found, and what it moved out of the folder because it was damaged. */
export type Found = Changes & { readonly setAside: readonly SetAside[] };

/**
 * After this long of being found changed on every request, a file is no longer offered, in milliseconds: it never
 * stops changing.
 */
const CHANGED_MS = 120_000;
/** Maximum number of such files that are remembered. */
const MAX_CHANGED = 1_000;

/** A store that this process has locked. */
export class Store {
  /** Paths of everything in the store. */
  readonly layout: Layout;
  /** The held files. */
  readonly shelf: Shelf;
  /** metadata.json and the other snapshots. */
  readonly snapshots: Snapshots;
  /** Deleting and restoring. */
  readonly removals: Removals;
  readonly #reconciler: Reconciler;
  #loaded: LoadedStore | undefined;
  readonly #suspects = new Map<string, ShelvedFile["placement"]>();
  /** Files that were requested and found changed: when that was first and last seen, Unix milliseconds. */
  readonly #changed = new Map<string, { readonly sinceMs: number; readonly lastMs: number }>();
  readonly #unclaimed = new Set<string>();
  #savedUnclaimed: readonly string[] = [];
  #serial = 0;
  #isClosed = false;
  /** The budget of free disk space. */
  readonly space: Space;
  /** Uploads that may be continued. */
  readonly uploads: Uploads;
  #scanning: Promise<unknown> = Promise.resolve();
  readonly #ownIds = new OwnIds();
  readonly #publishing: Publishing;
  readonly #keeping: Keeping;
  readonly #adopting: Adopting;
  readonly #chunkLists: ChunkLists;
  readonly #closing = new AbortController();
  readonly #thread: DiskThread;
  /** Called when a large file was hashed, so another scan is worthwhile. */
  onHashed: () => void = () => {};

  private constructor(
    readonly options: StoreOptions,
    layout: Layout,
    readonly journal: Journal,
    private lock: Deno.FsFile,
    readonly nodeKey: string,
    /** Whether the store existed before this start, and so had a journal. */
    private readonly isOld: boolean,
    minFreeBytes: number,
    /** Beginnings of downloads that ended early. */
    readonly partials: Partials,
  ) {
    this.layout = layout;
    this.#thread = partials.thread;
    this.shelf = new Shelf(journal);
    this.snapshots = new Snapshots(layout);
    this.removals = new Removals(layout, this.shelf, options);
    this.#reconciler = new Reconciler({
      dir: layout.dir,
      owner: options.owner,
      shelf: this.shelf,
      ownIds: this.#ownIds,
      maxFileBytes: options.maxFileBytes,
      unclaimed: this.#unclaimed,
      suspects: this.#suspects,
      thread: this.#thread,
      now: options.now,
      signal: this.#closing.signal,
      onHashed: () => this.onHashed(),
      // With the marks that were taken away: until the journal says whose those files are, they count.
      onLosing: () => this.#saveUnclaimed([...this.#savedUnclaimed, ...this.#unclaimed]),
    });
    this.#publishing = new Publishing({
      dir: layout.dir,
      owner: options.owner,
      shelf: this.shelf,
      ownIds: this.#ownIds,
      now: options.now,
      intake: () => this.intake(),
      keep: (intake, held) => this.keep(intake, held),
    });
    this.space = new Space(
      layout.dir,
      minFreeBytes,
      () =>
        this.partials.dropOldest() || this.removals.freeOldestSync() || this.uploads.dropOldest(),
      () => this.removals.trashBytes,
    );
    const { now, maxFileBytes } = options;
    this.uploads = new Uploads(layout, { now, maxFileBytes, space: () => this.space });
    this.#chunkLists = new ChunkLists((fileId) => this.reader(fileId), this.#closing.signal);
    this.#adopting = new Adopting({
      dir: layout.dir,
      shelf: this.shelf,
      isRemoving: (fileId) => this.removals.isRemoving(fileId),
      isDurable: options.durability === "full",
      now: options.now,
      signal: this.#closing.signal,
    });
    this.#keeping = new Keeping({
      layout,
      shelf: this.shelf,
      space: this.space,
      removals: this.removals,
      partials,
      isDurable: options.durability === "full",
      now: options.now,
      intake: () => this.intake(),
      checkFolders: () => this.#checkFolders(),
      temporary: () => this.#temporary(undefined),
      sync: () => this.sync(),
    });
  }

  /**
   * Opens the store and locks it for this process, whatever is in the folder. `load` continues from there. Throws
   * `StorageError`.
   */
  static async open(options: StoreOptions): Promise<Store> {
    const layout = layoutOf(options.dir);
    await makeFolders(layout);
    const lock = await lockStore(layout);
    try {
      const partials = new Partials(layout, options.now, new DiskThread());
      await partials.load();
      await clearTemporaries(layout);
      const isOld = exists(layout.key);
      const store = new Store(
        options,
        layout,
        new Journal(
          layout.journal,
          layout.temporaries,
          undefined,
          options.bootSeconds ?? startOfMachine(),
        ),
        lock,
        await loadNodeKey(layout.key),
        isOld,
        options.minFreeBytes ?? await usualMinFree(layout.dir),
        partials,
      );
      await store.uploads.load();
      store.notes.push(...await notesOn(layout));
      return store;
    } catch (cause) {
      lock.close();
      throw asStorageError(cause, `Cannot open ${options.dir}`);
    }
  }

  /**
   * Reads the journal: the held files are on the shelf when this resolves. Nothing may be kept, published, deleted or
   * scanned before. Throws `StorageError`.
   */
  async load(): Promise<LoadedStore> {
    const { signal } = this.#closing;
    const turns = new Turns();
    const loaded = await loadJournal(this.layout, this.journal, {
      isOld: this.isOld,
      notes: this.notes,
      signal,
      onHeld: (shelved, isUnsynced) => {
        this.shelf.restore(shelved);
        if (isUnsynced) this.shelf.unsynced.add(shelved.file.fileId);
        return turns.isOver ? turns.next() : undefined;
      },
    });
    for (const [fileId, placement] of loaded.suspects) {
      this.#suspects.set(fileId, placement);
      this.#unclaimed.add(placement.diskName);
    }
    // What is shelved has an owner: it was recognized by a scan that did not end.
    for (const name of loaded.unclaimed) if (!this.shelf.hasName(name)) this.#unclaimed.add(name);
    this.#savedUnclaimed = loaded.unclaimed;
    this.#loaded = loaded;
    await this.removals.begin(loaded.removing);
    return loaded;
  }

  /**
   * Yields what else is known of the network from earlier runs, a part at a time; held files are left out. The folder
   * may be scanned when this ends. Throws `StorageError`.
   */
  async *known(): AsyncGenerator<readonly MetadataEntry[]> {
    const { isDamaged, isNew, suspected } = this.loaded;
    if (suspected.length > 0) yield suspected;
    const loading: KnownLoading = { isDamaged: false, damagedAside: undefined, notes: this.notes };
    yield* loadKnown(this.layout, loading, {
      isKnown: (fileId) => this.shelf.get(fileId) !== undefined || this.#suspects.has(fileId),
      now: this.options.now,
      signal: this.#closing.signal,
    });
    const { damagedAside } = loading;
    // The damaged file may have listed more files, so one that the others do not list may belong to somebody else.
    if (isDamaged || damagedAside !== undefined || (isNew && loading.isDamaged)) {
      await this.#disclaim();
    }
    // Set aside only after its consequences are recorded, so that the next start cannot miss them.
    await this.#saveUnclaimed();
    if (damagedAside !== undefined) await Deno.rename(this.layout.metadata, damagedAside);
  }

  /** What `load` read. Throws `Error` before that. */
  get loaded(): LoadedStore {
    if (!this.#loaded) throw new Error("The store is not loaded");
    return this.#loaded;
  }

  /** Sentences for the person who starts the peer: what was damaged, and what this file system cannot do. */
  get notes(): string[] {
    return this.snapshots.notes;
  }

  /** Names of files whose owner is unknown. They are kept but not shared. */
  get unclaimed(): readonly string[] {
    return [...this.#unclaimed];
  }

  /** Yields every held file. */
  *held(): Iterable<HeldContent> {
    for (const { file, placement, pushed, knownSince } of this.shelf.all()) {
      const since = knownSince === undefined ? {} : { knownSince };
      yield { file, sizeBytes: placement.sizeBytes, pushed, ...since };
    }
  }

  /**
   * Returns the number of bytes that may still be written; negative if too few are free already, 0 while the folder
   * does not exist.
   */
  freeBytes(): number {
    try {
      return this.space.freeBytes();
    } catch {
      return 0;
    }
  }

  /**
   * Opens a temporary file for incoming content of at most `maxBytes` bytes. With `fileId`, a kill leaves something to
   * continue with. Throws `StorageError`.
   */
  intake(maxBytes = this.options.maxFileBytes, fileId?: string): FileIntake {
    this.#checkFolders();
    const path = this.#temporary(fileId);
    return new FileIntake(path, Math.min(maxBytes, this.options.maxFileBytes), this.space);
  }

  #temporary(fileId: string | undefined): string {
    const serial = ++this.#serial;
    return `${this.layout.temporaries}/${serial}${fileId === undefined ? "" : `-${fileId}`}.part`;
  }

  /**
   * Opens a file that arrives in parts, and continues what arrived of it before. Ends with `suspend`, `keep`
   * or its own `abort`. Throws `StorageError`.
   */
  assemble(fileId: string): Assembly {
    this.#checkFolders();
    return this.partials.open(fileId, this.options.maxFileBytes, this.space);
  }

  /** Keeps what arrived of a file, for the next attempt. Never throws. */
  suspend(fileId: string, content: Assembly | FileIntake): void {
    if (!this.shelf.get(fileId) && !this.#isClosed) return this.partials.keep(fileId, content);
    content.abort();
  }

  /** Keeps verified content under a readable name. Throws `StorageError`; the content is lost then. */
  keep(intake: FileIntake | Assembly, held: HeldContent): Promise<HeldContent> {
    return this.#keeping.keep(intake, held);
  }

  /** Returns complete content that is in memory, for `keepAll`. */
  inMemory(content: Uint8Array): SmallContent {
    return new SmallContent(content);
  }

  /** Keeps many small files; see `Keeping.keepAll`. Never rejects. */
  keepAll(
    files: readonly { readonly content: SmallContent; readonly held: HeldContent }[],
  ): Promise<(HeldContent | Error)[]> {
    return this.#keeping.keepAll(files);
  }

  /** Holds a file as content that is here already; see `Adopting.adopt`. Throws `StorageError`. */
  adopt(
    file: FileRecord,
    timestamps: readonly Timestamp[],
    twin: string,
  ): Promise<HeldContent | undefined> {
    return this.#adopting.adopt(file, timestamps, twin);
  }

  /** Opens content for sending; see `openHeld`. Throws `StorageError`. */
  reader(fileId: string): FileReader | undefined {
    const placement = this.shelf.get(fileId)?.placement;
    return placement && openHeld(this.layout.dir, placement);
  }

  /** Resolves to the hashes of the chunks of a held file; see `ChunkLists.of`. Throws `StorageError`. */
  chunkList(fileId: string): Promise<Uint8Array | undefined> {
    return this.#chunkLists.of(fileId);
  }

  /** Returns all of a held file if it is small; see `contentOfHeld`. Throws `StorageError`. */
  smallContent(fileId: string, maxBytes: number): Uint8Array | undefined {
    const placement = this.shelf.get(fileId)?.placement;
    if (!placement || placement.sizeBytes > maxBytes) return undefined;
    return contentOfHeld(this.layout.dir, placement);
  }

  /** Reads a held file again; see `examine`. Resolves to "gone" if it is not held. Throws `StorageError`. */
  async examine(fileId: string, onBytes?: (bytes: number) => void): Promise<Examined> {
    const shelved = this.shelf.get(fileId);
    return shelved ? await examine(this.layout.dir, shelved, onBytes) : "gone";
  }

  /**
   * Moves a damaged file out of the folder and stops holding it under any of its ids. Returns those ids and the
   * path where the content is kept. Throws `StorageError`.
   */
  setAside(fileId: string): { fileIds: readonly string[]; keptAt: string } {
    const diskName = this.shelf.get(fileId)?.placement.diskName;
    if (diskName === undefined) return { fileIds: [], keptAt: "" };
    const fileIds = this.shelf.idsAt(diskName);
    const keptAt = `${this.layout.damaged}/${this.options.now()}-${diskName}`;
    try {
      Deno.renameSync(`${this.layout.dir}/${diskName}`, keptAt);
      this.shelf.remove(fileIds);
      return { fileIds, keptAt };
    } catch (cause) {
      throw asStorageError(
        cause,
        `Cannot move the damaged file ${diskName} to ${this.layout.damaged}`,
      );
    }
  }

  /**
   * Handles a file that could not be opened or looks different from when it was hashed. Returns "changed" if there
   * is a readable file, which the next scan will judge, unless this has been so for minutes. Returns "gone" if it
   * is no longer held, unless a scan finds it again. Throws `StorageError`.
   */
  release(fileId: string): "changed" | "gone" {
    const shelved = this.shelf.get(fileId);
    if (!shelved) return "gone";
    const nowMs = this.options.now();
    const { sinceMs, lastMs } = this.#changed.get(fileId) ?? { sinceMs: nowMs, lastMs: nowMs };
    const isOld = nowMs - sinceMs >= CHANGED_MS && nowMs - lastMs < CHANGED_MS;
    if (!isOld && isPlainAndReadable(`${this.layout.dir}/${shelved.placement.diskName}`)) {
      const isNew = nowMs - lastMs >= CHANGED_MS;
      this.#changed.delete(fileId);
      this.#changed.set(fileId, { sinceMs: isNew ? nowMs : sinceMs, lastMs: nowMs });
      if (this.#changed.size > MAX_CHANGED) {
        this.#changed.delete(this.#changed.keys().next().value!);
      }
      return "changed";
    }
    this.#changed.delete(fileId);
    const isOthers = shelved.file.owner !== this.options.owner;
    if (isOthers) this.#unclaimed.add(shelved.placement.diskName);
    this.shelf.remove([fileId], Math.trunc(nowMs / 1000));
    // The next scan may be minutes away, and a file that neither list has would pass for ours.
    if (isOthers) this.#scanning = this.#scanning.then(() => this.#saveUnclaimed()).catch(() => {});
    return "gone";
  }

  /** Moves a file to the trash; see `Removals.remove`. Throws `StorageError`. */
  trash(fileId: string, why: "deleted" | "unwanted"): Promise<void> {
    return this.trashAll([fileId], why);
  }

  /** Moves files to the trash; see `Removals.remove`. Throws `StorageError`. */
  trashAll(fileIds: readonly string[], why: "deleted" | "unwanted"): Promise<void> {
    return this.removals.remove(fileIds, why);
  }

  /** Restores a file from the trash; see `Removals.restore`. Throws `StorageError`. */
  restore(fileId: string): Promise<HeldContent> {
    return this.removals.restore(fileId);
  }

  /** Copies a file into the store as one of ours; see `Publishing.publish`. Throws `StorageError`. */
  publish(path: string, isTaken: (fileId: string) => boolean): Promise<PublishedContent> {
    return this.#publishing.publish(path, isTaken);
  }

  /** Keeps received content as one of our files; see `Publishing.publishIntake`. Throws `StorageError`. */
  publishIntake(
    intake: FileIntake,
    name: string,
    modifiedSeconds: number,
    isTaken: (fileId: string) => boolean,
  ): Promise<PublishedContent> {
    return this.#publishing.publishIntake(intake, name, modifiedSeconds, isTaken);
  }

  /**
   * Returns a text that changes when a file was added to the folder, renamed or removed, whoever did that. Costs the
   * same however many files there are.
   */
  async stateOfFolder(): Promise<string> {
    const info = await lstatOrNothing(this.layout.dir).catch(() => undefined);
    return `${info?.ino} ${info?.mtime?.getTime()}`;
  }

  /**
   * Scans the folder. Scans run one after another. Calls `onPart` with each part of what was found, once the shelf has
   * it, and resolves to the last part. Throws `StorageError`.
   */
  scan(knowledge: Knowledge, scope: ScanScope, onPart: (part: Found) => void): Promise<Found> {
    const scan = this.#scanning.then(() => this.#scan(knowledge, scope, onPart));
    this.#scanning = scan.catch(() => {}); // reported to the caller
    return scan;
  }

  async #scan(
    knowledge: Knowledge,
    scope: ScanScope,
    onPart: (part: Found) => void,
  ): Promise<Found> {
    try {
      const isRemade = await this.#remakeFolders();
      removeLeftovers();
      const changes = await this.#reconciler.scan(knowledge, scope, (part) => {
        onPart({ ...part, isRemade, setAside: this.#apply(part, isRemade) });
      });
      changes.isRemade = isRemade;
      const setAside = this.#apply(changes, isRemade);
      if (!scope.names && !this.#isSuspected(changes.waiting)) this.#suspects.clear();
      await this.#saveUnclaimed();
      return { ...changes, setAside };
    } catch (cause) {
      throw asStorageError(cause, `Cannot scan ${this.layout.dir}`);
    }
  }

  /** Returns whether files that a crash may have damaged are still to be recognized. */
  #isSuspected(waiting: readonly string[]): boolean {
    if (this.#suspects.size === 0) return false;
    const names = new Set(waiting);
    return this.#reconciler.hashing > 0 ||
      [...this.#suspects.values()].some(({ diskName }) => names.has(diskName));
  }

  /** Shelves what a scan found and takes off what it missed. Returns what was damaged and moved away. */
  #apply(changes: Changes, isRemade: boolean): SetAside[] {
    const nowMs = this.options.now();
    const knownSince = Math.trunc(nowMs / 1000);
    const setAside: SetAside[] = [];
    try {
      // Files that a person removed or edited must not be fetched again, but if the whole folder is gone, its files
      // may come back.
      this.shelf.remove(changes.lost, isRemade ? undefined : knownSince);
      this.shelf.add(
        [
          ...changes.found.map((each) => ({ ...each, ...this.#sinceOf(each.file.fileId) })),
          ...changes.published.map((each) => ({ ...each, knownSince })),
        ],
        { isForeign: true, isSafe: ({ placement }) => isOnDisk(placement, nowMs) },
      );
    } finally {
      for (const { file } of changes.published) this.shelf.unclaim(file.fileId);
    }
    for (const fileId of changes.damaged) {
      const file = this.shelf.get(fileId)?.file;
      if (!file) continue; // set aside together with another id of the same file
      const { fileIds, keptAt } = this.setAside(fileId);
      setAside.push({ file, fileIds, keptAt });
    }
    return setAside;
  }

  #sinceOf(fileId: string): { knownSince?: number } {
    const knownSince = this.shelf.get(fileId)?.knownSince;
    return knownSince === undefined ? {} : { knownSince };
  }

  /**
   * If somebody removed the folder while the peer runs, creates it again, empty, so that files can be stored again.
   */
  async #remakeFolders(): Promise<boolean> {
    if (exists(this.layout.temporaries) && exists(this.layout.journal)) return false;
    const isGone = !exists(this.layout.private);
    await makeFolders(this.layout);
    if (!exists(this.layout.lock)) {
      const lock = await lockStore(this.layout);
      this.lock.close();
      this.lock = lock;
    }
    await this.compactJournal();
    return isGone;
  }

  /** Marks every file that is not shelved as having no known owner, so that none is published as ours. */
  async #disclaim(): Promise<void> {
    for await (const { name, isFile } of Deno.readDir(this.layout.dir)) {
      // Files are kept meanwhile, and are on the shelf before they are in the folder.
      if (isFile && !this.shelf.hasName(name)) this.#unclaimed.add(name);
    }
  }

  async #saveUnclaimed(marked: Iterable<string> = this.#unclaimed): Promise<void> {
    const names = [...new Set(marked)];
    const saved = this.#savedUnclaimed;
    if (names.length === saved.length && names.every((name, i) => name === saved[i])) return;
    // Another process may have the store now.
    if (this.#isClosed) throw new StorageError("io", "The store is closed");
    await this.snapshots.saveUnclaimed(names);
    this.#savedUnclaimed = names;
  }

  /** Flushes everything stored so far to disk, so that it survives a power failure. Throws `StorageError`. */
  sync(): Promise<void> {
    const { layout, shelf, journal, options } = this;
    return syncStore({ layout, shelf, journal, thread: this.#thread, now: options.now });
  }

  /** Flushes the journal to disk. Throws `StorageError`. */
  async flush(): Promise<void> {
    await this.journal.sync();
  }

  /** Returns where a held file is stored, for its entry in metadata.json. */
  placementOf(fileId: string): ShelvedFile["placement"] | undefined {
    return this.shelf.get(fileId)?.placement;
  }

  /** Purges old files from the trash, and compacts the journal if that pays off. Throws `StorageError`. */
  async tidy(): Promise<void> {
    this.partials.tidy();
    this.uploads.tidy();
    await this.removals.tidy();
    if (this.journal.isWorthCompacting(this.shelf.size)) await this.compactJournal();
  }

  /**
   * Rewrites the journal with one line for each file, unless files in it still have to be hashed again after a crash.
   * Throws `StorageError`.
   */
  async compactJournal(): Promise<void> {
    if (this.#suspects.size > 0) return;
    const { shelf, removals } = this;
    const removing: MetadataEntry[] = [];
    const left = new Set<string>();
    for (const shelved of shelf.all()) {
      if (!removals.isRemoving(shelved.file.fileId)) continue;
      removing.push(entryOfShelved(shelved));
      left.add(shelved.file.fileId);
    }
    const held = function* (): Iterable<MetadataEntry> {
      for (const shelved of shelf.all()) {
        if (!left.has(shelved.file.fileId)) yield entryOfShelved(shelved);
      }
    };
    await this.journal.compact(held(), shelf.unsynced, removing);
  }

  /** How far the current scan of the folder, or the last one, is. */
  get progress(): Progress {
    return this.#reconciler.progress;
  }

  /** Number of large files being hashed or queued. */
  get hashing(): number {
    return this.#reconciler.hashing;
  }

  /** Resolves when the scans requested so far have ended. */
  async settled(): Promise<void> {
    await this.#scanning;
  }

  /** Stops reading the folder, and abandons the file that is being hashed. */
  stopReading(): void {
    this.removals.stop();
    this.#closing.abort(new StorageError("io", "The store is closing"));
  }

  /** Unlocks the store for other processes. Nothing is written afterwards. */
  close(): void {
    this.stopReading();
    this.#isClosed = true;
    this.#thread.close(this.#closing.signal.reason);
    this.uploads.close();
    this.journal.close();
    this.lock.close();
  }

  #checkFolders(): void {
    try {
      checkFolders(this.layout);
    } catch (cause) {
      throw asStorageError(cause, `Cannot write to ${this.layout.private}`);
    }
  }
}

function isPlainAndReadable(path: string): boolean {
  try {
    const { isFile, mode } = Deno.lstatSync(path);
    if (!isFile || (mode !== null && (mode & 0o444) === 0)) return false;
    Deno.openSync(path, { read: true }).close();
    return true;
  } catch (error) {
    if (isTransient(error)) return true; // says nothing about the file
    return false;
  }
}

/** Returns what people should know about the store at start. */
async function notesOn(layout: Layout): Promise<readonly string[]> {
  if (await hasHardLinks(layout.temporaries)) return [];
  return [
    `The file system of ${layout.dir} has no hard links, so files are put in place by renaming. That is just as safe unless another program creates a file of the same name at the same moment`,
  ];
}

/** Returns when this machine was started, Unix seconds; undefined if that is not permitted. */
function startOfMachine(): number | undefined {
  try {
    return Math.round(Date.now() / 1000 - Deno.osUptime());
  } catch {
    return undefined; // files written shortly before the last exit are hashed again
  }
}

/** Returns 1 GiB or 1 % of the disk, whichever is larger, in bytes. */
async function usualMinFree(dir: string): Promise<number> {
  const { blocks, bsize } = await statfs(dir);
  return Math.max(GiB, Math.floor(blocks * bsize / 100));
}
