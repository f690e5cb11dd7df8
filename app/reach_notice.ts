// Says once when other peers begin to say that they cannot connect to this one, and once when nobody says so any more.
// Invariant: however often they change their minds, there is one line in `CALM_MS`.

import type { ReachTrouble } from "../cli/reach_text.ts";
import type { NodeEvent } from "../protocol/effects.ts";
import type { Timers } from "./timers.ts";

/** How long to wait for others to say the same, in milliseconds. (A guess.) */
const GATHER_MS = 1_000;
/** Minimum interval between two lines, in milliseconds. (A guess.) */
const CALM_MS = 30_000;

/** What is needed to say it. */
export interface ReachNoticeOptions {
  /** Runs the timer. */
  readonly timers: Pick<Timers, "after">;
  /** Returns what keeps others from connecting now. */
  readonly trouble: () => ReachTrouble | undefined;
  /** Receives the line. */
  readonly onEvent: (event: NodeEvent) => void;
  /** A monotonic clock, in milliseconds; replaced in tests. */
  readonly nowMs?: () => number;
}

/** Tells people about the reach of this peer. */
export class ReachNotice {
  #told: ReachTrouble["cause"] | undefined;
  #toldMs = -Infinity;
  #isDue = false;
  readonly #nowMs: () => number;

  /** Says nothing yet. */
  constructor(readonly options: ReachNoticeOptions) {
    this.#nowMs = options.nowMs ?? (() => performance.now());
  }

  /** Notes that something about it changed. */
  changed(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    const leftMs = this.#toldMs + CALM_MS - this.#nowMs();
    this.options.timers.after(Math.max(GATHER_MS, leftMs), () => this.#look());
  }

  #look(): void {
    this.#isDue = false;
    const { trouble, onEvent } = this.options;
    const now = trouble();
    if (now?.cause === this.#told) return;
    this.#told = now?.cause;
    this.#toldMs = this.#nowMs();
    onEvent(
      now ? { name: "reach", isBad: true, text: now.text } : {
        name: "reach",
        isBad: false,
        text: "Other peers no longer report that connections to this one fail",
      },
    );
  }
}
