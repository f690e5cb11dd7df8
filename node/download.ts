// One file on its way here as raw content, from one source or from several at once.
// The plan (protocol/range_plan.ts) says which part to request from whom. This file carries that out: a lane for each
// source, which requests parts on one connection until there is nothing left to ask for. Fellows, who are fetching the same
// file, are sources of what they have.
// Invariants: content is reported as arrived only if all of it verifies; nobody is blamed for what came from several, or
// from an earlier attempt, until it is known what was wrong (repair.ts): if no source can say, all of it is fetched again,
// from one source after another; what has arrived is kept for the next attempt unless it is known to be wrong.

import type { Effect } from "../protocol/effects.ts";
import { type Timestamp, timestampCandidates } from "../protocol/wire/fileid.ts";
import { wholeChunks } from "../protocol/chunks.ts";
import type { Ext } from "../protocol/wire/ext.ts";
import type { RawHeader, Wanted } from "../protocol/wire/raw.ts";
import { RangePlan } from "../protocol/range_plan.ts";
import { Ranges } from "../protocol/ranges.ts";
import type { Connection } from "../net/connection.ts";
import { DialError } from "../net/dialer.ts";
import { RawRequests, type RawSink } from "../net/raw.ts";
import {
  absent,
  cutShort,
  type Explained,
  explainFailure,
  mismatch,
  NotDelivered,
} from "./failures.ts";
import { Repair, type Trial } from "./repair.ts";
import type { Receipts } from "./receipts.ts";
import { NotWanted, type SourceAddress, type Sources } from "./sources.ts";
import { SlownessWatch } from "./slowness.ts";
import type { Part } from "./sending.ts";
import type { Move, SourceShare } from "./transfer_log.ts";
import { type StoreAssembly, type TransferOptions, verified } from "./transfer_options.ts";

type Fetch = Extract<Effect, { kind: "fetch" }>;

/** What a download shares with others. */
export interface DownloadParts {
  /** The store, the limits, and where to report. */
  readonly options: TransferOptions;
  /** Connections to sources. */
  readonly sources: Sources;
  /** Where complete content waits. */
  readonly receipts: Receipts;
}

/** Requested first if nobody says how large the file is, in bytes. */
const UNKNOWN_BYTES = 4 * 1024 * 1024;
/** Further sources are asked for if at least this much is missing, in bytes: less takes one source a moment. */
const SHARED_BYTES = 8 * 1024 * 1024;
/** How often sources that stopped or have nothing to do are looked at, in milliseconds. */
const LOOK_MS = 250;
/** In turn, a source that delivers less than this in such a time gives way to the next one, once. (Guesses.) */
const SLOW_BYTES = 1024 * 1024;
const SLOW_MS = 15_000;
/** How soon a fellow that has nothing new is asked again, and how late at most, in milliseconds. (Guesses.) */
const FIRST_POLL_MS = 250;
const LAST_POLL_MS = 2_000;
/** How long a source that refers to others is left alone, in milliseconds. (A guess.) */
const REFERRED_MS = 500;
/** How long fellows that deliver nothing keep a download alive that has no other source, in milliseconds. (A guess.) */
const ORPHANED_MS = 10_000;
/** Maximum number of answers in a row with less content than was asked for. */
const MAX_SHORT = 4;
/** Maximum number of fellows whose names are passed on. */
const MAX_NAMED = 64;

/** Thrown in a lane whose source answers in hex: it is of an earlier version. */
class AnswersInHex extends NotDelivered {
  constructor() {
    super("cut-short", "does not send raw content");
  }
}

/** Returns what is thrown in a lane whose source holds another file than was said. */
const otherContent = () => new NotDelivered("mismatch", "holds other content under another id");

/** Thrown in a lane that has nothing more to do: others delivered what it waits for, or speak of another file. */
class Superseded extends Error {}

/** One source that is being asked. */
interface Lane {
  connection: Connection | undefined;
  /** Whether this side closed the connection, which is no failure of the source. */
  isDropped: boolean;
}

/** A peer that is fetching the same file. */
interface Fellow {
  readonly address: SourceAddress;
  /** What it has; undefined means everything. */
  have: Ranges | undefined;
  /** When it was last asked what it has, and how long it is left alone then, in milliseconds. */
  askedMs: number;
  pollMs: number;
}

/** How the download ended: verified, or why not. */
type End =
  | { readonly isHere: true; readonly timestamp: Timestamp }
  | { readonly isHere: false; readonly source: string; readonly error: unknown };

