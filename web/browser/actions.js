// @ts-check
// Actions on files and transfers, for rows, details, and the keyboard. Each reports its outcome.

import { ask, askJson, urlOf, wordsOf } from "./api.js";
import { h } from "./dom.js";
import { live, tell } from "./live.js";
import { announce, say } from "./notices.js";
import { isLastCopy } from "../shared/safety.js";
import { mayChange, refresh } from "./session.js";
import { isLoopback, visible } from "../shared/words.js";

/** @typedef {import("../shared/types.d.ts").FileRow} FileRow */

/** @param {string} fileId */
export const contentPath = (fileId) => urlOf(`/api/v1/files/${fileId}/content`);

/** Returns an address of this page for other machines, if it has one. @param {string} url */
export function forOthers(url) {
  const link = new URL(url);
  const host = live.status?.host ?? "";
  // The page may be open under a name that only works on this machine.
  if (isLoopback(link.hostname) && host !== "" && !isLoopback(host)) {
    link.hostname = host.includes(":") ? `[${host}]` : host;
  }
  return link;
}

/** Returns the link to a file's content, usable from other machines if possible. @param {string} fileId */
export const linkOf = (fileId) => forOthers(contentPath(fileId)).href;

/** Returns whether links from this page only work on this machine. @param {string} fileId */
export const isLocalLink = (fileId) => isLoopback(new URL(linkOf(fileId)).hostname);

/** @param {() => Promise<void>} change */
async function tried(change) {
  if (!mayChange()) return;
  try {
    await change();
  } catch (error) {
    say(wordsOf(error), "failed");
    refresh(); // the session may have ended
  }
}

/** @param {FileRow} file */
export const fetchFile = ({ file_id, file_name, has_copy }) =>
  tried(async () => {
    if (has_copy) return say(`${visible(file_name)} is already here`);
    // The file's row shows it at once, and the transfer gets its own row, so there is no notice.
    markAsked(file_id, true);
    announce(`Fetching ${visible(file_name)}`);
    try {
      await ask(`/api/v1/files/${file_id}/fetch`, { method: "POST" });
    } catch (error) {
      markAsked(file_id, false);
      throw error;
    }
  });

/** @param {string} fileId @param {boolean} isAsked */
function markAsked(fileId, isAsked) {
  if (isAsked) live.asked.add(fileId);
  else live.asked.delete(fileId);
  tell("transfers");
}

/** @param {FileRow} file */
export const deleteFile = (file) =>
  tried(async () => {
    const { file_id, file_name } = file;
    const { where } = await askJson(`/api/v1/files/${file_id}`, { method: "DELETE" });
    const words = where === "everywhere"
      ? "Deleted everywhere"
      : isLastCopy(file)
      ? "Removed here; no other peer is known to hold it"
      : "Removed here";
    say(`${words}: ${visible(file_name)}`, "good", {
      words: "Undo",
      act: () => restoreFile(file_id, file_name),
    });
  });

/** @param {string} fileId @param {string} name */
export const restoreFile = (fileId, name) =>
  tried(async () => {
    await ask(`/api/v1/files/${fileId}/restore`, { method: "POST" });
    say(`Restored ${visible(name)}`, "good");
  });

/** @param {number} id */
export const cancelTransfer = (id) =>
  tried(async () => void await ask(`/api/v1/transfers/${id}`, { method: "DELETE" }));

/** @param {number} id */
export const retryTransfer = (id) =>
  tried(async () => void await ask(`/api/v1/transfers/${id}/retry`, { method: "POST" }));

/** @param {string} fileId */
export const copyLink = (fileId) =>
  copy(linkOf(fileId), isLocalLink(fileId) ? "link, which only works on this machine" : "link");

/** @param {string} text @param {string} what What it is called in the notice */
export async function copy(text, what) {
  const isCopied = await toClipboard(text);
  if (isCopied) say(`Copied the ${what}`, "good");
  else say(`The browser does not allow copying. Here is the ${what}: ${text}`, "failed");
}

/** @param {string} text */
async function toClipboard(text) {
  if (navigator.clipboard) {
    return await navigator.clipboard.writeText(text).then(() => true, () => false);
  }
  // Browsers offer the clipboard API only to HTTPS and loopback pages. On a lab network, the old way still works.
  const focused = document.activeElement;
  const area = h("textarea", { class: "away", readonly: true });
  area.value = text;
  // While a dialog is open, nothing outside it can be selected.
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  area.select();
  const isCopied = document.execCommand("copy");
  area.remove();
  if (focused instanceof HTMLElement) focused.focus({ preventScroll: true });
  return isCopied;
}
