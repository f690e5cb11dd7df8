// @ts-check
// The current view, kept in the URL's hash: reload and Back preserve it, and links carry it.

import { isSort, NEWEST_FIRST } from "../shared/filelist.js";
import { tell } from "./live.js";

const TABS = ["files", "moving", "network", "share"];
const WHERES = ["all", "here", "elsewhere", "mine", "risk", "deleted"];

const START = { tab: "files", q: "", where: "all", sort: NEWEST_FIRST, file: "" };
/** @typedef {typeof START} Place */

/** @type {Place} */
export const place = { ...START };

/** Reads the view from the URL. Invalid values become the defaults. */
function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  // A hash that means something else, such as an element id, says nothing about the view.
  if (given.size > 0 && ![...given.keys()].some((name) => name in START)) return;
  /** @param {string | null} value @param {readonly string[]} known @param {string} otherwise */
  const one = (value, known, otherwise) => known.includes(value ?? "") ? value ?? "" : otherwise;
  const sort = given.get("sort") ?? "";
  Object.assign(place, {
    tab: one(given.get("tab"), TABS, START.tab),
    q: (given.get("q") ?? "").slice(0, 200),
    where: one(given.get("where"), WHERES, START.where),
    sort: isSort(sort) ? sort : START.sort,
    file: /^[0-9a-f]{64}$/.exec(given.get("file") ?? "")?.[0] ?? START.file,
  });
  tell("place");
}

/** Number of history entries this page added, which Back would undo. */
let steps = 0;

/** Closes the details: with Back if this page opened them, so that the history stays clean. */
export function closeFile() {
  if (steps > 0) history.back();
  else go({ file: "" });
}

/**
 * @param {Partial<Place>} change
 * @param {{ isStep?: boolean }} [options] `isStep`: adds a history entry, so that Back returns here
 */
export function go(change, { isStep = false } = {}) {
  Object.assign(place, change);
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(place)) {
    if (value !== START[/** @type {keyof Place} */ (name)]) given.set(name, value);
  }
  const address = given.size > 0 ? `#${given}` : location.pathname;
  if (isStep) steps++;
  history[isStep ? "pushState" : "replaceState"]({ steps }, "", address);
  tell("place");
}

export function startPlace() {
  addEventListener("popstate", ({ state }) => {
    steps = state?.steps ?? 0;
    read();
  });
  addEventListener("hashchange", read);
  steps = history.state?.steps ?? 0;
  read();
}
