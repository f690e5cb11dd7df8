// @ts-check
// A transfer in words, and how long it stays on the page. Shared by the live page and the server-rendered one. No DOM
// here.

import { durationText, progressText, rateText, tookText, visible } from "./words.js";

/** @typedef {import("./types.d.ts").TransferRow} TransferRow */

/** How long finished transfers stay on the page, in seconds. */
export const DONE_SECONDS = 60;
/** How long failed transfers and retryable fetches stay on the page, in seconds. */
export const FAILED_SECONDS = 3600;

/**
 * Returns whether the transfer is still worth showing.
 * @param {TransferRow} transfer @param {number} now Unix seconds
 */
export function isNews({ kind, state, ended_at }, now) {
  if (state === "running") return true;
  const isKept = state === "failed" || (state === "cancelled" && kind === "fetch");
  return now - (ended_at ?? 0) < (isKept ? FAILED_SECONDS : DONE_SECONDS);
}

/**
 * Returns the ids of fetches superseded by a later attempt at the same file: only the latest attempt is worth showing.
 * @param {Iterable<TransferRow>} transfers
 */
export function replaced(transfers) {
  /** @type {Map<string, number>} */
  const latest = new Map();
  /** @type {Set<number>} */
  const old = new Set();
  for (const { id, kind, file_id } of transfers) {
    if (kind !== "fetch" || file_id === "") continue;
    const other = latest.get(file_id) ?? id;
    if (other !== id) old.add(Math.min(other, id));
    latest.set(file_id, Math.max(other, id));
  }
  return old;
}

/**
 * Returns an arrow for the direction. Uploads and downloads are named from the browser's point of view, so an upload
 * points up although its content flows into this peer.
 * @param {TransferRow} transfer
 */
export const arrowOf = ({ kind }) =>
  kind === "fetch" || kind === "push" || kind === "download" ? "↓" : "↑";

/**
 * Returns a transfer's progress or outcome, such as `12.4 of 80.0 MB · 9.1 MB/s · 8 s left · from eagle`.
 * @param {TransferRow} transfer @param {number} speed Bytes per second
 */
export function transferText(transfer, speed) {
  const { done_bytes, resumed_bytes, total_bytes, state, seconds, why, slow_because } = transfer;
  const way = wayText(transfer);
  if (state === "done") {
    return `✓ ${progressText(done_bytes, null)} in ${tookText(seconds)} · ${way}`;
  }
  if (state === "cancelled") return `${visible(why ?? "Canceled", 80)} · ${way}`;
  if (state === "failed") return `✗ ${visible(why ?? "Failed", 300)}`;
  const left = total_bytes !== null && speed > 0 ? (total_bytes - done_bytes) / speed : undefined;
  return [
    progressText(done_bytes, total_bytes),
    rateText(speed),
    left === undefined ? "" : `${durationText(Math.max(0, left))} left`,
    slow_because ? SLOW[slow_because] : "",
    resumed_bytes > 0 && total_bytes ? `resumed at ${percent(resumed_bytes, total_bytes)}` : "",
    way,
  ].filter((part) => part !== "").join(" · ");
}

/** What holds a download up. */
const SLOW = {
  limit: "as fast as the limit allows",
  disk: "the disk is slow",
  sources: "its sources are slow",
  link: "the network is slow",
};

/** @param {number} part @param {number} all */
const percent = (part, all) => `${Math.floor((100 * part) / all)} %`;

/** Maximum number of sources that are named. */
const NAMED_SOURCES = 4;

/**
 * Returns what each source delivers, such as `from eagle 61 % at 9.1 MB/s, deer 39 %`.
 * @param {TransferRow["sources"]} sources
 */
function sourcesText(sources) {
  const all = sources.reduce((sum, { bytes }) => sum + bytes, 0);
  const named = sources.slice(0, NAMED_SOURCES).map(({ peer, bytes, bytes_per_second: rate }) =>
    `${visible(peer, 24)} ${percent(bytes, all || 1)}${rate > 0 ? ` at ${rateText(rate)}` : ""}`
  );
  const more = sources.length - named.length;
  return `from ${named.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** @param {TransferRow} transfer */
function wayText({ direction, kind, peer, sources }) {
  if (sources.length > 0) return sourcesText(sources);
  const name = visible(peer, 40);
  if (kind === "upload") return `from the browser at ${name}`;
  if (kind === "download") return `to the browser at ${name}`;
  return direction === "in" ? `from ${name}` : `to ${name}`;
}
