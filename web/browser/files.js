// @ts-check
// The file table: search as you type, sorting, filters, and only the visible rows in the DOM.
// Invariant: while the user reads (the pointer or the focus is in the table), no row moves; new rows wait.

import { askJson } from "./api.js";
import { byId, h, isWriting, put, setText } from "./dom.js";
import { emptyText, fileRow } from "./filerow.js";
import { NEWEST_FIRST } from "../shared/filelist.js";
import { drawTools, startTools } from "./filetools.js";
import { live, MAX_FILES, when } from "./live.js";
import { go, place } from "./place.js";
import { numberText, plural, startLine } from "../shared/words.js";

/** @typedef {import("../shared/types.d.ts").FileRow} FileRow */

/** Extra rows drawn above and below the visible ones. */
const SPARE_ROWS = 8;
/** Delay after the last keystroke before the peer is asked, in milliseconds. */
const TYPING_MS = 150;
/** Maximum number of files requested from the peer when it knows more than the page holds. */
const MAX_FOUND = 1_000;
/** Minimum interval between repeated searches on the peer while files come and go, in milliseconds. */
const FOUND_MS = 2_000;
const CLOCK_MS = 20_000;
/**
 * Delay before rows move again after the pointer leaves the table, in milliseconds: it may be on its way to the
 * button.
 */
const LEAVE_MS = 1_500;

/** Files in the table, in order. @type {readonly FileRow[]} */
let shown = [];
let shownKey = "";
/** Rows in the DOM, by file id. @type {Map<string, ReturnType<typeof fileRow>>} */
let rows = new Map();
/** Id of the file at the keyboard cursor. */
let cursor = "";
let isRead = false;
/**
 * Search results from the peer, used when it knows more files than the page holds.
 * @type {{ key: string, files: readonly FileRow[], total: number }}
 */
let found = { key: "", files: [], total: 0 };

/** The page's initial view: everything, newest first. */
const WHOLE = JSON.stringify(["", "all", NEWEST_FIRST]);

/** Returns the current search as a string, for comparison. */
const askedFor = () => JSON.stringify([place.q, place.where, place.sort]);

const body = byId("file-rows");
const scroller = byId("file-scroll");
const above = h("tr", { class: "spacer", "aria-hidden": "true" });
const below = h("tr", { class: "spacer", "aria-hidden": "true" });

/** Finds the files to show and draws them. */
function draw() {
  if (!live.status) return;
  drawTools();
  if (place.where === "deleted") return;
  const key = askedFor();
  const fits = fitting(key);
  const isHeld = isRead && key === shownKey;
  const waiting = isHeld ? hold(fits) : 0;
  if (!isHeld) shown = fits;
  if (key !== shownKey) scroller.scrollTop = 0;
  shownKey = key;
  const news = byId("news");
  news.hidden = waiting === 0;
  setText(news, `${waiting} new`);
  setText(byId("file-count"), countText(fits.length, key));
  paint();
}

/** @param {number} fits @param {string} key */
function countText(fits, key) {
  const total = found.key === key ? found.total : fits;
  const known = numberText(live.known);
  if (total > fits) return `the first ${numberText(fits)} of ${plural(total, "file")}`;
  if (fits === live.known) return plural(live.known, "file");
  return key === WHOLE && live.known > MAX_FILES
    ? `the newest ${numberText(fits)} of ${known} files; search covers all`
    : `${plural(fits, "file")} of ${known}`;
}

/** @param {string} key @returns {readonly FileRow[]} */
function fitting(key) {
  const own = live.status?.peerId ?? "";
  if (found.key === key) return found.files.map((file) => live.files.get(file.file_id) ?? file);
  return live.files.find(place, own);
}

/** Updates the rows in place and returns how many new ones are waiting. @param {readonly FileRow[]} fits */
function hold(fits) {
  const known = new Set(shown.map(({ file_id }) => file_id));
  shown = shown.map((file) => live.files.get(file.file_id) ?? file);
  return fits.filter(({ file_id }) => !known.has(file_id)).length;
}

function rowHeight() {
  return Number.parseFloat(getComputedStyle(scroller).getPropertyValue("--row")) || 40;
}

