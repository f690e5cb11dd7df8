// Which known files may be the ones that lie in the folder: looked up, not searched, so that a thousand files of the
// same size or content cost a thousand times one file. PURE.
// Always holds: at most `MAX_TRIES` candidates are offered for one file, the likeliest first.

import { type Timestamp, timestampSeconds } from "../protocol/wire/fileid.ts";
import type { FileRecord } from "../protocol/wire/message.ts";
import { nameKey, safeName } from "./names.ts";

const BYTES_PER_MIB = 1024 * 1024;
/**
 * Maximum number of known files compared with one file in the folder, each a few digests of 2 us. Beyond this, content
 * that has neither name, time nor SHA-256 in common with a known file counts as new.
 */
export const MAX_TRIES = 64;

export interface Candidate {
  readonly file: FileRecord;
  readonly otherTimestamps: readonly Timestamp[];
  /** Hex SHA-256 of its content, where this peer had it before. */
  readonly sha256?: string;
  /** Where it was before. */
  readonly home?: string;
}

/** What a file in the folder has to be recognized by, before and after it was hashed. */
export interface Clues {
  readonly name: string;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
  readonly sha256?: string;
}

export class CandidateIndex {
  readonly #lists = new Map<string, Candidate[]>();
  /** Those whose SHA-256 is not known: the others are found by it. */
  readonly #unhashed = new Map<string, Candidate[]>();
  /** Candidates looked at so far; a test bounds how many that takes. */
  steps = 0;

  constructor(candidates: Iterable<Candidate>) {
    for (const candidate of candidates) this.#add(candidate);
  }

  /** Candidates for a file that was hashed, at most `MAX_TRIES`; none that is known to have another SHA-256. */
  likely(clues: Clues & { readonly sha256: string }): Candidate[] {
    const found = new Map<string, Candidate>();
    for (const key of keysOf(clues)) {
      const isExact = key.startsWith("home ") || key.startsWith("sha256 ");
      for (const candidate of (isExact ? this.#lists : this.#unhashed).get(key) ?? []) {
        if (found.size >= MAX_TRIES) return [...found.values()];
        this.steps++;
        const { sha256 } = candidate;
        if (sha256 && sha256 !== clues.sha256) continue;
        found.set(candidate.file.fileId, candidate);
      }
    }
    return [...found.values()];
  }

  /** A short text that changes when other candidates come into question for a file. */
  state(clues: Clues): string {
    return keysOf(clues).map((key) => {
      const list = this.#lists.get(key) ?? [];
      return `${list.length} ${list.at(-1)?.file.fileId ?? ""}`;
    }).join();
  }

  hasAny(clues: Clues): boolean {
    return keysOf(clues).some((key) => this.#lists.has(key));
  }

  #add(candidate: Candidate): void {
    const { file, otherTimestamps, sha256, home } = candidate;
    const keys = new Set<string>();
    if (home !== undefined) keys.add(`home ${home}`);
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
        if (list) list.push(candidate);
        else lists.set(key, [candidate]);
      }
    }
  }
}

/** Where to look for a file's candidates, the most telling clue first. */
function keysOf({ name, sizeBytes, mtimeMs, sha256 }: Clues): string[] {
  return [
    `home ${name}`,
    ...(sha256 === undefined ? [] : [`sha256 ${sha256}`]),
    `name ${nameKey(name)}`,
    `time ${Math.floor(mtimeMs / 1000)} size ${sizeBytes}`,
    `size ${sizeBytes}`,
  ];
}
