// Disk space: at least `minFreeBytes` always stays free, and the trash is purged first when space runs low.
// Invariant: concurrent writers draw from one budget, which is recounted before it can be off by much; what running
// downloads still need is counted before another one begins.

import { statfsSync } from "node:fs";
import { StorageError } from "./errors.ts";

/** The budget is recounted after this many bytes, because other programs write to the disk too. */
const RECOUNT_BYTES = 16 * 1024 ** 2;

/** Space that a download has reserved. */
export interface Reservation {
  /** What is left of it, in bytes. */
  readonly leftBytes: number;
  /** Takes a part of it, for bytes that are written now. Throws `StorageError` "no-space" if the disk has less after all. */
  use(bytes: number): void;
  /** Gives back the rest. */
  release(): void;
}

/** The budget of free disk space for one store. */
export class Space {
  #sinceCount = Infinity;
  #spareBytes = 0;
  /** What running downloads have reserved and not used yet, in bytes. */
  #reservedBytes = 0;

  /** Counts nothing until it is asked. */
  constructor(
    readonly dir: string,
    readonly minFreeBytes: number,
    /** Frees some space. Returns false if there is nothing to remove. */
    readonly makeRoom: () => boolean,
    /** Returns how many bytes that may free at most. */
    readonly purgeable: () => number = () => 0,
  ) {}

  /**
   * Returns the number of bytes that may still be written; negative if too few are free already. Throws if the
   * folder does not exist.
   */
  freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.dir);
    return bavail * bsize - this.minFreeBytes;
  }

  /**
   * Reserves space for all that is missing of a download, besides what others have reserved. Throws `StorageError`
   * "no-space".
   */
  reserve(bytes: number): Reservation {
    this.check(bytes);
    let left = bytes;
    this.#reservedBytes += left;
    const use = (used: number) => {
      const now = Math.min(left, used);
      left -= now;
      this.#reservedBytes -= now;
    };
    return {
      get leftBytes() {
        return left;
      },
      use: (used) => {
        use(used);
        this.take(used);
      },
      release: () => use(left),
    };
  }

  /**
   * Throws `StorageError` "no-space" if this many bytes do not fit besides what is reserved; `own` bytes of that are
   * the caller's. Purges nothing: that happens while content is written, not for a size that nobody has proven.
   */
  check(bytes: number, own = 0): void {
    const needed = bytes + this.#reservedBytes - own;
    if (this.freeBytes() + this.purgeable() < needed) throw this.#noSpace();
  }

  /** Takes space for bytes that are about to be written. Throws `StorageError` "no-space". */
  take(bytes: number): void {
    this.#sinceCount += bytes;
    if (this.#sinceCount >= RECOUNT_BYTES || this.#spareBytes < bytes) this.#count(bytes);
    this.#spareBytes -= bytes;
  }

  #count(neededBytes: number): void {
    for (;;) {
      this.#spareBytes = this.freeBytes();
      this.#sinceCount = 0;
      if (this.#spareBytes >= neededBytes) return;
      if (!this.makeRoom()) break;
    }
    throw this.#noSpace();
  }

  #noSpace(): StorageError {
    const mib = Math.ceil(this.minFreeBytes / 1024 ** 2);
    return new StorageError(
      "no-space",
      this.minFreeBytes === 0
        ? `The disk that holds ${this.dir} is full`
        : `Less than ${mib} MiB would stay free on the disk that holds ${this.dir}`,
      {
        hint: this.minFreeBytes === 0
          ? "Free up disk space, or choose another folder with --dir"
          : "Free up disk space, or lower --min-free",
      },
    );
  }
}
