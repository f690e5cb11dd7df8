// Places for requests for files: how many run at once, and which may still begin. PURE.
// Invariants: at most `MAX_DOWNLOADS` requests run at once, and `EXPRESS_DOWNLOADS` more for small files that somebody here
// wants; at most `MAX_ONCE_REQUESTS` of them are for files that only other peers want.

import type { Bounded } from "../bounds/expiring.ts";
import { EXPRESS_BYTES, EXPRESS_DOWNLOADS, MAX_DOWNLOADS, MAX_REQUESTS } from "../limits.ts";

/** Maximum number of running requests for files that only other peers want. */
const MAX_ONCE_REQUESTS = 2;

/** What decides whether a request may begin. */
export interface Kind {
  /** Whether the file is small enough for a place of its own. */
  readonly isSmall: boolean;
  /** Whether only other peers want it. */
  readonly isOnce: boolean;
}

/** Returns whether a file of this size, in bytes, is small enough for a place of its own; one of unknown size is not. */
export const isExpressSize = (sizeBytes = Infinity): boolean => sizeBytes <= EXPRESS_BYTES;

/** The places. */
export class Places {
  #all = 0;
  #small = 0;
  #once = 0;

  /** Everything counted here, with its bounds. */
  get sizes(): Bounded[] {
    return [
      { name: "requests for files", size: () => this.#all, max: () => MAX_REQUESTS },
      { name: "requests for copies", size: () => this.#once, max: () => MAX_ONCE_REQUESTS },
    ];
  }

  /** Number of running requests. */
  get taken(): number {
    return this.#all;
  }

  /** Whether nothing may begin, not even for a small file. */
  get areFull(): boolean {
    return this.#all >= MAX_REQUESTS;
  }

  /** Whether only small files may begin. */
  get areOnlyExpress(): boolean {
    return this.#all >= MAX_DOWNLOADS;
  }

  /** Returns whether a request of this kind may begin. */
  allow(kind: Kind): boolean {
    if (kind.isOnce && this.#once >= MAX_ONCE_REQUESTS) return false;
    return !this.areOnlyExpress || this.hasExpress(kind);
  }

  /** Returns whether a request of this kind need not wait for large files. */
  hasExpress({ isSmall, isOnce }: Kind): boolean {
    return isSmall && !isOnce && this.#small < EXPRESS_DOWNLOADS;
  }

  /** Notes that a request begins. */
  began(kind: Kind): void {
    this.#count(kind, 1);
  }

  /** Notes that a request ended. */
  ended(kind: Kind): void {
    this.#count(kind, -1);
  }

  #count({ isSmall, isOnce }: Kind, by: 1 | -1): void {
    this.#all += by;
    if (isOnce) this.#once += by;
    else if (isSmall) this.#small += by;
  }
}
