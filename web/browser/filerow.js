// @ts-check
// One file as a table row: what it is, how safe it is, and its most useful action.

import { contentPath, fetchFile } from "./actions.js";
import { h, icon, nameParts, put, setText } from "./dom.js";
import { bytesOf, secondsOf } from "../shared/filelist.js";
import { live, NEW_MS, nowSeconds } from "./live.js";
import { place } from "./place.js";
import { startAnother } from "./peers.js";
import { holdersText, pipsText, safetyKind, safetyText } from "../shared/safety.js";
import { agoText, exactText, numberText, sizeText, visible } from "../shared/words.js";

/** @typedef {import("../shared/types.d.ts").FileRow} FileRow */
/** @typedef {import("../shared/types.d.ts").TransferRow} TransferRow */

/**
 * Creates an empty row and the function that fills it. Only changes are written to the DOM.
 * @param {string} fileId
 */
export function fileRow(fileId) {
  const cells = emptyCells(fileId);
  const { element, time } = cells;
  if (performance.now() - (live.arrivedMs.get(fileId) ?? -Infinity) < NEW_MS) {
    element.classList.add("lit");
    setTimeout(() => element.classList.remove("lit"), NEW_MS);
  }
  let drawn = "";

  /** @param {FileRow} file @param {{ index: number, isStop: boolean, isThere: boolean }} where */
  function update(file, { index, isStop, isThere }) {
    element.setAttribute("aria-rowindex", String(index + 2));
    element.tabIndex = isStop ? 0 : -1;
    setText(time, agoText(secondsOf(file), nowSeconds()));
    const fetching = fetchOf(file.file_id);
    const isAsked = fetching !== undefined || live.asked.has(file.file_id);
    const key = JSON.stringify([file, fetching?.done_bytes, isAsked, isThere]);
    if (key === drawn) return;
    drawn = key;
    fillCells(cells, file, { fetching, isAsked, isThere });
  }

  return { element, update };
}

/** Creates a row for a file that is being loaded. */
export function waitingRow() {
  const bar = () => h("span", { class: "bar", "aria-hidden": "true" });
  const element = h(
    "tr",
    { class: "row waiting", "aria-busy": "true" },
    h("td", { class: "file" }, bar(), h("span", { class: "unseen" }, "Loading")),
    ...["num", "owner", "time", "safe"].map((kind) => h("td", { class: kind }, bar())),
    h("td", { class: "acts" }),
  );
  return { element, update: () => {} };
}

/** Creates the row and the parts of its cells that are filled in. @param {string} fileId */
function emptyCells(fileId) {
  const whole = h("bdi", { class: "whole-name" });
  const name = h("button", { type: "button", class: "name", tabindex: -1 }, whole);
  const mark = h("span", { class: "mark" });
  const size = h("td", { class: "num" });
  const owner = h("td", { class: "owner" });
  const time = h("td", { class: "time" });
  const pips = h("span", { class: "pips", "aria-hidden": "true" });
  const words = h("span", { class: "words" });
  const act = h("td", { class: "acts" });
  const element = h(
    "tr",
    { class: "row", "data-id": fileId, tabindex: -1 },
    h("td", { class: "file" }, name, mark),
    size,
    owner,
    time,
    h("td", { class: "safe" }, pips, words),
    act,
  );
  return { element, whole, name, mark, size, owner, time, pips, words, act };
}

/**
 * @param {ReturnType<typeof emptyCells>} cells @param {FileRow} file
 * @param {{ fetching: TransferRow | undefined, isAsked: boolean, isThere: boolean }} state
 */
function fillCells(cells, file, { fetching, isAsked, isThere }) {
  const { element, whole, name, mark, size, owner, time, pips, words, act } = cells;
  element.classList.toggle("away", !isThere);
  if (name.title !== visible(file.file_name)) {
    name.title = visible(file.file_name);
    put(whole, ...nameParts(name.title));
  }
  drawMark(mark, file);
  setText(size, sizeText(bytesOf(file)));
  size.title = file.size_bytes === undefined
    ? "as reported by the owner"
    : `${numberText(file.size_bytes)} bytes`;
  setText(owner, visible(file.file_owner, 40));
  owner.title = visible(file.file_owner);
  time.title = exactText(secondsOf(file));
  setText(pips, isAsked ? "" : pipsText(file));
  pips.className = `pips ${safetyKind(file)}`;
  setText(words, isThere ? isAsked ? fetchText(fetching) : safetyText(file) : "Deleted");
  words.title = holdersText(file);
  drawAct(act, file, isAsked);
}

/** @param {Element} mark @param {FileRow} file */
function drawMark(mark, file) {
  put(
    mark,
    ...file.has_copy
      ? [
        h("span", { class: "good", title: "content matches its id", "aria-hidden": "true" }, "✓"),
        h("span", { class: "unseen" }, "kept here, content matches its id"),
      ]
      : [],
  );
}

/** @param {Element} act @param {FileRow} file @param {boolean} isFetching */
function drawAct(act, file, isFetching) {
  const name = visible(file.file_name);
  const id = file.file_id;
  if (file.has_copy) {
    put(
      act,
      h("a", {
        class: "action",
        href: contentPath(id),
        download: "",
        tabindex: -1,
        title: "Download",
        "aria-label": `Download ${name}`,
      }, icon("download")),
    );
  } else if (file.peers_with_file.length > 0 && !isFetching) {
    put(
      act,
      h("button", {
        type: "button",
        class: "action changing",
        "data-act": "fetch",
        tabindex: -1,
        "aria-label": `Fetch ${name}`,
        onclick: () => fetchFile(file),
      }, "Fetch"),
    );
  } else put(act);
}

/** Returns the running transfer that brings this file here, if any. @param {string} fileId */
export function fetchOf(fileId) {
  for (const transfer of live.transfers.values()) {
    if (
      transfer.file_id === fileId && transfer.state === "running" && transfer.direction === "in"
    ) {
      return transfer;
    }
  }
}

/** @param {TransferRow | undefined} transfer Undefined until the peer reports one */
function fetchText(transfer) {
  if (!transfer?.total_bytes) return "Fetching";
  return `Fetching, ${Math.floor(100 * Math.min(1, transfer.done_bytes / transfer.total_bytes))} %`;
}

/** Returns what an empty table says. */
export function emptyText() {
  const status = live.status;
  if (place.q !== "") {
    return [
      h("p", {}, `No matches for "${visible(place.q)}".`),
      h("p", {}, "Try part of a name or owner, or the start of an id."),
    ];
  }
  if (place.where === "mine") {
    return [h("p", {}, "Nothing shared yet. Drop a file anywhere on this page.")];
  }
  if (place.where === "risk") return [h("p", {}, "Every file has at least two holders.")];
  if (place.where === "elsewhere") {
    return [h("p", {}, "Every file on the network is kept here.")];
  }
  if (place.where === "here") {
    return [h("p", {}, "No files here yet. Fetch one, or drop one on this page.")];
  }
  return [
    h("p", {}, "No files yet. Drop one anywhere on this page, or put it in the storage folder."),
    ...status && status.peers === 0 ? startAnother(status) : [],
  ];
}
