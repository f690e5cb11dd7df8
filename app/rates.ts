// Transfer rates of the last minutes, one sample per second, so that a page does not start with an empty chart.
// Invariants: at most `RATE_SECONDS` samples are kept; one timer runs between `start` and `stop`.

import type { ViewedRate } from "../web/view.ts";

/** Maximum number of samples kept: the span of the page's chart, in seconds. */
export const RATE_SECONDS = 180;
const SAMPLE_MS = 1_000;

/** Byte counters, which only grow. */
export interface Counted {
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export class RateHistory {
  readonly #samples: ViewedRate[] = [];
  #before: { ms: number; bytesIn: number; bytesOut: number };
  #timer: ReturnType<typeof setInterval> | undefined;

  /** `nowMs` is monotonic, `unixMs` the wall clock. */
  constructor(
    readonly counted: Counted,
    readonly nowMs = () => performance.now(),
    readonly unixMs = () => Date.now(),
  ) {
    const { bytesIn, bytesOut } = counted;
    this.#before = { ms: nowMs(), bytesIn, bytesOut };
  }

  start(): void {
    this.#timer ??= setInterval(() => this.sample(), SAMPLE_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /**
   * Records the mean rates since the last sample. An interval that took longer, because the process was busy, is one
   * sample.
   */
  sample(): void {
    const { bytesIn, bytesOut } = this.counted;
    const before = this.#before;
    const ms = this.nowMs();
    const seconds = (ms - before.ms) / 1000;
    if (seconds <= 0) return;
    this.#before = { ms, bytesIn, bytesOut };
    this.#samples.push({
      at: Math.round(this.unixMs() / 100) / 10,
      in: Math.round((bytesIn - before.bytesIn) / seconds),
      out: Math.round((bytesOut - before.bytesOut) / seconds),
    });
    if (this.#samples.length > RATE_SECONDS) this.#samples.shift();
  }

  /** Returns the samples, oldest first. */
  all(): readonly ViewedRate[] {
    return [...this.#samples];
  }
}
