// Room on the disk: never less than `minFreeBytes` is left, and what lies in the trash gives its room first.
// Always holds: what several intakes write at once is taken from one account, counted anew before it can be wrong
// by much.

import { statfsSync } from "node:fs";
import { StorageError } from "./errors.ts";

/** The account is made anew after so many bytes: others write to the disk too. */
const RECOUNT_BYTES = 16 * 1024 ** 2;

export class Space {
  #sinceCount = Infinity;
  #spareBytes = 0;

  constructor(
    readonly dir: string,
    readonly minFreeBytes: number,
    /** Removes something that may go; false when there is nothing. */
    readonly makeRoom: () => boolean,
  ) {}

  /** Bytes that may still be written; negative when too few are free already. */
  freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.dir);
    return bavail * bsize - this.minFreeBytes;
  }

  /** Takes room for bytes that are about to be written. Throws `StorageError` "no-space". */
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
        ? `The disk is full at ${this.dir}`
        : `Less than ${mib} MiB would be free at ${this.dir}`,
      {
        hint: this.minFreeBytes === 0
          ? "make room, or use --dir elsewhere"
          : "make room, or lower --min-free",
      },
    );
  }
}
