// @ts-check
// A transfer in words, and how long it is news; the same on the live page and on the one that the server writes. No DOM.

import { durationText, progressText, rateText, tookText, visible } from "./words.js";

/** @typedef {import("./types.d.ts").TransferRow} TransferRow */

/** Transfers that are done are shown so long, and those that failed or were cancelled. */
export const DONE_SECONDS = 60;
const FAILED_SECONDS = 3600;

/** Whether it is to be shown. @param {TransferRow} transfer @param {number} now Unix seconds */
export function isNews({ state, ended_at }, now) {
  if (state === "running") return true;
  return now - (ended_at ?? 0) < (state === "done" ? DONE_SECONDS : FAILED_SECONDS);
}

/** `12.4 of 80.0 MB · 9.1 MB/s · 8 s left · from eagle` @param {TransferRow} transfer @param {number} speed Bytes a second */
export function transferText(transfer, speed) {
  const { done_bytes, total_bytes, state, seconds, why } = transfer;
  const way = wayText(transfer);
  if (state === "done") {
    return `✓ ${progressText(done_bytes, null)} in ${tookText(seconds)} · ${way}`;
  }
  if (state === "cancelled") return `Cancelled · ${way}`;
  if (state === "failed") return `✗ ${visible(why ?? "It failed", 300)}`;
  const left = total_bytes !== null && speed > 0 ? (total_bytes - done_bytes) / speed : undefined;
  return [
    progressText(done_bytes, total_bytes),
    rateText(speed),
    left === undefined ? "" : `${durationText(Math.max(0, left))} left`,
    way,
  ].filter((part) => part !== "").join(" · ");
}

/** @param {TransferRow} transfer */
function wayText({ direction, kind, peer }) {
  const name = visible(peer, 40);
  if (kind === "upload") return `from browser ${name}`;
  if (kind === "download") return `to browser ${name}`;
  return direction === "in" ? `from ${name}` : `to ${name}`;
}
