// @ts-check
// The transfer list: running transfers with progress and speed, recently finished ones, and failed ones with the reason
// and a Retry button. Invariant: a retry takes over the row of the attempt it replaces, so no file has two fetch rows.

import { cancelTransfer, retryTransfer } from "./actions.js";
import { byId, h, keepFocus, nameParts, put, setText } from "./dom.js";
import { live, nowSeconds, when } from "./live.js";
import { isPutAway, putAway, watchPutAway } from "./putaway.js";
import { isOwnUpload } from "./sending.js";
import { arrowOf, DONE_SECONDS, isNews, replaced, transferText } from "../shared/transferwords.js";
import { visible } from "../shared/words.js";

/** @typedef {import("../shared/types.d.ts").TransferRow} TransferRow */

/** How long before it disappears a row begins to fade, in seconds. */
const FADE_SECONDS = 5;
const MAX_SHOWN = 30;
/** Maximum number of finished transfers shown; only the latest are. */
const MAX_DONE = 5;
/**
 * How long rows stay in place after the pointer last moved over the list, in milliseconds. A pointer left resting there
 * must not freeze it.
 */
const HOLD_MS = 5_000;

/** Rows in the list, by key. @type {Map<string, ReturnType<typeof transferRow>>} */
const rows = new Map();
/** Keys of rows where the user pressed Retry: the new attempt stays in the same place. @type {Set<string>} */
const retried = new Set();
let movedMs = -Infinity;

/**
 * Returns a row's key: all attempts to fetch a file share a row, and any other transfer has its own.
 * @param {TransferRow} transfer
 */
const keyOf = ({ id, kind, file_id }) =>
  kind === "fetch" && file_id !== "" ? `fetch ${file_id}` : `${id}`;

/** Returns the sort key: newest first, except that a retry keeps its row's place. @param {TransferRow} transfer */
function orderOf(transfer) {
  const key = keyOf(transfer);
  return retried.has(key) ? rows.get(key)?.order ?? transfer.id : transfer.id;
}

function draw() {
  if (!live.status) return; // until the lists are loaded, the server-rendered rows stay
  const list = byId("transfers");
  const now = nowSeconds();
  const old = replaced(live.transfers.values());
  const news = [...live.transfers.values()]
    .filter((each) => !old.has(each.id) && isShown(each, now))
    .sort((a, b) => orderOf(b) - orderOf(a));
  const done = news.filter(({ state }) => state === "done").slice(MAX_DONE);
  const wanted = news.filter((each) => !done.includes(each)).slice(0, MAX_SHOWN);
  // While the user may be about to click something in the list, nothing moves under the pointer.
  const isHeld = performance.now() - movedMs < HOLD_MS;
  const shown = isHeld ? held(old) : wanted;
  const keys = new Set(shown.map(keyOf));
  for (const [key, row] of rows) {
    if (keys.has(key)) continue;
    row.element.remove();
    rows.delete(key);
    retried.delete(key);
  }
  if (rows.size === 0) put(list); // including the server-rendered rows
  for (const [index, transfer] of shown.entries()) {
    const key = keyOf(transfer);
    const row = rows.get(key) ?? transferRow(transfer);
    rows.set(key, row);
    if (!isHeld) row.order = orderOf(transfer);
    row.update(transfer, now);
    if (list.children[index] !== row.element) {
      list.insertBefore(row.element, list.children[index] ?? null);
    }
  }
  const running = news.filter(({ state }) => state === "running").length;
  byId("transfers-empty").hidden = shown.length > 0;
  const more = news.filter((each) => !keys.has(keyOf(each)) && !done.includes(each)).length;
  setText(byId("transfers-more"), more > 0 ? `and ${more} more` : "");
  setText(byId("moving-count"), running > 0 ? String(running) : "");
}

