// @ts-check
// Transfers: what runs, with how far and how fast; what was done a moment ago; what failed, why, and again.

import { cancelTransfer, retryTransfer } from "./actions.js";
import { byId, h, keepFocus, put, setText } from "./dom.js";
import { live, nowSeconds, when } from "./live.js";
import { ownUploads } from "./share.js";
import { DONE_SECONDS, isNews, transferText } from "./transferwords.js";
import { visible } from "./words.js";

/** @typedef {import("./types.d.ts").TransferRow} TransferRow */

/** It begins to fade so long before it goes. */
const FADE_SECONDS = 5;
const MAX_SHOWN = 30;
/** Of what was done a moment ago only the latest. */
const MAX_DONE = 5;

/** @type {Map<number, ReturnType<typeof transferRow>>} */
const rows = new Map();
/** Failed ones that somebody has seen. @type {Set<number>} */
const putAway = new Set();

function draw() {
  const list = byId("transfers");
  const now = nowSeconds();
  // The newest first, whatever becomes of them: a row that ends stays where it is.
  const news = [...live.transfers.values()].filter((each) => isShown(each, now)).sort((a, b) =>
    b.id - a.id
  );
  const done = news.filter(({ state }) => state === "done").slice(MAX_DONE);
  const wanted = news.filter((each) => !done.includes(each)).slice(0, MAX_SHOWN);
  // While somebody is about to press something in the list, nothing moves under the pointer.
  const isRead = list.matches(":hover");
  const shown = isRead ? held() : wanted;
  const ids = new Set(shown.map(({ id }) => id));
  for (const [id, row] of rows) {
    if (ids.has(id)) continue;
    row.element.remove();
    rows.delete(id);
  }
  for (const [index, transfer] of shown.entries()) {
    const row = rows.get(transfer.id) ?? transferRow(transfer);
    rows.set(transfer.id, row);
    row.update(transfer, now);
    if (list.children[index] !== row.element) {
      list.insertBefore(row.element, list.children[index] ?? null);
    }
  }
  const running = news.filter(({ state }) => state === "running").length;
  byId("transfers-empty").hidden = shown.length > 0;
  const more = news.filter((each) => !ids.has(each.id) && !done.includes(each)).length;
  setText(byId("transfers-more"), more > 0 ? `and ${more} more` : "");
  setText(byId("moving-count"), running > 0 ? String(running) : "");
}

/** What is in the list, as it is now. */
const held = () =>
  [...rows.keys()].flatMap((id) => live.transfers.get(id) ?? []).filter(({ id }) =>
    !putAway.has(id)
  )
    .sort((a, b) => b.id - a.id);

/** @param {TransferRow} transfer @param {number} now Unix seconds */
const isShown = (transfer, now) =>
  isNews(transfer, now) && !putAway.has(transfer.id) &&
  !(transfer.kind === "upload" && ownUploads.has(transfer.file_name)); // it stands under Share

/** @param {TransferRow} transfer */
function transferRow({ id, file_name, direction }) {
  const bar = h("progress", { "aria-label": `Progress of ${visible(file_name, 80)}` });
  const words = h("p", { class: "words" });
  const acts = h("div", { class: "acts" });
  const title = h("bdi", {});
  const element = h(
    "li",
    { class: "transfer", "data-transfer": id },
    h(
      "p",
      { class: "name" },
      h("span", { class: "way", "aria-hidden": "true" }, direction === "in" ? "↓" : "↑"),
      title,
    ),
    acts,
    bar,
    words,
  );
  let state = "";

  /** @param {TransferRow} transfer @param {number} now Unix seconds */
  function update(transfer, now) {
    const { done_bytes, total_bytes, ended_at } = transfer;
    setText(title, visible(transfer.file_name, 120) || "a file");
    if (transfer.state === "running") {
      if (total_bytes) {
        bar.max = total_bytes;
        bar.value = done_bytes;
      } else bar.removeAttribute("value");
    }
    setText(words, transferText(transfer, live.speeds.get(transfer.id)?.bytesPerSecond ?? 0));
    const isFading = transfer.state === "done" &&
      now - (ended_at ?? 0) > DONE_SECONDS - FADE_SECONDS;
    element.classList.toggle("fading", isFading);
    if (state === transfer.state) return;
    state = transfer.state;
    element.className = `transfer ${state}`;
    bar.hidden = state !== "running";
    words.className = `words ${state === "failed" ? "failed" : ""}`;
    put(acts, ...actsOf(transfer));
  }

  return { element, update };
}

/** @param {TransferRow} transfer */
function actsOf({ id, kind, state, file_id, file_name }) {
  const name = visible(file_name, 80);
  if (state === "running") {
    return [button("Cancel", name, () => cancelTransfer(id), "changing")];
  }
  if (state === "done") return [];
  const away = button("Put away", name, () => {
    putAway.add(id);
    keepFocus(byId("transfers"), draw);
  }, "quiet");
  if (kind !== "fetch" || file_id === "") return [away];
  return [button("Retry", name, () => retryTransfer(id), "changing"), away];
}

/** @param {string} words @param {string} name @param {() => void} onclick @param {string} kind */
const button = (words, name, onclick, kind) =>
  h("button", { type: "button", class: kind, "aria-label": `${words}: ${name}`, onclick }, words);

export function startMoving() {
  put(byId("transfers")); // what the server wrote is drawn anew
  byId("transfers").addEventListener("pointerleave", draw);
  setInterval(draw, 1_000);
  when(["transfers", "session"], draw);
}
