// Keeps the peer in step with its folder and its disk: scans the folder, syncs, empties the trash, notices free space.
// Invariants: each kind of upkeep runs one at a time; what the core has to know is dispatched as an input; trouble is
// reported, and never ends the peer.

import type { Node } from "../node/node.ts";
import type { NodeEvent } from "../protocol/effects.ts";
import type { Changes, Knowledge } from "../storage/changes.ts";
import type { HeldContent } from "../storage/shelf.ts";
import type { Found, Store } from "../storage/store.ts";
import { FolderWatch, type FolderWatcher, type Looked } from "./folder_watch.ts";
import type { Saving } from "./saving.ts";
import type { Timers } from "./timers.ts";
import type { Troubles } from "./troubles.ts";

/** Maximum number of files named in the line about what is not shared. */
const NAMED = 5;
/** Interval between syncs of what was kept, in milliseconds. */
const SYNC_MS = 2_000;
/** Delay before a look that failed is attempted again, in milliseconds. */
const AGAIN_MS = 2_000;
/** Interval between checks for old files in the trash, in milliseconds. */
const TIDY_MS = 60_000;
/** Interval between checks of the free space, in milliseconds. */
const SPACE_MS = 3_000;
/** Minimum growth of the free space before downloads that failed for lack of it are attempted again, in bytes. */
const NOTABLE_BYTES = 1024 ** 2;
/** Interval between saving the peers apart from changes, in milliseconds: their last-seen times move. */
const PEERS_MS = 30_000;

/** What the upkeep works on. */
export interface UpkeepOptions {
  readonly store: Store;
  readonly node: Node;
  readonly timers: Timers;
  readonly saving: Saving;
  readonly troubles: Troubles;
  /** Maximum bytes of files that others pushed here. */
  readonly pushQuotaBytes: number;
  /** Whether a new file must not take this id. */
  readonly isTaken: (fileId: string) => boolean;
  readonly onEvent: (event: NodeEvent) => void;
  /** Watches a folder; for tests. */
  readonly watchFolder: ((dir: string) => FolderWatcher) | undefined;
  /** Called once the folder was scanned for the first time, and all files that were there then are hashed. */
  readonly onFirstScan: () => void;
}

/** The upkeep of one store. */
export class Upkeep {
  readonly #folder: FolderWatch;
  /** Upkeep in progress, which a stop waits for. */
  readonly #underWay = new Set<Promise<unknown>>();
  #leastSpare: readonly number[] = [Infinity, Infinity]; // on the disk, of the quota
  #isStopped = false;
  /** No scan has succeeded yet. */
  #isFirst = true;
  #isIndexed = false;

