// The download plan: which file is fetched from whom, one source after the other, and what is tried again later. PURE.
// Always holds: one download per file, at most `MAX_DOWNLOADS` at once, each source at most once per round; every attempt
// has a number of its own, and one that nobody wants any more is ended; a file that is wanted and was not delivered stays
// wanted until it is here, deleted, canceled or forgotten.

import type { Input } from "../effects.ts";
import { type Bounded, ExpiringSet } from "../bounds/expiring.ts";
import { isBindingTimestamp } from "../wire/fileid.ts";
import {
  FIRST_RETRY_MS,
  HURRY_MS,
  LAST_RETRY_MS,
  MAX_DOWNLOADS,
  MAX_DOWNLOADS_PER_SOURCE,
  MAX_QUEUED_DOWNLOADS,
  MAX_WISHES,
  SOURCE_FAILURE_MS,
  WISHES_PER_TICK,
} from "../limits.ts";
import { type PeerRecord, shuffleFront } from "../members/membership.ts";
import type { PeerState } from "../state.ts";

type FetchFailed = Extract<Input, { kind: "fetch-failed" }>;

interface Download {
  readonly fileId: string;
  readonly tried: Set<string>;
  /** The source that is asked now, and the number of that attempt. */
  source: string;
  attempt: number;
  /** Sources that delivered something, but not this file; and of these, such that delivered too much. */
  wrong: number;
  tooLong: number;
}

/** A round in which somebody delivered the wrong content counts as so many for the delay before the next one. */
const WRONG_TRIES = 5;

/** Files passed over in one look for the next to start, because all their sources are busy. */
const MAX_PASSED_OVER = 64;

/** A file that nobody delivered, and that is still wanted. */
interface Wish {
  readonly tries: number;
  readonly dueMs: number;
  /** It failed on our side, as for want of space: other sources would not help. */
  readonly isOurs: boolean;
}

/** How a round of a download ended, for who wanted it. "pending": it is tried again later. */
export type Outcome = "fetched" | "failed" | "pending";

export class Downloads {
  readonly #active = new Map<string, Download>();
  readonly #queue = new Map<string, true>();
  /** What is tried again, the one that waits longest first. */
  readonly #wishes = new Map<string, Wish>();
  /** Sources that failed for a file a while ago are asked last. */
  readonly #failures = new ExpiringSet(MAX_QUEUED_DOWNLOADS, SOURCE_FAILURE_MS);
  /** Wanted by a person. */
  readonly #insisted = new Set<string>();
  /** A person waits to hear how the round ends. */
  readonly #waitedFor = new Set<string>();
  /** Downloads that run, per source. */
  readonly #perSource = new Map<string, number>();
  /** Peers that came back a while ago, and hurried what is wanted of them. */
  readonly #hurried: ExpiringSet;
  #attempts = 0;
  #starting = false;

  constructor(
    readonly state: PeerState,
    readonly whenEnded: (fileId: string, outcome: Outcome) => void,
  ) {
    this.#hurried = new ExpiringSet(state.config.limits.maxPeers, HURRY_MS);
  }

  /** Downloads that run or wait for their turn. */
  get pending(): number {
    return this.#active.size + this.#queue.size;
  }

  /** Files that are tried again later. */
  get wishes(): number {
    return this.#wishes.size;
  }

