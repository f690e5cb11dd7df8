// Hashes large files in a thread of their own while folder scans continue, so that a small file never waits for a large
// one.
// Invariants: only one file is hashed at a time, the smallest first; a result is used only if the file still looks as it
// did when hashing started; one of several files with the same content and time gets its id without being read again.

import { DiskThread } from "./disk_thread.ts";
import { type Hashed, hashedElsewhere } from "./hashed.ts";
import { isSameLook, type Look } from "./looks.ts";

/**
 * Size above which files are hashed here instead of during a scan, in bytes. (A guess: about 30 ms of hashing, which
 * other files wait for.)
 */
export const LARGE_BYTES = 64 * 1024 * 1024;
/** Number of seconds from the current one on for which digests are made, for ids that cannot be made of the file's own time. */
const AHEAD_SECONDS = 8;

interface Job {
  readonly name: string;
  readonly look: Look;
  readonly suffixes: readonly string[];
  readonly aheadSeconds: number;
  outcome: { readonly hashed: Hashed } | { readonly error: unknown } | undefined;
}

/** Hashes queued files one at a time, smallest first. Stops when `signal` is aborted. */
export class BackgroundHashing {
  readonly #jobs = new Map<string, Job>();
  readonly #thread = new DiskThread();
  #isRunning = false;
  /** Bytes read so far of the file that is being hashed. */
  readBytes = 0;

  /** `now` is Unix milliseconds. `onDone` is called after each file, when another folder scan can use the result. */
  constructor(
    readonly dir: string,
    readonly signal: AbortSignal,
    readonly now: () => number,
    readonly onDone: () => void,
  ) {
    signal.addEventListener("abort", () => this.#thread.close(signal.reason));
  }

  /** Number of files being hashed or queued. */
  get pending(): number {
    let count = 0;
    for (const { outcome } of this.#jobs.values()) if (!outcome) count++;
    return count;
  }

  /** Total size of the files being hashed or queued, without what was read already, in bytes. */
  get pendingBytes(): number {
    let bytes = -this.readBytes;
    for (const { outcome, look } of this.#jobs.values()) if (!outcome) bytes += look.sizeBytes;
    return Math.max(0, bytes);
  }

  /**
   * Returns the hashes of the file if they were computed for this same look. Otherwise queues the file and returns
   * `undefined`. Throws the error with which reading the file failed.
   */
  take(name: string, look: Look, suffixes: readonly string[]): Hashed | undefined {
    const job = this.#jobs.get(name);
    if (!job || !isSameLook(job.look, look)) {
      const aheadSeconds = Math.trunc(this.now() / 1000);
      const ahead = Array.from({ length: AHEAD_SECONDS }, (_, i) => String(aheadSeconds + i));
      const all = [...new Set([...suffixes, ...ahead])];
      this.#jobs.set(name, { name, look, suffixes: all, aheadSeconds, outcome: undefined });
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
      this.readBytes = 0;
      const { name, suffixes, aheadSeconds, look: { sizeBytes } } = job;
      try {
        const jobs = {
          dir: this.dir,
          names: [name],
          sizes: [sizeBytes],
          suffixes: [suffixes],
        };
        const [result] = await this.#thread.hash(jobs, (bytes) => {
          this.readBytes += bytes;
        });
        job.outcome = result instanceof Error
          ? { error: result }
          : { hashed: hashedElsewhere(result!, suffixes, aheadSeconds) };
      } catch (error) {
        job.outcome = { error };
      }
      this.readBytes = 0;
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
