// How a file in the folder looks from outside, and when it has stood still long enough to be taken.
// Always holds: content is trusted only while size, both times and inode are what they were when it was hashed; a file
// that kept changing after pauses has to stand still longer each time, up to `LAST_QUIET_MS`.

import type { Placement } from "./metadata.ts";

/** How long a new file must stand still before it is taken, in milliseconds: it may still be written. */
export const SETTLE_MS = 400;
/** How long a file must stand still that changed after one such pause; doubled after each further one. (A guess.) */
const FIRST_QUIET_MS = 2_000;
/** Longest time that a file must stand still. */
export const LAST_QUIET_MS = 60_000;
/** After this much time without a change, earlier pauses no longer count. (A guess.) */
const FORGET_MS = 600_000;
/** Maximum number of taken files whose pauses are remembered; the oldest is forgotten first. */
const MAX_REMEMBERED = 10_000;

/** What tells one state of a file from another without reading it. */
export interface Look {
  readonly sizeBytes: number;
  readonly mtimeMs: number;
  /** Deno gives whole seconds. */
  readonly ctimeMs: number | undefined;
  /** Undefined where the disk has none. */
  readonly inode: number | undefined;
}

export function lookOf({ size, mtime, ctime, ino }: Deno.FileInfo): Look {
  return {
    sizeBytes: size,
    mtimeMs: mtime?.getTime() ?? 0,
    ctimeMs: ctime?.getTime(),
    inode: ino || undefined,
  };
}

/**
 * Whether a file looks as it did when its content was hashed. What was not noted then is not compared; `ignoresInode` is
 * for disks that number their files anew all the time.
 */
export function looksAsHashed(look: Look, placed: Placement, ignoresInode = false): boolean {
  const same = <T>(now: T | undefined, then: T | undefined) =>
    now === undefined || then === undefined || now === then;
  return look.sizeBytes === placed.sizeBytes && look.mtimeMs === placed.mtimeMs &&
    same(look.ctimeMs, placed.ctimeMs) && (ignoresInode || same(look.inode, placed.inode));
}

export const isSameLook = (a: Look, b: Look): boolean =>
  a.sizeBytes === b.sizeBytes && a.mtimeMs === b.mtimeMs && a.ctimeMs === b.ctimeMs &&
  a.inode === b.inode;

interface Seen {
  readonly look: Look;
  /** When it was first seen like this, Unix milliseconds. */
  sinceMs: number;
  /** It stood still for `SETTLE_MS`, so the next change came after a pause. */
  hasStood: boolean;
  /** How many times it changed after such a pause. */
  readonly pauses: number;
  isTaken: boolean;
}

/** Which files stand still. Times are Unix milliseconds and may jump. */
export class Settling {
  readonly #seen = new Map<string, Seen>();

  /** Notes how a file looks now; returns how long to wait before it may be taken, 0 when that is now. */
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

  /** The file was taken as it looked last. */
  taken(name: string): void {
    const seen = this.#seen.get(name);
    if (!seen) return;
    seen.isTaken = true;
    seen.hasStood = true;
  }

  /** Forgets names that are not there any more, and what has not changed for long. */
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
      // Taken before anybody counted: right before this start, for instance.
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