/** One file on its way. */
export class Download {
  #assembly: StoreAssembly | undefined;
  #plan: RangePlan | undefined;
  /** The size that each source said the file has. Where they differ, the plan follows the majority. */
  readonly #totals = new Map<string, number>();
  #hasAskedForMore = false;
  /** The sources that may be asked, the first one first. */
  readonly #known = new Map<string, SourceAddress>();
  /** The sources among these that hold the content under another id, so somebody says. */
  readonly #elsewhere = new Set<string>();
  /** The sources that were asked for something. */
  readonly #asked = new Set<string>();
  /** The sources that are being asked, and their connections once they have one. */
  readonly #lanes = new Map<string, Lane>();
  /** Peers that are fetching the file too, and pass on what they have. */
  readonly #fellows = new Map<string, Fellow>();
  /** Names of fellows that were passed on. */
  readonly #named = new Set<string>();
  /** The failure of the last source that was no fellow, and when something came after it, and how much was here then. */
  #orphaned:
    | {
      readonly source: string;
      readonly error: unknown;
      readonly sinceMs: number;
      readonly bytes: number;
    }
    | undefined;
  /** When each source last referred us to others, and how much was here then, in milliseconds and bytes. */
  readonly #referred = new Map<string, { readonly atMs: number; readonly bytes: number }>();
  /** Number of answers in a row with less content than was asked for, by source. */
  readonly #short = new Map<string, number>();
  /** The sources that delivered something of what is there now, and what. */
  readonly #delivered = new Map<string, Ranges>();
  /** Sources that were blamed for wrong content. Nobody is blamed twice. */
  readonly #blamed = new Set<string>();
  /** What is known about content that did not verify, and the list that is being tried. */
  #repair: Repair | undefined;
  #trial: Trial | undefined;
  /** Timestamps that sources told. */
  readonly #told: Timestamp[] = [];
  /** Bytes in the assembly that came from an earlier attempt. */
  #begunBytes = 0;
  /** The source whose turn it is to deliver all of the file, because what came from several did not fit together. */
  #alone: string | undefined;
  /** When its speed was last looked at, and how much was there then. */
  #aloneSince = { atMs: 0, bytes: 0 };
  /** Sources that had their turn. Nobody has two. */
  readonly #hadTurn = new Set<string>();
  #ip = "";
  /** Whether everything is here and is being verified. */
  #isVerifying = false;
  /** Number of times that it started over. */
  #generation = 0;
  #isOver = false;
  readonly #slowness: SlownessWatch;
  readonly #end = Promise.withResolvers<End>();

  /** Starts nothing yet; see `run`. */
  constructor(readonly parts: DownloadParts, readonly fetch: Fetch, readonly move: Move) {
    const { bytesIn: allBytes } = move.log;
    this.#slowness = new SlownessWatch(performance.now(), { doneBytes: 0, allBytes });
  }

