// When the folder is looked at: soon after the system tells of a change, and again and again where it does not.
// Always holds: one look at a time; what changes during a look leads to another one right after it; looks take at most a
// twentieth of the time; nothing waits for the system's watcher, which may hang.

import type { Timers } from "./timers.ts";

/**
 * The folder is looked through this often, or less where that takes long: with the time that a file must
 * stand still, a new one is shared within 2 s also where the system does not tell of changes.
 */
const SCAN_MS = 1_500;
/** Looks get at most a twentieth of the time. */
const SHARE_OF_TIME = 20;
/** A change that the system tells of is looked at after this long, so that a burst of them is one look. */
const GATHER_MS = 100;
/** Minimum interval between looks at the folder that files being written ask for, in milliseconds. */
const AGAIN_MS = 100;

/** What is needed of `Deno.watchFs`. It may hang, so nothing waits for it. */
export type FolderWatcher =
  & AsyncIterable<Pick<Deno.FsEvent, "kind" | "paths" | "flag">>
  & { close?(): void };

const watchFolder = (dir: string): FolderWatcher => Deno.watchFs(dir, { recursive: false });

export interface FolderWatchOptions {
  readonly dir: string;
  readonly timers: Timers;
  /** Looks once; never rejects. Returns how long looking took, and when another look is worthwhile, in milliseconds. */
  readonly look: () => Promise<{ readonly lookedMs: number; readonly againMs: number | undefined }>;
  /** For tests. */
  readonly watchFolder?: ((dir: string) => FolderWatcher) | undefined;
}

export class FolderWatch {
  #watcher: FolderWatcher | undefined;
  #timer: ReturnType<Timers["after"]>;
  #isLooking = false;
  /** Something changed in the folder while it was looked at. */
  #changedMeanwhile = false;

  constructor(readonly options: FolderWatchOptions) {}

  start(): void {
    this.#watch();
    this.#later(SCAN_MS);
  }

  /** Something changed in the folder: it is looked at at once, or right after the look that is under way. */
  soon(): void {
    if (this.#isLooking) this.#changedMeanwhile = true;
    else this.#later(GATHER_MS);
  }

  /** Closes the watcher, which may never return. */
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
    // Paced by what looking costs: hashing is done once per file.
    const restMs = SHARE_OF_TIME * lookedMs;
    const pauseMs = Math.max(SCAN_MS, restMs);
    this.#later(
      againMs === undefined ? pauseMs : Math.min(pauseMs, Math.max(AGAIN_MS, restMs, againMs)),
    );
  }

  /** The system tells of changes at once, but not on every file system: looking goes on. */
  async #watch(): Promise<void> {
    const { dir } = this.options;
    try {
      this.#watcher = (this.options.watchFolder ?? watchFolder)(dir);
      for await (const { kind, paths, flag } of this.#watcher) {
        if (kind === "access") continue;
        // After a burst some events are missing, and none of those that came may be of interest.
        const isOurs = (path: string) => /\/(\.p2p-peer|metadata\.json)[^/]*$/.test(path);
        if (flag !== "rescan" && paths.every(isOurs)) continue;
        this.soon();
      }
    } catch {
      // No watching on this system: looking again finds everything, a little later.
    }
  }
}
