// The download plan: which file is fetched from whom, one source after the other. PURE.
// Always holds: one download per file, at most `MAX_DOWNLOADS` at once, each source at most once per
// download; a source that fails costs one attempt and nothing else.

import type { FetchFailure } from "./effects.ts";
import { type Bounded, ExpiringSet } from "./expiring.ts";
import { isBindingTimestamp } from "./fileid.ts";
import { MAX_DOWNLOADS, MAX_QUEUED_DOWNLOADS, SOURCE_FAILURE_MS } from "./limits.ts";
import { type PeerRecord, shuffleFront } from "./membership.ts";
import type { PeerState } from "./state.ts";

interface Download {
  readonly fileId: string;
  readonly tried: Set<string>;
  /** The source that is asked now. */
  source: string;
}

/** How a download ended, for who wanted it. */
export type Outcome = "fetched" | "failed";

export class Downloads {
  readonly #active = new Map<string, Download>();
  readonly #queue = new Map<string, true>();
  /** Sources that failed for a file are asked last, and not again by themselves. */
  readonly #failures = new ExpiringSet(MAX_QUEUED_DOWNLOADS, SOURCE_FAILURE_MS);
  /** Wanted by a person. */
  readonly #insisted = new Set<string>();
  #starting = false;

  constructor(
    readonly state: PeerState,
    readonly whenEnded: (fileId: string, outcome: Outcome) => void,
  ) {}

  /** Downloads that run or wait. */
  get pending(): number {
    return this.#active.size + this.#queue.size;
  }

