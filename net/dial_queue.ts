// Decides which dials may start, which wait, and which are hopeless. PURE; the simulation uses it too.
// Invariants: at most `maxDials` dials are open at once; dials for files go before dials for answers, and those
// before dials for news; news never takes the last dials; an address that did not answer a moment ago is not dialed
// again for news or answers, unless the operator named it; at most `MAX_WAITING_DIALS` dials of a rank wait, and as
// many silent addresses are remembered.

import type { Voucher } from "../protocol/wire/address.ts";

/** Maximum number of waiting dials of one rank. Beyond this, new ones fail as our own fault. */
export const MAX_WAITING_DIALS = 4_096;
/** How long to avoid an address after a dial to it timed out, in milliseconds. (A guess.) */
const DEAD_MS = 5_000;
/**
 * Number of dials that news may not use: announcing to hundreds of peers, some of them dead, must not delay
 * answers.
 */
const KEPT_FOR_ANSWERS = 2;

/**
 * What a dial is for. "file": somebody waits for a file. "answer": somebody waits for an answer. "news": nobody
 * waits.
 */
export type DialRank = "file" | "answer" | "news";
const RANKS: readonly DialRank[] = ["file", "answer", "news"];

/** A dial that may have to wait. */
export interface QueuedDial {
  /** The address, always in the same spelling. */
  readonly key: string;
  /** What it is for. */
  readonly rank: DialRank;
  /** Who named the address. */
  readonly voucher: Voucher;
}

/**
 * "start": dial now. "wait": it starts when `ended` returns it. "dead": the address is avoided. "full": too many
 * are waiting.
 */
export type Turn = "start" | "wait" | "dead" | "full";

/** The open and waiting dials of one peer. Times are monotonic milliseconds. */
export class DialQueue<Dial extends QueuedDial> {
  readonly #open: Record<DialRank, number> = { file: 0, answer: 0, news: 0 };
  readonly #waiting: Record<DialRank, Dial[]> = { file: [], answer: [], news: [] };
  readonly #deadUntil = new Map<string, number>();

  /** Starts empty. */
  constructor(readonly maxDials: number) {}

  /** Requests a turn. Every dial that starts must be reported to `ended`, once. */
  request(dial: Dial, nowMs: number): Turn {
    const { key, rank, voucher } = dial;
    const deadUntil = this.#deadUntil.get(key);
    if (
      voucher !== "operator" && rank !== "file" && deadUntil !== undefined && nowMs < deadUntil
    ) {
      return "dead";
    }
    if (this.#mayStart(rank)) {
      this.#open[rank]++;
      return "start";
    }
    const waiting = this.#waiting[rank];
    if (waiting.length >= MAX_WAITING_DIALS) return "full";
    waiting.push(dial);
    return "wait";
  }

  /** Records that a started dial has ended. Returns the one that may start now. */
  ended(rank: DialRank): Dial | undefined {
    this.#open[rank]--;
    for (const next of RANKS) {
      if (!this.#mayStart(next)) continue;
      const dial = this.#waiting[next].shift();
      if (!dial) continue;
      this.#open[next]++;
      return dial;
    }
    return undefined;
  }

  /** Records that the address answered. */
  answered(key: string): void {
    this.#deadUntil.delete(key);
  }

  /**
   * Records that the address did not answer within the deadline. Returns the dials waiting for it, which are
   * removed: they would fail as well, and delay others.
   */
  silent(key: string, nowMs: number): Dial[] {
    if (this.#deadUntil.size >= MAX_WAITING_DIALS) this.#deadUntil.clear();
    this.#deadUntil.set(key, nowMs + DEAD_MS);
    const hopeless: Dial[] = [];
    for (const rank of RANKS) {
      const rest: Dial[] = [];
      for (const dial of this.#waiting[rank]) (dial.key === key ? hopeless : rest).push(dial);
      this.#waiting[rank] = rest;
    }
    return hopeless;
  }

  /** Empties the queue. Returns the dials that were waiting. */
  drain(): Dial[] {
    return RANKS.flatMap((rank) => this.#waiting[rank].splice(0));
  }

  #mayStart(rank: DialRank): boolean {
    const { file, answer, news } = this.#open;
    if (file + answer + news >= this.maxDials) return false;
    return rank !== "news" || news < Math.max(1, this.maxDials - KEPT_FOR_ANSWERS);
  }
}
