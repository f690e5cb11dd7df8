// @ts-check
// The tools above the file table: search, filters, and sort order. They change `place` and reflect it.

import { byId } from "./dom.js";
import { turned } from "../shared/filelist.js";
import { go, place } from "./place.js";

const search = /** @type {HTMLInputElement} */ (byId("search"));

/** Reflects `place` in the controls. */
export function drawTools() {
  if (document.activeElement !== search && search.value !== place.q) search.value = place.q;
  for (const chip of document.querySelectorAll("[data-where]")) {
    chip.setAttribute("aria-pressed", String(chip.getAttribute("data-where") === place.where));
  }
  const order = /** @type {HTMLSelectElement} */ (byId("order"));
  if (order.value !== place.sort) order.value = place.sort;
  const key = place.sort.replace(/^-/, "");
  for (const head of document.querySelectorAll("#file-table th[data-sort]")) {
    const isSorted = head.getAttribute("data-sort") === key;
    if (isSorted) {
      head.setAttribute("aria-sort", place.sort.startsWith("-") ? "descending" : "ascending");
    } else head.removeAttribute("aria-sort");
  }
  const isDeleted = place.where === "deleted";
  byId("file-table-box").hidden = isDeleted;
  byId("deleted").hidden = !isDeleted;
}

/** @param {() => void} onSearch Called on each keystroke, after `place` is updated */
export function startTools(onSearch) {
  search.value = place.q;
  byId("find").addEventListener("submit", (event) => event.preventDefault()); // without JavaScript, submitting asks the server
  search.addEventListener("input", () => {
    go({ q: search.value });
    onSearch();
  });
  for (const chip of document.querySelectorAll("[data-where]")) {
    chip.addEventListener("click", () => go({ where: chip.getAttribute("data-where") ?? "all" }));
  }
  for (const head of document.querySelectorAll("#file-table th[data-sort]")) {
    head.querySelector("button")?.addEventListener("click", () => {
      const key = head.getAttribute("data-sort") ?? "";
      go({ sort: turned(key, place.sort) });
    });
  }
  const order = /** @type {HTMLSelectElement} */ (byId("order"));
  order.addEventListener("change", () => go({ sort: order.value }));
}
