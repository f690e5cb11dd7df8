// @ts-check
// The peers as a map: this peer in the middle, with an edge to each other one that lights up on gossip and data flow.
// Draws only while something changes and the map is visible. The table below it has the same data.

import { byId, colour, h, isStill, put } from "./dom.js";
import { layout } from "./layout.js";
import { live, nowSeconds, when } from "./live.js";
import { freshness, isQuiet, refusedText } from "./peers.js";
import { addressText, agoText, plural, rateText, visible } from "../shared/words.js";

/** @typedef {import("../shared/types.d.ts").PeerRow} PeerRow */
/** @typedef {import("./layout.js").Spot} Spot */

/** How long a received message lights up its edge, in milliseconds. */
const HEARD_MS = 1_500;
/** Time for a dot to travel one third of an edge, in milliseconds. */
const FLOW_MS = 900;
/** Maximum number of peers with visible names. With more, names are shown only under the pointer. */
const MAX_NAMES = 40;
const SELF_RADIUS = 14;
/** Distance within which a pointer or finger selects a peer, in pixels. */
const NEAR_PX = 22;

const canvas = /** @type {HTMLCanvasElement} */ (byId("map"));
const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
const tip = byId("map-tip");

/** When this page last noticed that each peer was heard from. @type {Map<string, { at: number, ms: number }>} */
const heard = new Map();
/** @type {string} */
let pointed = "";
let isSeen = false;
let isDrawing = false;
/** Colors, read from the style sheet once and again when the theme changes. @type {Record<string, string>} */
const inks = {};

function readInks() {
  for (const name of ["text", "quiet", "line", "accent", "good", "risk", "ground"]) {
    inks[name] = colour(name);
  }
}

/** Returns the current bytes per second to and from each peer. @returns {Map<string, { in: number, out: number }>} */
function flows() {
  const found = new Map();
  for (const { id, peer, state, direction } of live.transfers.values()) {
    if (state !== "running" || !live.peers.has(peer)) continue;
    const flow = found.get(peer) ?? { in: 0, out: 0 };
    flow[direction] += Math.max(1, live.speeds.get(id)?.bytesPerSecond ?? 1);
    found.set(peer, flow);
  }
  return found;
}

function notePeers() {
  const nowMs = performance.now();
  for (const { peerId, last_seen } of live.peers.values()) {
    const before = heard.get(peerId);
    if (before?.at !== last_seen) {
      heard.set(peerId, { at: last_seen, ms: before ? nowMs : -Infinity });
    }
  }
  for (const id of heard.keys()) if (!live.peers.has(id)) heard.delete(id);
  layout.set(
    [...live.peers.values()].map(({ peerId, files }) => ({ id: peerId, radius: radiusOf(files) })),
  );
  canvas.setAttribute(
    "aria-label",
    `Map of ${plural(live.peers.size, "peer")}; the table below has the same data`,
  );
  wake();
}

/** Returns a peer's radius: larger with more files, within bounds. @param {number} files */
function radiusOf(files) {
  const most = live.peers.size > 100 ? 5 : live.peers.size > MAX_NAMES ? 8 : 12;
  return Math.min(most, most / 3 + Math.sqrt(files) / 2);
}

/** Starts drawing, until nothing moves anymore. */
function wake() {
  if (isDrawing || !isSeen || document.hidden) return;
  isDrawing = true;
  requestAnimationFrame(frame);
}

/**
 * Minimum time between frames, in milliseconds: 20 per second are smooth enough for dots on a line, and cost little.
 */
const FRAME_MS = 50;
let drawnMs = 0;

/** @param {number} nowMs */
function frame(nowMs) {
  if (nowMs - drawnMs < FRAME_MS && layout.isSettled) return void requestAnimationFrame(frame);
  drawnMs = nowMs;
  const moving = layout.step();
  const flowing = flows();
  drawAll(nowMs, flowing);
  const isLit = [...heard.values()].some(({ ms }) => nowMs - ms < HEARD_MS);
  const isBusy = moving || (!isStill() && (flowing.size > 0 || isLit));
  isDrawing = isBusy && isSeen && !document.hidden;
  if (isDrawing) requestAnimationFrame(frame);
}

