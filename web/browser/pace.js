// @ts-check
// A dialog for how fast content moves and which download is next. Loaded when it is first opened.

import { ask, askJson, urlOf, wordsOf } from "./api.js";
import { h, icon, put } from "./dom.js";
import { say } from "./notices.js";
import { session } from "./session.js";
import { plural, sizeText, visible } from "../shared/words.js";

/** @typedef {{ down: number | null, up: number | null }} Limits */
/** @typedef {{ files: { file_id: string, file_name: string, size_bytes?: number }[], total: number }} Queue */

/** How often the queue is read while the dialog is open, in milliseconds. */
const EVERY_MS = 2_000;
/** Number of queued downloads shown. */
const SHOWN = 20;
/** The unit in which people type speeds, in bytes per second. */
const MB = 1_000_000;

/** @type {HTMLDialogElement | undefined} */
let dialog;
const queue = h("div", { class: "queue" });

/** @param {"down" | "up"} which @param {string} label @param {number | null} now */
function field(which, label, now) {
  const input = h("input", {
    type: "number",
    name: which,
    min: "0",
    step: "any",
    placeholder: "no limit",
    value: now === null ? "" : String(now / MB),
    ...session.mayChange ? {} : { disabled: "" },
  });
  return h("label", {}, label, input, "MB/s");
}

/** @param {SubmitEvent} event */
async function save(event) {
  event.preventDefault();
  const form = /** @type {HTMLFormElement} */ (event.target);
  /** @param {string} name */
  const limitOf = (name) => {
    const { value } = /** @type {HTMLInputElement} */ (form.elements.namedItem(name));
    return Number(value) > 0 ? Math.max(1, Math.round(Number(value) * MB)) : null;
  };
  const body = JSON.stringify({ down: limitOf("down"), up: limitOf("up") });
  try {
    await ask("/api/v1/limits", { method: "PATCH", body });
    say("The limits are changed until the peer exits", "good");
    dialog?.close();
  } catch (error) {
    say(wordsOf(error), "failed");
  }
}

async function drawQueue() {
  if (!dialog?.open) return;
  const { files, total } = /** @type {Queue} */ (await askJson("/api/v1/queue"));
  const shown = files.slice(0, SHOWN);
  put(
    queue,
    h(
      "p",
      { class: "quiet" },
      total === 0
        ? "No downloads in the queue."
        : `${plural(total, "download")} in the queue${
          total > shown.length ? `, the first ${shown.length} of them:` : ":"
        }`,
    ),
    h(
      "ol",
      { class: "plain" },
      ...shown.map(({ file_id, file_name, size_bytes }, i) =>
        h(
          "li",
          {},
          h("bdi", {}, visible(file_name, 60)),
          h("span", { class: "quiet" }, size_bytes === undefined ? "" : sizeText(size_bytes)),
          session.mayChange && i > 0 &&
            h("button", {
              type: "button",
              class: "quiet",
              "aria-label": `Download ${visible(file_name, 60)} first`,
              onclick: () => putFirst(file_id),
            }, "First"),
        )
      ),
    ),
  );
}

/** @param {string} id */
async function putFirst(id) {
  try {
    await ask(`/api/v1/queue/${id}/first`, { method: "POST" });
  } catch (error) {
    say(wordsOf(error), "failed");
  }
  await drawQueue();
}

/** Opens the dialog. */
export async function openPace() {
  const { down, up } = /** @type {Limits} */ (await askJson("/api/v1/limits"));
  if (!dialog) {
    const made = dialog = /** @type {HTMLDialogElement} */ (
      h("dialog", { id: "pace", "aria-labelledby": "pace-title" })
    );
    document.body.append(made);
    document.head.append(h("link", { rel: "stylesheet", href: urlOf("/lib/pace.css") }));
    made.addEventListener("click", ({ target }) => target === made && made.close());
    setInterval(() => drawQueue().catch(() => {}), EVERY_MS); // the header says that the peer is away
  }
  const close = h("button", {
    type: "button",
    class: "quiet close",
    "aria-label": "Close",
    onclick: () => dialog?.close(),
  }, icon("close"));
  put(
    dialog,
    close,
    h("h2", { id: "pace-title" }, "Speed and queue"),
    h(
      "form",
      { onsubmit: save },
      field("down", "Receive at most", down),
      field("up", "Send at most", up),
      session.mayChange && h("button", {}, "Save"),
    ),
    queue,
  );
  dialog.showModal();
  await drawQueue();
}