/** Returns the transfers of the rows already in the list: the latest attempt of each. @param {Set<number>} old */
const held = (old) =>
  [...live.transfers.values()]
    .filter((each) => rows.has(keyOf(each)) && !old.has(each.id) && !isPutAway(each))
    .sort((a, b) => (rows.get(keyOf(b))?.order ?? 0) - (rows.get(keyOf(a))?.order ?? 0));

/** @param {TransferRow} transfer @param {number} now Unix seconds */
const isShown = (transfer, now) =>
  isNews(transfer, now) && !isPutAway(transfer) && !isOwnUpload(transfer); // this page's own uploads have a row under Share

/** @param {TransferRow} transfer */
function transferRow(transfer) {
  const bar = h("progress", { "aria-label": `Progress of ${visible(transfer.file_name, 80)}` });
  const words = h("p", { class: "words" });
  const acts = h("div", { class: "acts" });
  const title = h("bdi", { class: "whole-name" });
  const element = h(
    "li",
    { class: "transfer" },
    h(
      "p",
      { class: "name" },
      h("span", { class: "way", "aria-hidden": "true" }, arrowOf(transfer)),
      title,
    ),
    acts,
    bar,
    words,
  );
  let drawn = "";
  let name = "";

  /** @param {TransferRow} transfer @param {number} now Unix seconds */
  function update(transfer, now) {
    const { id, done_bytes, total_bytes, ended_at, file_name } = transfer;
    if (name !== (name = visible(file_name, 120) || "a file")) {
      put(title, ...nameParts(name));
      title.title = name;
    }
    if (transfer.state === "running") {
      if (total_bytes) {
        bar.max = total_bytes;
        bar.value = done_bytes;
      } else bar.removeAttribute("value");
    }
    setText(words, transferText(transfer, live.speeds.get(id)?.bytesPerSecond ?? 0));
    const isFading = transfer.state === "done" &&
      now - (ended_at ?? 0) > DONE_SECONDS - FADE_SECONDS;
    element.classList.toggle("fading", isFading);
    // A retry is a new attempt in the same row, so the buttons must refer to it.
    const key = `${id} ${transfer.state}`;
    if (drawn === key) return;
    drawn = key;
    element.dataset["transfer"] = String(id);
    element.className = `transfer ${transfer.state}`;
    bar.hidden = transfer.state !== "running";
    words.className = `words ${transfer.state === "failed" ? "failed" : ""}`;
    keepFocus(element, () => put(acts, ...actsOf(transfer)));
  }

  return { element, update, order: transfer.id };
}

/** @param {TransferRow} transfer */
function actsOf(transfer) {
  const { id, kind, state, file_id, file_name } = transfer;
  const name = visible(file_name, 80);
  if (state === "running") {
    return [button("Cancel", name, () => cancelTransfer(id), "changing")];
  }
  if (state === "done") return [];
  const away = button("Dismiss", name, () => {
    putAway(live.transfers.get(id) ?? transfer, nowSeconds());
    keepFocus(byId("transfers"), draw);
  }, "quiet");
  if (kind !== "fetch" || file_id === "") return [away];
  const again = button("Retry", name, () => {
    retried.add(keyOf(transfer));
    retryTransfer(id);
  }, "changing");
  return [again, away];
}

/** @param {string} words @param {string} name @param {() => void} onclick @param {string} kind */
const button = (words, name, onclick, kind) =>
  h("button", { type: "button", class: kind, "aria-label": `${words}: ${name}`, onclick }, words);

export function startMoving() {
  byId("pacing").onclick = () => import("./pace.js").then(({ openPace }) => openPace());
  const list = byId("transfers");
  list.addEventListener("pointermove", ({ pointerType }) => {
    // Touch has no resting position, and browsers keep reporting the last touched element as hovered.
    if (pointerType === "mouse") movedMs = performance.now();
  });
  list.addEventListener("pointerleave", () => {
    movedMs = -Infinity;
    draw();
  });
  watchPutAway(draw);
  setInterval(draw, 1_000);
  when(["transfers", "session", "status"], draw);
}
