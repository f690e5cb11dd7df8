// @ts-check
// How fast things go: of the whole peer second by second, for the chart, and of one transfer, as a mean of the last
// moments. No DOM here.

/** @typedef {{ doneBytes: number, atMs: number, bytesPerSecond: number }} Speed */
/** @typedef {{ at: number, in: number, out: number }} Rate Unix seconds of this browser; bytes a second */

/** Rates are remembered so long. */
const RATE_SECONDS = 300;
/** A speed is the mean of about so long. */
const SPEED_SECONDS = 3;

export class Rates {
  /** @type {Rate[]} */
  all = [];
  /** @type {{ uptime_seconds: number, bytes: { in: number, out: number } } | null} */
  #before = null;
  /** When the peer started. */
  #startedAt = 0;

  /**
   * Takes the peer's own history, so that what happened before the page was opened, or while it was hidden, is there too.
   * @param {readonly Rate[]} history The latest last @param {number} aheadSeconds By how much the peer's clock is ahead
   */
  seed(history, aheadSeconds) {
    const rates = history.map((rate) => ({ ...rate, at: rate.at - aheadSeconds }));
    const first = rates[0]?.at ?? Infinity;
    const last = rates.at(-1)?.at ?? -Infinity;
    // Looks of this page and samples of the peer fall between each other: of what both have, the peer's are taken.
    this.all = [
      ...this.all.filter(({ at }) => at < first - 0.5),
      ...rates,
      ...this.all.filter(({ at }) => at > last + 0.5),
    ].slice(-RATE_SECONDS);
  }

  /** Takes the next look at the peer. @param {{ uptime_seconds: number, bytes: { in: number, out: number } }} status */
  take(status) {
    const before = this.#before;
    this.#before = status;
    const seconds = before ? status.uptime_seconds - before.uptime_seconds : 0;
    // By the peer's own clock; one that began anew counts from nothing.
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
 * @param {{ done_bytes: number, seconds: number }} transfer
 * @param {Speed | undefined} before
 * @returns {Speed}
 */
export function speedOf({ done_bytes: doneBytes, seconds }, before, atMs = performance.now()) {
  const mean = seconds > 0 ? doneBytes / seconds : 0;
  if (!before) return { doneBytes, atMs, bytesPerSecond: mean };
  const passed = (atMs - before.atMs) / 1000;
  if (passed <= 0 || doneBytes < before.doneBytes) return before;
  const weight = Math.min(1, passed / SPEED_SECONDS);
  const now = (doneBytes - before.doneBytes) / passed;
  return { doneBytes, atMs, bytesPerSecond: before.bytesPerSecond * (1 - weight) + now * weight };
}
