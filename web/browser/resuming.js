// @ts-check
// Uploads of large files: after an interruption they continue where they were, also when the page was closed and the same
// file is shared again. Loaded when it is first needed.

import { problemText, urlOf } from "./api.js";

/** @typedef {import("../shared/types.d.ts").Outcome} Outcome */
/** @typedef {{ status: number, body: string, headers: (name: string) => string | null }} Answer */

/** Where this browser remembers its uploads, and how many. */
const STORE = "uploads";
const MAX_REMEMBERED = 20;
/** Delays before another attempt, in milliseconds; the last one repeats. */
const PAUSES_MS = [1_000, 2_000, 4_000, 8_000, 15_000];
/** Maximum number of attempts in a row that got nowhere: about five minutes. */
const MAX_TRIES = 22;

/** @returns {Record<string, string>} */
function remembered() {
  try {
    return JSON.parse(localStorage.getItem(STORE) ?? "{}");
  } catch {
    return {};
  }
}

/** Remembers the address of an upload, or forgets it. @param {string} key @param {string} [url] */
function remember(key, url) {
  const { [key]: _, ...others } = remembered();
  const all = url === undefined ? others : { ...others, [key]: url };
  try {
    const entries = Object.entries(all).slice(-MAX_REMEMBERED);
    localStorage.setItem(STORE, JSON.stringify(Object.fromEntries(entries)));
  } catch {
    // A private window: then it continues only while the page is open.
  }
}

/**
 * Makes one request. Resolves to undefined if the connection is lost.
 * @param {string} method @param {string} url @param {Record<string, string>} headers @param {Blob | null} body
 * @param {AbortSignal} signal @param {(loaded: number) => void} [onProgress] @returns {Promise<Answer | undefined>}
 */
function request(method, url, headers, body, signal, onProgress) {
  return new Promise((done) => {
    const made = new XMLHttpRequest(); // fetch cannot report upload progress
    const abort = () => made.abort();
    made.open(method, url);
    for (const [name, value] of Object.entries(headers)) made.setRequestHeader(name, value);
    if (onProgress) made.upload.onprogress = ({ loaded }) => onProgress(loaded);
    made.onloadend = () => {
      signal.removeEventListener("abort", abort);
      const { status, responseText } = made;
      const isLost = status === 0 || (status >= 502 && status <= 504); // a proxy without its peer
      const headers = (/** @type {string} */ name) => made.getResponseHeader(name);
      done(isLost ? undefined : { status, body: responseText, headers });
    };
    signal.addEventListener("abort", abort);
    made.send(body);
  });
}

/**
 * Begins an upload. @param {File} file @param {string} label @param {AbortSignal} signal
 */
const begin = (file, label, signal) =>
  request(
    "POST",
    urlOf("/api/v1/files"),
    {
      "Upload-Complete": "?0",
      "Upload-Length": String(file.size),
      "X-File-Name": encodeURIComponent(label.toWellFormed()),
      "X-File-Timestamp": String(Math.floor(file.lastModified / 1000)),
    },
    null,
    signal,
  );

/**
 * Sends a file so that it can continue. Resolves to its outcome; never throws. `onPause` is told why nothing moves.
 * @param {File} file @param {string} label @param {(loaded: number, total: number) => void} onProgress
 * @param {AbortSignal} signal @param {(why: string) => void} onPause @returns {Promise<Outcome>}
 */
export async function sendResumable(file, label, onProgress, signal, onPause) {
  const key = `${label} ${file.size} ${file.lastModified}`;
  let url = remembered()[key];
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    const answer = url === undefined
      ? await begin(file, label, signal)
      : await request("HEAD", url, {}, null, signal);
    if (signal.aborted) break;
    if (answer?.status === 404 && url !== undefined) {
      remember(key, url = undefined); // it was kept for a day, or given up
      continue;
    }
    if (answer && answer.status >= 400) {
      return { kind: "failed", text: problemText(answer.body, answer.status) };
    }
    if (answer) {
      if (url === undefined) {
        url = new URL(answer.headers("Location") ?? "", urlOf("/")).href;
        remember(key, url);
      }
      if (answer.headers("Upload-Complete") === "?1") return over(key, "shared");
      const offset = Number(answer.headers("Upload-Offset"));
      onProgress(offset, file.size);
      const sent = await request(
        "PATCH",
        url,
        {
          "Upload-Complete": "?1",
          "Upload-Offset": String(offset),
          "Content-Type": "application/partial-upload",
        },
        file.slice(offset),
        signal,
        (loaded) => {
          if (loaded > 0) tries = 0;
          onProgress(offset + loaded, file.size);
        },
      );
      if (sent?.status === 201) return over(key, "shared");
      if (sent?.status === 200) return over(key, "known");
      // 409: another position, which the next round asks for.
      if (sent && sent.status !== 409) {
        return { kind: "failed", text: problemText(sent.body, sent.status) };
      }
    }
    if (signal.aborted) break;
    const ms = PAUSES_MS[Math.min(tries, PAUSES_MS.length - 1)] ?? 0;
    onPause(`Connection lost. It continues in ${ms / 1000} s`);
    await pause(ms, signal);
    if (signal.aborted) break;
  }
  if (!signal.aborted) {
    return {
      kind: "failed",
      text:
        "The connection was lost. Check that the peer is running, and try again: it continues where it was",
    };
  }
  remember(key);
  if (url !== undefined) await request("DELETE", url, {}, null, new AbortController().signal);
  return { kind: "cancelled", text: "Canceled" };
}

/** @param {string} key @param {"shared" | "known"} kind @returns {Outcome} */
function over(key, kind) {
  remember(key);
  return { kind, text: "" };
}

/** @param {number} ms @param {AbortSignal} signal @returns {Promise<void>} */
const pause = (ms, signal) =>
  new Promise((go) => {
    const timer = setTimeout(go, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      go();
    }, { once: true });
  });
