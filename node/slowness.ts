// Why a download is not faster: our own limit, the disk, its sources, or the network. PURE.
// A guess from what can be seen here, for people; nothing is decided by it.

/** What holds a download up. */
export type Slowness = "limit" | "disk" | "sources" | "link";

/** A download that is at least this fast needs no explanation, in bytes per second. (A guess.) */
const FAST_BYTES_PER_SECOND = 20_000_000;
/** A limit explains the speed if it is used up to this share. */
const LIMIT_SHARE = 0.8;
/** The disk explains it if writing takes this share of the time. */
const DISK_SHARE = 0.5;
/** Sources that differ by less than this factor deliver alike. */
const ALIKE = 2;
/** Time over which speeds are measured, in milliseconds: shorter ones jump. */
const WINDOW_MS = 2_000;

/** What is known at one moment. */
export interface Moment {
  /** Bytes of the file that are here. */
  readonly doneBytes: number;
  /** Bytes that all transfers to this peer have brought. */
  readonly allBytes: number;
  /** The limit on what is received, in bytes per second; 0 means none. */
  readonly limit: number;
  /** What each source delivers, in bytes per second. */
  readonly rates: readonly number[];
}

/** Watches one download. */
export class SlownessWatch {
  #sinceMs: number;
  #doneBytes = 0;
  #allBytes: number;
  #diskMs = 0;
  /** What held it up in the last window. */
  reason: Slowness | undefined;

  /** Begins at a time in milliseconds. */
  constructor(nowMs: number, { doneBytes, allBytes }: Pick<Moment, "doneBytes" | "allBytes">) {
    this.#sinceMs = nowMs;
    this.#doneBytes = doneBytes;
    this.#allBytes = allBytes;
  }

  /** Notes that writing took this long, in milliseconds. */
  wrote(ms: number): void {
    this.#diskMs += ms;
  }

  /** Looks at how it goes, a few times per second. */
  look(nowMs: number, moment: Moment): void {
    const ms = nowMs - this.#sinceMs;
    if (ms < WINDOW_MS) return;
    this.reason = this.#reasonIn(ms, moment);
    this.#sinceMs = nowMs;
    this.#doneBytes = moment.doneBytes;
    this.#allBytes = moment.allBytes;
    this.#diskMs = 0;
  }

  #reasonIn(ms: number, { doneBytes, allBytes, limit, rates }: Moment): Slowness | undefined {
    const perSecond = (bytes: number) => bytes / ms * 1_000;
    if (limit > 0 && perSecond(allBytes - this.#allBytes) >= LIMIT_SHARE * limit) return "limit";
    if (perSecond(doneBytes - this.#doneBytes) >= FAST_BYTES_PER_SECOND) return undefined;
    if (this.#diskMs >= DISK_SHARE * ms) return "disk";
    const active = rates.filter((rate) => rate > 0);
    const isAlike = active.length > 1 && Math.max(...active) < ALIKE * Math.min(...active);
    return isAlike ? "link" : "sources";
  }
}
