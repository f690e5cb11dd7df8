// @ts-check
// Sharing: files dropped anywhere or picked, one after the other, each with how far it is, and how it ended.

import { problemText, urlOf } from "./api.js";
import { byId, h, keepFocus, put, setText } from "./dom.js";
import { say } from "./notices.js";
import { go } from "./place.js";
import { mayChange } from "./session.js";
import { durationText, progressText, rateText, tookText, visible } from "./words.js";

const OWN_MS = 60_000;

/** Names that this page sends or has just sent: their rows stand here. @type {Set<string>} */
export const ownUploads = new Set();

const picker = /** @type {HTMLInputElement} */ (byId("pick"));

/** @type {Promise<void>} */
let before = Promise.resolve();

/** @param {Iterable<File>} files */
export function share(files) {
  const all = [...files];
  if (all.length === 0 || !mayChange()) return;
  for (const file of all) {
    const row = uploadRow(file);
    byId("uploads").prepend(row.element);
    before = before.then(() => row.run());
  }
  byId("share").classList.add("busy");
  if (matchMedia("(max-width: 999px)").matches) go({ tab: "share" });
}

/** @param {Element} row */
function putAway(row) {
  const list = byId("uploads");
  keepFocus(list, () => row.remove());
  byId("share").classList.toggle("busy", list.children.length > 0);
}

/** @param {File} file */
function uploadRow(file) {
  const bar = h("progress", {
    max: Math.max(1, file.size),
    value: 0,
    "aria-label": `Progress of ${visible(file.name, 80)}`,
  });
  const words = h("p", { class: "words" }, "Waits for its turn");
  const acts = h("div", { class: "acts" });
  const element = h(
    "li",
    { class: "transfer", "data-upload": file.name },
    h(
      "p",
      { class: "name" },
      h("span", { class: "way", "aria-hidden": "true" }, "↑"),
      h("bdi", {}, visible(file.name, 120)),
    ),
    acts,
    bar,
    words,
  );
  let request = new XMLHttpRequest(); // fetch cannot say how far a body is
  let isCancelled = false;
  put(
    acts,
    button("Cancel", () => {
      isCancelled = true;
      request.abort();
      end("Cancelled");
    }),
  );

  /** @param {string} text @param {string} [kind] */
  function end(text, kind = "") {
    bar.hidden = true;
    words.className = `words ${kind}`;
    setText(words, text);
    const again = kind === "failed"
      ? [button("Retry", () => {
        element.remove();
        share([file]);
      })]
      : [];
    keepFocus(element, () => put(acts, ...again, button("Put away", () => putAway(element))));
  }

  async function run() {
    if (isCancelled) return;
    const startedMs = performance.now();
    ownUploads.add(file.name);
    request = new XMLHttpRequest();
    request.upload.onprogress = ({ loaded, total }) => {
      const seconds = (performance.now() - startedMs) / 1000;
      const speed = loaded / Math.max(0.001, seconds);
      bar.value = loaded;
      setText(
        words,
        `${progressText(loaded, total)} · ${rateText(speed)} · ${
          durationText((total - loaded) / Math.max(1, speed))
        } left`,
      );
    };
    const failure = await send(request, file).catch((error) => `${error}`);
    // The peer tells of it for a minute more; then another of that name is another.
    setTimeout(() => ownUploads.delete(file.name), OWN_MS);
    if (isCancelled) return;
    const took = tookText((performance.now() - startedMs) / 1000);
    if (failure === undefined) {
      end(`✓ Shared in ${took}`, "good");
      say(`${visible(file.name)} is shared`, "good");
    } else end(`✗ Not shared: ${failure}`, "failed");
  }

  return { element, run };
}

/** @param {string} words @param {() => void} onclick */
const button = (words, onclick) => h("button", { type: "button", class: "quiet", onclick }, words);

/** Resolves with what went wrong, in words. @param {XMLHttpRequest} request @param {File} file @returns {Promise<string | undefined>} */
function send(request, file) {
  return new Promise((done) => {
    request.open("POST", urlOf("/api/v1/files"));
    request.setRequestHeader("X-File-Name", encodeURIComponent(file.name));
    request.setRequestHeader("X-File-Timestamp", String(Math.floor(file.lastModified / 1000)));
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.onload = () =>
      done(request.status === 201 ? undefined : problemText(request.responseText, request.status));
    request.onerror = () => done("The connection broke off. Try again");
    request.onabort = () => done("Cancelled");
    request.send(file);
  });
}

/** Lets somebody choose files. */
export function pick() {
  if (mayChange()) picker.click();
}

export function startShare() {
  for (const each of document.querySelectorAll("[data-pick]")) each.addEventListener("click", pick);
  picker.addEventListener("change", () => {
    share([...picker.files ?? []]);
    picker.value = "";
  });
  // What is half sent is lost when the page goes.
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
    share(event.dataTransfer?.files ?? []);
  });
}
