// Which dials may start, which wait for their turn, and which are hopeless. PURE; the simulation uses it too.
// Invariants: at most `maxDials` dials are open at once; files go before answers, and those before news; news never takes
// the last dials; an address that did not answer a moment ago is not dialed again for news or answers, unless the operator
// named it; at most `MAX_WAITING_DIALS` dials of a rank wait, and as many silent addresses are remembered.

import type { Voucher } from "../protocol/wire/address.ts";

/** Maximum number of dials of one rank that wait for their turn. Beyond this, new ones are refused as our own failure. */
export const MAX_WAITING_DIALS = 4_096;
/** How long to avoid an address after a dial to it timed out, in milliseconds. (A guess.) */
const DEAD_MS = 5_000;
/** Dials that news may not use: announcing to hundreds of peers, some of them dead, must not delay answers. */
const KEPT_FOR_ANSWERS = 2;

/** What a dial is for: somebody waits for a file, somebody waits for an answer, or nobody waits. */
export type DialRank = "file" | "answer" | "news";
const RANKS: readonly DialRank[] = ["file", "answer", "news"];

/** A dial that may have to wait. `key` names the address, in one spelling. */
export interface QueuedDial {
  readonly key: string;
  readonly rank: DialRank;
  readonly voucher: Voucher;
}

/** "start": dial now. "wait": it starts when `ended` returns it. "dead": the address is avoided. "full": too many wait. */
export type Turn = "start" | "wait" | "dead" | "full";

export class DialQueue<Dial extends QueuedDial> {
  readonly #open: Record<DialRank, number> = { file: 0, answer: 0, news: 0 };
  readonly #waiting: Record<DialRank, Dial[]> = { file: [], answer: [], news: [] };
  readonly #deadUntil = new Map<string, number>();

  constructor(readonly maxDials: number) {}

  /** Asks for a turn. Every dial that starts is to be reported by `ended`, once. */
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

  /** A dial that had started ended. Returns the one whose turn it is now. */
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

  /** The address answered. */
  answered(key: string): void {
    this.#deadUntil.delete(key);
  }

  /**
   * Nobody answered at the address within the deadline. Returns the dials that waited for it: they would fail as well, and
   * keep others waiting.
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

  /** Empties the queue. Returns the dials that waited. */
  drain(): Dial[] {
    return RANKS.flatMap((rank) => this.#waiting[rank].splice(0));
  }

  #mayStart(rank: DialRank): boolean {
    const { file, answer, news } = this.#open;
    if (file + answer + news >= this.maxDials) return false;
    return rank !== "news" || news < Math.max(1, this.maxDials - KEPT_FOR_ANSWERS);
  }
}
