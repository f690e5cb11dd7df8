// Downloads (GET_FILE, outgoing): which file to fetch next, from one source after another, and retries. PURE.
// Invariants: one download per file, and each source at most once per round; a request is for one file or for a batch of
// small ones, and takes a place (places.ts); every attempt has its own number and is stopped once nobody wants it; a wanted
// file that nobody delivered stays wanted until it is here, deleted, canceled or forgotten.

import type { Input, NotFetched } from "../effects.ts";
import { type Bounded, ExpiringSet } from "../bounds/expiring.ts";
import { BATCH_GET, PARTS, RAW } from "../wire/capabilities.ts";
import { isBindingTimestamp, type Timestamp } from "../wire/fileid.ts";
import {
  EXPRESS_DOWNLOADS,
  FIRST_RETRY_MS,
  HURRY_MS,
  LAST_RETRY_MS,
  MAX_BATCH_BYTES,
  MAX_BATCH_FILE_BYTES,
  MAX_BATCH_FILES,
  MAX_FELLOWS,
  MAX_QUEUED_DOWNLOADS,
  MAX_REQUESTS,
  MAX_SOURCES,
  MAX_WISHES,
  WISHES_PER_TICK,
} from "../limits.ts";
import type { PeerRecord } from "../members/membership.ts";
import type { PeerState } from "../state.ts";
import type { Entry } from "./catalogue.ts";
import { ComingContents } from "./coming.ts";
import { DownloadQueue, type Standing } from "./download_queue.ts";
import { isExpressSize, type Kind, Places } from "./places.ts";
import { SourceChoice } from "./source_choice.ts";
import type { Twins } from "./twins.ts";

/** The input "fetch-failed". */
export type FetchFailed = Extract<Input, { kind: "fetch-failed" }>;
/** The input "more-sources". */
export type MoreSources = Extract<Input, { kind: "more-sources" }>;
/** The input "fellows". */
export type FellowsNamed = Extract<Input, { kind: "fellows" }>;
/** The input "source-failed". */
export type SourceFailed = Extract<Input, { kind: "source-failed" }>;
/** The input "not-adopted". */
export type NotAdopted = Extract<Input, { kind: "not-adopted" }>;
/** The input "fetch-unasked". */
export type FetchUnasked = Extract<Input, { kind: "fetch-unasked" }>;

/** A request to a source, for one file or a batch, or to our own store. */
interface Request {
  readonly source: string;
  readonly kind: Kind;
  /** Number of files that it still has to deliver. */
  files: number;
}

interface Download {
  readonly fileId: string;
  readonly tried: Set<string>;
  /** The request that it is part of, and the number of that attempt. */
  request: Request | undefined;
  attempt: number;
  /** Sources that deliver parts of the file besides, once more are wanted. */
  helpers: Set<string> | undefined;
  /** Peers that are fetching the file too, and whether each is asked for parts or was given up. */
  readonly fellows: Map<string, "asked" | "failed">;
  /** Peers that hold the content under other ids, and the ids to ask them for; undefined until somebody is needed. */
  elsewhere: ReadonlyMap<string, string> | undefined;
  /** Peers that were asked for another id, and for which one. */
  readonly askedFor: Map<string, string>;
  /** What is said of its content; see `ComingContents`. */
  readonly content: string | undefined;
  /** Whether it was compared with content that is here. */
  isCompared: boolean;
  /** Number of sources that delivered something else, and how many of those delivered too much. */
  wrong: number;
  tooLong: number;
}

/** Number of failed rounds that one with wrong content counts as, in the delay before the next one. */
const WRONG_TRIES = 5;

/** Maximum number of queued files skipped in one search because all their sources are busy. */
const MAX_PASSED_OVER = 64;
/** Maximum number of queued files skipped while a batch is put together, because they are large or elsewhere. */
const MAX_NOT_IN_BATCH = 256;

/** Maximum number of peers that are fetching the same file and are tried in one attempt. (A guess.) */
const MAX_FELLOWS_TRIED = 64;

/** A wanted file that nobody has delivered yet. */
interface Wish {
  readonly tries: number;
  readonly dueMs: number;
  /** Whether it failed on our side, for example for lack of disk space: other sources would not help. */
  readonly isOurs: boolean;
}

