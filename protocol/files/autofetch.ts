// Auto-fetch: downloads that nobody requested, once after joining or, with `all`, continuously. PURE.
// Invariants: files that a person removed, edited or canceled here are not fetched; the end of the first batch is
// reported once, with the number of files still to be retried.

import type { Bounded } from "../bounds/expiring.ts";
import type { Downloads, Outcome } from "./downloads.ts";
import { isBindingTimestamp } from "../wire/fileid.ts";
import { MAX_WISHES, MISSING_EVERY_MS } from "../limits.ts";
import { shuffleFront } from "../members/membership.ts";
import type { PeerState } from "../state.ts";

interface Batch {
  readonly waiting: Set<string>;
  fetched: number;
  failed: number;
  pending: number;
}

/** Downloads missing files automatically. */
export class AutoFetch {
  /** The files of the first batch, until it is done. */
  #batch: Batch | undefined;
  /** Whether every file that appears is fetched. */
  #keepsFetching = false;
  #nextMissingMs = 0;
  /** A start that waits until it is known what a person does not want here; `alone` as for `start`. */
  #waiting: { readonly alone: boolean } | undefined;

  /** Shares `state` with the other parts of the peer. */
  constructor(readonly state: PeerState, readonly downloads: Downloads) {}

  /** Everything remembered here, with its bounds. */
  get sizes(): Bounded[] {
    const { catalogue, config } = this.state;
    return [{
      name: "files of the first batch",
      size: () => this.#batch?.waiting.size ?? 0,
      max: () => Math.max(config.limits.maxCatalogueEntries, catalogue.size),
    }];
  }

  /** Starts the first batch: as many missing files as configured. `alone`: no peer has answered. */
  start(alone: boolean): void {
    const { state } = this;
    if (this.#isReading) {
      this.#waiting = { alone };
      return;
    }
    const { autoFetch } = state.config;
    const done = (reason: "nothing-missing" | "no-peers" | "off") =>
      state.tell({ name: "auto-fetch-complete", fetched: 0, failed: 0, pending: 0, reason });
    if (autoFetch === 0) return done("off");
    this.#keepsFetching = autoFetch === Infinity;
    if (alone) return done("no-peers");
    const chosen = this.#missing(autoFetch);
    if (chosen.length === 0) return done("nothing-missing");
    // Downloads that failed while this peer was still joining are already scheduled for a retry.
    const fresh = chosen.filter((fileId) => !this.downloads.isWished(fileId));
    const pending = chosen.length - fresh.length;
    const batch = { waiting: new Set(fresh), fetched: 0, failed: 0, pending };
    this.#batch = batch;
    this.downloads.together(() => {
      for (const fileId of fresh) this.downloads.want(fileId);
    });
    if (batch.waiting.size === 0 && this.#batch === batch) this.#tellEnd();
  }

  /** Continues with a start that waited for what the store remembers. */
  onRead(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting) this.start(waiting.alone);
  }

  get #isReading(): boolean {
    return this.state.read === "something";
  }

  /** Looks for files that did not fit into the queue before. */
  tick(): void {
    const { nowMs } = this.state;
    if (!this.#keepsFetching || nowMs < this.#nextMissingMs) return;
    this.#nextMissingMs = nowMs + MISSING_EVERY_MS;
    if (this.downloads.pending + this.downloads.wishes > MAX_WISHES / 2) return;
    this.downloads.together(() => {
      for (const { file: { fileId } } of this.state.catalogue.all()) {
        if (this.downloads.pending >= MAX_WISHES / 2) return;
        this.consider(fileId);
      }
    });
  }

  /**
   * Fetches a file that was just named or may be missing, if everything is auto-fetched and a source has not failed
   * yet.
   */
  consider(fileId: string): void {
    if (!this.#keepsFetching || this.#isReading || !this.#isFetchable(fileId)) return;
    if (this.downloads.isPending(fileId) || this.downloads.isWished(fileId)) return;
    if (!this.downloads.hasFreshSource(fileId)) return;
    this.#batch?.waiting.add(fileId);
    this.downloads.want(fileId);
  }

  /** Counts a download of the batch that ended or is retried later. */
  ended(fileId: string, outcome: Outcome): void {
    const batch = this.#batch;
    if (!batch?.waiting.delete(fileId)) return;
    batch[outcome]++;
    if (batch.waiting.size === 0) this.#tellEnd();
  }

  #tellEnd(): void {
    const { fetched, failed, pending } = this.#batch!;
    this.#batch = undefined;
    this.state.tell({ name: "auto-fetch-complete", fetched, failed, pending, reason: "done" });
  }

  #missing(count: number): string[] {
    const { catalogue, membership } = this.state;
    const fetchable: string[] = [];
    for (const { file } of catalogue.all()) {
      if (this.#isFetchable(file.fileId)) fetchable.push(file.fileId);
    }
    shuffleFront(fetchable, fetchable.length, () => this.state.random());
    const atBootstrap = (fileId: string) =>
      [...catalogue.get(fileId)!.holders].some((peerId) => membership.get(peerId)?.bootstrap);
    const first = fetchable.filter(atBootstrap);
    const rest = fetchable.filter((fileId) => !atBootstrap(fileId));
    return [...first, ...rest].slice(0, count);
  }

  #isFetchable(fileId: string): boolean {
    const { catalogue } = this.state;
    const entry = catalogue.get(fileId);
    return entry !== undefined && !entry.held && entry.holders.size > 0 &&
      !catalogue.unwanted.has(fileId) &&
      [entry.file.timestamp, ...entry.otherTimestamps].some(isBindingTimestamp);
  }
}
