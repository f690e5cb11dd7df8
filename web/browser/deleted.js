// @ts-check
// Files deleted in the last 24 hours, to be restored. Replaces the file table when the user asks for them.

import { askJson } from "./api.js";
import { restoreFile } from "./actions.js";
import { byId, h, put, setText } from "./dom.js";
import { nowSeconds } from "./live.js";
import { place } from "./place.js";
import { agoText, numberText, plural, sizeText, visible } from "../shared/words.js";

/** @typedef {import("../shared/types.d.ts").DeletedRow} DeletedRow */

/** Number of deleted files at the last check. When it changes, the list is loaded again. */
let trashFiles = 0;

/** Draws the list, unless nothing can have changed. @param {boolean} isNew @param {number} [files] In the trash */
export async function drawDeleted(isNew = true, files = trashFiles) {
  const isSame = files === trashFiles;
  trashFiles = files;
  if (isNew || !isSame) await draw();
}

async function draw() {
  const list = byId("deleted");
  let files, total;
  try {
    ({ files, total } = /** @type {{ files: DeletedRow[], total: number }} */ (
      await askJson("/api/v1/files/deleted?limit=1000")
    ));
  } catch {
    return; // the header already says that the peer is away
  }
  if (place.where !== "deleted") return;
  setText(
    byId("file-count"),
    files.length < total
      ? `the latest ${numberText(files.length)} of ${plural(total, "file")}`
      : plural(total, "file"),
  );
  put(
    list,
    files.length === 0
      ? h("p", { class: "empty" }, "Nothing was deleted in the last 24 hours.")
      : h(
        "ul",
        { class: "plain" },
        ...files.map((file) =>
          h(
            "li",
            {},
            h("span", { class: "name" }, h("bdi", {}, visible(file.file_name))),
            h(
              "span",
              {},
              `${sizeText(file.size_bytes)} · deleted ${agoText(file.deleted_at, nowSeconds())}`,
            ),
            h("button", {
              type: "button",
              class: "changing",
              "aria-label": `Restore ${visible(file.file_name)}`,
              onclick: () => restoreFile(file.file_id, file.file_name).then(draw),
            }, "Restore"),
          )
        ),
      ),
  );
}
