// How a file in the folder looks from outside, and when it has been unchanged long enough to be taken.
// Invariants: content is trusted only while size, both times and inode are the same as when it was hashed; a file
// that keeps changing after pauses has to stay unchanged longer each time, up to `LAST_QUIET_MS`.

import type { Placement } from "./metadata.ts";

/** How long a new file must stay unchanged before it is taken, in milliseconds: it may still be being written. */
export const SETTLE_MS = 400;
/**
 * How long a file that changed after one such pause must stay unchanged, in milliseconds. Doubles after each
 * further pause. (A guess.)
 */
const FIRST_QUIET_MS = 2_000;
/** Maximum time that a file must stay unchanged, in milliseconds. */
export const LAST_QUIET_MS = 60_000;
/** After this long without a change, earlier pauses no longer count, in milliseconds. (A guess.) */
export const FORGET_MS = 600_000;
/** Maximum number of taken files whose pauses are remembered. Beyond this, the oldest is forgotten. */
const MAX_REMEMBERED = 10_000;

/** Distinguishes one state of a file from another without reading it. */
export interface Look {
  /** Size in bytes. */
  readonly sizeBytes: number;
  /** Modification time, Unix milliseconds. */
  readonly mtimeMs: number;
  /** Inode change time, Unix milliseconds (Deno reports whole seconds); `undefined` where there is none. */
  readonly ctimeMs: number | undefined;
  /** Inode number; `undefined` if the file system has none. */
  readonly inode: number | undefined;
}

/** Returns the look of a file from its file information. */
export function lookOf({ size, mtime, ctime, ino }: Deno.FileInfo): Look {
  return {
    sizeBytes: size,
    mtimeMs: mtime?.getTime() ?? 0,
    ctimeMs: ctime?.getTime(),
    inode: ino || undefined,
  };
}

/**
 * Returns whether a file looks as it did when its content was hashed. Values that were not recorded then are not
 * compared. `ignoresInode` is for file systems whose inode numbers keep changing.
 */
export function looksAsHashed(look: Look, placed: Placement, ignoresInode = false): boolean {
  const same = <T>(now: T | undefined, then: T | undefined) =>
    now === undefined || then === undefined || now === then;
  return look.sizeBytes === placed.sizeBytes && look.mtimeMs === placed.mtimeMs &&
    same(look.ctimeMs, placed.ctimeMs) && (ignoresInode || same(look.inode, placed.inode));
}

/** Returns whether two looks are identical. */
export const isSameLook = (a: Look, b: Look): boolean =>
  a.sizeBytes === b.sizeBytes && a.mtimeMs === b.mtimeMs && a.ctimeMs === b.ctimeMs &&
  a.inode === b.inode;

interface Seen {
  readonly look: Look;
  /** When it was first seen like this, Unix milliseconds. */
  sinceMs: number;
  /** Whether it was unchanged for `SETTLE_MS`, so that the next change counts as one after a pause. */
  hasStood: boolean;
  /** Number of changes that came after such a pause. */
  readonly pauses: number;
  isTaken: boolean;
}

/** Tracks which files have stopped changing. Times are Unix milliseconds and may jump. */
export class Settling {
  readonly #seen = new Map<string, Seen>();

  /**
   * Records how a file looks now. Returns how long to wait before it may be taken, in milliseconds; 0 means now.
   * `lastTakenMs` is the modification time with which it was taken before, if it was.
   */
  waitMs(name: string, look: Look, nowMs: number, lastTakenMs?: number): number {
    const seen = this.#seen.get(name);
    if (!seen || !isSameLook(seen.look, look)) {
      const pauses = this.#pauses(seen, look, nowMs, lastTakenMs);
      this.#seen.delete(name);
      this.#seen.set(name, { look, sinceMs: nowMs, hasStood: false, pauses, isTaken: false });
      return quietMs(pauses);
    }
    seen.sinceMs = Math.min(seen.sinceMs, nowMs); // the clock was set back
    const stoodMs = nowMs - seen.sinceMs;
    seen.hasStood ||= stoodMs >= SETTLE_MS;
    return Math.max(0, quietMs(seen.pauses) - stoodMs);
  }

  /** Records that the file was taken as it looked last. */
  taken(name: string): void {
    const seen = this.#seen.get(name);
    if (!seen) return;
    seen.isTaken = true;
    seen.hasStood = true;
  }

  /** Forgets names that are gone, and files that have not changed for a long time. */
  tidy(isThere: (name: string) => boolean, nowMs: number): void {
    let remembered = 0;
    for (const { isTaken } of this.#seen.values()) if (isTaken) remembered++;
    for (const [name, { isTaken, sinceMs }] of this.#seen) {
      const isOld = isTaken && (nowMs - sinceMs > FORGET_MS || remembered > MAX_REMEMBERED);
      if (isThere(name) && !isOld) continue;
      this.#seen.delete(name);
      if (isTaken) remembered--;
    }
  }

  #pauses(seen: Seen | undefined, look: Look, nowMs: number, lastTakenMs?: number): number {
    if (!seen) {
      // Taken before changes were counted, for example shortly before this start.
      return lastTakenMs !== undefined && Math.abs(look.mtimeMs - lastTakenMs) < FORGET_MS ? 1 : 0;
    }
    if (nowMs - seen.sinceMs > FORGET_MS) return 0;
    return seen.pauses + (seen.hasStood ? 1 : 0);
  }
}

function quietMs(pauses: number): number {
  if (pauses === 0) return SETTLE_MS;
  return Math.min(LAST_QUIET_MS, FIRST_QUIET_MS * 2 ** (pauses - 1));
}
