// @ts-check
// Uploads files to the peer, a few at a time, each with progress and an outcome in words. No rows here.

import { problemText, urlOf } from "./api.js";

/** @typedef {import("../shared/types.d.ts").TransferRow} TransferRow */
/** @typedef {import("../shared/types.d.ts").Outcome} Outcome */

/** Maximum number of concurrent uploads. A browser has six connections per host, and the page needs some itself. */
export const LANES = 3;
/** Larger files can continue after an interruption, in bytes. */
const RESUMABLE_BYTES = 16 * 1024 ** 2;
/** How long an ended upload of this page is still recognized among the peer's transfers, in milliseconds. */
const OWN_MS = 60_000;
/** Maximum number of transfers and names remembered as this page's own. */
const MAX_OWN = 1_000;

/** Names that this page is sending or has just sent, with when to forget them. @type {Map<string, number>} */
const ownNames = new Map();
/** Transfers recognized as uploads of this page. @type {Set<string>} */
const ownIds = new Set();

/**
 * Returns whether this page sent it: then it already has a row under Share and needs no second one.
 * @param {TransferRow} transfer
 */
export function isOwnUpload({ id, kind, file_name }) {
  if (kind !== "upload") return false;
  const key = `${id} ${file_name}`;
  if (ownIds.has(key)) return true;
  if ((ownNames.get(file_name) ?? 0) < performance.now()) return false;
  ownIds.add(key);
  forget(ownIds);
  return true;
}

/** Drops the oldest entries beyond the limit. @param {Set<string> | Map<string, number>} all */
function forget(all) {
  for (const key of all.keys()) {
    if (all.size <= MAX_OWN) return;
    all.delete(key);
  }
}

/** @param {string} name @param {number} untilMs */
function own(name, untilMs) {
  ownNames.delete(name); // so that it moves to the end of the order
  ownNames.set(name, untilMs);
  forget(ownNames);
}

let running = 0;
/** Tasks waiting for a free lane, in order. @type {(() => void)[]} */
const waiting = [];

/** Runs the task once a lane is free. @template T @param {() => Promise<T>} task @returns {Promise<T>} */
export async function inTurn(task) {
  if (running >= LANES) await new Promise((go) => waiting.push(() => go(undefined)));
  else running++;
  try {
    return await task();
  } finally {
    const next = waiting.shift();
    if (next) next(); // it takes over the lane
    else running--;
  }
}

/**
 * Sends a file under a name. Resolves to its outcome; never throws.
 * @param {File} file @param {string} label @param {(loaded: number, total: number) => void} onProgress
 * @param {AbortSignal} signal @param {(why: string) => void} [onPause] @returns {Promise<Outcome>}
 */
export async function send(file, label, onProgress, signal, onPause = () => {}) {
  if (signal.aborted) return { kind: "cancelled", text: "Canceled" };
  try {
    // Detect an unreadable file here: an interrupted request would show up on everyone's page.
    await file.slice(0, 1).arrayBuffer();
  } catch {
    return {
      kind: "failed",
      text:
        "The browser cannot read it. Check that it is a file, that it still exists, and that you may open it",
    };
  }
  own(label, Infinity);
  try {
    if (file.size <= RESUMABLE_BYTES) return await post(file, label, onProgress, signal);
    const { sendResumable } = await import("./resuming.js");
    return await sendResumable(file, label, onProgress, signal, onPause);
  } catch {
    return { kind: "failed", text: "The peer is not responding. Try again when it is back" };
  } finally {
    own(label, performance.now() + OWN_MS);
  }
}

/**
 * @param {File} file @param {string} label @param {(loaded: number, total: number) => void} onProgress
 * @param {AbortSignal} signal @returns {Promise<Outcome>}
 */
function post(file, label, onProgress, signal) {
  return new Promise((done) => {
    const request = new XMLHttpRequest(); // fetch cannot report upload progress
    const abort = () => request.abort();
    /** @param {Outcome["kind"]} kind @param {string} text */
    const end = (kind, text) => {
      signal.removeEventListener("abort", abort);
      done({ kind, text });
    };
    request.open("POST", urlOf("/api/v1/files"));
    request.setRequestHeader("X-File-Name", encodeURIComponent(label.toWellFormed()));
    request.setRequestHeader("X-File-Timestamp", String(Math.floor(file.lastModified / 1000)));
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = ({ loaded, total }) => onProgress(loaded, total);
    request.onload = () => {
      const { status, responseText } = request;
      if (status === 201) end("shared", "");
      else if (status === 200) end("known", "");
      else end("failed", problemText(responseText, status));
    };
    request.onerror = () =>
      end("failed", "The connection was lost. Check that the peer is running, and try again");
    request.onabort = () => end("cancelled", "Canceled");
    signal.addEventListener("abort", abort);
    request.send(file);
  });
}
