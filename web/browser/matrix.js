// @ts-check
// Who holds which file, as a picture: one row per peer and one column per file, those at risk first. A file with one
// holder is amber and one with none is red, so that they stand out; the text above has the counts.

import { askJson } from "./api.js";
import { byId, colour, h, placeTip, put, setText } from "./dom.js";
import { live, when } from "./live.js";
import { go } from "./place.js";
import { holdersText, isAway, safetyText } from "../shared/safety.js";
import { numberText, plural, visible } from "../shared/words.js";

/** @typedef {import("../shared/types.d.ts").FileRow} FileRow */
/** @typedef {import("../shared/types.d.ts").RisksRow} Risks */

const LINE_PX = 18;
const NAME_PX = 112;
const MIN_COLUMN_PX = 4;
const MAX_COLUMN_PX = 18;
/** Maximum number of rows, to keep the picture readable. If there are more peers, those that hold the most. */
const MAX_PEERS = 40;
/** Maximum number of columns, the API's limit per response. */
const MAX_FILES = 1_000;
/** Minimum interval between redraws, in milliseconds: what it shows changes slowly. */
const PAUSE_MS = 1_000;

const canvas = /** @type {HTMLCanvasElement} */ (byId("matrix"));
const tip = byId("matrix-tip");

/** What is drawn. @type {{ peers: readonly string[], files: readonly FileRow[], column: number }} */
let drawn = { peers: [], files: [], column: MAX_COLUMN_PX };
/** The peer's latest answer. @type {Risks | undefined} */
let risks;
/** Number of files that were asked for. */
let fit = 0;
/** Whether files may have changed since the peer was asked. */
let isStale = true;
let isWaiting = false;

const widthPx = () => canvas.parentElement?.clientWidth ?? 0;

async function drawSoon() {
  if (isWaiting) return;
  isWaiting = true;
  await askAgain(); // the first time at once
  draw();
  await new Promise((go) => setTimeout(go, PAUSE_MS));
  isWaiting = false;
  if (isStale && widthPx() > 0 && !live.isGone) drawSoon();
}

/** Asks which files are at risk, unless the answer is known or nobody can see it. */
async function askAgain() {
  const wanted = Math.min(MAX_FILES, Math.floor((widthPx() - NAME_PX) / MIN_COLUMN_PX));
  if (!live.status || live.isGone || wanted <= 0 || (!isStale && wanted === fit)) return;
  isStale = false;
  fit = wanted;
  risks = await /** @type {Promise<Risks>} */ (askJson(`/api/v1/replication?limit=${wanted}`))
    .catch(() => risks); // an event or the next reload asks again
}

function draw() {
  const { status } = live;
  const width = widthPx();
  if (!status || !risks || width === 0) return;
  // Files that are equally safe are ordered by name, so that columns stay where they are.
  const all = [...risks.files].sort((a, b) =>
    rankOf(a) - rankOf(b) || (a.file_name < b.file_name ? -1 : 1)
  );
  const column = Math.min(
    MAX_COLUMN_PX,
    Math.max(MIN_COLUMN_PX, (width - NAME_PX) / Math.max(1, all.length)),
  );
  const files = all.slice(0, Math.round((width - NAME_PX) / column));
  const peers = linesOf(status.peerId, files);
  drawn = { peers, files, column };
  paint(width);
  tell(risks, files.length);
}

/** Returns the sort rank: lost files first, then those whose holders are away. @param {FileRow} file */
const rankOf = (file) => file.peers_with_file.length + (isAway(file) ? 0.5 : 0);

/**
 * Returns the peers to show: this one first, then the others by name. If there are too many, sole holders of one of
 * these files are kept first, then those that hold the most.
 * @param {string} own @param {readonly FileRow[]} files
 */
function linesOf(own, files) {
  const alone = new Set(
    files.filter((file) => file.peers_with_file.length === 1).map((file) =>
      file.peers_with_file[0]
    ),
  );
  const others = [...live.peers.values()].sort((a, b) =>
    Number(alone.has(b.peerId)) - Number(alone.has(a.peerId)) || b.files - a.files
  )
    .slice(0, MAX_PEERS - 1)
    .map(({ peerId }) => peerId).filter((id) => id !== own).sort();
  return [own, ...others];
}

