// @ts-check
// The peer's current state: read once, then kept current by its server-sent events. Each part of the page subscribes to
// the topics it draws; changes are batched and published at most once per frame.
// Invariants: after "reset" everything is read again, with retries until that succeeds; events that arrive while the
// lists are loading are applied after them; nothing kept here grows with the number of files.

import { askJson, urlOf } from "./api.js";
import { FileWindow } from "./filewindow.js";
import { Rates, speedOf } from "./rates.js";

/** @typedef {import("../shared/types.d.ts").FileRow} FileRow */
/** @typedef {import("../shared/types.d.ts").PeerRow} PeerRow */
/** @typedef {import("../shared/types.d.ts").AwayRow} AwayRow */
/** @typedef {import("../shared/types.d.ts").TransferRow} TransferRow */
/** @typedef {import("../shared/types.d.ts").StatusRow} StatusRow */
/** @typedef {"status" | "peers" | "files" | "rows" | "transfers" | "session" | "gone" | "place"} Topic "files": some changed; "rows": asked-for rows arrived */

/** Maximum number of peers loaded, the API's limit per response. */
const MAX_PEERS = 10_000;
/** How recently a file must have become known to be highlighted as new, in seconds. */
const NEW_SECONDS = 10;
/** Maximum number of transfers kept. The oldest ended ones are dropped first. The peer itself remembers fewer. */
const MAX_TRANSFERS = 200;
/** How long a file is highlighted as new, in milliseconds. */
export const NEW_MS = 2_000;
/** Minimum pause after a full reload, in milliseconds. Doubles each time another one is needed soon after. */
const PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 15_000;
/** Time without a full reload after which the pause is short again, in milliseconds. */
const CALM_MS = 60_000;
const RETRY_MS = 3_000;
/** Silence after which the connection counts as dead, in milliseconds. A status event normally arrives every second. */
const SILENT_MS = 10_000;
/** Delay before a page that was hidden closes its event stream: a browser allows six connections per host. */
const HIDDEN_MS = 10_000;
/** How much older than the last event a response may be, in seconds. */
const LATE_SECONDS = 5;

export const live = {
  /** @type {StatusRow | null} */
  status: null,
  /** @type {Map<string, PeerRow>} */
  peers: new Map(),
  /** Peers that left in the last day. @type {Map<string, AwayRow>} */
  away: new Map(),
  /** The files around those on the screen. */
  files: new FileWindow(askFiles, () => tell("rows")),
  /** @type {Map<number, TransferRow>} */
  transfers: new Map(),
  /** Current speed of each transfer, by id. @type {Map<number, import("./rates.js").Speed>} */
  speeds: new Map(),
  rates: new Rates(),
  /** Ids of files requested on this page, until their transfer or content shows up. @type {Set<string>} */
  asked: new Set(),
  /** When files that are still new arrived, by id. @type {Map<string, number>} */
  arrivedMs: new Map(),
  isGone: false,
  /** How far the peer's clock is ahead of this browser's, in seconds. */
  aheadSeconds: 0,
};

/**
 * Called with what changed about files, before anything is drawn, and with undefined if anything may have changed.
 * @type {Set<(change: import("./filewindow.js").Change | undefined) => void>}
 */
export const fileListeners = new Set();

/** Tells this page's requests from those of other tabs. */
const TAB = Math.random().toString(36).slice(2);

/** @type {import("./filewindow.js").Ask} */
function askFiles({ q, where, sort }, { start, limit, view, signal }) {
  const query = new URLSearchParams({ sort, start, limit: String(limit) });
  if (q.trim() !== "") query.set("q", q);
  if (where !== "all") query.set("where", where);
  return askJson(`/api/v1/files?${query}`, { signal, headers: { "x-view": `${TAB}-${view}` } });
}

/** Returns the Unix time in seconds by the peer's clock, which all its times refer to. */
export const nowSeconds = () => Date.now() / 1000 + live.aheadSeconds;

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
  for (const draw of draws) {
    try {
      draw();
    } catch (error) {
      reportError(error); // one part that fails to draw must not stop the others
    }
  }
}

async function load() {
  const [status, peers, away, transfers, rates] = await Promise.all([
    /** @type {Promise<StatusRow>} */ (askJson("/api/v1/status")),
    /** @type {Promise<{ peers: PeerRow[] }>} */ (askJson(`/api/v1/peers?limit=${MAX_PEERS}`)),
    /** @type {Promise<{ peers: AwayRow[] }>} */ (askJson("/api/v1/peers/away")),
    /** @type {Promise<{ transfers: TransferRow[] }>} */ (askJson("/api/v1/transfers")),
    /** @type {Promise<{ rates: import("./rates.js").Rate[] }>} */ (askJson("/api/v1/rates")),
  ]);
  live.peers = new Map(peers.peers.map((peer) => [peer.peerId, peer]));
  live.away = new Map(away.peers.map((peer) => [peer.peerId, peer]));
  live.transfers = new Map();
  live.asked.clear();
  const known = new Set(transfers.transfers.map(({ id }) => id));
  for (const id of live.speeds.keys()) if (!known.has(id)) live.speeds.delete(id);
  for (const transfer of transfers.transfers) putTransfer(transfer);
  takeStatus(status);
  live.rates.seed(rates.rates, live.aheadSeconds);
  for (const take of fileListeners) take(undefined);
  tell("peers", "transfers", "files");
}

