// Decides when to look at the folder, and at what: at the files that the system reports as changed, and at everything
// from time to time in any case.
// Invariants: one look runs at a time; a change during a look leads to another one right after it; after a burst of
// reports, which may have gaps, everything is looked at; looks at everything take at most a twentieth of the time while
// something changes, and half a percent otherwise; nothing waits for the system's watcher, which may hang.

import type { Timers } from "./timers.ts";

/**
 * Interval between checks of the folder, in milliseconds. Together with the time that a file must be unchanged, a new
 * file is shared within 2 s even where the system does not report changes.
 */
const CHECK_MS = 1_500;
/** Pause after a look at everything, as a multiple of how long it took: while something changes, and otherwise. */
const BUSY_PAUSE = 20;
const IDLE_PAUSE = 200;
/** Delay between a reported change and the look, in milliseconds, so that a burst of changes is one look. */
const GATHER_MS = 100;
/** Minimum interval between looks requested by files that are being written, in milliseconds. */
const AGAIN_MS = 100;
/** Duration of a look at everything above which single files are looked at instead where possible, in milliseconds. */
const LONG_LOOK_MS = 50;
/** Number of reports at once above which some may be missing: Deno 2.7 keeps about 16 that nobody has read yet. */
const BURST = 8;
/** Maximum number of files that are looked at one by one; for more, everything is. */
const MAX_NAMES = 1_000;

/** The part of `Deno.watchFs` that is used. It may hang, so nothing waits for it. */
export type FolderWatcher =
  & AsyncIterable<Pick<Deno.FsEvent, "kind" | "paths" | "flag">>
  & { close?(): void };

const watchFolder = (dir: string): FolderWatcher => Deno.watchFs(dir, { recursive: false });

/** What a look found. */
export interface Looked {
  /** How long it took, without hashing, in milliseconds. */
  readonly lookedMs: number;
  /** When another look is worthwhile, in milliseconds; undefined if nothing is waiting for one. */
  readonly againMs: number | undefined;
  /** Names of the files that wait for it. */
  readonly waiting: readonly string[];
}

export interface FolderWatchOptions {
  readonly dir: string;
  readonly timers: Timers;
  /** Looks at these files, or at everything; never rejects. */
  readonly look: (names: readonly string[] | undefined) => Promise<Looked>;
  /** Returns a text that changes when a file was added to the folder, renamed or removed. */
  readonly stateOfFolder: () => Promise<string>;
  /** For tests. */
  readonly watchFolder?: ((dir: string) => FolderWatcher) | undefined;
}

export class FolderWatch {
  #watcher: FolderWatcher | undefined;
  #timer: ReturnType<Timers["after"]>;
  #isLooking = false;
  /** Files that were reported, or that wait for another look. */
  #names = new Set<string>();
  /** Everything is to be looked at, for something changed. */
  #isAllDue = true;
  #reports = 0;
  /** How long the last look at everything took, and when it ended. */
  #lookedMs = 0;
  #allEndedMs = -Infinity;
  #state = "";

  constructor(readonly options: FolderWatchOptions) {}

  /** Looks now, and then whenever something changed. */
  start(): void {
    this.#watch();
    this.#look();
  }

  /** Looks soon at a file, or at everything, because something changed. */
  soon(name?: string): void {
    if (name === undefined || this.#names.size >= MAX_NAMES) this.#isAllDue = true;
    else this.#names.add(name);
    if (!this.#isLooking) this.#later(GATHER_MS);
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

  /** Looks at what is due, and decides when to do so again. */
  async #look(): Promise<void> {
    this.#isLooking = true;
    const state = await this.options.stateOfFolder();
    const reports = this.#reports;
    this.#reports = 0;
    // What is reported one by one is looked at one by one. Files that merely wait explain no change.
    const isExplained = reports > 0 && reports < BURST;
    if (reports >= BURST || (state !== this.#state && !isExplained)) this.#isAllDue = true;
    this.#state = state;
    const sinceMs = performance.now() - this.#allEndedMs;
    const isShort = this.#lookedMs <= LONG_LOOK_MS;
    const isDue = this.#isAllDue || (isShort && this.#names.size > 0);
    const pauseMs = (isDue ? BUSY_PAUSE : IDLE_PAUSE) * this.#lookedMs;
    let looked: Looked | undefined;
    if (sinceMs >= Math.max(isDue ? 0 : CHECK_MS, pauseMs)) {
      looked = await this.#lookAt(undefined);
    } else if (this.#names.size > 0) looked = await this.#lookAt([...this.#names]);
    this.#isLooking = false;
    for (const name of looked?.waiting ?? []) this.soon(name);
    this.#goOn(looked?.againMs);
  }

  async #lookAt(names: readonly string[] | undefined): Promise<Looked> {
    this.#names = new Set();
    if (!names) this.#isAllDue = false;
    const looked = await this.options.look(names);
    if (names) return looked;
    this.#lookedMs = looked.lookedMs;
    this.#allEndedMs = performance.now();
    return looked;
  }

  #goOn(againMs: number | undefined): void {
    if (againMs !== undefined) return this.#later(Math.min(CHECK_MS, Math.max(AGAIN_MS, againMs)));
    this.#later(this.#names.size > 0 || this.#reports > 0 ? GATHER_MS : CHECK_MS);
  }

  /** The system reports changes at once, but not on every file system, so checking continues. */
  async #watch(): Promise<void> {
    const { dir } = this.options;
    try {
      this.#watcher = (this.options.watchFolder ?? watchFolder)(dir);
      for await (const { kind, paths, flag } of this.#watcher) {
        if (kind === "access") continue;
        if (flag === "rescan") {
          this.soon();
          continue;
        }
        const isOurs = (path: string) => /\/(\.p2p-peer|metadata\.json)[^/]*$/.test(path);
        for (const path of paths) {
          if (isOurs(path)) continue;
          this.#reports++;
          this.soon(path.slice(path.lastIndexOf("/") + 1));
        }
      }
    } catch {
      // This system cannot watch folders. Checks find everything a little later.
    }
  }
}
