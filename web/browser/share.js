// @ts-check
// Sharing files and folders that are dropped anywhere or picked. A file gets a row of its own with its progress and
// outcome; a folder, or a large number of files, gets one summary row.

import { dropped, Folder, labelOfPath, picked, walk } from "./collect.js";
import { byId, h, keepFocus, put, setText } from "./dom.js";
import { announce } from "./notices.js";
import { go } from "./place.js";
import { inTurn, send } from "./sending.js";
import { mayChange } from "./session.js";
import { folderRow, sendingRow } from "./sharefolder.js";
import {
  durationText,
  plural,
  progressText,
  rateText,
  tookText,
  visible,
} from "../shared/words.js";

/** Maximum number of loose files that get rows of their own. More are summed up in one row. */
const MAX_ROWS = 20;

const picker = /** @type {HTMLInputElement} */ (byId("pick"));
const folderPicker = /** @type {HTMLInputElement} */ (byId("pick-folder"));

/** Brings the list of uploads into view. */
function show() {
  byId("share").classList.add("busy");
  if (matchMedia("(max-width: 999px)").matches) go({ tab: "share" });
}

/** Shares loose files. @param {Iterable<File>} files */
export function share(files) {
  const all = [...files];
  if (all.length === 0 || !mayChange()) return;
  show();
  if (all.length > MAX_ROWS) {
    const folder = new Folder(plural(all.length, "file"));
    for (const file of all) folder.add([file.name], () => Promise.resolve(file));
    byId("uploads").prepend(folderRow(folder, () => Promise.resolve(), remove));
    return;
  }
  for (const file of all) byId("uploads").prepend(uploadRow(file));
}

/** Shares the files of picked folders. @param {Iterable<File>} files */
function sharePicked(files) {
  const folders = picked(files);
  if (folders.length === 0 || !mayChange()) return;
  show();
  for (const folder of folders) {
    byId("uploads").prepend(folderRow(folder, () => Promise.resolve(), remove));
  }
}

/** Shares dropped files and folders. @param {DataTransfer} transfer */
function shareDropped(transfer) {
  const { files, folders } = dropped(transfer); // must come first: the browser forgets the items after the event
  if (files.length + folders.length === 0 || !mayChange()) return;
  share(files);
  for (const entry of folders) {
    show();
    const folder = new Folder(entry.name);
    byId("uploads").prepend(
      folderRow(folder, (onFound, signal) => walk(entry, folder, onFound, signal), remove),
    );
  }
}

/** Removes a row, and hides the list along with the last one. @param {Element} row */
function remove(row) {
  const list = byId("uploads");
  keepFocus(list, () => row.remove());
  byId("share").classList.toggle("busy", list.children.length > 0);
}

/** Sends the file when its turn comes. @param {File} file @returns {HTMLElement} Its row */
function uploadRow(file) {
  const name = visible(file.name, 120);
  const bar = h("progress", {
    max: Math.max(1, file.size),
    value: 0,
    "aria-label": `Progress of ${visible(file.name, 80)}`,
  });
  const words = h("p", { class: "words" }, "Waiting");
  const acts = h("div", { class: "acts" });
  const element = sendingRow({ "data-upload": file.name }, name, acts, bar, words);
  const stop = new AbortController();
  put(acts, button("Cancel", () => stop.abort()));
  stop.signal.addEventListener("abort", () => end("Canceled", ""));
  let isOver = false;

  /** @param {string} text @param {string} kind */
  function end(text, kind) {
    if (isOver) return;
    isOver = true;
    bar.hidden = true;
    words.className = `words ${kind}`;
    setText(words, text);
    announce(`${name}: ${text}`);
    const again = kind === "failed"
      ? [button("Retry", () => {
        element.remove();
        share([file]);
      })]
      : [];
    keepFocus(element, () => put(acts, ...again, button("Dismiss", () => remove(element))));
  }

  inTurn(async () => {
    const startedMs = performance.now();
    let begunAt = -1; // what an earlier attempt left does not count as speed
    const { kind, text } = await send(
      file,
      labelOfPath([file.name]),
      (loaded, total) => {
        if (begunAt < 0) begunAt = loaded;
        const speed = (loaded - begunAt) / Math.max(0.001, (performance.now() - startedMs) / 1000);
        bar.value = loaded;
        setText(
          words,
          `${progressText(loaded, total)} · ${rateText(speed)} · ${
            durationText((total - loaded) / Math.max(1, speed))
          } left`,
        );
      },
      stop.signal,
      (why) => setText(words, why),
    );
    if (kind === "shared") {
      end(`✓ Shared in ${tookText((performance.now() - startedMs) / 1000)}`, "good");
    } else if (kind === "known") end("✓ Already shared, with the same content", "good");
    else if (kind === "cancelled") end("Canceled", "");
    else end(`✗ Not shared: ${text}`, "failed");
  });
  return element;
}

/** @param {string} words @param {() => void} onclick */
const button = (words, onclick) => h("button", { type: "button", class: "quiet", onclick }, words);

/** Opens the file picker, if the user may share. */
export function pick() {
  if (mayChange()) picker.click();
}

export function startShare() {
  for (const each of document.querySelectorAll("[data-pick]")) each.addEventListener("click", pick);
  for (const each of document.querySelectorAll("[data-pick-folder]")) {
    each.addEventListener("click", () => mayChange() && folderPicker.click());
    // Some mobile browsers cannot pick folders.
    if (!("webkitdirectory" in folderPicker)) /** @type {HTMLElement} */ (each).hidden = true;
  }
  for (
    const [input, take] of /** @type {const} */ ([[picker, share], [folderPicker, sharePicked]])
  ) {
    input.addEventListener("change", () => {
      take([...input.files ?? []]);
      input.value = "";
    });
  }
  // Leaving the page would lose uploads that are only partly sent.
  addEventListener("beforeunload", (event) => {
    if (document.querySelector("#uploads progress:not([hidden])")) event.preventDefault();
  });
  const isOfFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files");
  const dim = (/** @type {boolean} */ isDimmed) => {
    byId("drop").hidden = !isDimmed;
  };
  addEventListener("dragover", (event) => {
    if (!isOfFiles(event)) return;
    event.preventDefault();
    dim(true);
  });
  addEventListener("dragleave", (event) => {
    if (event.relatedTarget === null) dim(false);
  });
  addEventListener("drop", (event) => {
    if (!isOfFiles(event)) return;
    event.preventDefault();
    dim(false);
    if (event.dataTransfer) shareDropped(event.dataTransfer);
  });
}
