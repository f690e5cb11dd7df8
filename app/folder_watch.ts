// Decides when to scan the folder: soon after the system reports a change, and at intervals in any case.
// Invariants: one scan runs at a time; a change during a scan leads to another one right after it; scans take at most a
// twentieth of the time; nothing waits for the system's watcher, which may hang.

import type { Timers } from "./timers.ts";

/**
 * Interval between scans, in milliseconds; longer where scans take long. Together with the time that a file must be
 * unchanged, a new file is shared within 2 s even where the system does not report changes.
 */
const SCAN_MS = 1_500;
/** Pause after a scan, as a multiple of how long it took. */
const SHARE_OF_TIME = 20;
/** Delay between a reported change and the scan, in milliseconds, so that a burst of changes is one scan. */
const GATHER_MS = 100;
/** Minimum interval between scans requested by files that are being written, in milliseconds. */
const AGAIN_MS = 100;

/** The part of `Deno.watchFs` that is used. It may hang, so nothing waits for it. */
export type FolderWatcher =
  & AsyncIterable<Pick<Deno.FsEvent, "kind" | "paths" | "flag">>
  & { close?(): void };

const watchFolder = (dir: string): FolderWatcher => Deno.watchFs(dir, { recursive: false });

export interface FolderWatchOptions {
  readonly dir: string;
  readonly timers: Timers;
  /**
   * Scans once; never rejects. Resolves to how long that took, and when another scan is worthwhile, in milliseconds.
   */
  readonly look: () => Promise<{ readonly lookedMs: number; readonly againMs: number | undefined }>;
  /** For tests. */
  readonly watchFolder?: ((dir: string) => FolderWatcher) | undefined;
}

export class FolderWatch {
  #watcher: FolderWatcher | undefined;
  #timer: ReturnType<Timers["after"]>;
  #isLooking = false;
  /** Something changed in the folder during a scan. */
  #changedMeanwhile = false;

  constructor(readonly options: FolderWatchOptions) {}

  /** Scans now, and then whenever something changed. */
  start(): void {
    this.#watch();
    this.#look();
  }

  /** Scans soon, or right after the scan in progress, because something changed. */
  soon(): void {
    if (this.#isLooking) this.#changedMeanwhile = true;
    else this.#later(GATHER_MS);
  }

  /** Closes the watcher. May never return. */
  release(): void {
    this.#watcher?.close?.();
  }

  #later(delayMs: number): void {
    const { timers } = this.options;
    timers.cancel(this.#timer);
    this.#timer = timers.after(delayMs, () => this.#look());
  }

  async #look(): Promise<void> {
    this.#isLooking = true;
    this.#changedMeanwhile = false;
    const { lookedMs, againMs } = await this.options.look();
    this.#isLooking = false;
    if (this.#changedMeanwhile) return this.soon();
    // Paced by the cost of a scan alone: hashing happens once per file.
    const restMs = SHARE_OF_TIME * lookedMs;
    const pauseMs = Math.max(SCAN_MS, restMs);
    this.#later(
      againMs === undefined ? pauseMs : Math.min(pauseMs, Math.max(AGAIN_MS, restMs, againMs)),
    );
  }

  /** The system reports changes at once, but not on every file system, so scanning continues. */
  async #watch(): Promise<void> {
    const { dir } = this.options;
    try {
      this.#watcher = (this.options.watchFolder ?? watchFolder)(dir);
      for await (const { kind, paths, flag } of this.#watcher) {
        if (kind === "access") continue;
        // After a burst some events are missing, and those that arrived may all be irrelevant.
        const isOurs = (path: string) => /\/(\.p2p-peer|metadata\.json)[^/]*$/.test(path);
        if (flag !== "rescan" && paths.every(isOurs)) continue;
        this.soon();
      }
    } catch {
      // This system cannot watch folders. Scans find everything a little later.
    }
  }
}
