// @ts-check
// The file table: search as you type, sorting, filters, and only the visible rows in the DOM. The peer finds and sorts;
// what is loaded is in `live.files`.
// Invariant: while the user reads (the pointer or the focus is in the table), no row moves; new rows wait.

import { byId, h, isWriting, put, setText } from "./dom.js";
import { emptyText, fileRow, waitingRow } from "./filerow.js";
import { drawTools, startTools } from "./filetools.js";
import { live, when } from "./live.js";
import { go, place } from "./place.js";
import { rowsIn, scrollFor } from "./rowspace.js";
import { numberText, plural, startLine } from "../shared/words.js";

/** @typedef {import("../shared/types.d.ts").FileRow} FileRow */

/** Extra rows drawn above and below the visible ones. */
const SPARE_ROWS = 8;
/**
 * Minimum interval between repeated questions while files come and go, in milliseconds, and in durations of the last
 * answer: a peer that is slow, or has many pages open, is asked less often.
 */
const REFRESH_MS = 100;
const REFRESH_ANSWERS = 10;
/** Delay before a question that got no answer is asked again, in milliseconds. */
const RETRY_MS = 3_000;
const CLOCK_MS = 20_000;
/**
 * Delay before rows move again after the pointer leaves the table, in milliseconds: it may be on its way to the
 * button.
 */
const LEAVE_MS = 1_500;

const { files } = live;
/** What the drawn rows are the answer to. */
let drawnKey = "";
/** Rows in the DOM, by file id or, while a file is loading, by position. @type {Map<string, ReturnType<typeof fileRow>>} */
let rows = new Map();
/** The keyboard cursor: a file, or a position that is loading. */
let cursor = { id: "", index: -1 };
/** Whether the focus moves to the cursor once its row is loaded. */
let isFocusOwed = false;
let isRead = false;

const body = byId("file-rows");
const scroller = byId("file-scroll");
const above = h("tr", { class: "spacer", "aria-hidden": "true" });
const below = h("tr", { class: "spacer", "aria-hidden": "true" });

/** Whether rows must stay where they are. */
const isHeld = () => isRead && files.isCurrent;

function draw() {
  if (!live.status) return;
  drawTools();
  if (place.where === "deleted" || files.shownKey === "") return;
  if (drawnKey !== (drawnKey = files.shownKey)) scroller.scrollTop = 0;
  const waiting = isHeld() ? files.news : 0;
  const news = byId("news");
  news.hidden = waiting === 0;
  setText(news, `${numberText(waiting)} new`);
  setText(byId("file-count"), countText());
  paint();
}

function countText() {
  const known = live.status?.files.known ?? 0;
  const isWhole = place.q.trim() === "" && place.where === "all";
  const count = plural(files.total, "file");
  return isWhole || files.total >= known ? count : `${count} of ${numberText(known)}`;
}

function rowHeight() {
  return Number.parseFloat(getComputedStyle(scroller).getPropertyValue("--row")) || 40;
}

const view = () => ({
  scrollTop: scroller.scrollTop,
  clientHeight: scroller.clientHeight,
  row: rowHeight(),
  total: files.total,
});

/** Draws the visible rows, reusing those already in the DOM. */
function paint() {
  if (!live.status || files.shownKey === "") return; // until then, the server-rendered rows stay
  const space = rowsIn(view(), SPARE_ROWS);
  files.need(space.first, space.last);
  const next = new Map();
  const elements = [above];
  const stop = tabStop(space.first, space.last);
  for (let index = space.first; index < space.last; index++) {
    const file = files.at(index);
    // Around rows that came or went, a file may be loaded at two positions.
    const isShown = file && !next.has(file.file_id);
    const key = isShown ? file.file_id : `#${index}`;
    const row = rows.get(key) ?? (isShown ? fileRow(key) : waitingRow());
    if (isShown) {
      const isThere = files.get(file.file_id) !== undefined;
      row.update(file, { index, isStop: index === stop, isThere });
    } else row.element.setAttribute("aria-rowindex", String(index + 2));
    next.set(key, row);
    elements.push(row.element);
  }
  elements.push(below);
  above.style.height = `${space.above}px`;
  below.style.height = `${space.below}px`;
  rows = next;
  arrange(elements);
  byId("file-table").setAttribute("aria-rowcount", String(files.total + 1));
  payFocus();
  drawEmpty();
}

/** Returns the row that the table's one tab stop is at: the keyboard cursor, or else the first row drawn. */
function tabStop(/** @type {number} */ first, /** @type {number} */ last) {
  const at = files.placeOf(cursor.id);
  return at >= first && at < last ? at : first;
}

