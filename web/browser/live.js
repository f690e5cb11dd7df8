// @ts-check
// What the peer is like now: loaded once, then kept true by its events (server-sent). Who draws something listens to
// the topics it needs; changes are gathered and told at most once a frame.
// Always holds: after "reset", and after an absence, everything is read anew; no more than MAX_FILES files are held.

import { askJson } from "./api.js";
import { FileList } from "./filelist.js";

/** @typedef {import("./types.d.ts").FileRow} FileRow */
/** @typedef {import("./types.d.ts").PeerRow} PeerRow */
/** @typedef {import("./types.d.ts").TransferRow} TransferRow */
/** @typedef {import("./types.d.ts").StatusRow} StatusRow */
/** @typedef {"status" | "peers" | "files" | "transfers" | "session" | "gone" | "place"} Topic */

/** As many as one answer of the API holds; of more, the newest. */
export const MAX_FILES = 10_000;
/** Rates are remembered so long, for the chart. */
const RATE_SECONDS = 300;
/** After "reset", everything is read anew; not more often than this. */
const RELOAD_MS = 1_000;
const RETRY_MS = 3_000;
/** Transfers that are remembered; of those that ended, the oldest go first. */
const MAX_TRANSFERS = 500;
/** A file is new for so long. */
export const NEW_MS = 2_000;
/** A speed is the mean of about so long. */
const SPEED_SECONDS = 3;

/** @typedef {{ doneBytes: number, atMs: number, bytesPerSecond: number }} Speed */

export const live = {
  /** @type {StatusRow | null} */
  status: null,
  /** @type {Map<string, PeerRow>} */
  peers: new Map(),
  files: new FileList(),
  /** Files known to the peer, which may be more than are held here. */
  known: 0,
  /** @type {Map<number, TransferRow>} */
  transfers: new Map(),
  /** How fast each transfer is now. @type {Map<number, Speed>} */
  speeds: new Map(),
  /** Bytes a second, one for each second that was looked at. @type {{ at: number, in: number, out: number }[]} */
  rates: [],
  /** Files that came while the page was open, with when. @type {Map<string, number>} */
  arrivedMs: new Map(),
  isGone: false,
};

/** @type {Map<Topic, Set<() => void>>} */
const listeners = new Map();
/** @type {Set<Topic>} */
const changed = new Set();

/** @param {Topic[]} topics @param {() => void} draw */
export function when(topics, draw) {
  for (const topic of topics) {
    if (!listeners.has(topic)) listeners.set(topic, new Set());
    listeners.get(topic)?.add(draw);
  }
}

/** @param {...Topic} topics */
export function tell(...topics) {
  if (changed.size === 0) requestAnimationFrame(flush);
  for (const topic of topics) changed.add(topic);
}

function flush() {
  const draws = new Set([...changed].flatMap((topic) => [...listeners.get(topic) ?? []]));
  changed.clear();
  for (const draw of draws) draw();
}

// A page in the background draws no frames; what it heard is drawn when it is looked at again.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) flush();
});

async function load() {
  const [status, peers, transfers, files] = await Promise.all([
    /** @type {Promise<StatusRow>} */ (askJson("/api/v1/status")),
    /** @type {Promise<{ peers: PeerRow[] }>} */ (askJson("/api/v1/peers")),
    /** @type {Promise<{ transfers: TransferRow[] }>} */ (askJson("/api/v1/transfers")),
    /** @type {Promise<{ files: FileRow[], total: number }>} */ (askJson(
      `/api/v1/files?limit=${MAX_FILES}&sort=-time`,
    )),
  ]);
  live.peers = new Map(peers.peers.map((peer) => [peer.peerId, peer]));
  live.transfers = new Map();
  const known = new Set(transfers.transfers.map(({ id }) => id));
  for (const id of live.speeds.keys()) if (!known.has(id)) live.speeds.delete(id);
  for (const transfer of transfers.transfers) putTransfer(transfer);
  live.files.reset(files.files);
  live.known = files.total;
  takeStatus(status);
  tell("peers", "transfers", "files");
}

/** @param {TransferRow} transfer */
function putTransfer(transfer) {
  live.transfers.set(transfer.id, transfer);
  live.speeds.set(transfer.id, speedOf(transfer, live.speeds.get(transfer.id)));
}

