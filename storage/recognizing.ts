// Recognizes content: which known files a file in the folder is, by its hash, and the id it gets if it is new.
// Invariants: an id is given only to content that verifies for it; if several files have the same content, each id stays
// with its own file.

import { verifyingTimestamp } from "../protocol/wire/fileid.ts";
import { labelOf } from "../protocol/wire/message.ts";
import type { CandidateIndex } from "./candidates.ts";
import type { FoundFile, Knowledge } from "./changes.ts";
import type { Hashed } from "./hashed.ts";
import type { Present } from "./listing.ts";
import type { Placement } from "./metadata.ts";
import type { OwnIds } from "./ownids.ts";
import type { Shelf, ShelvedFile } from "./shelf.ts";

const BYTES_PER_MIB = 1024 * 1024;

/** What `Recognizing` needs of the store. */
export interface RecognizingOptions {
  /** Owner of new files. */
  readonly owner: string;
  /** The held files. */
  readonly shelf: Shelf;
  /** Chooses ids for new files. */
  readonly ownIds: OwnIds;
  /** Former places, by id, of files that a crash may have damaged and that are hashed again. */
  readonly suspects: ReadonlyMap<string, Placement>;
  /** The current time, Unix milliseconds. */
  readonly now: () => number;
}

/** A set of names that can only be asked. */
export interface Names {
  /** Returns whether a name is in it. */
  has(name: string): boolean;
}

/** What a scan has seen so far. */
export interface Scanned {
  /** Whether this is the first scan after the start. */
  readonly atStart: boolean;
  /** Names of the regular files in the folder. */
  readonly seen: Names;
  /** The known files that may be among those to take. */
  readonly index: CandidateIndex;
  /** Ids that were already found. */
  readonly foundIds: ReadonlySet<string>;
}

/** Recognizes files of one store. */
export class Recognizing {
  /** Uses the store's own parts. */
  constructor(readonly options: RecognizingOptions) {}

  /**
   * Returns the known files that have this content. `isCopy` is true if it is also the content of somebody else's file
   * that is held under another name. Throws `Unhashed`.
   */
  recognize(
    { name, look }: Present,
    hashed: Hashed,
    placement: Placement,
    { index, foundIds, seen, atStart }: Scanned,
  ): { found: readonly FoundFile[]; isCopy: boolean } {
    if (index.isEmpty) return NOTHING;
    const { shelf, suspects } = this.options;
    const { sizeBytes, sha256 } = placement;
    const digestWith = (suffix: string) => hashed.digestWith(suffix);
    const found: FoundFile[] = [];
    const own = new Set<string>(shelf.idsAt(name));
    const moved = new Set<string>();
    let isCopy = false;
    for (const candidate of index.likely({ name, ...look, sha256 })) {
      const { file, otherTimestamps, home } = candidate;
      // Content that this peer hashed before under this id needs no second proof.
      const timestamp = candidate.sha256 === sha256
        ? file.timestamp
        : verifyingTimestamp(file.fileId, [file.timestamp, ...otherTimestamps], digestWith);
      if (!timestamp) continue;
      // If several files have the same content, each id stays with its own file.
      const journalled = atStart ? suspects.get(file.fileId)?.diskName : undefined;
      const isAtHome = journalled !== undefined && journalled !== name && seen.has(journalled);
      if (foundIds.has(file.fileId) || isAtHome) {
        isCopy ||= file.owner !== this.options.owner; // a copy of our own file is ours too
        continue;
      }
      const pushed = shelf.get(file.fileId)?.pushed ?? false;
      const isRenamed = home !== undefined && home !== name;
      if (home === name) own.add(file.fileId);
      else if (look.inode !== undefined && candidate.inode === look.inode) moved.add(file.fileId);
      const label = isRenamed ? { name: labelOf(name) } : {};
      found.push({
        file: { ...file, ...label, timestamp, sizeBytes, sha256 },
        pushed,
        placement,
        ...(isRenamed ? { isRenamed } : {}),
      });
    }
    return { found: withoutOthers(found, own, moved), isCopy };
  }

  /** Returns a new file as one of ours. Throws `Unhashed`. */
  publish(
    { name, look }: Present,
    hashed: Hashed,
    placement: Placement,
    knowledge: Knowledge,
  ): ShelvedFile {
    const { owner, shelf, ownIds, now } = this.options;
    const { sizeBytes, sha256 } = placement;
    const { fileId, timestamp } = ownIds.free(
      (suffix) => suffix === "" ? hashed.sha256 : hashed.digestWith(suffix),
      look.mtimeMs / 1000,
      hashed.aheadSeconds ?? now() / 1000,
      (id) => knowledge.isTaken(id) || shelf.isTaken(id),
    );
    shelf.claim(fileId);
    const size = sizeBytes / BYTES_PER_MIB;
    const file = { fileId, name: labelOf(name), owner, timestamp, size, sizeBytes, sha256 };
    return { file, pushed: false, placement };
  }
}

const NOTHING = { found: [], isCopy: false };

/**
 * Leaves out ids that belong to other names with the same content. `own`: ids that were here before; `moved`: ids of
 * which the file was elsewhere and had this inode.
 */
function withoutOthers(
  found: FoundFile[],
  own: ReadonlySet<string>,
  moved: ReadonlySet<string>,
): FoundFile[] {
  if (!found.some(({ isRenamed }) => isRenamed)) return found;
  // An id that was already here stays. An id from another name with this content was removed together with that name.
  const isStill = found.some((each) => own.has(each.file.fileId));
  if (isStill) return found.filter((each) => !each.isRenamed);
  // If several names had this content, the one with this inode was renamed; the others were edited or removed.
  const wasIt = ({ file }: FoundFile) => moved.has(file.fileId);
  if (!found.some((each) => each.isRenamed && wasIt(each))) return found;
  return found.filter((each) => !each.isRenamed || wasIt(each));
}
