// Which held file lies where: the store's memory of its own folder, with the journal behind it.
// Always holds: what stands here stood in the journal before; several ids may share one file on disk, when
// its content verifies for each; a name is given out once.

import type { FileRecord } from "../protocol/wire/message.ts";
import { Journal, type JournalRecord } from "./journal.ts";
import type { Look } from "./looks.ts";
import type { MetadataEntry, Placement } from "./metadata.ts";
import { freeName, nameKey, safeName } from "./names.ts";

/** Maximum number of labels for which the last number given out is remembered. */
const MAX_NUMBERED = 10_000;

export interface ShelvedFile {
  readonly file: FileRecord;
  readonly placement: Placement;
  readonly pushed: boolean;
  /** Unix seconds when this peer first knew of it; undefined where that was not noted. */
  readonly knownSince?: number;
}

/** A file that is in the store. */
export interface HeldContent {
  readonly file: FileRecord;
  readonly sizeBytes: number;
  readonly pushed?: boolean;
  readonly knownSince?: number;
}

export class Shelf {
  readonly #files = new Map<string, ShelvedFile>();
  readonly #byName = new Map<string, Set<string>>();
  readonly #bySha256 = new Map<string, Set<string>>();
  readonly #nameKeys = new Map<string, number>();
  /** Names given out for files that are about to be there. */
  readonly #reserved = new Set<string>();
  /** Per label that was taken: the number to try next. */
  readonly #numbers = new Map<string, number>();
  /** Ids given to files of ours that are on their way onto the shelf. */
  readonly #claimed = new Set<string>();
  /** Ids whose content may not have reached the disk for good. */
  readonly unsynced = new Set<string>();
  /** Bytes that came by pushes nobody asked for. */
  pushedBytes = 0;

  constructor(readonly journal: Journal) {}

  get size(): number {
    return this.#files.size;
  }

  get(fileId: string): ShelvedFile | undefined {
    return this.#files.get(fileId);
  }

  /** Whether a new file must not take this id: it is shelved, or will be in a moment. */
  isTaken(fileId: string): boolean {
    return this.#files.has(fileId) || this.#claimed.has(fileId);
  }

  /** Gives the id to a file that is about to be shelved; `unclaim` when it is, or will not be. */
  claim(fileId: string): void {
    this.#claimed.add(fileId);
  }

  unclaim(fileId: string): void {
    this.#claimed.delete(fileId);
  }

  all(): IterableIterator<ShelvedFile> {
    return this.#files.values();
  }

  /** Ids whose content has this SHA-256 (hex). */
  idsOf(sha256: string): Iterable<string> {
    return this.#bySha256.get(sha256) ?? [];
  }

  /** Ids whose content is in the file of this name. */
  idsAt(diskName: string): string[] {
    return [...this.#byName.get(diskName) ?? []];
  }

  names(): IterableIterator<string> {
    return this.#byName.keys();
  }

  isReserved(diskName: string): boolean {
    return this.#reserved.has(nameKey(diskName));
  }

  /**
   * A free name for a label, reserved until `release`. `isOnDisk` knows files that are not shelved. Costs the same however
   * many files have the label: numbers are not tried again from the first.
   */
  reserve(label: string, isOnDisk: (name: string) => boolean): string {
    const key = nameKey(safeName(label));
    const onDisk = new Set<string>();
    let tried = 0;
    for (;;) {
      const isTaken = (other: string) => {
        tried++;
        return this.#nameKeys.has(other) || this.#reserved.has(other) || onDisk.has(other);
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

  release(diskName: string): void {
    this.#reserved.delete(nameKey(diskName));
  }

  /** Writes the files into the journal, then shelves them. Throws `StorageError`. */
  add(files: readonly ShelvedFile[], sync = false): void {
    if (files.length === 0) return;
    this.journal.append(
      files.map((shelved) => ({ op: "hold", entry: entryOfShelved(shelved) })),
      sync,
    );
    for (const shelved of files) {
      this.restore(shelved);
      this.unsynced.add(shelved.file.fileId);
    }
  }

  /**
   * Notes how a file looks now that it has its name. The journal learns of it when it is compacted, and compares less
   * until then.
   */
  place(fileId: string, placement: Placement): void {
    const shelved = this.#files.get(fileId);
    if (shelved) this.#files.set(fileId, { ...shelved, placement });
  }

  /** The file of this name looks different now, though its content is the same: we gave it a second name, for instance. */
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

  /** Shelves a file that is in the journal already. */
  restore(shelved: ShelvedFile): void {
    const { fileId } = shelved.file;
    const { diskName } = shelved.placement;
    this.#forget(fileId);
    this.#files.set(fileId, shelved);
    if (shelved.pushed) this.pushedBytes += shelved.placement.sizeBytes;
    let ids = this.#byName.get(diskName);
    if (!ids) {
      this.#byName.set(diskName, ids = new Set());
      const key = nameKey(diskName);
      this.#nameKeys.set(key, (this.#nameKeys.get(key) ?? 0) + 1);
    }
    ids.add(fileId);
    const { sha256 } = shelved.placement;
    const same = this.#bySha256.get(sha256);
    if (same) same.add(fileId);
    else this.#bySha256.set(sha256, new Set([fileId]));
  }

  /**
   * Takes files off the shelf and notes it in the journal. `removedAt` (Unix seconds): a person removed or changed them in
   * the folder, so they are not fetched again automatically. Throws `StorageError`.
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
    const same = this.#bySha256.get(sha256)!;
    same.delete(fileId);
    if (same.size === 0) this.#bySha256.delete(sha256);
    this.unsynced.delete(fileId);
    const ids = this.#byName.get(diskName)!;
    ids.delete(fileId);
    if (ids.size > 0) return;
    this.#byName.delete(diskName);
    const key = nameKey(diskName);
    const left = this.#nameKeys.get(key)! - 1;
    if (left > 0) this.#nameKeys.set(key, left);
    else this.#nameKeys.delete(key);
  }
}

/** A shelved file as the journal has it. */
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
