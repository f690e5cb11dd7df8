// @ts-check
// Which ended transfers somebody has put away, remembered by this browser across reloads and shared by its tabs.
// Transfer ids start over when the peer restarts, so a transfer is known by its id and by when it ended.

import { live } from "./live.js";
import { FAILED_SECONDS } from "../shared/transferwords.js";

/** @typedef {import("../shared/types.d.ts").TransferRow} TransferRow */
/** @typedef {[id: number, endedAt: number]} Mark */

/** Maximum number of marks kept per peer; the peer itself remembers 100 transfers. */
const MAX_MARKS = 200;
/** The peer computes the end anew for each answer and rounds it: the same end may differ by this much, in seconds. */
const SLACK_SECONDS = 2;

/** Marks of the peer whose page this is, as far as they have been read. @type {Mark[] | undefined} */
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
    return []; // storage is not allowed here, or something else wrote there: nothing is put away
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

/** Remembers that somebody put this transfer away. @param {TransferRow} transfer @param {number} now Unix seconds */
export function putAway({ id, ended_at }, now) {
  if (ended_at === null) return;
  // Another tab may have written meanwhile. Marks of what is not shown any more are dropped.
  marks = [...read(), /** @type {Mark} */ ([id, ended_at])]
    .filter(([, endedAt]) => now - endedAt < FAILED_SECONDS + SLACK_SECONDS).slice(-MAX_MARKS);
  try {
    localStorage.setItem(keyOf(), JSON.stringify(marks));
  } catch {
    // Storage is full or not allowed: it stays put away until a reload.
  }
}

/** Forgets what was read, so that marks of another tab are seen. @param {() => void} onChange */
export function watchPutAway(onChange) {
  addEventListener("storage", ({ key }) => {
    if (key !== null && key !== keyOf()) return;
    marks = undefined;
    onChange();
  });
}
