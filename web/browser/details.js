// @ts-check
// Everything about one file, and every action on it: a side panel, or a bottom sheet on phones.

import {
  contentPath,
  copy,
  copyLink,
  deleteFile,
  fetchFile,
  isLocalLink,
  linkOf,
} from "./actions.js";
import { ask } from "./api.js";
import { codeOf } from "./code.js";
import { byId, h, icon, put } from "./dom.js";
import { bytesOf, secondsOf } from "../shared/filelist.js";
import { fetchOf } from "./filerow.js";
import { fileListeners, live, nowSeconds, when } from "./live.js";
import { closeFile, place } from "./place.js";
import { isAway, isLastCopy, pipsText, safetyKind, safetyText } from "../shared/safety.js";
import { agoText, exactText, numberText, plural, sizeText, visible } from "../shared/words.js";

/** @typedef {import("../shared/types.d.ts").FileRow} FileRow */

/** The part that is redrawn. Notices may sit next to it in the dialog. */
const body = byId("sheet-body");
const sheet = /** @type {HTMLDialogElement} */ (byId("sheet"));
/** Shown instead of a QR code that a phone could not open. */
const LOCAL_LINK =
  "This link only works on this machine. For a QR code that phones can use, start the peer with --host and an address that other machines can reach.";
let drawn = "";

/** Id of the last file looked up on the peer. */
let unknown = "";
let isLookingUp = false;

/** The open file, if it is not among the loaded rows. @type {FileRow | undefined} */
let asked;

/** Returns the file whose details are open, once it is known. */
export const openFile = () =>
  live.files.get(place.file) ?? (asked?.file_id === place.file ? asked : undefined);

async function draw() {
  if (place.file === "") {
    if (sheet.open) sheet.close();
    drawn = unknown = "";
    return;
  }
  const id = place.file;
  if (!openFile() && live.status && unknown !== id) {
    unknown = id; // look it up only once; if it appears later, an event says so
    isLookingUp = true;
    const answer = await ask(`/api/v1/files/${id}`).then((found) => found.json(), () => undefined);
    isLookingUp = false;
    if (place.file !== id) return draw();
    asked = answer?.file;
  }
  if (!live.status || isLookingUp) return;
  const file = asked = openFile(); // kept, for the list may scroll away from it
  const isFetching = fetchOf(id) !== undefined || live.asked.has(id);
  const key = JSON.stringify([file, isFetching, file && linkOf(id)]);
  if (key !== drawn) fill(file);
  drawn = key;
  if (!sheet.open) sheet.showModal();
}

/** @param {FileRow | undefined} file */
function fill(file) {
  // The focused element is about to be replaced; the focus moves to its counterpart.
  const focused = document.activeElement?.getAttribute("data-act");
  const close = h("button", {
    type: "button",
    class: "quiet close",
    "aria-label": "Close",
    "data-act": "close",
    onclick: closeFile,
  }, icon("close"));
  put(body, close, ...file ? detailsOf(file) : missing());
  if (file && focused) {
    const again = sheet.querySelector(`[data-act="${focused}"]`);
    if (again instanceof HTMLElement) again.focus();
  }
}

const missing = () => [
  h("h2", { id: "sheet-title" }, "No such file"),
  h("p", {}, "It was deleted, or no live peer knows about it."),
];

/** @param {FileRow} file */
const detailsOf = (file) => [
  h("h2", { id: "sheet-title" }, h("bdi", {}, visible(file.file_name))),
  h(
    "p",
    { class: "state" },
    h("span", { class: `pips ${safetyKind(file)}`, "aria-hidden": "true" }, pipsText(file)),
    " ",
    h("span", {}, safetyText(file)),
    file.has_copy && h("span", { class: "good" }, " ✓ content matches its id"),
  ),
  actionsOf(file),
  factsOf(file),
  linkCode(file),
];

/** @param {FileRow} file */
function factsOf(file) {
  const id = file.file_id;
  return h(
    "dl",
    {},
    ...fact("Size", sizeFact(file)),
    ...fact("Owner", visible(file.file_owner)),
    ...fact("Modified", whenText(secondsOf(file))),
    ...file.known_at === null ? [] : fact("Known since", whenText(file.known_at)),
    ...fact("Holders", holdersFact(file)),
    ...file.here_as === null ? [] : fact("Same content", `${visible(file.here_as)}, here already`),
    ...file.sha256 === null ? [] : fact("SHA-256", h("code", { class: "whole" }, file.sha256)),
    ...fact("Id", h("code", { class: "whole" }, id)),
    ...fact("Link", h("a", { href: contentPath(id), class: "whole" }, linkOf(id))),
  );
}

