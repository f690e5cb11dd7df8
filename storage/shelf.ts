// The shelf: which held file is stored where. The store's view of its own folder, backed by the journal.
// Invariants: what is here was written to the journal first; several ids may share one file on disk if its content
// verifies for each; a name is given out only once.

import { setImmediate } from "node:timers";
import { IdIndex } from "../protocol/id_index.ts";
import type { FileRecord } from "../protocol/wire/message.ts";
import { Journal, type JournalRecord } from "./journal.ts";
import type { Look } from "./looks.ts";
import type { MetadataEntry, Placement } from "./metadata.ts";
import { freeName, nameKey, safeName } from "./names.ts";

/** Maximum number of labels for which the next number to try is remembered. */
const MAX_NUMBERED = 10_000;

/** A held file and where it is stored. */
export interface ShelvedFile {
  /** What the network knows of the file. */
  readonly file: FileRecord;
  /** Where its content is stored. */
  readonly placement: Placement;
  /** Whether it arrived in a push that this peer did not ask for. */
  readonly pushed: boolean;
  /** When this peer first learned of it, Unix seconds; `undefined` if not recorded. */
  readonly knownSince?: number;
}

/** A file in the store. */
export interface HeldContent {
  /** What the network knows of the file. */
  readonly file: FileRecord;
  /** Size in bytes. */
  readonly sizeBytes: number;
  /** Whether it arrived in a push that this peer did not ask for. */
  readonly pushed?: boolean;
  /** When this peer first learned of it, Unix seconds; `undefined` if not recorded. */
  readonly knownSince?: number;
}

interface NextLines {
  readonly files: ShelvedFile[];
  sync: boolean;
  readonly done: PromiseWithResolvers<void>;
}

/** The held files, by id, name and content. */
export class Shelf {
  readonly #files = new Map<string, ShelvedFile>();
  readonly #byName = new IdIndex();
  readonly #bySha256 = new IdIndex();
  /** Keys of names that differ from their key, and how many have each. */
  readonly #nameKeys = new Map<string, number>();
  /** Names reserved for files that are about to be put in place. */
  readonly #reserved = new Set<string>();
  /** For each label that was taken, the number to try next. */
  readonly #numbers = new Map<string, number>();
  /** Ids given to files of ours that are not shelved yet. */
  readonly #claimed = new Set<string>();
  /** Files that are added together. */
  #next: NextLines | undefined;
  /** Ids whose content may not be safely on disk yet. */
  readonly unsynced = new Set<string>();
  /** The part of `unsynced` that people put into the folder: the system writes those to the disk in its own time. */
  readonly foreign = new Set<string>();
  /** Total size of held files that arrived in pushes nobody asked for, in bytes. */
  pushedBytes = 0;

  /** Starts empty; files that the journal already has are added by `restore`. */
  constructor(readonly journal: Journal) {}

  /** Number of held files. */
  get size(): number {
    return this.#files.size;
  }

  /** Returns the held file with this id. */
  get(fileId: string): ShelvedFile | undefined {
    return this.#files.get(fileId);
  }

  /** Returns whether a new file must not take this id because it is shelved or about to be. */
  isTaken(fileId: string): boolean {
    return this.#files.has(fileId) || this.#claimed.has(fileId);
  }

  /** Reserves the id for a file that is about to be shelved. Release it with `unclaim` in any case. */
  claim(fileId: string): void {
    this.#claimed.add(fileId);
  }

  /** Releases an id that was reserved by `claim`. */
  unclaim(fileId: string): void {
    this.#claimed.delete(fileId);
  }

  /** Returns every held file. */
  all(): IterableIterator<ShelvedFile> {
    return this.#files.values();
  }

  /** Returns the ids whose content has this SHA-256 (hex). */
  idsOf(sha256: string): Iterable<string> {
    return this.#bySha256.get(sha256);
  }

  /** Returns the ids whose content is in the file of this name. */
  idsAt(diskName: string): string[] {
    return [...this.#byName.get(diskName)];
  }

  /** Returns whether a held file has this name. */
  hasName(diskName: string): boolean {
    return this.#byName.has(diskName);
  }

  /** Returns the names of all held files. */
  names(): IterableIterator<string> {
    return this.#byName.keys();
  }

  /** Returns whether the name is reserved for a file that is not in place yet. */
  isReserved(diskName: string): boolean {
    return this.#reserved.size > 0 && this.#reserved.has(nameKey(diskName)); // asked for each file
  }

  /**
   * Returns a free name for a label, and reserves it until `release`. `isOnDisk` says whether a file that is not
   * shelved has the name. Costs the same however many files have the label, because numbers known to be taken are
   * not tried again.
   */
  reserve(label: string, isOnDisk: (name: string) => boolean): string {
    const key = nameKey(safeName(label));
    const onDisk = new Set<string>();
    let tried = 0;
    for (;;) {
      const isTaken = (other: string) => {
        tried++;
        return this.#byName.has(other) || this.#nameKeys.has(other) || this.#reserved.has(other) ||
          onDisk.has(other);
      };
      const first = this.#numbers.get(key) ?? 2;
      const name = freeName(label, isTaken, first);
      if (tried > 2) this.#remember(key, first + tried - 2);
      if (!isOnDisk(name)) {
        this.#reserved.add(nameKey(name));
        return name;
      }
      onDisk.add(nameKey(name));
      tried = 0;
    }
  }

  #remember(key: string, number: number): void {
    this.#numbers.delete(key);
    if (this.#numbers.size >= MAX_NUMBERED) {
      this.#numbers.delete(this.#numbers.keys().next().value!);
    }
    this.#numbers.set(key, number);
  }