/** Draws the visible rows, reusing those already in the DOM. */
function paint() {
  if (!live.status) return; // until then, the server-rendered rows stay
  const height = rowHeight();
  const first = Math.max(0, Math.floor(scroller.scrollTop / height) - SPARE_ROWS);
  const last = Math.min(
    shown.length,
    Math.ceil((scroller.scrollTop + scroller.clientHeight) / height) + SPARE_ROWS,
  );
  const next = new Map();
  // The table has one tab stop: the row at the keyboard cursor, or else the first row drawn.
  const drawn = shown.slice(first, last);
  const stop = drawn.some(({ file_id }) => file_id === cursor) ? cursor : drawn[0]?.file_id;
  const elements = [above];
  for (const [offset, file] of drawn.entries()) {
    const row = rows.get(file.file_id) ?? fileRow(file.file_id);
    const isThere = live.files.get(file.file_id) !== undefined || found.files.includes(file);
    row.update(file, { index: first + offset, isStop: file.file_id === stop, isThere });
    next.set(file.file_id, row);
    elements.push(row.element);
  }
  elements.push(below);
  above.style.height = `${first * height}px`;
  below.style.height = `${(shown.length - last) * height}px`;
  rows = next;
  arrange(elements);
  byId("file-table").setAttribute("aria-rowcount", String(shown.length + 1));
  const empty = byId("file-empty");
  empty.hidden = shown.length > 0;
  if (shown.length > 0) return;
  // Redraw only when the text changes, so that its button keeps the focus.
  const { status } = live;
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

/** Returns the file at the keyboard cursor, if it is shown. */
export const cursorFile = () => shown.find(({ file_id }) => file_id === cursor);

/** @param {number} step */
export function moveCursor(step) {
  if (shown.length === 0) return;
  const at = shown.findIndex(({ file_id }) => file_id === cursor);
  const next = Math.min(shown.length - 1, Math.max(0, at < 0 ? 0 : at + step));
  setCursor(shown[next]?.file_id ?? "");
  const height = rowHeight();
  const head = scroller.querySelector("thead")?.clientHeight ?? 0;
  if (next * height < scroller.scrollTop) scroller.scrollTop = next * height;
  const bottom = (next + 1) * height + head - scroller.clientHeight;
  if (bottom > scroller.scrollTop) scroller.scrollTop = bottom;
  paint();
  const row = rows.get(cursor)?.element;
  row?.focus({ preventScroll: true });
  row?.scrollIntoView({ block: "nearest" }); // the table may be taller than the screen
}

/** @param {string} fileId */
export function setCursor(fileId) {
  cursor = fileId;
  paint();
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let typing;

/** Searches on the peer if it knows more files than the page holds. @param {number} afterMs */
function askForMore(afterMs) {
  clearTimeout(typing);
  const { q, where, sort } = place;
  const key = askedFor();
  if (live.known <= live.files.size || key === WHOLE || where === "deleted") return;
  typing = setTimeout(async () => {
    const asked = new URLSearchParams({ sort, limit: String(MAX_FOUND) });
    if (q !== "") asked.set("q", q);
    if (where !== "all") asked.set("where", where);
    const answer = /** @type {{ files: FileRow[], total: number } | undefined} */ (
      await askJson(`/api/v1/files?${asked}`).catch(() => undefined)
    );
    if (!answer || askedFor() !== key) return;
    found = { key, files: answer.files, total: answer.total };
    foundMs = performance.now();
    draw();
  }, afterMs);
}

let foundMs = 0;

/** Redraws, and repeats a search on the peer whose results may be stale. */
function onFiles() {
  if (found.key === shownKey && performance.now() - foundMs > FOUND_MS) {
    foundMs = performance.now();
    askForMore(FOUND_MS);
  }
  draw();
}

export function startFiles() {
  startTools(draw); // without delay: the user is waiting for this
  scroller.addEventListener("scroll", () => requestAnimationFrame(paint), { passive: true });
  new ResizeObserver(() => paint()).observe(scroller);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let leaving;
  const free = () => {
    clearTimeout(leaving);
    isRead = false;
    draw();
  };
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
    free();
    scroller.scrollTop = 0;
  });
  body.addEventListener("click", (event) => {
    if (!(event.target instanceof Element) || event.target.closest("a, [data-act]")) return;
    const id = event.target.closest("tr")?.dataset["id"];
    if (!id || isWriting(event.target)) return;
    setCursor(id);
    go({ file: id }, { isStep: true });
  });
  setInterval(paint, CLOCK_MS);
  when(["files"], onFiles);
  when(["transfers", "session"], draw);
  when(["place"], () => {
    askForMore(TYPING_MS);
    draw();
  });
  when(["status"], () => {
    // The first status says whether the peer knows more than the page holds.
    if (found.key === "" && live.known > live.files.size) askForMore(0);
  });
}
