// @ts-check
// Which ended transfers the user has dismissed. This browser remembers them across reloads and shares them between
// tabs. Transfer ids restart when the peer restarts, so a transfer is identified by its id and the time it ended.

import { live } from "./live.js";
import { FAILED_SECONDS } from "../shared/transferwords.js";

/** @typedef {import("../shared/types.d.ts").TransferRow} TransferRow */
/** @typedef {[id: number, endedAt: number]} Mark */

/** Maximum number of marks kept per peer; the peer itself remembers 100 transfers. */
const MAX_MARKS = 200;
/** Tolerance for end times, in seconds: the peer recomputes and rounds them for each response. */
const SLACK_SECONDS = 2;

/** This peer's marks, once read from storage. @type {Mark[] | undefined} */
let marks;

const keyOf = () => `put-away:${live.status?.peerId ?? ""}`;

/** @returns {Mark[]} */
function read() {
  try {
    const stored = JSON.parse(localStorage.getItem(keyOf()) ?? "[]");
    if (!Array.isArray(stored)) return [];
    return stored.filter((mark) =>
      Array.isArray(mark) && Number.isFinite(mark[0]) && Number.isFinite(mark[1])
    ).slice(-MAX_MARKS);
  } catch {
    return []; // storage is not allowed, or something else wrote this key: nothing counts as dismissed
  }
}

/** @param {TransferRow} transfer */
export function isPutAway({ id, ended_at }) {
  if (ended_at === null || !live.status) return false;
  marks ??= read();
  return marks.some(([other, endedAt]) =>
    other === id && Math.abs(endedAt - ended_at) <= SLACK_SECONDS
  );
}

/** Remembers that the user dismissed this transfer. @param {TransferRow} transfer @param {number} now Unix seconds */
export function putAway({ id, ended_at }, now) {
  if (ended_at === null) return;
  // Another tab may have written in the meantime. Marks of transfers that are no longer shown are dropped.
  marks = [...read(), /** @type {Mark} */ ([id, ended_at])]
    .filter(([, endedAt]) => now - endedAt < FAILED_SECONDS + SLACK_SECONDS).slice(-MAX_MARKS);
  try {
    localStorage.setItem(keyOf(), JSON.stringify(marks));
  } catch {
    // Storage is full or not allowed: the transfer stays dismissed until the page is reloaded.
  }
}

/** Rereads the marks when another tab changes them. @param {() => void} onChange Called after each such change */
export function watchPutAway(onChange) {
  addEventListener("storage", ({ key }) => {
    if (key !== null && key !== keyOf()) return;
    marks = undefined;
    onChange();
  });
}