/** @param {number} width */
function paint(width) {
  const { peers, files, column } = drawn;
  const height = peers.length * LINE_PX;
  const scale = devicePixelRatio;
  canvas.style.height = `${height}px`;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.scale(scale, scale);
  const [text, line, good, risk, failed] = ["text", "line", "good", "risk", "failed"].map(colour);
  const gap = column > 6 ? 2 : 1;
  pen.font = "12px system-ui";
  pen.textBaseline = "middle";
  for (const [index, peer] of peers.entries()) {
    pen.fillStyle = text ?? "";
    pen.fillText(visible(peer, 15), 0, index * LINE_PX + LINE_PX / 2, NAME_PX - 8);
  }
  for (const [place, file] of files.entries()) {
    const holders = new Set(file.peers_with_file);
    const x = NAME_PX + place * column;
    for (const [index, peer] of peers.entries()) {
      const isHeld = holders.has(peer);
      // Nobody holds it: the whole column is tinted, amber if its holders are only away.
      const none = isAway(file) ? risk : failed;
      const full = holders.size === 1 ? risk : good;
      pen.fillStyle = (isHeld ? full : holders.size === 0 ? none : line) ?? "";
      pen.globalAlpha = isHeld ? 1 : holders.size === 0 ? 0.25 : 0.5;
      pen.fillRect(x, index * LINE_PX + 2, column - gap, LINE_PX - 4);
    }
  }
  pen.globalAlpha = 1;
}

/** Says the same in words. @param {Risks} risks @param {number} shown */
function tell({ total, none, away, one }, shown) {
  const words = byId("matrix-words");
  const risk = none + away + one;
  /** @param {number} count @param {string} kind @param {string} sign @param {string} what */
  const part = (count, kind, sign, what) =>
    count > 0 &&
    h("span", {}, h("span", { class: kind }, sign), ` ${plural(count, "file")} ${what}`);
  const parts = [
    part(one, "risk", "●", "with one holder"),
    part(away, "risk", "○", "whose holders are away"),
    part(none, "failed", "○", "nobody has anymore"),
  ].filter((part) => part !== false);
  put(
    words,
    total === 0
      ? "No files yet."
      : risk === 0
      ? h("span", {}, h("span", { class: "good" }, "✓"), ` Every file has at least two holders.`)
      : h("span", {}, parts.flatMap((part, index) => index === 0 ? [part] : [" · ", part])),
  );
  byId("show-risk").hidden = risk === 0;
  setText(
    byId("matrix-more"),
    shown < total
      ? `${numberText(shown)} of ${plural(total, "file")}: those with the fewest holders`
      : "",
  );
  canvas.setAttribute(
    "aria-label",
    `Which of ${plural(drawn.peers.length, "peer")} hold which of ${plural(total, "file")}: ${
      plural(risk, "file")
    } at risk`,
  );
}

/** @param {PointerEvent | MouseEvent} event */
function fileAt(event) {
  const { left } = canvas.getBoundingClientRect();
  return drawn.files[Math.floor((event.clientX - left - NAME_PX) / drawn.column)];
}

export function startMatrix() {
  canvas.addEventListener("pointermove", (event) => {
    const file = event.clientX - canvas.getBoundingClientRect().left < NAME_PX
      ? undefined
      : fileAt(event);
    tip.hidden = !file;
    if (!file) return;
    put(
      tip,
      h("b", {}, visible(file.file_name, 60)),
      h("span", {}, safetyText(file)),
      h("span", {}, holdersText(file)),
    );
    placeTip(tip, canvas, event);
  });
  canvas.addEventListener("pointerleave", () => {
    tip.hidden = true;
  });
  canvas.addEventListener("click", (event) => {
    const file = fileAt(event);
    if (file) go({ file: file.file_id }, { isStep: true });
  });
  byId("show-risk").addEventListener("click", () => {
    go({ where: "risk", q: "", tab: "files", sort: "holders" }, { isStep: true });
    byId("files").scrollIntoView();
  });
  new ResizeObserver(drawSoon).observe(/** @type {Element} */ (canvas.parentElement));
  addEventListener("themechange", drawSoon);
  when(["files"], () => {
    isStale = true;
    drawSoon();
  });
  when(["peers", "place"], drawSoon);
}
