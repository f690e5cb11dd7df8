// @ts-check
// The peers as a table: id, address, when last seen, files held, protocol, and refused messages.

import { byId, h, put, setText } from "./dom.js";
import { copy } from "./actions.js";
import { live, nowSeconds, when } from "./live.js";
import {
  addressText,
  agoText,
  awayText,
  durationText,
  exactText,
  numberText,
  shownColumns,
  startLine,
  startWords,
  visible,
} from "../shared/words.js";

/** @typedef {import("../shared/types.d.ts").PeerRow} PeerRow */

/** Fraction of the timeout after which a peer counts as quiet. */
const QUIET_PART = 0.6;

/** Rows of live peers and of those that left. @type {Map<string, ReturnType<typeof peerRow>>} */
const rows = new Map();

/** Whether the peer with this id left. @param {string} id */
const isAway = (id) => !live.peers.has(id) && live.away.has(id);

/** Returns 1 for a peer heard from just now, falling to 0 when it is about to be dropped. @param {PeerRow} peer */
export function freshness({ last_seen }) {
  const timeout = live.status?.peer_timeout_seconds ?? 60;
  return Math.min(1, Math.max(0, 1 - (nowSeconds() - last_seen) / timeout));
}

/** @param {PeerRow} peer */
export const isQuiet = (peer) => freshness(peer) < 1 - QUIET_PART;

function draw() {
  if (!live.status) return; // until the lists are loaded, the server-rendered rows stay
  const body = byId("peer-rows");
  if (rows.size === 0) put(body);
  for (const [id, row] of rows) {
    if (row.isAway === isAway(id) && (row.isAway || live.peers.has(id))) continue;
    row.element.remove();
    rows.delete(id);
  }
  const peers = [...live.peers.values()].sort((a, b) => a.peerId < b.peerId ? -1 : 1);
  const away = [...live.away.values()].sort((a, b) => b.last_seen - a.last_seen);
  for (const [index, peer] of [...peers, ...away].entries()) {
    const row = rows.get(peer.peerId) ?? (isAway(peer.peerId) ? awayRow() : peerRow());
    rows.set(peer.peerId, row);
    row.update(/** @type {PeerRow} */ (peer));
    if (body.children[index] !== row.element) {
      body.insertBefore(row.element, body.children[index] ?? null);
    }
  }
  const shown = shownColumns(peers);
  const table = byId("peer-table");
  if (table.className !== shown) table.className = shown;
  byId("peer-box").hidden = peers.length + away.length === 0;
  byId("map-box").hidden = peers.length === 0;
  drawEmpty(peers.length === 0);
}

/** @param {boolean} isEmpty */
function drawEmpty(isEmpty) {
  const place = byId("peer-empty");
  place.hidden = !isEmpty;
  if (!isEmpty || !live.status) return;
  const line = startLine(live.status);
  if (place.dataset["drawn"] === line) return;
  place.dataset["drawn"] = line;
  put(place, ...startAnother(live.status));
}

/**
 * Returns how to start another peer that joins this one, as a line to copy.
 * @param {import("../shared/types.d.ts").StatusRow} status
 */
export function startAnother(status) {
  const line = startLine(status);
  return [
    h("p", {}, startWords(status)),
    h(
      "p",
      { class: "line" },
      h("code", {}, line),
      h("button", { type: "button", onclick: () => copy(line, "line") }, "Copy"),
    ),
  ];
}

function peerRow() {
  const name = h("bdi", {});
  const note = h("span", { class: "note" });
  const address = h("code", {});
  const seen = h("td", { class: "seen" });
  const files = h("td", { class: "num" });
  const kind = h("td", { class: "kind" });
  const refused = h("td", { class: "refused" });
  const element = h(
    "tr",
    {},
    h("td", { class: "file" }, name, address, note),
    seen,
    files,
    kind,
    refused,
  );

  let seenAt = 0;

  /** @param {PeerRow} peer */
  function update(peer) {
    element.dataset["peer"] = peer.peerId;
    setText(name, visible(peer.peerId, 60));
    setText(note, noteOf(peer));
    note.className = `note ${peer.backed_off ? "risk" : ""}`;
    setText(address, visible(addressText(peer)));
    const quiet = isQuiet(peer);
    setText(seen, `${quiet ? "quiet, " : ""}${agoText(peer.last_seen, nowSeconds())}`);
    seen.className = `seen ${quiet ? "risk" : ""}`;
    if (seenAt !== peer.last_seen) seen.title = exactText(peer.last_seen);
    seenAt = peer.last_seen;
    element.classList.toggle("quiet-row", quiet);
    setText(files, numberText(peer.files));
    setText(kind, peer.extended ? "new" : "older");
    kind.title = peer.extended
      ? "Supports the protocol extensions"
      : "Supports only the lab's base protocol";
    setText(refused, peer.refused === 0 ? "" : `${peer.refused} refused`);
    refused.title = refusedText(peer);
  }

  return { element, update, isAway: false };
}

function awayRow() {
  const name = h("bdi", {});
  const address = h("code", {});
  const seen = h("td", { colspan: 2 });
  const element = h(
    "tr",
    { class: "away-row" },
    h("td", { class: "file" }, name, address),
    seen,
    h("td", { class: "kind" }),
    h("td", { class: "refused" }),
  );

  /** @param {import("../shared/types.d.ts").AwayRow} peer */
  function update(peer) {
    setText(name, visible(peer.peerId, 60));
    setText(address, visible(addressText(peer)));
    setText(seen, awayText(peer.last_seen, nowSeconds()));
    seen.title = exactText(peer.last_seen);
  }

  return { element, update, isAway: true };
}

/** @param {PeerRow} peer */
function noteOf({ bootstrap, backed_off }) {
  if (backed_off) {
    return `avoided for ${durationText(backed_off.seconds)}: it ${visible(backed_off.why)}`;
  }
  return bootstrap ? "bootstrap" : "";
}

/** Returns why messages from the peer were refused, or "". @param {PeerRow} peer */
export function refusedText({ peerId, refused }) {
  const reasons = live.status?.refused_by_peer.find(({ peer }) => peer === peerId)?.reasons ?? {};
  const list = Object.entries(reasons).map(([reason, count]) => `${count} ${visible(reason)}`);
  return list.length > 0
    ? `Refused: ${list.join(", ")}`
    : refused > 0
    ? `${refused} messages refused`
    : "";
}

export function startPeers() {
  byId("add-peer").onsubmit = async (event) => {
    event.preventDefault();
    (await import("./addpeer.js")).addPeer(event);
  };
  setInterval(draw, 1_000);
  when(["peers", "status"], draw);
}