/** @param {TransferRow} transfer @param {Speed | undefined} before @returns {Speed} */
function speedOf({ done_bytes: doneBytes, seconds }, before) {
  const atMs = performance.now();
  const mean = seconds > 0 ? doneBytes / seconds : 0;
  if (!before) return { doneBytes, atMs, bytesPerSecond: mean };
  const passed = (atMs - before.atMs) / 1000;
  if (passed <= 0 || doneBytes < before.doneBytes) return before;
  const weight = Math.min(1, passed / SPEED_SECONDS);
  const now = (doneBytes - before.doneBytes) / passed;
  return { doneBytes, atMs, bytesPerSecond: before.bytesPerSecond * (1 - weight) + now * weight };
}

/** When the peer started, in Unix seconds of this browser. */
let startedAt = 0;

/** @param {StatusRow} status */
function takeStatus(status) {
  const before = live.status;
  live.status = status;
  live.known = Math.max(status.files.known, live.files.size);
  const seconds = before ? status.uptime_seconds - before.uptime_seconds : 0;
  // By the peer's own clock; one that began anew counts from nothing.
  if (!before || seconds < 0) startedAt = Date.now() / 1000 - status.uptime_seconds;
  if (before && seconds > 0 && status.bytes.in >= before.bytes.in) {
    live.rates.push({
      at: startedAt + status.uptime_seconds,
      in: (status.bytes.in - before.bytes.in) / seconds,
      out: Math.max(0, status.bytes.out - before.bytes.out) / seconds,
    });
    if (live.rates.length > RATE_SECONDS) live.rates.shift();
  }
  tell("status");
}

/** @type {Readonly<Record<string, (data: any) => void>>} */
const takes = {
  status: takeStatus,
  peers({ changed, removed }) {
    for (const peer of changed) live.peers.set(peer.peerId, peer);
    for (const id of removed) live.peers.delete(id);
    tell("peers");
  },
  files({ changed, removed }) {
    const nowMs = performance.now();
    for (const [id, ms] of live.arrivedMs) if (nowMs - ms > NEW_MS) live.arrivedMs.delete(id);
    for (const { file_id } of changed) {
      if (!live.files.get(file_id)) live.arrivedMs.set(file_id, nowMs);
    }
    live.files.apply({ changed, removed });
    live.known = Math.max(live.known, live.files.size);
    tell("files");
    if (live.files.size > 2 * MAX_FILES) reload();
  },
  transfers({ changed }) {
    for (const transfer of changed) putTransfer(transfer);
    for (const [id, { state }] of live.transfers) {
      if (live.transfers.size <= MAX_TRANSFERS) break;
      if (state === "running") continue;
      live.transfers.delete(id);
      live.speeds.delete(id);
    }
    tell("transfers");
  },
};

/** Events that came while the lists were on their way: which of both is newer is not known, so they are taken after. */
/** @type {(() => void)[]} */
let waiting = [];
let isLoading = false;

/** @type {Promise<void> | null} */
let loading = null;
let isAskedAgain = false;

/** Reads everything anew, once for many reasons. @returns {Promise<void>} */
export function reload() {
  if (loading) {
    isAskedAgain = true;
    return loading;
  }
  const pause = new Promise((done) => setTimeout(done, RELOAD_MS));
  isLoading = true;
  loading = load().catch(() => {
    isAskedAgain = !live.isGone; // the events say when the peer is there again
  }).then(() => {
    isLoading = false;
    for (const take of waiting) take();
    waiting = [];

    pause.then(() => {
      loading = null;
      if (isAskedAgain) reload();
      isAskedAgain = false;
    });
  });
  return loading;
}

/** Listens from now on; whatever breaks off comes back by itself. */
export function watch() {
  const events = new EventSource("/api/v1/events");
  for (const [type, take] of Object.entries(takes)) {
    events.addEventListener(type, (event) => {
      const data = JSON.parse(event.data);
      if (isLoading) waiting.push(() => take(data));
      else take(data);
    });
  }
  events.addEventListener("reset", () => reload());
  events.addEventListener("open", () => setGone(false));
  events.addEventListener("error", () => {
    setGone(true);
    // Some ends are for good (too many watch, or the login is over): then it is tried anew from here.
    if (events.readyState === EventSource.CLOSED) setTimeout(watch, RETRY_MS);
  });
}

/** @param {boolean} isGone */
function setGone(isGone) {
  if (live.isGone === isGone) return;
  live.isGone = isGone;
  tell("gone");
}
