// Disk space: at least `minFreeBytes` always stays free, and the trash is purged first when space runs low.
// Invariant: concurrent writers draw from one budget, which is recounted before it can be off by much.

import { statfsSync } from "node:fs";
import { StorageError } from "./errors.ts";

/** The budget is recounted after this many bytes, because other programs write to the disk too. */
const RECOUNT_BYTES = 16 * 1024 ** 2;

/** The budget of free disk space for one store. */
export class Space {
  #sinceCount = Infinity;
  #spareBytes = 0;

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

  /** Reserves space for bytes that are about to be written. Throws `StorageError` "no-space". */
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