  /** What is remembered, against its bounds. */
  get sizes(): Bounded[] {
    return [
      { name: "downloads running", size: () => this.#active.size, max: () => MAX_DOWNLOADS },
      { name: "downloads waiting", size: () => this.#queue.size, max: () => MAX_QUEUED_DOWNLOADS },
      {
        name: "downloads insisted on",
        size: () => this.#insisted.size,
        max: () => MAX_DOWNLOADS + MAX_QUEUED_DOWNLOADS,
      },
      {
        name: "sources that failed",
        size: () => this.#failures.size,
        max: () => MAX_QUEUED_DOWNLOADS,
      },
    ];
  }

  isPending(fileId: string): boolean {
    return this.#active.has(fileId) || this.#queue.has(fileId);
  }

  /** Whether this peer is being asked for this file. */
  isAsked(fileId: string, peerId: string): boolean {
    return this.#active.get(fileId)?.source === peerId;
  }

  /** Whether some holder did not fail for this file yet, and is not left alone. */
  hasFreshSource(fileId: string): boolean {
    const { catalogue, membership, nowMs } = this.state;
    return [...catalogue.get(fileId)?.holders ?? []].some((peerId) => {
      const record = membership.get(peerId);
      return record !== undefined && !this.state.pauseOf(record) &&
        !this.#failures.has(`${fileId} ${peerId}`, nowMs);
    });
  }

  /**
   * Starts or queues a download. Wanting it twice is one download. `insists`: a person wants it, so that also
   * those are asked, last of all, who are left alone.
   */
  want(fileId: string, insists = false): void {
    if (this.state.catalogue.get(fileId)?.held) return;
    if (insists) this.#insisted.add(fileId);
    if (this.isPending(fileId)) return;
    if (this.#queue.size >= MAX_QUEUED_DOWNLOADS) {
      this.#fail(fileId, "Too many downloads wait already; try again when some are done");
      return;
    }
    this.#queue.set(fileId, true);
    this.#startNext();
  }

  /** Content came whole and was kept. */
  arrived(fileId: string): void {
    this.#queue.delete(fileId);
    this.#insisted.delete(fileId);
    if (!this.#active.delete(fileId)) return;
    this.whenEnded(fileId, "fetched");
    this.#startNext();
  }

  /** A source failed: the next one is tried. */
  failed(fileId: string, source: string, failure: FetchFailure, text: string): void {
    const download = this.#active.get(fileId);
    if (!download || download.source !== source) return;
    if (failure === "storage") return this.abandon(fileId, text); // another source would not help
    const { catalogue } = this.state;
    const fileName = catalogue.get(fileId)?.file.name ?? "";
    this.state.tell({ name: "attempt-failed", fileId, fileName, source, text });
    this.#failures.add(`${fileId} ${source}`, this.state.nowMs);
    const record = this.state.membership.get(source);
    if (record && (failure === "mismatch" || failure === "garbage")) {
      const reason = failure === "mismatch" ? "content-mismatch" : "bad-answer";
      record.refusals++;
      this.state.refuse(source, reason, `Asked for ${fileName || fileId}, it ${text}`);
      this.state.offended(record, text);
    }
    // Who said that it holds the file and does not deliver it is no holder, until it says so again.
    if (failure === "absent" || failure === "mismatch") {
      catalogue.removeHolder(fileId, source, this.state.nowMs);
      this.state.save();
    }
    this.#tryNext(download);
  }

  /** Ends a download that cannot succeed any more, if there is one. */
  abandon(fileId: string, text: string): void {
    const wasQueued = this.#queue.delete(fileId);
    if (!this.#active.delete(fileId) && !wasQueued) return;
    this.#fail(fileId, text);
    this.#startNext();
  }

  #startNext(): void {
    // One after the other, never one inside the other: thousands may fail at once.
    if (this.#starting) return;
    this.#starting = true;
    for (const fileId of this.#queue.keys()) {
      if (this.#active.size >= MAX_DOWNLOADS) break;
      this.#queue.delete(fileId);
      const download: Download = { fileId, tried: new Set(), source: "" };
      this.#active.set(fileId, download);
      this.#tryNext(download);
    }
    this.#starting = false;
  }

  #tryNext(download: Download): void {
    const { state } = this;
    const { fileId, tried } = download;
    const entry = state.catalogue.get(fileId);
    const timestamps = entry
      ? [entry.file.timestamp, ...entry.otherTimestamps].filter(isBindingTimestamp)
      : [];
    const source = entry && timestamps.length > 0
      ? this.#chooseSource(fileId, entry.holders, tried)
      : undefined;
    if (!entry || !source) {
      this.#active.delete(fileId);
      this.#fail(fileId, this.#failureText(download, timestamps.length));
      this.#startNext();
      return;
    }
    download.source = source.peerId;
    tried.add(source.peerId);
    state.emit({
      kind: "fetch",
      file: entry.file,
      timestamps,
      source: source.peerId,
      from: source.address,
      voucher: source.voucher,
    });
  }

  /** Bootstrap peers first, the others by lot; who failed for this file a while ago or lies comes last. */
  #chooseSource(
    fileId: string,
    holders: ReadonlySet<string>,
    tried: ReadonlySet<string>,
  ): PeerRecord | undefined {
    const { membership } = this.state;
    const left: PeerRecord[] = [];
    const insists = this.#insisted.has(fileId);
    for (const peerId of holders) {
      const record = tried.has(peerId) ? undefined : membership.get(peerId);
      if (record && (insists || !this.state.pauseOf(record))) left.push(record);
    }
    shuffleFront(left, left.length, () => this.state.random());
    const rank = (record: PeerRecord) =>
      (this.state.pauseOf(record) ? 4 : 0) +
      (this.#failures.has(`${fileId} ${record.peerId}`, this.state.nowMs) ? 2 : 0) +
      (record.bootstrap ? 0 : 1);
    const inOrder = left.toSorted((a, b) => rank(a) - rank(b));
    return inOrder.find((record) => this.state.mayReach(record));
  }

  #fail(fileId: string, text: string): void {
    this.#insisted.delete(fileId);
    const fileName = this.state.catalogue.get(fileId)?.file.name ?? "";
    this.state.tell({ name: "download-failed", fileId, fileName, text });
    this.whenEnded(fileId, "failed");
  }

  #failureText({ fileId, tried }: Download, usableTimestamps: number): string {
    const { catalogue, membership } = this.state;
    const entry = catalogue.get(fileId);
    if (entry && usableTimestamps === 0) {
      return "Its timestamp cannot vouch for content, so nothing could be verified";
    }
    if (tried.size === 1) return "The only peer that was asked did not deliver it";
    if (tried.size > 0) return `None of the ${tried.size} peers that hold it delivered it`;
    for (const peerId of entry?.holders ?? []) {
      const record = membership.get(peerId);
      const pause = record && this.state.pauseOf(record);
      if (pause) return `${peerId} is left alone for a while: it ${pause.text}`;
    }
    return "No peer that is alive holds it";
  }
}
