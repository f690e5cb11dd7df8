// Hashes large files one after the other while looks at the folder go on: a small file must not wait for a large one.
// Always holds: one file is hashed at a time; a result counts only for the look it was begun for.

import type { Hash } from "node:crypto";
import { hashFile } from "./intake.ts";
import { isSameLook, type Look } from "./looks.ts";

/** Files above this size are hashed here instead of during a look, in bytes. (A guess: about 50 ms.). */
export const LARGE_BYTES = 64 * 1024 * 1024;

export interface Hashed {
  readonly hash: Hash;
  readonly sizeBytes: number;
}

interface Job {
  readonly path: string;
  readonly look: Look;
  outcome: { readonly hashed: Hashed } | { readonly error: unknown } | undefined;
}

export class BackgroundHashing {
  readonly #jobs = new Map<string, Job>();
  #isRunning = false;

  /** `onDone` is called after each file: a look at the folder is worthwhile then. */
  constructor(readonly signal: AbortSignal, readonly onDone: () => void) {}

  /** Files that are hashed or wait for it. */
  get pending(): number {
    let count = 0;
    for (const { outcome } of this.#jobs.values()) if (!outcome) count++;
    return count;
  }

  /** The hash of a file that looks like this; undefined while it is made, which this begins. Throws what reading threw. */
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

  /** Forgets files that are not there any more. */
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

  /** The smallest file that waits. */
  #next(): Job | undefined {
    let next: Job | undefined;
    for (const job of this.#jobs.values()) {
      if (!job.outcome && (!next || job.look.sizeBytes < next.look.sizeBytes)) next = job;
    }
    return next;
  }
}
