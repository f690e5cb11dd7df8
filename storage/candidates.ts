// Finds the known files that a file in the folder may be. Candidates are looked up by key, not searched for, so
// that a thousand files of the same size or content cost a thousand times as much as one. PURE.
// Invariant: at most `MAX_TRIES` candidates are kept for each inexact clue, and offered for one file, the most likely
// first.

import { type Timestamp, timestampCandidates, timestampSeconds } from "../protocol/wire/fileid.ts";
import type { FileRecord } from "../protocol/wire/message.ts";
import { nameKey, safeName } from "./names.ts";

const BYTES_PER_MIB = 1024 * 1024;
/**
 * Maximum number of known files compared with one file in the folder. Each comparison costs a few digests of 2 us.
 * Beyond this, content that shares neither name, time nor SHA-256 with a known file counts as new.
 */
export const MAX_TRIES = 64;

/** A known file that may turn out to be one in the folder. */
export interface Candidate {
  /** What the network knows of the file. */
  readonly file: FileRecord;
  /** Further timestamps that peers report for the file; its id may be based on any of them. */
  readonly otherTimestamps: readonly Timestamp[];
  /** Hex SHA-256 of the content, if this peer held the file before. */
  readonly sha256?: string;
  /** Name of the file in the folder, if this peer held it before. */
  readonly home?: string;
  /** Inode number that it had then. */
  readonly inode?: number;
}

/** What identifies a file in the folder, before and after it is hashed. */
export interface Clues {
  /** Name in the folder. */
  readonly name: string;
  /** Size in bytes. */
  readonly sizeBytes: number;
  /** Modification time, Unix milliseconds. */
  readonly mtimeMs: number;
  /** Inode number, where there is one. */
  readonly inode?: number | undefined;
  /** Hex SHA-256 of the content, once it is hashed. */
  readonly sha256?: string;
}

/** Candidates indexed by each clue. Adding a candidate and finding one take constant time. */
export class CandidateIndex {
  readonly #lists = new Map<string, Candidate[]>();
  /** Only the candidates whose SHA-256 is unknown; the others are found by SHA-256. */
  readonly #unhashed = new Map<string, Candidate[]>();
  /** Number of candidates examined so far. A test bounds it. */
  steps = 0;

  /** Indexes the candidates. */
  constructor(candidates: Iterable<Candidate>) {
    for (const candidate of candidates) this.add(candidate);
  }

  /**
   * Returns at most `MAX_TRIES` candidates for a hashed file, the most likely first. Leaves out any that is known
   * to have a different SHA-256.
   */
  likely(clues: Clues & { readonly sha256: string }): Candidate[] {
    if (this.isEmpty) return [];
    const found = new Map<string, Candidate>();
    for (const key of keysOf(clues)) {
      for (const candidate of (isExact(key) ? this.#lists : this.#unhashed).get(key) ?? []) {
        if (found.size >= MAX_TRIES) return [...found.values()];
        this.steps++;
        const { sha256 } = candidate;
        if (sha256 && sha256 !== clues.sha256) continue;
        found.set(candidate.file.fileId, candidate);
      }
    }
    return [...found.values()];
  }

  /** Returns the texts that may follow the content of a file in the hash that is its id, if it is a known one. */
  suffixes(clues: Clues): string[] {
    if (this.#unhashed.size === 0) return [];
    const texts = new Set<string>();
    let tries = 0;
    for (const key of keysOf(clues)) {
      for (const { file, otherTimestamps } of this.#unhashed.get(key) ?? []) {
        if (++tries > MAX_TRIES) return [...texts];
        for (const timestamp of [file.timestamp, ...otherTimestamps]) {
          for (const text of timestampCandidates(timestamp)) texts.add(text);
        }
      }
    }
    return [...texts];
  }

  /** Whether there are none: most scans of a new folder have no candidates, and need no keys. */
  get isEmpty(): boolean {
    return this.#lists.size === 0;
  }

  /** Returns a short text that changes when the set of candidates for a file changes. */
  state(clues: Clues): string {
    return keysOf(clues).map((key) => {
      const list = this.#lists.get(key) ?? [];
      return `${list.length} ${list.at(-1)?.file.fileId ?? ""}`;
    }).join();
  }

  /** Returns whether there is any candidate for a file. */
  hasAny(clues: Clues): boolean {
    if (this.isEmpty) return false;
    return keysOf(clues).some((key) => this.#lists.has(key));
  }

  /** Indexes one more candidate. */
  add(candidate: Candidate): void {
    const { file, otherTimestamps, sha256, home, inode } = candidate;
    const keys = new Set<string>();
    if (home !== undefined) keys.add(`home ${home}`);
    if (inode !== undefined) keys.add(`inode ${inode}`);
    if (sha256 !== undefined) keys.add(`sha256 ${sha256}`);
    keys.add(`name ${nameKey(safeName(file.name))}`);
    for (const bytes of [file.sizeBytes, file.size, file.size * BYTES_PER_MIB]) {
      if (bytes === undefined) continue;
      const size = Math.round(bytes);
      keys.add(`size ${size}`);
      for (const timestamp of [file.timestamp, ...otherTimestamps]) {
        keys.add(`time ${Math.floor(timestampSeconds(timestamp) ?? 0)} size ${size}`);
      }
    }
    for (const lists of sha256 === undefined ? [this.#lists, this.#unhashed] : [this.#lists]) {
      for (const key of keys) {
        const list = lists.get(key);
        if (!list) lists.set(key, [candidate]);
        else if (list.length < MAX_TRIES || isExact(key)) list.push(candidate);
      }
    }
  }
}

/** Whether a key stands for one file or one content. Others are shared by as many files as strangers like. */
const isExact = (key: string) => /^(home|inode|sha256) /.test(key);

/** Tells which known files may be among some files in the folder, so that only those are indexed. */
export class Wanted {
  readonly #sizes = new Set<number>();
  readonly #names = new Set<string>();

  /** Adds a file in the folder. */
  add({ name, sizeBytes }: Pick<Clues, "name" | "sizeBytes">): void {
    this.#sizes.add(sizeBytes);
    this.#names.add(nameKey(name));
  }

  /** Returns whether a known file may be one of them. */
  has({ size, sizeBytes, name }: FileRecord): boolean {
    return (sizeBytes !== undefined && this.#sizes.has(sizeBytes)) ||
      this.#sizes.has(Math.round(size)) || this.#sizes.has(Math.round(size * BYTES_PER_MIB)) ||
      this.#names.has(PLAIN_NAME.test(name) ? name.toLowerCase() : nameKey(safeName(name)));
  }
}

/** Names that `safeName` leaves as they are: nearly all, and this is asked for each known file. */
const PLAIN_NAME = /^(?!metadata)[a-z\d_][\w ()-]{6,120}\.\w{1,10}$/i;

/** Keys under which a file's candidates are stored, the strongest clue first. */
function keysOf({ name, sizeBytes, mtimeMs, sha256, inode }: Clues): string[] {
  return [
    `home ${name}`,
    // Of many files of one content, each has its own.
    ...(inode === undefined ? [] : [`inode ${inode}`]),
    ...(sha256 === undefined ? [] : [`sha256 ${sha256}`]),
    `name ${nameKey(name)}`,
    `time ${Math.floor(mtimeMs / 1000)} size ${sizeBytes}`,
    `size ${sizeBytes}`,
  ];
}