  /**
   * Fetches the file. Reports `arrived` or `fetch-failed`. Resolves to false without a report if only its first source is
   * left, and answers in hex. Never throws.
   */
  async run(): Promise<boolean> {
    const { fetch: { file, source, from, voucher, attempt, askFor, hasParts }, move } = this;
    const { receipts, options: { store, dispatch } } = this.parts;
    const timer = setInterval(() => {
      try {
        this.#look();
      } catch (error) {
        this.#finish({ isHere: false, source, error });
      }
    }, LOOK_MS);
    let end: End;
    try {
      this.#assembly = store.assemble(file.fileId);
      this.#begunBytes = this.#assembly.sizeBytes;
      move.resume(this.#begunBytes);
      move.shares = () => this.#shares();
      move.slowness = () => this.#slowness.reason;
      move.stop = () => this.#finish({ isHere: false, source, error: new NotWanted("unwanted") });
      this.#planByHearsay(this.#assembly.totalBytes ?? file.sizeBytes);
      this.add(source, { from, voucher, askFor, hasParts });
      if (this.#plan?.isDone) this.#complete();
      if (move.state !== "running") move.stop();
      end = await this.#end.promise;
    } catch (error) {
      end = { isHere: false, source, error };
    }
    this.#isOver = true;
    clearInterval(timer);
    this.#repair?.close();
    for (const [lane, { connection }] of this.#lanes) {
      // A connection on which nothing is due is kept for the next file.
      if (!end.isHere || this.#plan?.owes(lane)) connection?.close();
    }
    move.stop = () => {};
    const assembly = this.#assembly;
    if (end.isHere && assembly) {
      const receipt = receipts.add(assembly);
      move.done();
      const held = { file: { ...file, timestamp: end.timestamp }, sizeBytes: assembly.sizeBytes };
      const most = [...this.#delivered].filter(([each]) => !this.#blamed.has(each))
        .sort(([, a], [, b]) => b.bytes - a.bytes)[0]?.[0] ?? source;
      dispatch({ kind: "arrived", receipt, held, ip: this.#ip, source: most, attempt });
      return true;
    }
    const error = end.isHere ? undefined : end.error;
    const failed = end.isHere ? source : end.source;
    if (assembly && this.#isWorthKeeping(error)) store.suspend(file.fileId, assembly);
    else assembly?.abort();
    const mayBeHex = failed === source && askFor === undefined && move.state === "running";
    if (error instanceof AnswersInHex && mayBeHex) {
      move.restart();
      return false;
    }
    const { failure, text } = explainFailure(error);
    move.failed(`${failed} ${text}`);
    dispatch({ kind: "fetch-failed", fileId: file.fileId, source: failed, attempt, failure, text });
    return true;
  }

  /** Lets a further source deliver parts. */
  add(source: string, address: SourceAddress): void {
    if (this.#isOver || this.#known.has(source)) return;
    if (address.isFellow) {
      const fellow = { address, have: new Ranges(), askedMs: -Infinity, pollMs: FIRST_POLL_MS };
      if (!this.#fellows.has(source)) this.#fellows.set(source, fellow);
      if (this.#plan && this.#alone === undefined) this.#start(source, address);
      return;
    }
    this.#fellows.delete(source);
    this.#known.set(source, address);
    if (address.askFor !== undefined) this.#elsewhere.add(source);
    if (this.#alone === undefined) this.#start(source, address);
  }

  /** What is here for others who fetch the file too; nothing once some of it is known to be wrong. */
  get part(): Part | undefined {
    const [plan, assembly] = [this.#plan, this.#assembly];
    if (!plan || !assembly || this.#isOver || this.#alone !== undefined || this.#repair) {
      return undefined;
    }
    const { sizeBytes } = plan;
    const file = { ...this.fetch.file, sizeBytes };
    return { file, sizeBytes, done: assembly.done, open: () => assembly.reader() };
  }

  /** What each source has delivered, the most first. */
  #shares(): SourceShare[] {
    return [...this.#delivered].map(([peer, { bytes }]) => {
      const isActive = !this.#isOver && this.#lanes.has(peer);
      const rate = isActive ? this.#plan?.rateOf(peer) ?? 0 : 0;
      return { peer, bytes, bytesPerSecond: Math.round(rate) };
    }).sort((a, b) => b.bytes - a.bytes);
  }

  /** Whether what has arrived says nothing against itself. */
  #isWorthKeeping(error: unknown): boolean {
    const { failure } = explainFailure(error);
    const isWrong = failure === "mismatch" || failure === "too-long";
    return this.move.state === "cancelled" || !isWrong;
  }

  #finish(end: End): void {
    this.#isOver = true;
    this.#end.resolve(end);
  }

  /** Plans for a file of this size, if it is known, with what is there. Throws storage errors. */
  #planFor(sizeBytes: number | undefined): void {
    this.#plan = undefined;
    if (sizeBytes === undefined) return;
    const assembly = this.#assembly!;
    assembly.begin(sizeBytes);
    this.#plan = new RangePlan(sizeBytes, new Ranges(assembly.done.spans), Math.random);
    this.move.totalBytes = sizeBytes;
  }

  /**
   * Plans for a file of the size that somebody said it has. If that is impossible, or less than what is there, a source is
   * asked first. What is there stays in any case.
   */
  #planByHearsay(sizeBytes: number | undefined): void {
    const lastEnd = this.#assembly!.done.spans.at(-1)?.[1] ?? 0;
    if (sizeBytes !== undefined && sizeBytes < lastEnd) return;
    try {
      this.#planFor(sizeBytes);
    } catch {
      this.#plan = undefined;
    }
  }

  /** Starts over with nothing, because what is there is wrong or of another size. */
  #restart(sizeBytes: number | undefined): void {
    if (sizeBytes !== undefined) this.#assembly!.check(sizeBytes); // before anything is lost
    this.#assembly!.restart();
    this.#isVerifying = false;
    this.#generation++;
    this.#delivered.clear();
    this.#begunBytes = 0;
    this.move.restart();
    this.#planFor(sizeBytes);
  }

  /** Looks after sources that stopped, and those that have nothing to do. */
  #look(): void {
    const nowMs = performance.now();
    const plan = this.#plan;
    if (this.#isOver || this.#isVerifying || !plan) return;
    this.#assembly!.list();
    this.#slowness.look(nowMs, {
      doneBytes: this.move.doneBytes,
      allBytes: this.move.log.bytesIn,
      limit: this.parts.options.downLimit(),
      rates: [...this.#lanes.keys()].map((source) => plan.rateOf(source)),
    });
    if (this.#alone !== undefined) return this.#lookAtAlone(nowMs);
    if (this.#known.size === 0) this.#lookAtOrphaned(nowMs);
    for (const source of this.#lanes.size > 1 ? plan.stalled(nowMs) : []) {
      this.#lanes.get(source)?.connection?.giveUp();
    }
    for (const [source, address] of this.#known) {
      const said = this.#totals.get(source) ?? plan.sizeBytes;
      if (!this.#lanes.has(source) && said === plan.sizeBytes) this.#start(source, address);
    }
    for (const [source, { address }] of this.#fellows) this.#start(source, address);
  }

  /** Ends a download of which only fellows are left once they deliver nothing more. */
  #lookAtOrphaned(nowMs: number): void {
    const orphaned = this.#orphaned;
    if (!orphaned) return;
    const { source, error, sinceMs, bytes } = orphaned;
    const now = this.#assembly!.sizeBytes;
    if (now > bytes) this.#orphaned = { ...orphaned, sinceMs: nowMs, bytes: now };
    else if (this.#fellows.size === 0 || nowMs - sinceMs >= ORPHANED_MS) {
      this.#finish({ isHere: false, source, error });
    }
  }

  /** Lets the next source have its turn if this one would take forever, for as long as there is one that had none. */
  #lookAtAlone(nowMs: number): void {
    const { atMs, bytes } = this.#aloneSince;
    if (nowMs - atMs < SLOW_MS) return;
    const now = this.#assembly!.sizeBytes;
    this.#aloneSince = { atMs: nowMs, bytes: now };
    if (now - bytes >= SLOW_BYTES) return;
    const next = this.#nextTurn();
    if (!this.#trial) {
      if (next !== undefined) this.#turnTo(next);
    } else if (this.#repair!.hasMore || (next !== undefined && next !== this.#trial.source)) {
      this.#tryNext();
    }
  }

  /** Returns a source that may deliver all of the file and has not had its turn. */
  #nextTurn(): string | undefined {
    return [...this.#known.keys()].find((source) =>
      !this.#hadTurn.has(source) && !this.#elsewhere.has(source)
    );
  }

  /** Lets one source deliver all of the file, from the beginning. */
  #turnTo(source: string): void {
    this.#alone = source;
    this.#hadTurn.add(source);
    this.#aloneSince = { atMs: performance.now(), bytes: 0 };
    this.#dropLanes();
    const said = this.#totals.get(source) ?? this.#plan?.sizeBytes;
    try {
      this.#restart(said);
    } catch (error) {
      const next = this.#nextTurn();
      if (next === undefined || said === this.fetch.file.sizeBytes) throw error;
      // There is no space for the size that this source speaks of.
      this.#known.delete(source);
      this.#totals.delete(source);
      this.#report(source, { failure: "cut-short", text: explainFailure(error).text });
      return this.#turnTo(next);
    }
    if (this.#lanes.size === 0) this.#start(source, this.#known.get(source)!);
  }

  #start(source: string, address: SourceAddress): void {
    if (this.#lanes.has(source)) return;
    this.#plan?.add(source, performance.now(), this.#fellows.get(source)?.have);
    // Nothing to do at the moment: no connection is needed.
    const first = this.#next(source);
    if (!first) return this.#plan?.drop(source);
    const lane = { connection: undefined, isDropped: false };
    this.#lanes.set(source, lane);
    this.#run(source, address, lane, first).catch((error) => {
      this.#finish({ isHere: false, source, error });
    });
  }

  /** Returns the next part to request from a source. */
  #next(source: string): Wanted | undefined {
    const isPartial = this.#mayBePartial(source);
    if (!this.#plan) return { offset: 0, length: UNKNOWN_BYTES, isPartial };
    if (this.#plan.sizeBytes === 0 && this.#delivered.size === 0) return { offset: 0, length: 0 };
    const nowMs = performance.now();
    if (this.#isReferred(source)) return undefined;
    const span = this.#plan.next(source, nowMs);
    if (span) return { offset: span[0], length: span[1] - span[0], isPartial };
    const fellow = this.#fellows.get(source);
    if (!fellow || nowMs - fellow.askedMs < fellow.pollMs) return undefined;
    // What it has by now: an answer without content says so.
    fellow.askedMs = nowMs;
    fellow.pollMs = Math.min(LAST_POLL_MS, 1.5 * fellow.pollMs);
    return { offset: 0, length: 0, isPartial };
  }

  /** Returns whether a source is left alone for a moment, because it referred us to others. */
  #isReferred(source: string): boolean {
    const referred = this.#alone === undefined ? this.#referred.get(source) : undefined;
    return referred !== undefined && performance.now() - referred.atMs < REFERRED_MS;
  }

  /** Returns whether a source may answer with less than it is asked for, because others fetch the file too. */
  #mayBePartial(source: string): boolean {
    const fellow = this.#fellows.get(source);
    if (fellow?.have) return true;
    if ((this.#short.get(source) ?? 0) >= MAX_SHORT / 2) return false;
    // If others have not delivered anything since it referred us to them, this source must.
    const { bytes } = this.#referred.get(source) ?? { bytes: -1 };
    if (this.#assembly!.sizeBytes <= bytes) return false;
    const isLarge = (this.#plan?.sizeBytes ?? this.fetch.file.sizeBytes ?? 0) >= SHARED_BYTES;
    const { hasParts } = this.#known.get(source) ?? fellow?.address ?? {};
    return isLarge && this.#alone === undefined && hasParts === true;
  }

  /** Returns what a request says about us, if the answer may be partial. */
  #here({ isPartial }: Wanted): Pick<Ext, "have" | "peer"> | undefined {
    if (!isPartial) return undefined;
    const have = this.#plan ? wholeChunks(this.#assembly!.done, this.#plan.sizeBytes) : [];
    return { have, peer: this.parts.options.peerId };
  }

  /** Asks a source for one part after another. */
  async #run(
    source: string,
    address: SourceAddress,
    lane: Lane,
    first: Wanted,
  ): Promise<void> {
    const { from, voucher, askFor } = address;
    const isFurther = this.#asked.has(source);
    this.#asked.add(source);
    let failure: unknown;
    try {
      await this.parts.sources.ask({
        source,
        from,
        voucher,
        isKept: true,
        isFurther,
        onConnection: (connection) => {
          lane.connection = connection;
          if (this.#isOver || lane.isDropped) throw new NotWanted("It is no longer wanted");
        },
        ask: async ({ connection, onAnswering }) => {
          this.#ip = connection.ip;
          const asked = { fileId: askFor ?? this.fetch.file.fileId, first };
          await this.#askAll(source, lane, connection, onAnswering, asked);
          return { answer: undefined, isOpen: true };
        },
      });
    } catch (error) {
      failure = error;
    }
    this.#lanes.delete(source);
    this.#plan?.drop(source);
    const isConfirmed = this.#totals.get(source) === this.#plan?.sizeBytes;
    if (this.#isOver) return;
    const isOurs = lane.isDropped || failure instanceof Superseded;
    if (failure === undefined || isOurs) return this.#laneEnded();
    if (this.#fellows.delete(source)) {
      const explained = explainFailure(failure);
      const isOurs = explained.failure === "storage" && !(failure instanceof DialError);
      if (isOurs) return this.#finish({ isHere: false, source, error: failure });
      // There are others, and it promised nothing.
      this.#report(source, explained);
      return this.#laneEnded();
    }
    const isAbsent = failure instanceof NotDelivered && failure.failure === "absent";
    if (isAbsent && first.offset > 0 && !isConfirmed) {
      // The file may be shorter than somebody said: one byte shows it.
      const probe = { connection: undefined, isDropped: false };
      this.#lanes.set(source, probe);
      this.#plan?.add(source, performance.now());
      return await this.#run(source, address, probe, { offset: 0, length: 1 });
    }
    this.#known.delete(source);
    this.#totals.delete(source);
    this.#laneFailed(source, failure);
  }

  async #askAll(
    source: string,
    lane: Lane,
    connection: Connection,
    onAnswering: () => void,
    { fileId, first }: { readonly fileId: string; readonly first: Wanted },
  ): Promise<void> {
    const { limits, ext } = this.parts.options;
    const requests = new RawRequests(connection, fileId, ext(), limits, onAnswering);
    const pending: Wanted[] = [first];
    await requests.request(first, this.#here(first));
    for (let range = pending[0]; range; range = pending[0]) {
      // One more request is on its way while this one is answered.
      const sink = new LaneSink(this, lane, source, range, () => {
        const more = pending.length < 2 ? this.#next(source) : undefined;
        if (!more) return;
        pending.push(more);
        requests.request(more, this.#here(more)).catch(() => {}); // reading the answer fails too
      });
      const outcome = await requests.answer(range, sink);
      if (outcome === "absent") throw absent();
      // Some peers say so by closing the connection, but not those that have delivered something.
      if (outcome === "closed") throw this.#totals.has(source) ? cutShort() : absent();
      if (outcome === "hex") throw new AnswersInHex();
      pending.shift();
      if (this.#isOver || lane.isDropped) return;
      if (pending.length > 0) continue;
      const next = this.#next(source);
      if (!next) return requests.end();
      pending.push(next);
      await requests.request(next, this.#here(next));
    }
  }

  /** An answer begins. Throws if it is about a file of another size than most others say. */
  begin(source: string, asked: Wanted, header: RawHeader): void {
    const { file: { timestamp }, total, length, parts } = header;
    if (this.#isOver || this.#isVerifying) throw new Superseded();
    const fellow = this.#fellows.get(source);
    if (fellow) return this.#beginPart(source, fellow, asked, header);
    if (parts.have) {
      // It has just completed the file, or lost it and is fetching it again.
      if (this.#short.get(source) === MAX_SHORT) throw absent();
      this.#short.set(source, (this.#short.get(source) ?? 0) + 1);
      throw new Superseded();
    }
    const isElsewhere = this.#elsewhere.has(source);
    if (total > (this.fetch.maxBytes ?? Infinity)) {
      throw new NotDelivered(
        "too-long",
        `says that the file has ${total} bytes, which is too much`,
      );
    }
    if (isElsewhere && this.#plan && this.#plan.sizeBytes !== total) throw otherContent();
    if (this.#trial && total !== this.#plan!.sizeBytes) {
      throw new NotDelivered("mismatch", "speaks of another file than its hashes of chunks");
    }
    const isTold = isElsewhere || this.#told.some(({ text }) => text === timestamp.text);
    if (!isTold) this.#told.push(timestamp);
    this.#totals.set(source, total);
    if (this.#plan?.sizeBytes !== total) {
      this.#changeSize(total);
      for (const each of this.#lanes.keys()) this.#plan!.add(each, performance.now());
      if (length > 0) this.#plan!.begun(source, [asked.offset, asked.offset + length]);
      this.#dropLanes(source);
    } else this.#cut(source, asked, length);
    const isLarge = this.#plan!.freeBytes >= SHARED_BYTES;
    if (isLarge && !this.#hasAskedForMore && this.#alone === undefined) {
      this.#hasAskedForMore = true;
      const { attempt, file: { fileId } } = this.fetch;
      this.parts.options.dispatch({ kind: "more-sources", fileId, attempt });
    }
    this.#noteFellows(parts.peers ?? []);
    const isReferral = asked.length > 0 && length === 0 && !parts.next;
    if (isReferral) this.#noteReferral(source);
    if (parts.next) this.#plan!.hint(source, [parts.next[0], parts.next[0] + parts.next[1]]);
    if (total === 0) this.#complete();
    else if (!isReferral) this.#countShort(source, asked, length);
  }

  /** An answer of a fellow begins. Throws if it says other things than those who hold the file. */
  #beginPart(
    source: string,
    fellow: Fellow,
    asked: Wanted,
    { total, length, parts: { have, peers = [] } }: RawHeader,
  ): void {
    const plan = this.#plan;
    if (total !== plan?.sizeBytes) {
      throw new NotDelivered("absent", `fetches a file of ${total} bytes under this id`);
    }
    const before = fellow.have?.bytes ?? total;
    fellow.have = have && new Ranges(have);
    if ((fellow.have?.bytes ?? total) > before) fellow.pollMs = FIRST_POLL_MS;
    fellow.askedMs = performance.now();
    plan.limit(source, fellow.have);
    this.#cut(source, asked, length);
    this.#noteFellows(peers);
    // It may hold all of the file by now.
    if (!have && asked.length > 0 && length === 0) this.#noteReferral(source);
    else this.#countShort(source, asked, length);
  }

  #noteReferral(source: string): void {
    this.#referred.set(source, { atMs: performance.now(), bytes: this.#assembly!.sizeBytes });
  }

  /** An answer has less than what was asked for. */
  #cut(source: string, { offset, length }: Wanted, sent: number): void {
    if (sent < length) this.#plan!.cut(source, [offset, offset + length], offset + sent);
  }

  /** Throws if a source keeps answering with less than it was asked for: a byte at a time would take forever. */
  #countShort(source: string, asked: Wanted, sent: number): void {
    const short = sent < asked.length ? (this.#short.get(source) ?? 0) + 1 : 0;
    this.#short.set(source, short);
    if (short <= MAX_SHORT) return;
    throw new NotDelivered("garbage", "answered several times with less than it was asked for");
  }

  /** Reports peers that a source named. */
  #noteFellows(peers: readonly string[]): void {
    const fresh = peers.filter((peer) => !this.#named.has(peer));
    if (fresh.length === 0 || this.#named.size >= MAX_NAMED) return;
    for (const peer of fresh) this.#named.add(peer);
    const { attempt, file: { fileId } } = this.fetch;
    this.parts.options.dispatch({ kind: "fellows", fileId, attempt, peerIds: fresh });
  }

  /** A source says that the file has another size than planned. Throws if that changes nothing, or cannot be. */
  #changeSize(total: number): void {
    const planned = this.#plan?.sizeBytes;
    const agreeing = (size: number) => [...this.#totals.values()].filter((said) => said === size);
    const [own, others] = [agreeing(total).length, planned === undefined ? [] : agreeing(planned)];
    if (this.#alone === undefined && planned !== undefined && others.length >= own) {
      if (others.length > own) throw new Superseded();
      // One word against the other: each delivers all of it in turn.
      const next = this.#nextTurn();
      if (next !== undefined) this.#turnTo(next);
      throw new Superseded();
    }
    try {
      if (planned === undefined) this.#planFor(total);
      else this.#restart(total);
    } catch (error) {
      // A size that nobody else speaks of says nothing about our disk.
      if (own > 1 || total === this.fetch.file.sizeBytes) throw error;
      const text = `says that the file has ${total} bytes: ${explainFailure(error).text}`;
      throw new NotDelivered("cut-short", text);
    }
  }

  /** Closes the connections of all lanes but one. */
  #dropLanes(except?: string): void {
    for (const [source, lane] of this.#lanes) {
      if (source === except) continue;
      lane.isDropped = true;
      lane.connection?.close();
    }
  }

  /** Content arrived. Throws if nobody needs more of it, and storage errors. */
  take(source: string, offset: number, content: Uint8Array): void {
    if (this.#isOver || this.#isVerifying) throw new Superseded();
    const plan = this.#plan!;
    const beganMs = performance.now();
    const delivered = this.#delivered.get(source) ?? new Ranges();
    this.#delivered.set(source, delivered);
    for (const gap of plan.done.gaps(offset, offset + content.length)) delivered.add(...gap);
    this.#assembly!.write(offset, content);
    this.#slowness.wrote(performance.now() - beganMs);
    const fresh = plan.received(source, offset, content.length, performance.now());
    this.move.moved(fresh);
    if (plan.isDone) this.#complete();
    else if (plan.isSuperseded(source)) throw new Superseded();
  }

  /** Everything is here: verifies it. */
  async #complete(): Promise<void> {
    this.#isVerifying = true;
    const assembly = this.#assembly!;
    try {
      const generation = this.#generation;
      const { fileId } = this.fetch.file;
      const timestamps = [...this.fetch.timestamps, ...this.#told];
      const isStopped = () => this.#isOver || this.#generation !== generation;
      const texts = timestamps.flatMap(timestampCandidates);
      if (!await assembly.hashAll(texts, isStopped)) return;
      const timestamp = verified(assembly, fileId, timestamps);
      if (!timestamp) return await this.#disprove();
      if (this.#trial) await this.#repair!.fetched(this.#trial.wrong);
      if (isStopped()) return;
      this.#blameCulprits();
      this.#finish({ isHere: true, timestamp });
    } catch (error) {
      this.#finish({ isHere: false, source: this.fetch.source, error });
    }
  }

  /** The whole does not verify. */
  async #disprove(): Promise<void> {
    if (this.#trial) {
      // All of it is as the source of the list says now, and still wrong.
      this.#giveUp(this.#trial.source, "sent hashes of chunks that belong to other content");
      return await this.#tryNext();
    }
    const [only, ...others] = this.#delivered.keys();
    const size = this.#plan!.sizeBytes;
    const teller = [...this.#totals].find(([, said]) => said === size)?.[0];
    const suspect = only ?? teller;
    if (suspect === undefined && this.#begunBytes === 0) {
      // Somebody said that the file is empty. Its source has not been asked.
      this.#restart(undefined);
      for (const [source, address] of this.#known) return this.#start(source, address);
    }
    // What is only said to be the same is the first to be doubted.
    const doubted = [...this.#delivered.keys()].find((source) => this.#elsewhere.has(source));
    const isFromOne = suspect !== undefined && others.length === 0 && this.#begunBytes === 0;
    if (isFromOne) {
      this.#known.delete(suspect);
      this.#fellows.delete(suspect);
      this.#totals.delete(suspect);
    }
    const canRepair = [...this.#known].filter(([source, { hasParts }]) =>
      hasParts && !this.#elsewhere.has(source) && (this.#totals.get(source) ?? size) === size
    );
    if (!this.#repair && canRepair.length > 0 && size > 0) {
      if (isFromOne) this.#giveUp(suspect, mismatch().message);
      return await this.#startRepair(canRepair);
    }
    this.#giveTurns(isFromOne ? suspect : doubted, isFromOne);
  }

  /** Lets one source after another deliver all of it. `suspect` is to blame if nobody else is left. */
  #giveTurns(suspect: string | undefined, isReported: boolean): void {
    const next = this.#nextTurn();
    if (next === undefined && suspect === undefined) {
      const text = "was not there to deliver again what was wrong";
      const error = new NotDelivered("cut-short", text);
      return this.#finish({ isHere: false, source: this.fetch.source, error });
    }
    const error = this.#assembly!.sizeBytes === 0 ? absent() : mismatch();
    if (next === undefined) return this.#finish({ isHere: false, source: suspect!, error });
    if (isReported && suspect !== undefined) this.#report(suspect, explainFailure(error));
    this.#turnTo(next);
  }

  /** Finds out what is wrong, and fetches only that again. Throws storage errors. */
  async #startRepair(sources: readonly (readonly [string, SourceAddress])[]): Promise<void> {
    const { options, sources: connections } = this.parts;
    const [assembly, { sizeBytes }] = [this.#assembly!, this.#plan!];
    const { fileId } = this.fetch.file;
    const delivered = this.#delivered;
    const parts = { options, sources: connections, assembly, fileId, sizeBytes, delivered };
    this.#dropLanes();
    const repair = this.#repair = new Repair(parts);
    await repair.begin(sources);
    if (!this.#isOver) await this.#tryNext();
  }

  /** Tries the next list, or lets one source after another deliver all of it if there is none. Never rejects. */
  async #tryNext(): Promise<void> {
    this.#isVerifying = true;
    this.#dropLanes();
    try {
      // What came of the list before it, perhaps not all of it, may be as wrong as that.
      if (this.#trial) await this.#repair!.fetched(this.#trial.wrong);
      if (this.#isOver) return;
      this.#trial = this.#nextTrial();
      if (!this.#trial) return this.#giveTurns(undefined, false);
      const { source, wrong } = this.#trial;
      this.#alone = source;
      this.#aloneSince = { atMs: performance.now(), bytes: 0 };
      const before = this.#assembly!.sizeBytes;
      this.#assembly!.forget(wrong);
      this.move.forgot(before - this.#assembly!.sizeBytes);
      this.#isVerifying = false;
      this.#generation++;
      this.#planFor(this.#plan!.sizeBytes);
      if (!this.#lanes.has(source)) this.#start(source, this.#known.get(source)!);
    } catch (error) {
      this.#finish({ isHere: false, source: this.fetch.source, error });
    }
  }

  /** Returns the next list that differs from what is there, and blames those whose lists do not: their content is wrong. */
  #nextTrial(): Trial | undefined {
    for (let trial = this.#repair!.next(); trial; trial = this.#repair!.next()) {
      if (!this.#known.has(trial.source)) continue;
      if (trial.wrong.length > 0) return trial;
      this.#giveUp(trial.source, "sent hashes of chunks that belong to other content");
    }
    return undefined;
  }

  /** Blames a source for what it said, and asks it for nothing more. */
  #giveUp(source: string, text: string): void {
    this.#known.delete(source);
    this.#totals.delete(source);
    if (!this.#blamed.has(source)) this.#report(source, { failure: "mismatch", text });
    this.#blamed.add(source);
  }

  /** Blames those who sent what was wrong, now that the whole verifies. */
  #blameCulprits(): void {
    if (!this.#trial) return;
    const { senders, liars } = this.#repair!.culprits();
    for (const source of senders) {
      this.#giveUp(source, "sent a part that does not match the file's id");
    }
    for (const source of liars) {
      this.#giveUp(source, "sent hashes of chunks that belong to other content");
    }
  }

  /** A lane has nothing more to do. */
  #laneEnded(): void {
    if (this.#isVerifying) return;
    const alone = this.#alone;
    if (alone === undefined) {
      this.#look();
      // Everybody who is left speaks of another file.
      if (this.#lanes.size > 0 || this.#isVerifying) return;
      const size = this.#plan?.sizeBytes;
      const isOther = [...this.#known.keys()].every((source) => {
        const said = this.#totals.get(source);
        return said !== undefined && said !== size;
      });
      const next = isOther ? this.#nextTurn() : undefined;
      if (next !== undefined) this.#turnTo(next);
      return;
    }
    if (this.#lanes.size > 0) return;
    const address = this.#known.get(alone);
    if (address) this.#start(alone, address);
  }

  #laneFailed(source: string, error: unknown): void {
    const explained = explainFailure(error);
    const isOurs = explained.failure === "storage" || explained.failure === "too-long";
    // What is complete may well verify.
    if (this.#isVerifying && !isOurs) return this.#report(source, explained);
    const next = this.#nextTurn();
    if (this.#trial?.source === source && !isOurs) {
      this.#report(source, explained);
      return void this.#tryNext();
    }
    if (this.#known.size === 0 && this.#fellows.size > 0 && !isOurs && this.#alone === undefined) {
      // They may have the rest, together.
      this.#orphaned = {
        error,
        source,
        sinceMs: performance.now(),
        bytes: this.#assembly!.sizeBytes,
      };
      this.#report(source, explained);
      return this.#laneEnded();
    }
    const isLast = this.#known.size === 0 || (this.#alone === source && next === undefined);
    if (isOurs || isLast) return this.#finish({ isHere: false, source, error });
    if (this.#alone !== undefined && this.#alone !== source) return this.#laneEnded();
    this.#report(source, explained);
    if (this.#alone === source && next !== undefined) this.#turnTo(next);
    else this.#laneEnded();
  }

  /** Reports a source that failed while there are others. */
  #report(source: string, { failure, text }: Explained): void {
    const { attempt, file: { fileId } } = this.fetch;
    const { dispatch } = this.parts.options;
    dispatch({ kind: "source-failed", fileId, source, attempt, failure, text });
  }
}

/** Where the answer to one request goes. */
class LaneSink implements RawSink {
  #offset = 0;

  constructor(
    readonly download: Download,
    readonly lane: Lane,
    readonly source: string,
    readonly asked: Wanted,
    readonly onBegun: () => void,
  ) {}

  begin(header: RawHeader): void {
    // What was read before the connection was closed does not count either.
    if (this.lane.isDropped) throw new Superseded();
    this.download.begin(this.source, this.asked, header);
    this.#offset = header.offset;
    this.onBegun();
  }

  write(content: Uint8Array): void {
    if (this.lane.isDropped) throw new Superseded();
    this.download.take(this.source, this.#offset, content);
    this.#offset += content.length;
  }
}
