// Hashes large files in the background while folder scans continue, so that a small file never waits for a large
// one.
// Invariants: only one file is hashed at a time; a result is used only if the file still looks as it did when
// hashing started.

import type { Hash } from "node:crypto";
import { hashFile } from "./intake.ts";
import { isSameLook, type Look } from "./looks.ts";

/** Size above which files are hashed here instead of during a scan, in bytes. (A guess: about 50 ms of hashing.) */
export const LARGE_BYTES = 64 * 1024 * 1024;

/** The result of hashing a whole file. */
export interface Hashed {
  /** SHA-256 state after the whole content; copy it before finalizing. */
  readonly hash: Hash;
  /** Bytes that were hashed. */
  readonly sizeBytes: number;
}

interface Job {
  readonly path: string;
  readonly look: Look;
  outcome: { readonly hashed: Hashed } | { readonly error: unknown } | undefined;
}

/** Hashes queued files one at a time, smallest first. Stops when `signal` is aborted. */
export class BackgroundHashing {
  readonly #jobs = new Map<string, Job>();
  #isRunning = false;

  /** `onDone` is called after each file, when another folder scan can use the result. */
  constructor(readonly signal: AbortSignal, readonly onDone: () => void) {}

  /** Number of files being hashed or queued. */
  get pending(): number {
    let count = 0;
    for (const { outcome } of this.#jobs.values()) if (!outcome) count++;
    return count;
  }

  /**
   * Returns the hash of the file if it was computed for this same look. Otherwise queues the file and returns
   * `undefined`. Throws the error with which reading the file failed.
   */
  take(name: string, path: string, look: Look): Hashed | undefined {
    const job = this.#jobs.get(name);
    if (!job || !isSameLook(job.look, look)) {
      this.#jobs.set(name, { path, look, outcome: undefined });
      this.#run();
      return undefined;
    }
    if (!job.outcome) return undefined;
    this.#jobs.delete(name);
    if ("error" in job.outcome) throw job.outcome.error;
    return job.outcome.hashed;
  }

  /** Drops the files that are no longer in the folder. */
  tidy(isThere: (name: string) => boolean): void {
    for (const name of this.#jobs.keys()) if (!isThere(name)) this.#jobs.delete(name);
  }

  async #run(): Promise<void> {
    if (this.#isRunning) return;
    this.#isRunning = true;
    for (let job = this.#next(); job && !this.signal.aborted; job = this.#next()) {
      const { path, look: { sizeBytes: expectedBytes } } = job;
      try {
        job.outcome = { hashed: await hashFile(path, { expectedBytes, signal: this.signal }) };
      } catch (error) {
        job.outcome = { error };
      }
      if (!this.signal.aborted) this.onDone();
    }
    this.#isRunning = false;
  }

  /** Returns the smallest queued file. */
  #next(): Job | undefined {
    let next: Job | undefined;
    for (const job of this.#jobs.values()) {
      if (!job.outcome && (!next || job.look.sizeBytes < next.look.sizeBytes)) next = job;
    }
    return next;
  }
}