  /** Releases a name that was reserved by `reserve`. */
  release(diskName: string): void {
    this.#reserved.delete(nameKey(diskName));
  }

  /**
   * Writes the files to the journal, then shelves them. With `sync`, the journal is on disk when this returns. `isSafe`
   * says of which files the content is on disk already, and `isForeign` that people put them into the folder. Throws
   * `StorageError`.
   */
  add(
    files: readonly ShelvedFile[],
    { sync = false, isForeign = false, isSafe = () => false }: {
      readonly sync?: boolean;
      readonly isForeign?: boolean;
      readonly isSafe?: (shelved: ShelvedFile) => boolean;
    } = {},
  ): void {
    if (files.length === 0) return;
    const safe = new Set(files.filter(isSafe));
    this.journal.append(
      files.map((shelved) => ({
        op: "hold",
        entry: entryOfShelved(shelved),
        ...(safe.has(shelved) ? { safe: true } : {}),
      })),
      sync,
    );
    for (const shelved of files) {
      this.restore(shelved);
      if (safe.has(shelved)) continue;
      this.unsynced.add(shelved.file.fileId);
      if (isForeign) this.foreign.add(shelved.file.fileId);
    }
  }

  /**
   * Adds one file together with all others that are added in this round of the event loop: one write, and one flush, for
   * all of them. Resolves once it is shelved. Throws `StorageError`; none of them is shelved then.
   */
  addSoon(shelved: ShelvedFile, sync: boolean): Promise<void> {
    if (!this.#next) {
      const next: NextLines = { files: [], sync: false, done: Promise.withResolvers<void>() };
      this.#next = next;
      setImmediate(() => {
        this.#next = undefined;
        try {
          this.add(next.files, { sync: next.sync });
          next.done.resolve();
        } catch (error) {
          next.done.reject(error);
        }
      });
    }
    this.#next.files.push(shelved);
    this.#next.sync ||= sync;
    return this.#next.done.promise;
  }

  /**
   * Updates how a file looks now that it has its name. The journal records this only when it is compacted; until
   * then fewer values are compared.
   */
  place(fileId: string, placement: Placement): void {
    const shelved = this.#files.get(fileId);
    if (shelved) this.#files.set(fileId, { ...shelved, placement });
  }

  /**
   * Updates how a file looks after a change that left its content the same, for example when we gave it a second
   * name.
   */
  relook(diskName: string, { ctimeMs, inode, ...look }: Look): void {
    for (const fileId of this.idsAt(diskName)) {
      const { placement } = this.#files.get(fileId)!;
      const { sizeBytes, sha256 } = placement;
      this.place(fileId, {
        diskName,
        sizeBytes,
        sha256,
        mtimeMs: look.mtimeMs,
        ...(ctimeMs === undefined ? {} : { ctimeMs }),
        ...(inode === undefined ? {} : { inode }),
      });
    }
  }

  /** Shelves a file that is already in the journal. */
  restore(shelved: ShelvedFile): void {
    const { fileId } = shelved.file;
    const { diskName } = shelved.placement;
    this.#forget(fileId);
    this.#files.set(fileId, shelved);
    if (shelved.pushed) this.pushedBytes += shelved.placement.sizeBytes;
    if (this.#byName.add(diskName, fileId)) {
      const key = nameKey(diskName);
      if (key !== diskName) this.#nameKeys.set(key, (this.#nameKeys.get(key) ?? 0) + 1);
    }
    this.#bySha256.add(shelved.placement.sha256, fileId);
  }

  /**
   * Takes files off the shelf and records that in the journal. `removedAt` (Unix seconds) means that a person
   * removed or changed them in the folder, so they are not fetched again automatically. Throws `StorageError`.
   */
  remove(fileIds: readonly string[], removedAt?: number): void {
    const known = fileIds.filter((fileId) => this.#files.has(fileId));
    if (known.length === 0) return;
    this.journal.append(known.flatMap((fileId): JournalRecord[] => [
      ...(removedAt === undefined
        ? []
        : [{ op: "remove", fileId, why: "unwanted", unixSeconds: removedAt } as const]),
      { op: "drop", fileId },
    ]));
    for (const fileId of known) this.#forget(fileId);
  }

  #forget(fileId: string): void {
    const shelved = this.#files.get(fileId);
    if (!shelved) return;
    const { diskName, sizeBytes, sha256 } = shelved.placement;
    if (shelved.pushed) this.pushedBytes -= sizeBytes;
    this.#files.delete(fileId);
    this.#bySha256.delete(sha256, fileId);
    this.unsynced.delete(fileId);
    this.foreign.delete(fileId);
    if (!this.#byName.delete(diskName, fileId)) return;
    const key = nameKey(diskName);
    if (key === diskName) return;
    const left = this.#nameKeys.get(key)! - 1;
    if (left > 0) this.#nameKeys.set(key, left);
    else this.#nameKeys.delete(key);
  }
}

/** Returns the journal entry of a shelved file. */
export function entryOfShelved(
  { file, placement, pushed, knownSince }: ShelvedFile,
): MetadataEntry {
  return {
    file,
    held: true,
    peers: [],
    placement,
    ...(pushed ? { pushed } : {}),
    ...(knownSince === undefined ? {} : { knownSince }),
  };
}