/** How a round of a download ended. "pending": it is retried later. */
export type Outcome = "fetched" | "failed" | "pending";

/** Plans the downloads. */
export class Downloads {
  readonly #active = new Map<string, Download>();
  readonly #coming: ComingContents;
  readonly #places = new Places();
  readonly #queue = new DownloadQueue();
  /** Active ones that left a batch because it did not deliver them, and wait for another request. */
  readonly #again = new Set<Download>();
  /** Files that wait for a retry, the one that has waited longest first. */
  readonly #wishes = new Map<string, Wish>();
  /** Files that a person requested. */
  readonly #insisted = new Set<string>();
  /** Files that are fetched once, without retries, because they were offered: the size that they may have, in bytes. */
  readonly #once = new Map<string, number>();
  /** Files for which a person waits to see how the round ends. */
  readonly #waitedFor = new Set<string>();
  readonly #sources: SourceChoice;
  /** Peers whose recent return already triggered early retries. */
  readonly #hurried: ExpiringSet;
  #attempts = 0;
  #starting = false;
  /** Whether the queue was searched since a request ended: what is in it waits for that. */
  #isSearched = false;

  /** Shares `state` with the other parts of the peer. `whenEnded` is called at the end of each round. */
  constructor(
    readonly state: PeerState,
    readonly twins: Twins,
    readonly whenEnded: (fileId: string, outcome: Outcome) => void,
  ) {
    const isInsisted = (fileId: string) => this.#insisted.has(fileId);
    this.#sources = new SourceChoice(state, isInsisted);
    this.#coming = new ComingContents(state, twins, isInsisted);
    this.#hurried = new ExpiringSet(state.config.limits.maxPeers, HURRY_MS);
  }

  /** Number of downloads that are running or queued. */
  get pending(): number {
    return this.#active.size + this.#queue.size;
  }

  /** Number of files that wait for a retry. */
  get wishes(): number {
    return this.#wishes.size;
  }

