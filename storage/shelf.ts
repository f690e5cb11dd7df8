// Which held file lies where: the store's memory of its own folder, with the journal behind it.
// Always holds: what stands here stood in the journal before; several ids may share one file on disk, when
// its content verifies for each; a name is given out once.

import type { FileRecord } from "../protocol/message.ts";
import { Journal, type JournalRecord } from "./journal.ts";
import type { MetadataEntry, Placement } from "./metadata.ts";
import { freeName, nameKey } from "./names.ts";

export interface ShelvedFile {
  readonly file: FileRecord;
  readonly placement: Placement;
  readonly pushed: boolean;
}

/** A file that lies in the store. */
export interface HeldContent {
  readonly file: FileRecord;
  readonly sizeBytes: number;
  readonly pushed?: boolean;
}

export class Shelf {
  readonly #files = new Map<string, ShelvedFile>();
  readonly #byName = new Map<string, Set<string>>();
  readonly #nameKeys = new Map<string, number>();
  /** Names given out for files that are about to be there. */
  readonly #reserved = new Set<string>();
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

  /** Ids whose content lies in the file of this name. */
  idsAt(diskName: string): string[] {
    return [...this.#byName.get(diskName) ?? []];
  }

  names(): IterableIterator<string> {
    return this.#byName.keys();
  }

  isReserved(diskName: string): boolean {
    return this.#reserved.has(nameKey(diskName));
  }

  /** A free name for a label, reserved until `release`. `isOnDisk` knows files that are not shelved. */
  reserve(label: string, isOnDisk: (name: string) => boolean): string {
    const onDisk = new Set<string>();
    for (;;) {
      const name = freeName(
        label,
        (key) => this.#nameKeys.has(key) || this.#reserved.has(key) || onDisk.has(key),
      );
      if (!isOnDisk(name)) {
        this.#reserved.add(nameKey(name));
        return name;
      }
      onDisk.add(nameKey(name));
    }
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

  /** Shelves a file that stands in the journal already. */
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
  }

  /** Takes files off the shelf and notes it in the journal. Throws `StorageError`. */
  remove(fileIds: readonly string[]): void {
    const known = fileIds.filter((fileId) => this.#files.has(fileId));
    if (known.length === 0) return;
    this.journal.append(known.map((fileId): JournalRecord => ({ op: "drop", fileId })));
    for (const fileId of known) this.#forget(fileId);
  }

  #forget(fileId: string): void {
    const shelved = this.#files.get(fileId);
    if (!shelved) return;
    const { diskName, sizeBytes } = shelved.placement;
    if (shelved.pushed) this.pushedBytes -= sizeBytes;
    this.#files.delete(fileId);
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

/** How a shelved file stands in the journal. */
export function entryOfShelved({ file, placement, pushed }: ShelvedFile): MetadataEntry {
  return { file, held: true, peers: [], placement, ...(pushed ? { pushed } : {}) };
}