/** @param {TransferRow} transfer */
function putTransfer(transfer) {
  live.transfers.set(transfer.id, transfer);
  if (transfer.kind === "fetch") live.asked.delete(transfer.file_id);
  live.speeds.set(transfer.id, speedOf(transfer, live.speeds.get(transfer.id)));
}

/** @param {StatusRow} status */
function takeStatus(status) {
  const before = live.status;
  const seconds = before ? status.uptime_seconds - before.uptime_seconds : 0;
  if (before && seconds < 0 && seconds > -LATE_SECONDS) return; // a response that a newer event has overtaken
  live.status = status;
  live.aheadSeconds = status.now - Date.now() / 1000;
  live.rates.take(status);
  tell("status");
}

/** @type {Readonly<Record<string, (data: any) => void>>} */
const takes = {
  status: takeStatus,
  peers({ changed, removed }) {
    for (const peer of changed) {
      live.peers.set(peer.peerId, peer);
      live.away.delete(peer.peerId);
    }
    for (const id of removed) {
      const peer = live.peers.get(id);
      if (peer) live.away.set(id, peer);
      live.peers.delete(id);
    }
    tell("peers");
  },
  files({ changed, removed }) {
    const nowMs = performance.now();
    for (const [id, ms] of live.arrivedMs) if (nowMs - ms > NEW_MS) live.arrivedMs.delete(id);
    for (const { file_id, has_copy, known_at } of changed) {
      const isNew = known_at === null || nowSeconds() - known_at < NEW_SECONDS;
      if (isNew && !live.files.get(file_id)) live.arrivedMs.set(file_id, nowMs);
      if (has_copy) live.asked.delete(file_id);
    }
    for (const id of removed) live.asked.delete(id);
    live.files.apply({ changed, removed });
    for (const take of fileListeners) take({ changed, removed });
    tell("files");
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

/** Events that arrived while the lists were loading; which of the two is newer is unknown. @type {(() => void)[]} */
let waiting = [];
let isLoading = false;
/** Whether the lists must be read again as soon as possible. */
let isOwed = false;
let isReloading = false;
let pauseMs = PAUSE_MS;
let loadedMs = -Infinity;

/**
 * Reads everything again. Concurrent calls share one run, and pauses protect a peer that is made to send "reset"
 * often.
 */
export async function reload() {
  isOwed = true;
  if (isReloading) return;
  isReloading = true;
  while (isOwed) {
    isOwed = false;
    const waitMs = await loadOnce();
    await new Promise((go) => setTimeout(go, waitMs));
    if (live.isGone) break; // reconnecting starts the reload that is still due
  }
  isReloading = false;
}

/** Resolves to the pause before the next reload, in milliseconds. */
async function loadOnce() {
  isLoading = true;
  try {
    await load();
    const nowMs = performance.now();
    pauseMs = nowMs - loadedMs < CALM_MS ? Math.min(2 * pauseMs, MAX_PAUSE_MS) : PAUSE_MS;
    loadedMs = nowMs;
    return pauseMs;
  } catch {
    isOwed = true;
    return RETRY_MS;
  } finally {
    isLoading = false;
    const takeAll = waiting;
    waiting = [];
    for (const take of takeAll) take();
  }
}

/** @type {EventSource | null} */
let events = null;
let heardMs = 0;

function connect() {
  events?.close();
  const source = events = new EventSource(urlOf("/api/v1/events"));
  const hear = () => {
    heardMs = performance.now();
    setGone(false);
  };
  heardMs = performance.now();
  for (const [type, take] of Object.entries(takes)) {
    source.addEventListener(type, (event) => {
      hear();
      const data = JSON.parse(event.data);
      if (isLoading) waiting.push(() => take(data));
      else take(data);
    });
  }
  source.addEventListener("reset", () => {
    hear();
    reload();
  });
  source.addEventListener("open", () => {
    hear();
    if (isOwed) reload();
  });
  source.addEventListener("error", () => {
    if (source !== events) return;
    setGone(true);
    // Some errors are final for an EventSource (too many watchers, session expired): reconnect from here.
    if (source.readyState === EventSource.CLOSED) {
      setTimeout(() => source === events && connect(), RETRY_MS);
    }
  });
}

function disconnect() {
  events?.close();
  events = null;
}

/**
 * Starts following the peer, and reconnects after interruptions. A page opened in the background reads the lists once
 * and opens no event stream until it is shown: six such tabs would use up every connection, and a seventh would never
 * load.
 */
export function watch() {
  if (document.hidden) reload();
  else connect();
  // Events are opened before the lists are read, so that no change in between is missed. If none arrive, read the
  // lists.
  setTimeout(() => {
    if (!live.status) reload();
  }, RETRY_MS);
  setInterval(() => {
    if (!events || performance.now() - heardMs < SILENT_MS) return;
    setGone(true);
    connect();
  }, RETRY_MS);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let leaving;
  document.addEventListener("visibilitychange", () => {
    clearTimeout(leaving);
    if (document.hidden) leaving = setTimeout(disconnect, HIDDEN_MS);
    else if (!events) connect();
    else if (changed.size > 0) flush();
  });
}

/** @param {boolean} isGone */
function setGone(isGone) {
  if (live.isGone === isGone) return;
  live.isGone = isGone;
  tell("gone");
}
