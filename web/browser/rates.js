// @ts-check
// Rates: the whole peer's, second by second, for the chart; and one transfer's, averaged over the last moments. No DOM
// here.

/** @typedef {{ doneBytes: number, atMs: number, bytesPerSecond: number }} Speed */
/**
 * @typedef {{ at: number, in: number, out: number }} Rate `at` in Unix seconds of this browser, rates in bytes/s
 */

/** How long rates are kept, in seconds. */
const RATE_SECONDS = 300;
/** Approximate averaging window of a transfer's speed, in seconds. */
const SPEED_SECONDS = 3;

export class Rates {
  /** @type {Rate[]} */
  all = [];
  /** @type {{ uptime_seconds: number, bytes: { in: number, out: number } } | null} */
  #before = null;
  /** When the peer started, in Unix seconds of this browser. */
  #startedAt = 0;

  /**
   * Merges the peer's own history, which covers the time before the page was opened or while it was hidden.
   * @param {readonly Rate[]} history Newest last @param {number} aheadSeconds How far the peer's clock is ahead
   */
  seed(history, aheadSeconds) {
    const rates = history.map((rate) => ({ ...rate, at: rate.at - aheadSeconds }));
    const first = rates[0]?.at ?? Infinity;
    const last = rates.at(-1)?.at ?? -Infinity;
    // This page's samples and the peer's interleave; where they overlap, the peer's are used.
    this.all = [
      ...this.all.filter(({ at }) => at < first - 0.5),
      ...rates,
      ...this.all.filter(({ at }) => at > last + 0.5),
    ].slice(-RATE_SECONDS);
  }

  /**
   * Adds a sample from the peer's next status.
   * @param {{ uptime_seconds: number, bytes: { in: number, out: number } }} status
   */
  take(status) {
    const before = this.#before;
    this.#before = status;
    const seconds = before ? status.uptime_seconds - before.uptime_seconds : 0;
    // Times follow the peer's own clock; a restarted peer starts from zero.
    if (!before || seconds < 0) this.#startedAt = Date.now() / 1000 - status.uptime_seconds;
    if (!before || seconds <= 0 || status.bytes.in < before.bytes.in) return;
    this.all.push({
      at: this.#startedAt + status.uptime_seconds,
      in: (status.bytes.in - before.bytes.in) / seconds,
      out: Math.max(0, status.bytes.out - before.bytes.out) / seconds,
    });
    if (this.all.length > RATE_SECONDS) this.all.shift();
  }
}

/**
 * @param {{ done_bytes: number, resumed_bytes: number, seconds: number }} transfer
 * @param {Speed | undefined} before
 * @returns {Speed}
 */
export function speedOf(
  { done_bytes: doneBytes, resumed_bytes, seconds },
  before,
  atMs = performance.now(),
) {
  const mean = seconds > 0 ? (doneBytes - resumed_bytes) / seconds : 0;
  if (!before) return { doneBytes, atMs, bytesPerSecond: mean };
  const passed = (atMs - before.atMs) / 1000;
  if (passed <= 0 || doneBytes < before.doneBytes) return before;
  const weight = Math.min(1, passed / SPEED_SECONDS);
  const now = (doneBytes - before.doneBytes) / passed;
  return { doneBytes, atMs, bytesPerSecond: before.bytesPerSecond * (1 - weight) + now * weight };
}
