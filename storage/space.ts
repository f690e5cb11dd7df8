// Disk space: at least `minFreeBytes` always stays free, and the trash is purged first when space runs low.
// Invariant: concurrent writers draw from one budget, which is recounted before it can be off by much; what running
// downloads still need is counted before another one begins.

import { statfsSync } from "node:fs";
import { StorageError } from "./errors.ts";

/** The budget is recounted after this many bytes, because other programs write to the disk too. */
const RECOUNT_BYTES = 16 * 1024 ** 2;

/** Space that a download has reserved. */
export interface Reservation {
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
    this.#count(bytes + this.#reservedBytes);
    let left = bytes;
    this.#reservedBytes += left;
    const use = (used: number) => {
      const now = Math.min(left, used);
      left -= now;
      this.#reservedBytes -= now;
    };
    return {
      use: (used) => {
        use(used);
        this.take(used);
      },
      release: () => use(left),
    };
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
    const mib = Math.ceil(this.minFreeBytes / 1024 ** 2);
    throw new StorageError(
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
