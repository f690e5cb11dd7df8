// Auto-fetch: what is fetched without anybody asking for it, once after joining, and with `all` from then on. PURE.
// Always holds: what a person removed, edited or canceled here is not fetched; the end of the first batch is told once, with
// what is still to come.

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

export class AutoFetch {
  /** The files of the auto-fetch that is under way. */
  #batch: Batch | undefined;
  /** Whatever appears is fetched. */
  #keepsFetching = false;
  #nextMissingMs = 0;

  constructor(readonly state: PeerState, readonly downloads: Downloads) {}

  /** The network is known now: fetch what is missing, as many as configured. */
  start(alone: boolean): void {
    const { state } = this;
    const { autoFetch } = state.config;
    const done = (reason: "nothing-missing" | "no-peers" | "off") =>
      state.tell({ name: "auto-fetch-complete", fetched: 0, failed: 0, pending: 0, reason });
    if (autoFetch === 0) return done("off");
    this.#keepsFetching = autoFetch === Infinity;
    if (alone) return done("no-peers");
    const chosen = this.#missing(autoFetch);
    if (chosen.length === 0) return done("nothing-missing");
    // What failed while this peer was still joining is being tried again already.
    const fresh = chosen.filter((fileId) => !this.downloads.isWished(fileId));
    const pending = chosen.length - fresh.length;
    const batch = { waiting: new Set(fresh), fetched: 0, failed: 0, pending };
    this.#batch = batch;
    for (const fileId of fresh) this.downloads.want(fileId);
    if (batch.waiting.size === 0 && this.#batch === batch) this.#tellEnd();
  }

  /** What there was no place for in the queue comes at last. */
  tick(): void {
    const { nowMs } = this.state;
    if (!this.#keepsFetching || nowMs < this.#nextMissingMs) return;
    this.#nextMissingMs = nowMs + MISSING_EVERY_MS;
    if (this.downloads.pending + this.downloads.wishes > MAX_WISHES / 2) return;
    for (const { file: { fileId } } of this.state.catalogue.all()) {
      if (this.downloads.pending >= MAX_WISHES / 2) return;
      this.consider(fileId);
    }
  }

  /** A file was told of, or may be missing: with auto-fetch of everything it is fetched. */
  consider(fileId: string): void {
    if (!this.#keepsFetching || !this.#isFetchable(fileId)) return;
    if (this.downloads.isPending(fileId) || this.downloads.isWished(fileId)) return;
    if (!this.downloads.hasFreshSource(fileId)) return;
    this.#batch?.waiting.add(fileId);
    this.downloads.want(fileId);
  }

  /** A download ended, or waits to be tried again. */
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
