// @ts-check
// The page's header and its strip of figures, with sparklines of the last minute's rates in both directions.

import { byId, colour, setText } from "./dom.js";
import { live, when } from "./live.js";
import { copy } from "./actions.js";
import {
  addressText,
  durationText,
  indexingText,
  limitsText,
  numberText,
  plural,
  rateText,
  sizeText,
  stateText,
  troubleTexts,
  warningText,
} from "../shared/words.js";

/** @typedef {import("../shared/types.d.ts").StatusRow} StatusRow */

const SPARK_SECONDS = 60;

function draw() {
  const { status } = live;
  if (!status) return;
  const [kind, words] = stateOf(status);
  byId("state-dot").className = `dot ${kind}`;
  setText(byId("state-words"), words);
  setText(byId("uptime"), `up ${durationText(status.uptime_seconds)}`);
  setText(byId("held"), numberText(status.files.held));
  setText(byId("known"), numberText(status.files.known));
  setText(byId("peers-alive"), numberText(status.peers));
  setText(byId("peers-words"), status.peers === 1 ? "peer" : "peers");
  const last = live.rates.all.at(-1);
  setText(byId("rate-in"), rateText(last?.in ?? 0));
  setText(byId("rate-out"), rateText(last?.out ?? 0));
  setText(byId("rate-in-words"), "in");
  setText(byId("rate-out-words"), "out");
  byId("rate-in").title = `${sizeText(status.bytes.in)} since start`;
  byId("rate-out").title = `${sizeText(status.bytes.out)} since start`;
  const free = Math.max(0, status.free_bytes);
  setText(byId("free"), sizeText(free));
  const meter = /** @type {HTMLMeterElement} */ (byId("free-line"));
  meter.max = Math.max(1, free + status.files.held_bytes);
  meter.value = status.files.held_bytes;
  meter.title = `${sizeText(status.files.held_bytes)} kept here`;
  drawSpark(
    /** @type {HTMLCanvasElement} */ (byId("spark-in")),
    live.rates.all.map((rate) => rate.in),
  );
  drawSpark(
    /** @type {HTMLCanvasElement} */ (byId("spark-out")),
    live.rates.all.map((rate) => rate.out),
  );
  drawWarning(status);
  drawIndexing(status);
  const limits = byId("limits");
  limits.hidden = status.overload.length === 0;
  setText(limits, limitsText(status.overload));
}

/** @param {StatusRow} status */
function drawIndexing({ indexing }) {
  const part = byId("indexing");
  part.hidden = indexing === null;
  if (indexing === null) return;
  part.title = indexingText(indexing);
  setText(byId("indexing-words"), part.title);
  const line = /** @type {HTMLProgressElement} */ (byId("indexing-line"));
  line.max = Math.max(1, indexing.bytes_total);
  line.value = indexing.bytes_done;
}

/** @param {StatusRow} status @returns {[string, string]} */
function stateOf(status) {
  if (live.isGone) return ["failed", "away"];
  return [status.synchronized ? "good" : "risk", stateText(status)];
}

/** @param {StatusRow} status */
function drawWarning(status) {
  const line = byId("warning");
  const words = warningText(status);
  line.hidden = words === "";
  setText(line, words);
  const troubles = byId("troubles");
  setText(troubles, troubleTexts(status.bootstrap_troubles));
  troubles.hidden = troubles.textContent === "";
}

/** @param {HTMLCanvasElement} canvas @param {readonly number[]} values */
function drawSpark(canvas, values) {
  const { clientWidth: width, clientHeight: height } = canvas;
  if (width === 0) return;
  const scale = devicePixelRatio;
  canvas.width = width * scale;
  canvas.height = height * scale;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.scale(scale, scale);
  const last = values.slice(-SPARK_SECONDS);
  const most = Math.max(1, ...last);
  pen.beginPath();
  for (let second = 0; second < SPARK_SECONDS; second++) {
    const value = last[second - (SPARK_SECONDS - last.length)] ?? 0;
    const x = second / (SPARK_SECONDS - 1) * width;
    pen.lineTo(x, height - 1 - value / most * (height - 3));
  }
  pen.strokeStyle = colour("accent");
  pen.lineWidth = 1.5;
  pen.stroke();
  pen.lineTo(width, height);
  pen.lineTo(0, height);
  pen.globalAlpha = 0.12;
  pen.fillStyle = colour("accent");
  pen.fill();
}

function drawGone() {
  document.body.classList.toggle("gone", live.isGone);
  byId("absent").hidden = !live.isGone;
  draw();
}

export function startFigures() {
  for (const each of document.querySelectorAll("[data-copy-address]")) {
    each.addEventListener("click", () => {
      if (live.status) copy(addressText(live.status), "address");
    });
  }
  when(["status"], draw);
  when(["gone"], drawGone);
}

/** Returns the title for the browser tab: the peer's id and its number of peers. */
export const tabTitle = () =>
  live.status ? `${live.status.peerId} · ${plural(live.status.peers, "peer")}` : "p2p-peer";
