// The held files in the order in which they appeared, so that a peer that is told of them one by one needs only a few
// positions. PURE.
// Invariants: a file that appears is added at the end; one that is no longer held leaves a hole until the log is cut; what
// a change costs depends on the number of changes, not on the number of files.

import type { FileRecord } from "../wire/message.ts";

/** What is read of the catalogue. */
export interface HeldFiles {
  /** Increases with each change to what we hold. */
  readonly revision: number;
  /** Number of held files. */
  readonly heldCount: number;
  /** Returns which files were added since a revision, or `undefined` if that was too many changes ago. */
  changesSince(revision: number): { readonly added: readonly string[] } | undefined;
  /** Returns what is known of a file. */
  get(fileId: string): { readonly file: FileRecord; readonly held: boolean } | undefined;
  /** Returns the held files, oldest first. */
  held(): Iterable<{ readonly file: FileRecord }>;
}

/** The log is cut when it has more than twice as many places as there are files, and this many in addition. */
const HOLES = 1_024;

/** Returns the position after a cut of what was at a position before it. */
export type Moved = (position: number) => number;

/** The held files of one kind. */
export class HeldLog {
  /** Ids in the order of appearance. Some may no longer be held, or be here twice; the later one counts. */
  #ids: string[] = [];

  /** Number of places. */
  get length(): number {
    return this.#ids.length;
  }

  /** Returns the id at a position. */
  at(position: number): string {
    return this.#ids[position]!;
  }

  /** Adds a file. */
  add(fileId: string): void {
    this.#ids.push(fileId);
  }

  /** Returns all ids. */
  ids(): Iterable<string> {
    return this.#ids;
  }

  /** Removes the holes if there are many. Returns where everything is now, or `undefined` if nothing moved. */
  cut(held: number, isHeld: (fileId: string) => boolean): Moved | undefined {
    if (this.#ids.length <= 2 * held + HOLES) return undefined;
    const keep = new Set<string>();
    const isKept = new Uint8Array(this.#ids.length);
    for (let at = this.#ids.length - 1; at >= 0; at--) {
      const fileId = this.#ids[at]!;
      if (keep.has(fileId) || !isHeld(fileId)) continue;
      keep.add(fileId);
      isKept[at] = 1;
    }
    const before = new Uint32Array(this.#ids.length + 1);
    for (let at = 0; at < isKept.length; at++) before[at + 1] = before[at]! + isKept[at]!;
    this.#ids = this.#ids.filter((_, at) => isKept[at] === 1);
    return (position) => before[Math.min(position, before.length - 1)]!;
  }
}

/** Our own held files and those of others, kept up with the catalogue. */
export class HeldLogs {
  /** Files of ours. */
  readonly own = new HeldLog();
  /** Files of others. */
  readonly others = new HeldLog();
  #revision = -1;

  /** Follows `catalogue`. `owner` is our name. */
  constructor(readonly catalogue: HeldFiles, readonly owner: string) {}

  /** Catches up with the catalogue. Calls `onMoved` when positions in one of the logs change. */
  update(onMoved: (log: "own" | "others", moved: Moved) => void): void {
    const { catalogue } = this;
    if (catalogue.revision === this.#revision) return;
    const changes = this.#revision < 0 ? undefined : catalogue.changesSince(this.#revision);
    this.#revision = catalogue.revision;
    if (changes) { for (const fileId of changes.added) this.#add(fileId); }
    else this.#addMissing();
    for (const name of ["own", "others"] as const) {
      const moved = this[name].cut(
        catalogue.heldCount,
        (fileId) => catalogue.get(fileId)?.held === true,
      );
      if (moved) onMoved(name, moved);
    }
  }

  #add(fileId: string): void {
    const owner = this.catalogue.get(fileId)?.file.owner;
    (owner === this.owner ? this.own : this.others).add(fileId);
  }

  /** Adds what is held and not here, after more changes than are remembered. */
  #addMissing(): void {
    const known = new Set([...this.own.ids(), ...this.others.ids()]);
    for (const { file: { fileId } } of this.catalogue.held()) {
      if (!known.has(fileId)) this.#add(fileId);
    }
  }
}
