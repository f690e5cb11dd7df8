// What lists of files are searched and sorted by, as columns: numbers and references to strings that exist anyway, about
// 50 bytes per file. A file's place in the columns is its order of arrival, and never changes. PURE.
// Invariants: each file has at most one live place; places of files that are gone are only marked.

import { timestampSeconds } from "../protocol/wire/fileid.ts";
import { isPlain } from "./file_search.ts";
import type { Sliced } from "./slices.ts";
import type { View, ViewedFile } from "./view.ts";

/** Where rows come from. */
export type FileSource = Pick<View, "files" | "file">;

/** Number of files handled between two pauses: well under a millisecond. */
export const STEPS = 256;
/** Smallest capacity of the columns. */
const MIN_CAPACITY = 1_024;
/** Highest number of holders that is told apart. */
const MAX_HOLDERS = 0xffff;

const GONE = 1;
const HELD = 2;
const AWAY = 4;
const PLAIN = 8;

export class FileColumns {
  readonly ids: string[] = [];
  readonly names: string[] = [];
  readonly owners: string[] = [];
  /** In bytes; of files whose size only older peers reported, about. */
  sizes = new Float64Array(MIN_CAPACITY);
  /** Modification time in Unix seconds, or 0. */
  times = new Float64Array(MIN_CAPACITY);
  /** When this peer first learned of the file, in Unix seconds, or 0. */
  known = new Float64Array(MIN_CAPACITY);
  holders = new Uint16Array(MIN_CAPACITY);
  #flags = new Uint8Array(MIN_CAPACITY);
  /** Number of places of files that are gone. */
  gone = 0;
  /** Whether all names and owners so far are plain ASCII. */
  isAllPlain = true;

  /** Number of places, including those of files that are gone. */
  get count(): number {
    return this.ids.length;
  }

  isGone(place: number): boolean {
    return (this.#flags[place]! & GONE) !== 0;
  }

  isHeld(place: number): boolean {
    return (this.#flags[place]! & HELD) !== 0;
  }

  /** Returns whether nobody holds the file now, but absent peers did. */
  isAway(place: number): boolean {
    return (this.#flags[place]! & AWAY) !== 0;
  }

  /** Returns whether name and owner are plain ASCII, which is faster to search. */
  isPlain(place: number): boolean {
    return (this.#flags[place]! & PLAIN) !== 0;
  }

  /** Reads all files. What changes during pauses may or may not be included. */
  static *read(source: FileSource): Sliced<FileColumns> {
    const columns = new FileColumns();
    for (const file of source.files()) {
      columns.#put(columns.count, file);
      if (columns.count % STEPS === 0) yield;
    }
    return columns;
  }

  /** Reads the files with these ids again. Returns the places that are new, changed, or gone. */
  *reread(fileIds: readonly string[], source: FileSource): Sliced<Set<number>> {
    const dirty = new Set<number>();
    const places = new Map<string, number | undefined>(fileIds.map((id) => [id, undefined]));
    for (let place = 0; place < this.count; place++) {
      if (place % STEPS === 0) yield;
      const id = this.ids[place]!;
      if (!places.has(id) || this.isGone(place)) continue;
      // A file that left and came back while everything was read was read twice.
      if (places.get(id) !== undefined) this.#remove(place, dirty);
      else places.set(id, place);
    }
    let steps = 0;
    for (const [id, known] of places) {
      if (++steps % STEPS === 0) yield;
      const file = source.file(id);
      if (file) {
        const place = known ?? this.count;
        this.#put(place, file);
        dirty.add(place);
      } else if (known !== undefined) this.#remove(known, dirty);
    }
    return dirty;
  }

  #remove(place: number, dirty: Set<number>): void {
    this.#flags[place] = GONE;
    this.gone++;
    dirty.add(place);
  }

  #put(place: number, viewed: ViewedFile): void {
    if (place >= this.sizes.length) this.#grow();
    const { file, held, holders, knownSince } = viewed;
    this.ids[place] = file.fileId;
    this.names[place] = file.name;
    this.owners[place] = file.owner;
    this.sizes[place] = file.sizeBytes ?? file.size * 1024 ** 2;
    this.times[place] = timestampSeconds(file.timestamp) ?? 0;
    this.known[place] = knownSince ?? 0;
    const count = this.holders[place] = Math.min(holders.length, MAX_HOLDERS);
    const hasPlainText = isPlain(file.name, file.owner);
    this.isAllPlain &&= hasPlainText;
    const isAway = count === 0 && (viewed.lastHolders?.length ?? 0) > 0;
    this.#flags[place] = (held ? HELD : 0) | (isAway ? AWAY : 0) |
      (hasPlainText ? PLAIN : 0);
  }

  #grow(): void {
    const capacity = Math.ceil(this.sizes.length * 1.5);
    const grown = <T extends { set(from: T): void }>(to: T, from: T): T => (to.set(from), to);
    this.sizes = grown(new Float64Array(capacity), this.sizes);
    this.times = grown(new Float64Array(capacity), this.times);
    this.known = grown(new Float64Array(capacity), this.known);
    this.holders = grown(new Uint16Array(capacity), this.holders);
    this.#flags = grown(new Uint8Array(capacity), this.#flags);
  }
}