  /** Everything remembered here, with its bounds. */
  get sizes(): Bounded[] {
    return [
      {
        name: "downloads running",
        size: () => this.#active.size,
        max: () => MAX_REQUESTS * MAX_BATCH_FILES,
      },
      {
        name: "downloads between sources",
        size: () => this.#again.size,
        max: () => MAX_REQUESTS * MAX_BATCH_FILES,
      },
      { name: "downloads queued", size: () => this.#queue.size, max: () => MAX_QUEUED_DOWNLOADS },
      { name: "downloads to retry", size: () => this.#wishes.size, max: () => MAX_WISHES },
      {
        name: "downloads requested by people",
        size: () => this.#insisted.size,
        max: () => MAX_REQUESTS * MAX_BATCH_FILES + MAX_QUEUED_DOWNLOADS + MAX_WISHES,
      },
      {
        name: "downloads that nobody here asked for",
        size: () => this.#once.size,
        max: () => MAX_REQUESTS * MAX_BATCH_FILES + MAX_QUEUED_DOWNLOADS,
      },
      {
        name: "downloads that people wait for",
        size: () => this.#waitedFor.size,
        max: () => MAX_REQUESTS * MAX_BATCH_FILES + MAX_QUEUED_DOWNLOADS + MAX_WISHES,
      },
      {
        name: "peers that came back",
        size: () => this.#hurried.size,
        max: () => this.state.config.limits.maxPeers,
      },
      ...this.#places.sizes,
      ...this.#coming.sizes,
      ...this.#sources.sizes,
    ];
  }

  /** Returns whether a download of the file is running or queued. */
  isPending(fileId: string): boolean {
    return this.#active.has(fileId) || this.#queue.has(fileId);
  }

  /** Returns whether the file waits for a retry. */
  isWished(fileId: string): boolean {
    return this.#wishes.has(fileId);
  }

  /** Returns whether nobody here wants the file, so that it is not retried; see `wantOnce`. */
  isOnce(fileId: string): boolean {
    return this.#once.has(fileId);
  }

  /**
   * Starts or queues a download of a file of this size that nobody here asked for, and which is not retried. Returns whether
   * it did.
   */
  wantOnce(fileId: string, sizeBytes: number): boolean {
    if (this.#queue.size >= MAX_QUEUED_DOWNLOADS) {
      this.state.overload("downloads-delayed");
      return false;
    }
    this.#once.set(fileId, sizeBytes);
    this.#enqueue(fileId);
    return this.isPending(fileId);
  }

  /** Returns whether a holder of the file is not avoided and has not recently failed to deliver it. */
  hasFreshSource(fileId: string): boolean {
    return this.#sources.hasFresh(fileId);
  }

  /** Downloads a file that a person requested. */
  onWanted(fileId: string): void {
    this.state.catalogue.unwanted.delete(fileId);
    this.want(fileId, true);
  }

  /** Puts a queued download before all others, for a person. */
  onFirst(fileId: string): void {
    if (!this.#queue.has(fileId)) return;
    this.#once.delete(fileId);
    this.#insisted.add(fileId);
    this.#queue.putFirst(fileId);
    this.#startNext();
  }

  /** Returns whether a download of the file is queued. */
  isQueued(fileId: string): boolean {
    return this.#queue.has(fileId);
  }

  /** Returns the ids of the queued downloads, in order, at most `limit`, and how many there are. */
  queued(limit: number): { readonly fileIds: readonly string[]; readonly total: number } {
    const fileIds: string[] = [];
    for (const fileId of this.#queue) {
      if (fileIds.length >= limit) break;
      fileIds.push(fileId);
    }
    return { fileIds, total: this.#queue.size };
  }

  /**
   * Cancels a download for a person. The file is not fetched automatically either, until a person requests it again.
   */
  onCanceled(fileId: string): void {
    const { catalogue } = this.state;
    if (!this.isPending(fileId) && !this.isWished(fileId)) return;
    if (catalogue.get(fileId)) catalogue.refuse(fileId);
    this.abandon(fileId, "The download was canceled", "canceled");
    this.state.save();
  }

  /**
   * Starts or queues a download, unless there is one already. `insists`: a person wants it, so that sources that are
   * avoided are asked too, as a last resort.
   */
  want(fileId: string, insists = false): void {
    if (this.state.catalogue.get(fileId)?.held) return;
    this.#once.delete(fileId);
    if (insists) {
      const isAgain = this.#insisted.has(fileId);
      this.#insisted.add(fileId);
      this.#waitedFor.add(fileId);
      if (this.#queue.has(fileId)) {
        // Who asks again does not want to wait for what was asked for before.
        if (isAgain) this.#queue.putFirst(fileId);
        else if (this.#queue.delete(fileId)) this.#queue.add(fileId, this.#standingOf(fileId));
        this.#startNext();
      }
    }
    if (this.isPending(fileId)) return;
    if (this.#queue.size >= MAX_QUEUED_DOWNLOADS) {
      this.state.overload("downloads-delayed");
      const tries = this.#wishes.get(fileId)?.tries ?? 0;
      this.#wish(fileId, { tries, dueMs: this.state.nowMs + FIRST_RETRY_MS, isOurs: false });
      if (insists) {
        this.#fail(fileId, "Too many downloads are queued already", "pending", "refused");
      } else this.whenEnded(fileId, "pending");
      return;
    }
    this.#enqueue(fileId);
  }

  #enqueue(fileId: string): void {
    const isSearched = this.#isSearched && this.#queue.size > 0;
    this.#queue.add(fileId, this.#standingOf(fileId));
    // Of the others it is known that their sources are busy.
    if (!isSearched || this.#mayStart(fileId)) this.#startNext();
  }

  /** Retries files that are due and have a holder. */
  tick(): void {
    const { nowMs, catalogue } = this.state;
    let started = 0;
    for (const [fileId, wish] of this.#wishes) {
      if (wish.dueMs > nowMs || this.isPending(fileId)) continue;
      if (started >= WISHES_PER_TICK || this.#queue.size >= MAX_QUEUED_DOWNLOADS) break;
      const entry = catalogue.get(fileId);
      if (!entry || entry.held) this.#forget(fileId);
      else if (entry.holders.size > 0) {
        started++;
        this.want(fileId);
      } else this.#wish(fileId, { ...wish, dueMs: nowMs + FIRST_RETRY_MS }); // nobody to ask
    }
    this.#startNext(); // the last search may have ended at files whose sources are all busy
  }

  /** Retries a wanted file at once, because another peer now holds it. */
  holderCame(fileId: string): void {
    const download = this.#active.get(fileId);
    if (download) return this.#addHelpers(download);
    const wish = this.#wishes.get(fileId);
    if (!wish || wish.isOurs || this.isPending(fileId)) return;
    if (this.hasFreshSource(fileId)) this.want(fileId);
  }

  /** Retries the wanted files that a peer holds, because it appeared, moved or restarted. */
  peerCame(peerId: string): void {
    const { catalogue, nowMs } = this.state;
    if (this.#wishes.size === 0 || !this.#hurried.add(peerId, nowMs)) return;
    for (const [fileId, wish] of this.#wishes) {
      if (wish.isOurs || !catalogue.get(fileId)?.holders.has(peerId)) continue;
      this.#wishes.set(fileId, { ...wish, dueMs: nowMs });
    }
  }

  /** Retries at once what failed on our side, because the store has space again. */
  onSpace(): void {
    for (const [fileId, wish] of this.#wishes) {
      if (wish.isOurs) this.#wishes.set(fileId, { ...wish, dueMs: this.state.nowMs });
    }
    this.tick();
  }

  /** Ends a download whose content is now in the store, from this download or another way. */
  arrived(fileId: string): void {
    this.#queue.delete(fileId);
    this.#forget(fileId);
    const download = this.#active.get(fileId);
    const before = this.#places.taken;
    if (download) {
      this.#leave(download);
      this.#stop(download, "The file arrived another way");
    }
    this.whenEnded(fileId, "fetched");
    if (this.#places.taken < before) this.#startNext();
  }

  /** Tries the next source after one failed. Ignores late reports about attempts that are over. */
  onFailed(input: FetchFailed): void {
    const { fileId, attempt, failure, text } = input;
    const download = this.#active.get(fileId);
    if (!download || download.attempt !== attempt) return;
    if (failure === "storage") return this.#end(download, text, true); // another source would not help
    this.#noteFailure(download, input);
    this.#release(download);
    this.#again.add(download);
    this.#startNext();
  }

  /** Fetches a file that is not the content it was compared with. Ignores late reports about attempts that are over. */
  onNotAdopted({ fileId, attempt, isWrong }: NotAdopted): void {
    const toldBy = this.twins.compared(attempt);
    if (isWrong) this.twins.disproved(fileId, toldBy);
    const download = this.#active.get(fileId);
    if (!download || download.attempt !== attempt) return;
    this.#release(download);
    this.#again.add(download);
    this.#startNext();
  }

  /** Offers further sources to a download. Ignores late reports about attempts that are over. */
  onMoreSources({ fileId, attempt }: MoreSources): void {
    const download = this.#active.get(fileId);
    if (!download || download.attempt !== attempt) return;
    download.helpers ??= new Set();
    this.#addHelpers(download);
  }

  /** Returns whether parts of a file may be here that others can be given. */
  hasParts(fileId: string): boolean {
    return this.#active.get(fileId)?.helpers !== undefined;
  }

  /** Asks the peers that a source named. Ignores late reports about attempts that are over. */
  onFellows({ fileId, attempt, peerIds }: FellowsNamed): void {
    if (this.#active.get(fileId)?.attempt === attempt) this.fellowsCame(fileId, peerIds, false);
  }

  /** Asks peers that are fetching the same large file for what they have, unless they were given up: `again` those too. */
  fellowsCame(fileId: string, peerIds: readonly string[], again = true): void {
    const download = this.#active.get(fileId);
    if (!download?.helpers) return;
    const { fellows, tried, attempt } = download;
    for (const peerId of peerIds) {
      const asked = fellows.values().reduce((sum, each) => sum + (each === "asked" ? 1 : 0), 0);
      // Those who ask us come from the same few. Places are left for those whom others name.
      const places = again ? MAX_FELLOWS / 2 : MAX_FELLOWS;
      if (asked >= places || fellows.size >= MAX_FELLOWS_TRIED) return;
      if (
        tried.has(peerId) || (fellows.has(peerId) && !(again && fellows.get(peerId) === "failed"))
      ) {
        continue;
      }
      const record = this.#sources.mayAsk(fileId, peerId);
      if (!record?.can.includes(PARTS) || !this.state.mayReach(record)) continue;
      fellows.set(peerId, "asked");
      const { address: from, voucher } = record;
      const source = { source: peerId, from, voucher, hasParts: true } as const;
      this.state.emit({ kind: "fetch-also", attempt, fileId, ...source, isFellow: true });
    }
  }

  /** Replaces a source that failed while others deliver. Ignores late reports about attempts that are over. */
  onSourceFailed(input: SourceFailed): void {
    const download = this.#active.get(input.fileId);
    if (!download || download.attempt !== input.attempt) return;
    const { source, failure } = input;
    if (download.fellows.has(source) && !download.tried.has(source)) {
      download.fellows.set(source, "failed");
      // That it has ended its own download, or is unreachable, says nothing against it.
      if (failure === "mismatch" || failure === "garbage") this.#noteFailure(download, input);
      return;
    }
    download.helpers?.delete(source);
    this.#noteFailure(download, input);
    this.#addHelpers(download);
  }

  /** Asks further sources for parts of a file, if more are wanted and there are any. */
  #addHelpers(download: Download): void {
    const { fileId, helpers, tried, attempt } = download;
    const entry = this.state.catalogue.get(fileId);
    while (entry && helpers && helpers.size < MAX_SOURCES - 1) {
      const canRaw = (record: PeerRecord) => record.can.includes(RAW);
      const source = this.#sources.choose(fileId, entry.holders, tried, canRaw) ??
        this.#chooseElsewhere(download, entry);
      if (!source) return;
      const { peerId, address: from, voucher } = source;
      tried.add(peerId);
      helpers.add(peerId);
      const askFor = this.#askFor(download, entry, peerId);
      const hasParts = source.can.includes(PARTS);
      const also = { attempt, fileId, source: peerId, from, voucher, hasParts, ...askFor };
      this.state.emit({ kind: "fetch-also", ...also });
    }
  }

  /** Returns the best source that has the content under another id. */
  #chooseElsewhere(download: Download, entry: Entry): PeerRecord | undefined {
    const elsewhere = download.elsewhere ??= new Map(
      this.twins.heldElsewhere(entry).map(({ peerId, askFor }) => [peerId, askFor]),
    );
    const { fileId, tried } = download;
    if (this.twins.claimOf(entry) === undefined) return undefined;
    const canRaw = (record: PeerRecord) => record.can.includes(RAW);
    return this.#sources.choose(fileId, elsewhere.keys(), tried, canRaw);
  }

  /** Draws the consequences of a failure for its source. */
  #noteFailure(download: Download, input: FetchFailed | SourceFailed): void {
    const { fileId, source, failure, text, isPassedOn } = input;
    const { catalogue } = this.state;
    const fileName = catalogue.get(fileId)?.file.name ?? "";
    this.state.tell({ name: "attempt-failed", fileId, fileName, source, text });
    this.#sources.failed(fileId, source);
    if (isPassedOn) return; // whoever passed it on may have changed it, or made it up
    const askFor = download.askedFor.get(source);
    if (askFor !== undefined && failure === "mismatch") {
      // It may well have sent what it was asked for: somebody told that this is the same.
      this.twins.differ(fileId, askFor);
      return;
    }
    const record = this.state.membership.get(source);
    if (record && (failure === "mismatch" || failure === "garbage")) {
      const reason = failure === "mismatch" ? "content-mismatch" : "bad-answer";
      this.state.membership.refusedOf(source);
      this.state.refuse(source, reason, `When asked for ${fileName || fileId}, it ${text}`);
      this.state.offended(record, text);
    }
    // A holder that does not deliver the file no longer counts as one, until it says again that it holds it.
    if (failure === "absent" || failure === "mismatch") {
      catalogue.removeHolder(askFor ?? fileId, source, this.state.nowMs);
      this.state.save();
    }
    if (failure === "mismatch" || failure === "garbage" || failure === "too-long") download.wrong++;
    if (failure === "too-long") download.tooLong++;
  }

  /** Puts files of a batch whose turn did not come back into the queue. Ignores late reports. */
  onUnasked({ files }: FetchUnasked): void {
    for (const { fileId, attempt } of files) {
      const download = this.#active.get(fileId);
      if (!download || download.attempt !== attempt) continue;
      this.#leave(download);
      this.#queue.add(fileId, this.#standingOf(fileId));
    }
    this.#startNext();
  }

  /** Ends a round whose content could not be kept. It is retried later, when there may be space. */
  notKept(fileId: string, text: string): void {
    const download = this.#active.get(fileId);
    if (!download) return;
    this.#stop(download, text);
    this.#end(download, text, true);
  }

  /** Removes a download from the running ones. */
  #leave(download: Download): void {
    this.#active.delete(download.fileId);
    this.#coming.ended(download.fileId, download.content);
    this.#again.delete(download);
    this.#release(download);
  }

  /** Takes a download out of its request, which may end with it. */
  #release(download: Download): void {
    const { request } = download;
    download.request = undefined;
    if (!request || --request.files > 0) return;
    this.#places.ended(request.kind);
    this.#isSearched = false;
    this.#sources.ended(request.source);
  }

  /** Ends a download for good, including its retries, because it is no longer wanted or cannot succeed. */
  abandon(fileId: string, text: string, why: NotFetched): void {
    const wasQueued = this.#queue.delete(fileId);
    const wasWished = this.#wishes.has(fileId);
    const download = this.#active.get(fileId);
    this.#forget(fileId);
    if (!download && !wasQueued && !wasWished) return;
    if (download) {
      this.#leave(download);
      this.#stop(download, text);
    }
    this.#fail(fileId, text, "failed", why);
    this.#startNext();
  }

  #stop({ attempt }: Download, text: string): void {
    if (attempt > 0) this.state.emit({ kind: "stop-fetch", attempt, text });
  }

  /** Lets `act` queue many downloads before the first one starts, so that small ones become batches. */
  together(act: () => void): void {
    if (this.#starting) return act();
    this.#starting = true;
    try {
      act();
    } finally {
      this.#starting = false;
    }
    this.#startNext();
  }

  #startNext(): void {
    // A loop instead of recursion: thousands of downloads may fail at once.
    if (this.#starting) return;
    this.#starting = true;
    this.#isSearched = true;
    for (const download of this.#again) {
      if (!this.#places.allow(this.#kindOf(download.fileId))) continue;
      this.#again.delete(download);
      this.#tryNext(download);
    }
    while (this.#startSome());
    this.#starting = false;
  }

  /** Starts what may start among the first files in the queue. Returns whether another look is worthwhile. */
  #startSome(): boolean {
    let hasStarted = false;
    for (const fileId of this.#queue.front(MAX_PASSED_OVER)) {
      if (this.#places.areFull) return false;
      if (!this.#queue.has(fileId)) continue; // it is part of a batch by now
      if (!this.#mayStart(fileId)) {
        // Others, whose sources are not busy, are looked at next time. Without a place, all keep their order.
        if (!this.#places.areOnlyExpress) this.#queue.passOver(fileId);
        continue;
      }
      this.#queue.delete(fileId);
      this.#tryNext(this.#activate(fileId));
      hasStarted = true;
    }
    return hasStarted;
  }

  /**
   * Returns whether a file may be requested now. A small one that a person requested waits neither for large ones nor for
   * a source that is busy with them.
   */
  #mayStart(fileId: string): boolean {
    const kind = this.#kindOf(fileId);
    if (!this.#places.allow(kind)) return false;
    const isUrgent = this.#insisted.has(fileId) && this.#places.hasExpress(kind);
    return !this.#coming.isComing(fileId) &&
      !this.#sources.areAllBusy(fileId, isUrgent ? EXPRESS_DOWNLOADS : 0);
  }

  #kindOf(fileId: string): Kind {
    const isSmall = isExpressSize(this.state.catalogue.get(fileId)?.file.sizeBytes);
    return { isSmall, isOnce: this.#once.has(fileId) };
  }

  #standingOf(fileId: string): Standing {
    if (!this.#insisted.has(fileId)) return "other";
    return this.#kindOf(fileId).isSmall ? "small" : "requested";
  }

  #activate(fileId: string): Download {
    const download: Download = {
      fileId,
      content: this.#once.has(fileId) ? undefined : this.#coming.began(fileId),
      isCompared: false,
      elsewhere: undefined,
      askedFor: new Map(),
      tried: new Set(),
      request: undefined,
      attempt: 0,
      helpers: undefined,
      fellows: new Map(),
      wrong: 0,
      tooLong: 0,
    };
    this.#active.set(fileId, download);
    return download;
  }

  #tryNext(download: Download): void {
    const { state } = this;
    const { fileId, tried } = download;
    const entry = state.catalogue.get(fileId);
    const timestamps = entry ? bindingTimestamps(entry) : [];
    if (entry && timestamps.length > 0 && this.#compare(download, entry, timestamps)) return;
    // This looks at every known file, so it is done only for what a person requested.
    const isForPeople = this.#insisted.has(fileId);
    const source = entry && timestamps.length > 0
      ? this.#sources.choose(fileId, entry.holders, tried) ??
        (isForPeople ? this.#chooseElsewhere(download, entry) : undefined)
      : undefined;
    if (!entry || !source) {
      const text = this.#failureText(download, timestamps.length);
      // If every source delivers too much, the file really is too large, and retries are pointless.
      const isTooLong = tried.size > 0 && download.tooLong === tried.size;
      if (entry && timestamps.length > 0 && !isTooLong) this.#end(download, text, false);
      else this.abandon(fileId, text, timestamps.length === 0 ? "wrong" : "undelivered");
      return;
    }
    const { peerId, address: from, voucher, can } = source;
    const request = this.#begin(peerId, entry);
    const first = this.#join(download, request, entry, timestamps);
    const askFor = this.#askFor(download, entry, peerId);
    const maxBytes = this.#once.get(fileId);
    const isBatched = can.includes(RAW) && can.includes(BATCH_GET) && isBatchable(entry) &&
      !("askFor" in askFor) && maxBytes === undefined;
    if (isBatched) {
      const more = this.#moreFor(request, entry.file.sizeBytes!);
      if (more.length > 0) {
        state.emit({ kind: "fetch-batch", files: [first, ...more], source: peerId, from, voucher });
        return;
      }
    }
    state.emit({
      kind: "fetch",
      ...first,
      source: peerId,
      from,
      voucher,
      isRaw: can.includes(RAW),
      hasParts: can.includes(PARTS),
      ...(maxBytes === undefined ? {} : { maxBytes }),
      ...askFor,
    });
  }

  /** Compares the file with content that is here and said to be the same, once. Returns whether that is under way. */
  #compare(download: Download, entry: Entry, timestamps: readonly Timestamp[]): boolean {
    const mayCompare = !download.isCompared && this.twins.mayCompare &&
      !this.#once.has(download.fileId);
    const twin = mayCompare ? this.twins.hereAs(entry) : undefined;
    if (twin === undefined) return false;
    download.isCompared = true;
    const request = this.#begin(this.state.config.peerId, entry);
    const joined = this.#join(download, request, entry, timestamps);
    this.twins.comparing(joined.attempt, entry);
    this.state.emit({ kind: "adopt", ...joined, twin });
    return true;
  }

  #begin(source: string, { file: { fileId } }: Entry): Request {
    const kind = this.#kindOf(fileId);
    this.#places.began(kind);
    this.#sources.began(source);
    return { source, kind, files: 0 };
  }

  /** Returns the id to ask a source for, and notes it, if the source holds the content under another one. */
  #askFor(
    { elsewhere, askedFor }: Download,
    { holders }: Entry,
    source: string,
  ): { readonly askFor?: string } {
    const askFor = holders.has(source) ? undefined : elsewhere?.get(source);
    if (askFor === undefined) return {};
    askedFor.set(source, askFor);
    return { askFor };
  }

  /** Makes a download part of a request. */
  #join(download: Download, request: Request, entry: Entry, timestamps: readonly Timestamp[]) {
    request.files++;
    download.request = request;
    download.attempt = ++this.#attempts;
    download.helpers = undefined;
    download.fellows.clear();
    if (request.source !== this.state.config.peerId) download.tried.add(request.source);
    return { attempt: download.attempt, file: entry.file, timestamps };
  }

  /** Takes further small files that the source holds out of the queue, `bytes` of the batch being used already. */
  #moreFor(request: Request, bytes: number) {
    const { catalogue } = this.state;
    const files = [];
    let skipped = 0;
    for (const fileId of this.#queue) {
      if (request.files >= MAX_BATCH_FILES || skipped >= MAX_NOT_IN_BATCH) break;
      if (this.#once.has(fileId)) continue;
      const entry = catalogue.get(fileId);
      const size = entry && isBatchable(entry) && entry.holders.has(request.source) &&
          bytes + entry.file.sizeBytes! <= MAX_BATCH_BYTES
        ? entry.file.sizeBytes!
        : undefined;
      const timestamps = entry ? bindingTimestamps(entry) : [];
      const { source } = request;
      const mayAsk = timestamps.length > 0 && !this.#sources.hasFailed(fileId, source) &&
        this.#sources.mayAsk(fileId, source) && !this.#coming.isComing(fileId) &&
        this.twins.hereAs(entry!) === undefined;
      if (!entry || size === undefined || !mayAsk) {
        skipped++;
        continue;
      }
      bytes += size;
      this.#queue.delete(fileId);
      files.push(this.#join(this.#activate(fileId), request, entry, timestamps));
    }
    return files;
  }

  /** Ends a round that did not deliver the file, and schedules a retry. */
  #end(download: Download, text: string, isOurs: boolean): void {
    const { fileId, wrong } = download;
    const why = isOurs ? "storage" : wrong > 0 ? "wrong" : "undelivered";
    if (this.#once.has(fileId)) {
      this.#leave(download);
      this.#forget(fileId);
      this.#fail(fileId, text, "failed", why);
      return this.#startNext();
    }
    const before = this.#wishes.get(fileId)?.tries ?? 0;
    // A source that delivered wrong content will most likely do so again, at the cost of a whole transfer.
    const tries = before + (download.wrong > 0 ? WRONG_TRIES : 1);
    const backoffMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (tries - 1));
    const dueMs = this.state.nowMs + backoffMs * (0.75 + 0.5 * this.state.random());
    this.#leave(download);
    this.#wish(fileId, { tries, dueMs, isOurs });
    // Further failed rounds are reported only by their attempts, unless a person is waiting.
    if (before === 0 || this.#waitedFor.has(fileId)) this.#fail(fileId, text, "pending", why);
    else this.whenEnded(fileId, "pending");
    this.#startNext();
  }

  #wish(fileId: string, wish: Wish): void {
    this.#wishes.delete(fileId);
    if (this.#wishes.size >= MAX_WISHES) {
      const oldest = this.#wishes.keys().next().value!;
      if (this.isPending(oldest)) this.#wishes.delete(oldest);
      else {
        this.#forget(oldest);
        this.state.overload("downloads-forgotten");
      }
    }
    this.#wishes.set(fileId, wish);
  }

  #forget(fileId: string): void {
    this.#wishes.delete(fileId);
    this.#insisted.delete(fileId);
    this.#waitedFor.delete(fileId);
    this.#once.delete(fileId);
  }

  #fail(fileId: string, text: string, outcome: Outcome, why: NotFetched): void {
    this.#waitedFor.delete(fileId);
    const fileName = this.state.catalogue.get(fileId)?.file.name ?? "";
    const willRetry = outcome === "pending";
    this.state.tell({ name: "download-failed", fileId, fileName, text, why, willRetry });
    this.whenEnded(fileId, outcome);
  }

  #failureText({ fileId, tried }: Download, usableTimestamps: number): string {
    const { catalogue, membership } = this.state;
    const entry = catalogue.get(fileId);
    if (entry && usableTimestamps === 0) {
      return "Its timestamp has a form that does not allow its content to be verified";
    }
    if (tried.size === 1) return "The only peer that was asked did not deliver it";
    if (tried.size > 0) return `None of the ${tried.size} peers that were asked delivered it`;
    for (const peerId of entry?.holders ?? []) {
      const record = membership.get(peerId);
      const pause = record && this.state.pauseOf(record);
      if (pause) return `${peerId} is avoided for a while: it ${pause.text}`;
    }
    return "No live peer holds it";
  }
}

/** Returns the timestamps under which the content may verify. */
function bindingTimestamps({ file, otherTimestamps }: Entry): Timestamp[] {
  return [file.timestamp, ...otherTimestamps].filter(isBindingTimestamp);
}

const isBatchable = ({ file: { sizeBytes } }: Entry) =>
  sizeBytes !== undefined && sizeBytes <= MAX_BATCH_FILE_BYTES;
