// @ts-check
// Keyboard shortcuts: letters are commands, except in text fields.

import { copyLink, fetchFile } from "./actions.js";
import { openFile } from "./details.js";
import { byId, isWriting } from "./dom.js";
import { cursorFile, moveCursor } from "./files.js";
import { go, place } from "./place.js";
import { pick } from "./share.js";

const help = /** @type {HTMLDialogElement} */ (byId("help"));
const sheet = /** @type {HTMLDialogElement} */ (byId("sheet"));

/** Returns the open file, or else the one at the keyboard cursor. */
const chosen = () => place.file === "" ? cursorFile() : openFile();

/** @type {Readonly<Record<string, (event: KeyboardEvent) => void>>} */
const commands = {
  "/"() {
    go({ tab: "files" });
    byId("search").focus();
  },
  ArrowDown: () => moveCursor(1),
  ArrowUp: () => moveCursor(-1),
  Enter() {
    const file = cursorFile();
    if (file) go({ file: file.file_id }, { isStep: true });
  },
  f() {
    const file = chosen();
    if (file) fetchFile(file);
  },
  c() {
    const file = chosen();
    if (file) copyLink(file.file_id);
  },
  s: pick,
  "?": () => help.showModal(),
};

const isPhone = () => matchMedia("(max-width: 999px)").matches;

/** @param {KeyboardEvent} event */
function onKey(event) {
  const { key, target } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (target instanceof HTMLElement && target.id === "search") {
    if (key === "Escape") target.blur();
    if (key === "ArrowDown") {
      event.preventDefault();
      moveCursor(0);
    }
    return;
  }
  if (isWriting(target) || document.querySelector("dialog[open]:not(#sheet)")) return;
  // Check the panel rather than `place`, which is updated a moment after Escape closes it.
  if (sheet.open && key !== "c" && key !== "f") return;
  const isControl = target instanceof HTMLElement && target.matches("a, button, summary, canvas");
  // A control keeps its own Enter, and a scrollable region other than the files keeps its arrow keys.
  if (key === "Enter" && isControl) return;
  if (key.startsWith("Arrow")) {
    const isElsewhere = target instanceof HTMLElement &&
      target.closest("[tabindex='0']:not(#file-rows tr)");
    if (isElsewhere || (place.tab !== "files" && isPhone())) return;
  }
  const command = commands[key];
  if (!command) return;
  event.preventDefault();
  command(event);
}

export function startKeys() {
  addEventListener("keydown", onKey);
  byId("show-help").addEventListener("click", () => help.showModal());
  byId("show-code").addEventListener("click", async () => {
    (await import("./onphone.js")).showPhone();
  });
  for (const button of help.querySelectorAll("button")) {
    button.addEventListener("click", () => help.close());
  }
  help.addEventListener("click", (event) => {
    if (event.target === help) help.close();
  });
}