/** @param {number} nowMs @param {Map<string, { in: number, out: number }>} flowing */
function drawAll(nowMs, flowing) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const scale = devicePixelRatio;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  layout.fit(width, height);
  const centre = layout.centre;
  for (const spot of layout.spots) drawEdge(spot, centre, nowMs, flowing.get(spot.id));
  // Bootstraps are drawn last, with their names, so that they can always be found.
  const spots = [...layout.spots].sort((a, b) => Number(isBootstrap(a)) - Number(isBootstrap(b)));
  for (const spot of spots) drawPeer(spot);
  drawSelf(centre);
  pen.globalAlpha = 1;
}

/**
 * @param {Spot} spot @param {{ x: number, y: number }} centre @param {number} nowMs
 * @param {{ in: number, out: number } | undefined} flow
 */
function drawEdge(spot, centre, nowMs, flow) {
  const peer = live.peers.get(spot.id);
  if (!peer) return;
  const since = nowMs - (heard.get(spot.id)?.ms ?? -Infinity);
  const lit = Math.max(0, 1 - since / HEARD_MS);
  pen.beginPath();
  pen.moveTo(centre.x, centre.y);
  pen.lineTo(spot.px, spot.py);
  pen.globalAlpha = flow ? 0.9 : 0.25 + 0.3 * freshness(peer) + 0.5 * lit;
  pen.strokeStyle = flow
    ? inks["accent"] ?? ""
    : lit > 0 && !isStill()
    ? inks["good"] ?? ""
    : inks["quiet"] ?? "";
  pen.lineWidth = flow ? 2 : 1 + lit;
  pen.stroke();
  if (!flow) return;
  // Dots travel in the direction of the data: toward the middle for incoming bytes.
  pen.fillStyle = inks["accent"] ?? "";
  for (const [way, rate] of /** @type {["in" | "out", number][]} */ (Object.entries(flow))) {
    if (rate === 0) continue;
    for (const offset of [0, 1 / 3, 2 / 3]) {
      const part = isStill() ? offset + 1 / 6 : (nowMs / FLOW_MS / 3 + offset) % 1;
      const along = way === "in" ? 1 - part : part;
      pen.beginPath();
      pen.arc(
        centre.x + (spot.px - centre.x) * along,
        centre.y + (spot.py - centre.y) * along,
        2.5,
        0,
        7,
      );
      pen.fill();
    }
  }
}

/** @param {Spot} spot */
const isBootstrap = ({ id }) => live.peers.get(id)?.bootstrap ?? false;

/** @param {Spot} spot */
function drawPeer(spot) {
  const peer = live.peers.get(spot.id);
  if (!peer) return;
  const { px: x, py: y, radius } = spot;
  pen.globalAlpha = 1;
  pen.fillStyle = inks["ground"] ?? "";
  disc(x, y, radius + 1.5);
  pen.globalAlpha = 0.3 + 0.7 * freshness(peer);
  const isBad = peer.backed_off !== null;
  pen.fillStyle = isBad || isQuiet(peer) ? inks["risk"] ?? "" : inks["good"] ?? "";
  disc(x, y, radius);
  if (peer.bootstrap) ring(x, y, radius + 4);
  if (spot.id === pointed) ring(x, y, radius + 2);
  if (isBad) text("!", x, y + 4, inks["ground"] ?? "", "600 12px system-ui");
  if (layout.spots.length <= MAX_NAMES || spot.id === pointed || peer.bootstrap) {
    pen.globalAlpha = 0.75 + 0.25 * freshness(peer);
    const name = visible(spot.id, 16);
    text(
      peer.bootstrap ? `${name} (bootstrap)` : name,
      x,
      y + radius + 15,
      inks["text"] ?? "",
      "12px system-ui",
    );
  }
}

