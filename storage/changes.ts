// What a scan of the folder finds, and what it needs to know for that. PURE.

import type { Timestamp } from "../protocol/wire/fileid.ts";
import type { FileRecord } from "../protocol/wire/message.ts";
import type { ShelvedFile } from "./shelf.ts";

/** What the rest of the peer knows about files, needed to recognize the ones in the folder. */
export interface Knowledge {
  /** Returns the known files that are not held, with all timestamps reported for each. */
  unheld(): Iterable<{ readonly file: FileRecord; readonly otherTimestamps: readonly Timestamp[] }>;
  /** Returns a number that grows whenever the result of `unheld` may have changed. */
  revision(): number;
  /** Returns whether a new file must not take this id, because it is known or was deleted. */
  isTaken(fileId: string): boolean;
}

/** A file in the folder that was recognized as a known one. */
export interface FoundFile extends ShelvedFile {
  /** Whether a person renamed it in the folder; `file.name` is the new name. */
  readonly isRenamed?: boolean;
}

/** What one scan found. */
export interface Changes {
  /** Known files, recognized by their content. */
  found: FoundFile[];
  /** New files, which are ours from now on. */
  published: ShelvedFile[];
  /** Ids that are no longer held: the file was removed, or has different content now. */
  lost: string[];
  /** The part of `lost` whose file now has different content. */
  edited: Set<string>;
  /**
   * Ids of other owners' files whose content changed while their modification time did not. No person does that, so
   * the file is damaged.
   */
  damaged: string[];
  /** Number of files that were seen but not taken yet. */
  unsettled: number;
  /** Names of files that wait for another scan. */
  waiting: string[];
  /** Delay after which another scan is worthwhile, in milliseconds; `undefined` if nothing is waiting for one. */
  againMs: number | undefined;
  /** Files whose content could not be read, with the reason. */
  unreadable: { readonly name: string; readonly text: string }[];
  /** Entries of the folder that are not shared, with the reason. Each is reported once. */
  passedOver: { readonly name: string; readonly what: string }[];
  /** Whether the folder had been removed and was created again. */
  isRemade?: boolean;
  /** How long listing the folder took, without hashing, in milliseconds. */
  lookedMs?: number;
}

/** Returns the result of a scan that found nothing. */
export function noChanges(): Changes {
  return {
    found: [],
    published: [],
    lost: [],
    edited: new Set(),
    damaged: [],
    unsettled: 0,
    waiting: [],
    againMs: undefined,
    unreadable: [],
    passedOver: [],
  };
}

/** What to scan. */
export interface ScanScope {
  /** Whether this is the first scan: files need not be seen twice unless they changed a moment ago. */
  readonly atStart: boolean;
  /** Names of the files to look at; undefined for the whole folder. */
  readonly names?: readonly string[] | undefined;
}

/** How far a scan is. */
export interface Progress {
  /** Number of files that need no more work, of all. */
  readonly files: number;
  /** Number of files in the folder, as far as it is listed. */
  readonly totalFiles: number;
  /** Size of the files that need no more work, in bytes. */
  readonly bytes: number;
  /** Size of all files, in bytes. */
  readonly totalBytes: number;
}