function drawEmpty() {
  const empty = byId("file-empty");
  empty.hidden = files.total > 0;
  const { status } = live;
  if (files.total > 0 || !status) return;
  // Redraw only when the text changes, so that its button keeps the focus.
  const words = JSON.stringify([place.q, place.where, status.peers === 0 && startLine(status)]);
  if (empty.dataset["drawn"] !== words) put(empty, ...emptyText());
  empty.dataset["drawn"] = words;
}

/**
 * Orders the elements with as few moves as possible, so that the focused one stays in the DOM.
 * @param {Element[]} elements
 */
function arrange(elements) {
  const wanted = new Set(elements);
  for (const child of [...body.children]) if (!wanted.has(child)) child.remove();
  for (const [index, element] of elements.entries()) {
    if (body.children[index] !== element) body.insertBefore(element, body.children[index] ?? null);
  }
}

/** Returns the file at the keyboard cursor, if it is loaded. */
export const cursorFile = () => files.get(cursor.id);

/** @param {number} step */
export function moveCursor(step) {
  if (files.total === 0) return;
  const at = cursor.id === "" ? cursor.index : files.placeOf(cursor.id);
  const index = Math.min(files.total - 1, Math.max(0, at < 0 ? 0 : at + step));
  cursor = { id: files.at(index)?.file_id ?? "", index };
  isFocusOwed = true;
  const head = scroller.querySelector("thead")?.clientHeight ?? 0;
  scroller.scrollTop = scrollFor(index, view(), head);
  paint();
}

/** Moves the focus to the row at the cursor, once that is loaded. */
function payFocus() {
  if (!isFocusOwed) return;
  if (cursor.id === "") cursor.id = files.at(cursor.index)?.file_id ?? "";
  const row = rows.get(cursor.id)?.element;
  if (!row) return;
  isFocusOwed = false;
  for (const { element } of rows.values()) element.tabIndex = element === row ? 0 : -1;
  row.focus({ preventScroll: true });
  row.scrollIntoView({ block: "nearest" }); // the table may be taller than the screen
}

/** @param {string} fileId */
export function setCursor(fileId) {
  cursor = { id: fileId, index: files.placeOf(fileId) };
  isFocusOwed = false;
  paint();
}

/** When the next question may be asked. */
let nextMs = 0;
let isWaiting = false;

/** Reads the rows on the screen again, or counts those that wait, soon and not too often. */
async function refreshSoon() {
  if (isWaiting) return;
  isWaiting = true;
  await new Promise((go) => setTimeout(go, nextMs - performance.now()));
  const askedMs = performance.now();
  await (isHeld() ? files.peek() : files.refresh());
  const nowMs = performance.now();
  const pauseMs = Math.max(REFRESH_MS, REFRESH_ANSWERS * (nowMs - askedMs));
  nextMs = nowMs + (files.hasFailed ? RETRY_MS : pauseMs);
  isWaiting = false;
  if (files.isStale && !isHeld() && !live.isGone) refreshSoon();
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let leaving;

/** Lets rows move again. */
function free() {
  clearTimeout(leaving);
  isRead = false;
  if (files.isStale) files.refresh();
  draw();
}

function watchReading() {
  body.addEventListener("pointerenter", (event) => {
    clearTimeout(leaving);
    isRead ||= event.pointerType === "mouse";
  });
  body.addEventListener("pointerleave", () => {
    clearTimeout(leaving);
    leaving = setTimeout(free, LEAVE_MS);
  });
  body.addEventListener("focusin", () => {
    isRead = true;
  });
  body.addEventListener("focusout", (event) => {
    const isOut = !(event.relatedTarget instanceof Node && body.contains(event.relatedTarget));
    if (isOut) setTimeout(free); // a row being removed loses the focus too; do not redraw in the middle of that
  });
  byId("news").addEventListener("click", () => {
    scroller.scrollTop = 0;
    paint();
    free();
  });
}

/** Asks for what the user wants to see now. */
function ask() {
  if (place.where !== "deleted") files.show(place);
  draw();
}

export function startFiles() {
  startTools(ask); // without delay: the user is waiting for this
  scroller.addEventListener("scroll", () => requestAnimationFrame(paint), { passive: true });
  new ResizeObserver(() => paint()).observe(scroller);
  watchReading();
  body.addEventListener("click", (event) => {
    if (!(event.target instanceof Element) || event.target.closest("a, [data-act]")) return;
    const id = event.target.closest("tr")?.dataset["id"];
    if (!id || isWriting(event.target)) return;
    setCursor(id);
    go({ file: id }, { isStep: true });
  });
  setInterval(paint, CLOCK_MS);
  when(["files"], () => {
    if (files.shownKey !== "") refreshSoon();
    draw();
  });
  when(["rows"], () => {
    if (files.isStale && !isHeld() && !live.isGone) refreshSoon(); // what arrived may be older than the last event
    draw();
  });
  when(["transfers", "session", "status"], draw);
  when(["place"], ask);
}