  constructor(readonly options: UpkeepOptions) {
    this.#folder = new FolderWatch({
      dir: options.store.layout.dir,
      timers: options.timers,
      look: (names) => this.#keepUp(this.#look(names)),
      stateOfFolder: () => options.store.stateOfFolder(),
      watchFolder: options.watchFolder,
    });
  }

  /** Begins the upkeep. */
  start(): void {
    const { store, saving } = this.options;
    store.onHashed = () => this.#folder.soon();
    this.#folder.start();
    this.#repeat(SYNC_MS, () => store.sync());
    this.#repeat(TIDY_MS, () => store.tidy());
    this.#repeat(SPACE_MS, () => Promise.resolve(this.#noticeSpace()));
    this.#repeat(PEERS_MS, () => saving.savePeers());
  }

  /** Dispatches nothing more, even if a scan is in progress. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Resolves when no upkeep is in progress. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#underWay, this.options.store.settled()]);
  }

  /** Closes the folder's watcher, for a process that lives on. May never return. */
  release(): void {
    this.#folder.release();
  }

  /** Downloads again what a scan found damaged and set aside. */
  #noteDamaged({ setAside }: Pick<Found, "setAside">): void {
    const { node, troubles } = this.options;
    for (const { file, fileIds, keptAt } of setAside) {
      troubles.report(
        `${file.name} is damaged and no longer shared; it will be downloaded again once a peer has it. ` +
          `The damaged copy is kept as ${keptAt}`,
      );
      node.dispatch({ kind: "lost", fileIds, why: "damaged" });
      for (const fileId of fileIds) node.want(fileId);
    }
  }

  #knowledge(): Knowledge {
    const { catalogue } = this.options.node.peer;
    const unheld = function* (): ReturnType<Knowledge["unheld"]> {
      for (const entry of catalogue.all()) if (!entry.held) yield entry;
    };
    return {
      unheld,
      revision: () => catalogue.unheldRevision,
      isTaken: (fileId) => this.options.isTaken(fileId),
    };
  }

  async #look(names: readonly string[] | undefined): Promise<Looked> {
    const { store, troubles, onFirstScan } = this.options;
    try {
      const tell = (part: Found) => {
        if (!this.#isStopped) this.#tellChanges(part);
      };
      const atStart = this.#isFirst;
      const changes = await store.scan(this.#knowledge(), { atStart, names }, tell);
      tell(changes);
      this.#isFirst = false;
      if (!this.#isIndexed && store.hashing === 0 && !this.#isStopped) {
        this.#isIndexed = true;
        onFirstScan();
      }
      const { lookedMs = 0, againMs, waiting } = changes;
      return { lookedMs, againMs, waiting };
    } catch (error) {
      if (!this.#isStopped) troubles.report(error);
      // Those files would be looked at with everything else, which may be minutes from now.
      return { lookedMs: 0, againMs: AGAIN_MS, waiting: names ?? [] };
    }
  }

  #tellChanges(changes: Found): void {
    const { found, published, lost, edited, isRemade } = changes;
    const { node, store, troubles } = this.options;
    if (isRemade) {
      troubles.report(`${store.layout.dir} was removed. It was created again, empty`);
    }
    const tellLost = (fileIds: readonly string[], why: "missing" | "removed" | "edited") => {
      if (fileIds.length > 0) node.dispatch({ kind: "lost", fileIds, why });
    };
    tellLost(lost.filter((fileId) => !edited.has(fileId)), isRemade ? "missing" : "removed");
    tellLost(lost.filter((fileId) => edited.has(fileId)), "edited");
    const tellHeld = (files: Changes["published"], how: "found" | "published") => {
      if (files.length > 0) node.dispatch({ kind: "held", files: files.map(heldOf), how });
    };
    tellHeld(found, "found");
    const renamed = found.filter(({ isRenamed }) => isRenamed).map(({ file }) => file);
    if (renamed.length > 0) node.dispatch({ kind: "renamed", files: renamed });
    tellHeld(published, "published");
    this.#noteDamaged(changes);
    this.#noteOthers(changes);
  }

  /** Reports what is in the folder and not shared, and why. */
  #noteOthers({ unreadable, passedOver }: Changes): void {
    for (const { name, text } of unreadable) {
      this.options.troubles.report(`${name} is not shared: ${text}`);
    }
    if (passedOver.length === 0) return;
    const named = passedOver.slice(0, NAMED).map(({ name, what }) => `${name} (${what})`);
    const rest = passedOver.length - named.length;
    if (rest > 0) named.push(`${rest} more`);
    const text = `Not shared: ${named.join(", ")}; plain files directly in the folder are`;
    this.options.onEvent({ name: "passed-over", text });
  }

  /**
   * When free space or quota grew, downloads that failed for lack of it are attempted again: what each needs is not
   * known.
   */
  #noticeSpace(): void {
    const { catalogue } = this.options.node.peer;
    const spare = [
      this.options.store.freeBytes(),
      this.options.pushQuotaBytes - catalogue.pushedBytes,
    ];
    const least = spare.map((bytes, i) => Math.min(bytes, this.#leastSpare[i]!));
    const hasGrown = spare.some((bytes, i) => bytes - least[i]! >= NOTABLE_BYTES);
    this.#leastSpare = hasGrown ? spare : least;
    if (!hasGrown) return;
    this.options.node.dispatch({ kind: "space" });
  }

  /** Remembers upkeep, so that a stop waits for it. */
  #keepUp<T>(work: Promise<T>): Promise<T> {
    this.#underWay.add(work);
    work.finally(() => this.#underWay.delete(work)).catch(() => {}); // the caller handles it
    return work;
  }

  #repeat(everyMs: number, act: () => Promise<void>): void {
    this.options.timers.repeat(
      everyMs,
      () => this.#keepUp(act()).catch((error) => this.options.troubles.report(error)),
    );
  }
}

function heldOf({ file, placement, pushed }: Changes["published"][number]): HeldContent {
  return { file, sizeBytes: placement.sizeBytes, pushed };
}