  /** What is remembered, against its bounds. */
  get sizes(): Bounded[] {
    return [
      { name: "downloads running", size: () => this.#active.size, max: () => MAX_DOWNLOADS },
      { name: "downloads waiting", size: () => this.#queue.size, max: () => MAX_QUEUED_DOWNLOADS },
      { name: "downloads to try again", size: () => this.#wishes.size, max: () => MAX_WISHES },
      {
        name: "downloads insisted on",
        size: () => this.#insisted.size,
        max: () => MAX_DOWNLOADS + MAX_QUEUED_DOWNLOADS + MAX_WISHES,
      },
      {
        name: "downloads waited for",
        size: () => this.#waitedFor.size,
        max: () => MAX_DOWNLOADS + MAX_QUEUED_DOWNLOADS + MAX_WISHES,
      },
      { name: "sources in use", size: () => this.#perSource.size, max: () => MAX_DOWNLOADS },
      {
        name: "peers that came back",
        size: () => this.#hurried.size,
        max: () => this.state.config.limits.maxPeers,
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

  /** Whether it is tried again later. */
  isWished(fileId: string): boolean {
    return this.#wishes.has(fileId);
  }

  /** Whether some holder did not fail for this file yet, and is not avoided. */
  hasFreshSource(fileId: string): boolean {
    const { catalogue, membership, nowMs } = this.state;
    return [...catalogue.get(fileId)?.holders ?? []].some((peerId) => {
      const record = membership.get(peerId);
      return record !== undefined && !this.state.pauseOf(record) &&
        !this.#failures.has(`${fileId} ${peerId}`, nowMs);
    });
  }

  /** A person wants the file here. */
  onWanted(fileId: string): void {
    this.state.catalogue.unwanted.delete(fileId);
    this.want(fileId, true);
  }

  /** A person no longer wants the file: it is not fetched automatically either, until somebody asks for it again. */
  onCanceled(fileId: string): void {
    const { catalogue } = this.state;
    if (!this.isPending(fileId) && !this.isWished(fileId)) return;
    if (catalogue.get(fileId)) catalogue.refuse(fileId);
    this.abandon(fileId, "It was canceled");
    this.state.save();
  }

  /**
   * Starts or queues a download. Wanting it twice is one download. `insists`: a person wants it, so that also
   * those are asked, last of all, who are avoided.
   */
  want(fileId: string, insists = false): void {
    if (this.state.catalogue.get(fileId)?.held) return;
    if (insists) {
      this.#insisted.add(fileId);
      this.#waitedFor.add(fileId);
    }
    if (this.isPending(fileId)) return;
    if (this.#queue.size >= MAX_QUEUED_DOWNLOADS) {
      const tries = this.#wishes.get(fileId)?.tries ?? 0;
      this.#wish(fileId, { tries, dueMs: this.state.nowMs + FIRST_RETRY_MS, isOurs: false });
      if (insists) this.#fail(fileId, "Too many downloads wait already", "pending");
      else this.whenEnded(fileId, "pending");
      return;
    }
    this.#queue.set(fileId, true);
    this.#startNext();
  }

  /** Files whose time has come, and that somebody holds, are tried again. */
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
    this.#startNext(); // past files whose sources are all busy
  }

  /** Another peer holds the file: if it is to be tried again, that is now. */
  holderCame(fileId: string): void {
    const wish = this.#wishes.get(fileId);
    if (!wish || wish.isOurs || this.isPending(fileId)) return;
    if (this.hasFreshSource(fileId)) this.want(fileId);
  }

  /** A peer came, came back or started anew: what it holds and did not deliver before is tried again soon. */
  peerCame(peerId: string): void {
    const { catalogue, nowMs } = this.state;
    if (this.#wishes.size === 0 || !this.#hurried.add(peerId, nowMs)) return;
    for (const [fileId, wish] of this.#wishes) {
      if (wish.isOurs || !catalogue.get(fileId)?.holders.has(peerId)) continue;
      this.#wishes.set(fileId, { ...wish, dueMs: nowMs });
    }
  }

  /** There is space again: what failed for want of it is tried at once. */
  onSpace(): void {
    for (const [fileId, wish] of this.#wishes) {
      if (wish.isOurs) this.#wishes.set(fileId, { ...wish, dueMs: this.state.nowMs });
    }
    this.tick();
  }

  /** Content came and was kept, from an attempt or another way. */
  arrived(fileId: string): void {
    this.#queue.delete(fileId);
    this.#forget(fileId);
    const download = this.#active.get(fileId);
    if (download) {
      this.#leave(download);
      this.#stop(download, "It came another way");
    }
    this.whenEnded(fileId, "fetched");
    if (download) this.#startNext();
  }

  /** A source failed: the next one is tried. A late word of an attempt that is over changes nothing. */
  onFailed({ fileId, attempt, failure, text }: FetchFailed): void {
    const download = this.#active.get(fileId);
    if (!download || download.attempt !== attempt) return;
    if (failure === "storage") return this.#end(download, text, true); // another source would not help
    const { source } = download;
    const { catalogue } = this.state;
    const fileName = catalogue.get(fileId)?.file.name ?? "";
    this.state.tell({ name: "attempt-failed", fileId, fileName, source, text });
    this.#failures.add(`${fileId} ${source}`, this.state.nowMs);
    const record = this.state.membership.get(source);
    if (record && (failure === "mismatch" || failure === "garbage")) {
      const reason = failure === "mismatch" ? "content-mismatch" : "bad-answer";
      this.state.membership.refusedOf(source);
      this.state.refuse(source, reason, `Asked for ${fileName || fileId}, it ${text}`);
      this.state.offended(record, text);
    }
    // Who said that it holds the file and does not deliver it is no holder, until it says so again.
    if (failure === "absent" || failure === "mismatch") {
      catalogue.removeHolder(fileId, source, this.state.nowMs);
      this.state.save();
    }
    if (failure === "mismatch" || failure === "garbage" || failure === "too-long") download.wrong++;
    if (failure === "too-long") download.tooLong++;
    this.#tryNext(download);
  }

  /** What arrived could not be kept: it is tried again when there may be space. */
  notKept(fileId: string, text: string): void {
    const download = this.#active.get(fileId);
    if (!download) return;
    this.#stop(download, text);
    this.#end(download, text, true);
  }

  /** The download runs no more. */
  #leave(download: Download): void {
    this.#active.delete(download.fileId);
    this.#use(download.source, -1);
  }

  #use(source: string, by: 1 | -1): void {
    if (source === "") return;
    const count = (this.#perSource.get(source) ?? 0) + by;
    if (count > 0) this.#perSource.set(source, count);
    else this.#perSource.delete(source);
  }

  /** Ends a download that is not wanted any more or cannot succeed, and what was to be tried again. */
  abandon(fileId: string, text: string): void {
    const wasQueued = this.#queue.delete(fileId);
    const wasWished = this.#wishes.has(fileId);
    const download = this.#active.get(fileId);
    this.#forget(fileId);
    if (!download && !wasQueued && !wasWished) return;
    if (download) {
      this.#leave(download);
      this.#stop(download, text);
    }
    this.#fail(fileId, text, "failed");
    this.#startNext();
  }

  #stop({ attempt }: Download, text: string): void {
    if (attempt > 0) this.state.emit({ kind: "stop-fetch", attempt, text });
  }

  #startNext(): void {
    // One after the other, never one inside the other: thousands may fail at once.
    if (this.#starting) return;
    this.#starting = true;
    let passedOver = 0;
    for (const fileId of this.#queue.keys()) {
      if (this.#active.size >= MAX_DOWNLOADS || passedOver >= MAX_PASSED_OVER) break;
      this.#queue.delete(fileId);
      if (this.#areAllBusy(fileId)) {
        passedOver++;
        this.#queue.set(fileId, true); // behind those that may start
        continue;
      }
      const download: Download = {
        fileId,
        tried: new Set(),
        source: "",
        attempt: 0,
        wrong: 0,
        tooLong: 0,
      };
      this.#active.set(fileId, download);
      this.#tryNext(download);
    }
    this.#starting = false;
  }

  /** Whether all that hold the file deliver as many others as one source may. */
  #areAllBusy(fileId: string): boolean {
    const { catalogue } = this.state;
    let holders = 0;
    for (const peerId of catalogue.get(fileId)?.holders ?? []) {
      if (!this.#mayAsk(fileId, peerId)) continue;
      if (!this.#isBusy(peerId)) return false;
      holders++;
    }
    return holders > 0;
  }

  #isBusy(peerId: string): boolean {
    return (this.#perSource.get(peerId) ?? 0) >= MAX_DOWNLOADS_PER_SOURCE;
  }

  /** The peer is there, and not avoided, or a person wants the file all the same. */
  #mayAsk(fileId: string, peerId: string): PeerRecord | undefined {
    const record = this.state.membership.get(peerId);
    if (!record) return undefined;
    return this.#insisted.has(fileId) || !this.state.pauseOf(record) ? record : undefined;
  }

  #tryNext(download: Download): void {
    const { state } = this;
    this.#use(download.source, -1);
    download.source = "";
    const { fileId, tried } = download;
    const entry = state.catalogue.get(fileId);
    const timestamps = entry
      ? [entry.file.timestamp, ...entry.otherTimestamps].filter(isBindingTimestamp)
      : [];
    const source = entry && timestamps.length > 0
      ? this.#chooseSource(fileId, entry.holders, tried)
      : undefined;
    if (!entry || !source) {
      const text = this.#failureText(download, timestamps.length);
      // A file that is too long from everybody is too long.
      const isTooLong = tried.size > 0 && download.tooLong === tried.size;
      if (entry && timestamps.length > 0 && !isTooLong) this.#end(download, text, false);
      else this.abandon(fileId, text);
      return;
    }
    download.source = source.peerId;
    this.#use(source.peerId, 1);
    download.attempt = ++this.#attempts;
    tried.add(source.peerId);
    state.emit({
      kind: "fetch",
      attempt: download.attempt,
      file: entry.file,
      timestamps,
      source: source.peerId,
      from: source.address,
      voucher: source.voucher,
    });
  }

  /** A round is over without the file: it is tried again later. */
  #end(download: Download, text: string, isOurs: boolean): void {
    const { fileId } = download;
    const before = this.#wishes.get(fileId)?.tries ?? 0;
    // Whoever delivered the wrong content will most likely do so again, at the cost of all its bytes.
    const tries = before + (download.wrong > 0 ? WRONG_TRIES : 1);
    const backoffMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** (tries - 1));
    const dueMs = this.state.nowMs + backoffMs * (0.75 + 0.5 * this.state.random());
    this.#leave(download);
    this.#wish(fileId, { tries, dueMs, isOurs });
    // Each further round that fails is told by its attempts alone, unless a person waits.
    if (before === 0 || this.#waitedFor.has(fileId)) this.#fail(fileId, text, "pending");
    else this.whenEnded(fileId, "pending");
    this.#startNext();
  }

  #wish(fileId: string, wish: Wish): void {
    this.#wishes.delete(fileId);
    if (this.#wishes.size >= MAX_WISHES) {
      const oldest = this.#wishes.keys().next().value!;
      if (this.isPending(oldest)) this.#wishes.delete(oldest);
      else this.#forget(oldest);
    }
    this.#wishes.set(fileId, wish);
  }

  #forget(fileId: string): void {
    this.#wishes.delete(fileId);
    this.#insisted.delete(fileId);
    this.#waitedFor.delete(fileId);
  }

  /** Bootstrap peers first, the others by lot; who failed for this file a while ago, is busy or lies comes last. */
  #chooseSource(
    fileId: string,
    holders: ReadonlySet<string>,
    tried: ReadonlySet<string>,
  ): PeerRecord | undefined {
    const left: PeerRecord[] = [];
    for (const peerId of holders) {
      const record = tried.has(peerId) ? undefined : this.#mayAsk(fileId, peerId);
      if (record) left.push(record);
    }
    shuffleFront(left, left.length, () => this.state.random());
    const rank = (record: PeerRecord) =>
      (this.state.pauseOf(record) ? 16 : 0) +
      (this.#isBusy(record.peerId) ? 8 : 0) +
      (this.#failures.has(`${fileId} ${record.peerId}`, this.state.nowMs) ? 2 : 0) +
      (record.bootstrap ? 0 : 1);
    const inOrder = left.toSorted((a, b) => rank(a) - rank(b));
    return inOrder.find((record) => this.state.mayReach(record));
  }

  #fail(fileId: string, text: string, outcome: Outcome): void {
    this.#waitedFor.delete(fileId);
    const fileName = this.state.catalogue.get(fileId)?.file.name ?? "";
    const willRetry = outcome === "pending";
    this.state.tell({ name: "download-failed", fileId, fileName, text, willRetry });
    this.whenEnded(fileId, outcome);
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
      if (pause) return `${peerId} is avoided for a while: it ${pause.text}`;
    }
    return "No peer that is alive holds it";
  }
}