/** @param {FileRow} file */
function sizeFact(file) {
  const size = sizeText(bytesOf(file));
  return file.size_bytes === undefined
    ? `${size}, as reported by its owner`
    : `${size} (${numberText(file.size_bytes)} bytes)`;
}

/** @param {FileRow} file */
function holdersFact(file) {
  const holders = file.peers_with_file;
  if (holders.length > 0) return `${plural(holders.length, "peer")}: ${namesText(holders)}`;
  return isAway(file) ? `none now; away: ${namesText(file.last_holders)}` : "none";
}

/** @param {readonly string[]} names */
const namesText = (names) => names.map((name) => visible(name, 40)).join(", ");

/** @param {number} seconds Unix time */
const whenText = (seconds) => `${agoText(seconds, nowSeconds())}, ${exactText(seconds)}`;

/** @param {string} term @param {string | Node} value */
const fact = (term, value) => [h("dt", {}, term), h("dd", {}, value)];

/** @param {FileRow} file */
function actionsOf(file) {
  const id = file.file_id;
  return h(
    "div",
    { class: "actions" },
    file.has_copy &&
      h(
        "a",
        { class: "button main", href: contentPath(id), download: "", "data-act": "download" },
        icon("download"),
        "Download",
      ),
    !file.has_copy && file.peers_with_file.length > 0 && fetchButton(file),
    h(
      "button",
      { type: "button", "data-act": "link", onclick: () => copyLink(id) },
      "Copy link",
    ),
    h("button", { type: "button", "data-act": "id", onclick: () => copy(id, "id") }, "Copy id"),
    ...file.has_copy ? deletion(file) : [],
  );
}

/** Returns what is known of the file now, which may be more than when it was drawn. @param {FileRow} file */
const current = (file) => live.files.get(file.file_id) ?? file;

/** @param {FileRow} file */
function fetchButton(file) {
  const isFetching = fetchOf(file.file_id) !== undefined || live.asked.has(file.file_id);
  return h("button", {
    type: "button",
    class: "main",
    "data-act": "fetch",
    disabled: isFetching,
    onclick: () => fetchFile(current(file)),
  }, isFetching ? "Fetching" : "Fetch");
}

/** Returns the button that deletes the file, and a note on what becomes of other copies. @param {FileRow} file */
function deletion(file) {
  const isMine = file.file_owner === live.status?.peerId;
  const isLast = isLastCopy(file);
  const button = h("button", {
    type: "button",
    class: "changing danger",
    "data-act": "delete",
    title: "Can be restored for 24 hours",
    onclick: () => {
      deleteFile(current(file));
      closeFile();
    },
  }, isMine ? "Delete everywhere" : isLast ? "Remove the only known copy" : "Remove here");
  const note = h(
    "p",
    { class: `changing note ${isLast ? "risk" : ""}` },
    isLast
      ? "No other peer is known to hold this file. If you remove it, only this peer can restore it, for 24 hours."
      : "Copies on other peers are not affected.",
  );
  return isMine ? [button] : [button, note];
}

/** Returns the link as a QR code, or why there is none. @param {FileRow} file */
function linkCode({ file_id, has_copy }) {
  if (!has_copy) return h("p", { class: "empty" }, "The link works once the file is kept here.");
  if (isLocalLink(file_id)) return h("p", { class: "empty" }, LOCAL_LINK);
  return codeOf(linkOf(file_id), "QR code of the link");
}

/** @param {import("./filewindow.js").Change | undefined} change */
function takeChange(change) {
  if (!change) {
    asked = undefined; // look it up again
    unknown = "";
    return;
  }
  const known = change.changed.find(({ file_id }) => file_id === place.file);
  if (known) asked = known;
  else if (asked && change.removed.includes(asked.file_id)) asked = undefined;
}

export function startDetails() {
  fileListeners.add(takeChange);
  sheet.addEventListener("close", () => {
    if (place.file !== "") closeFile();
  });
  // A click outside the panel closes it.
  sheet.addEventListener("click", (event) => {
    if (event.target === sheet) closeFile();
  });
  when(["place", "files", "rows", "transfers", "session", "status"], draw);
}