/** @param {{ x: number, y: number }} centre */
function drawSelf({ x, y }) {
  pen.globalAlpha = 1;
  pen.fillStyle = inks["ground"] ?? "";
  disc(x, y, SELF_RADIUS + 3);
  pen.fillStyle = inks["accent"] ?? "";
  disc(x, y, SELF_RADIUS);
  text(
    visible(live.status?.peerId ?? "", 20),
    x,
    y + SELF_RADIUS + 16,
    inks["text"] ?? "",
    "600 12px system-ui",
  );
}

/** @param {number} x @param {number} y @param {number} radius */
function disc(x, y, radius) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 7);
  pen.fill();
}

/** @param {number} x @param {number} y @param {number} radius */
function ring(x, y, radius) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 7);
  pen.strokeStyle = inks["text"] ?? "";
  pen.lineWidth = 1.5;
  pen.stroke();
}

/**
 * Draws text with an outline in the background color, so that it stays legible on top of lines.
 * @param {string} words @param {number} x @param {number} y @param {string} ink @param {string} font
 */
function text(words, x, y, ink, font) {
  pen.font = font;
  pen.textAlign = "center";
  const half = pen.measureText(words).width / 2 + 2;
  x = Math.min(Math.max(x, half), canvas.clientWidth - half);
  pen.lineWidth = 3;
  pen.lineJoin = "round";
  if (ink !== inks["ground"]) {
    pen.strokeStyle = inks["ground"] ?? "";
    pen.strokeText(words, x, y);
  }
  pen.fillStyle = ink;
  pen.fillText(words, x, y);
}

/** Selects the peer near the pointer. @param {PointerEvent} event */
function point(event) {
  const { left, top } = canvas.getBoundingClientRect();
  const x = event.clientX - left;
  const y = event.clientY - top;
  const near = layout.nearest(x, y, NEAR_PX);
  pointed = near?.id ?? "";
  const peer = near && live.peers.get(near.id);
  tip.hidden = !peer;
  if (peer && near) {
    put(tip, ...tipLines(peer).map((line, index) => h(index === 0 ? "b" : "span", {}, line)));
    const width = canvas.clientWidth;
    tip.style.left = `${Math.min(Math.max(0, near.px - 90), Math.max(0, width - 190))}px`;
    tip.style.top = `${near.py + near.radius + 20}px`;
  }
  canvas.style.cursor = peer ? "pointer" : "";
  wake();
}

/** @param {PeerRow} peer */
function tipLines(peer) {
  const flow = flows().get(peer.peerId);
  return [
    visible(peer.peerId, 60),
    visible(addressText(peer)),
    `seen ${agoText(peer.last_seen, nowSeconds())}, holds ${plural(peer.files, "file")}`,
    peer.bootstrap ? "bootstrap" : "",
    flow ? `${rateText(flow.in)} in, ${rateText(flow.out)} out` : "",
    peer.backed_off ? `avoided: it ${visible(peer.backed_off.why)}` : "",
    refusedText(peer),
  ].filter((line) => line !== "");
}

export function startMap() {
  readInks();
  addEventListener("themechange", () => {
    readInks();
    wake();
  });
  new IntersectionObserver(([entry]) => {
    isSeen = entry?.isIntersecting ?? false;
    wake();
  }).observe(canvas);
  new ResizeObserver(wake).observe(canvas);
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", point);
  canvas.addEventListener("pointerleave", () => {
    pointed = "";
    tip.hidden = true;
    wake();
  });
  canvas.addEventListener("click", () => {
    for (const row of document.querySelectorAll("#peer-rows tr")) {
      if (!(row instanceof HTMLElement) || row.dataset["peer"] !== pointed) continue;
      row.scrollIntoView({ block: "nearest" });
      row.classList.add("lit");
      setTimeout(() => row.classList.remove("lit"), 2_000);
    }
  });
  document.addEventListener("visibilitychange", wake);
  setInterval(wake, 1_000); // peers that go quiet fade
  when(["peers", "status"], notePeers);
  when(["transfers"], wake);
}
