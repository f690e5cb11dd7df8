// Hashes a file in the disk's thread while it is being written in this one: at full speed, hashing takes as long as
// receiving and writing together.
// Invariant: only what the writer said is there is read, once and in order; without the thread, whoever asks gets an error
// and hashes the file on its own.

import type { DiskThread } from "./disk_thread.ts";

/** The thread is told of at least so much at a time, in bytes. */
const STEP_BYTES = 4 * 1024 * 1024;
/** The thread is told of at most so much at a time, in bytes: others who need it wait for that long. */
const MAX_STEP_BYTES = 64 * 1024 * 1024;

/** Follows one file as it grows. Ends with `close`. */
export class Follower {
  readonly #of: number;
  /** How far the file may be read, and how far the thread was told to. */
  #end = 0;
  #told = 0;
  #telling: Promise<void> | undefined;
  #error: unknown;
  #isClosed = false;

  /** Reads from the beginning. The file is opened when the first piece of it is there. */
  constructor(readonly thread: DiskThread, readonly path: string) {
    this.#of = thread.beginFollowing();
  }

  /** Notes that everything up to `end` is there, and will not change. */
  upTo(end: number): void {
    this.#end = end;
    if (!this.#telling && end - this.#told >= STEP_BYTES) this.#telling = this.#tell();
  }

  /**
   * Resolves to the hex SHA-256 of what is there followed by each suffix. Rejects if the file cannot be read, or the thread
   * has ended.
   */
  async digests(suffixes: readonly string[]): Promise<string[]> {
    await (this.#telling ?? this.#tell());
    if (this.#error !== undefined) throw this.#error;
    if (this.#isClosed) throw new Error("It is no longer followed");
    return await this.thread.digestsOf(this.#of, this.path, this.#end, suffixes);
  }

  /** Closes the file, and lets the thread end when it is idle. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.thread.endFollowing(this.#of);
  }

  /** Never rejects. */
  async #tell(): Promise<void> {
    try {
      while (!this.#isClosed && this.#end - this.#told >= STEP_BYTES) {
        const end = Math.min(this.#end, this.#told + MAX_STEP_BYTES);
        await this.thread.follow(this.#of, this.path, end);
        this.#told = end;
      }
    } catch (error) {
      this.#error = error; // told to whoever asks for digests
    }
    if (this.#error === undefined) this.#telling = undefined;
  }
}
