// @ts-check
// One row for a folder that is being shared file by file: its progress, and at the end how many files were shared,
// skipped, and failed, with reasons.
// Invariant: however many files there are, the row is updated at most a few times per second and names a bounded number
// of them.

import { MAX_FILES } from "./collect.js";
import { h, keepFocus, nameParts, put, setText } from "./dom.js";
import { announce } from "./notices.js";
import { inTurn, LANES, send } from "./sending.js";
import { numberText, plural, rateText, sizeText, tookText, visible } from "../shared/words.js";

/** @typedef {import("./collect.js").Folder} Folder */
/** @typedef {import("./collect.js").Item} Item */
/** @typedef {import("./collect.js").Reason} Reason */

/** Failures in a row after which sharing stops: the session has ended, the disk is full, or the peer is away. */
const MAX_FAILED_IN_A_ROW = 10;
/** Maximum number of failed files that are named. */
const MAX_NAMED = 5;
/** Interval between updates of the row, in milliseconds. */
const DRAW_MS = 250;

/** Wording of each reason after a number. @type {Readonly<Record<Reason, string>>} */
const REASONS = {
  hidden: "hidden",
  empty: "empty",
  "too deep": "nested too deeply",
  "too many": `beyond the first ${numberText(MAX_FILES)}`,
  unreadable: "in unreadable folders",
};

/** @param {ReadonlyMap<Reason, number>} skipped */
export function skippedText(skipped) {
  const counts = [...skipped];
  if (counts.length === 0) return "";
  const total = counts.reduce((sum, [, count]) => sum + count, 0);
  const first = counts[0];
  if (counts.length === 1 && first) return `${numberText(total)} skipped (${REASONS[first[0]]})`;
  const parts = counts.map(([reason, count]) => `${numberText(count)} ${REASONS[reason]}`);
  return `${numberText(total)} skipped (${parts.join(", ")})`;
}

/**
 * Creates a row for something this page sends.
 * @param {Record<string, string>} marks @param {string} name Display name @param {...Element} children
 */
export function sendingRow(marks, name, ...children) {
  return h(
    "li",
    { class: "transfer", ...marks },
    h(
      "p",
      { class: "name" },
      h("span", { class: "way", "aria-hidden": "true" }, "↑"),
      h("bdi", { class: "whole-name", title: name }, ...nameParts(name)),
    ),
    ...children,
  );
}

/**
 * Shares the files of a folder once `find` has filled it, and returns its row.
 * @param {Folder} folder @param {(onFound: () => void, signal: AbortSignal) => Promise<void>} find
 * @param {(row: Element) => void} putAway
 */
export function folderRow(folder, find, putAway) {
  const name = visible(folder.name, 120);
  const bar = h("progress", { "aria-label": `Progress of ${visible(folder.name, 80)}` });
  const words = h("p", { class: "words" }, "Scanning the folder");
  const failures = h("ul", { class: "plain failures" });
  failures.hidden = true;
  const acts = h("div", { class: "acts" });
  const element = sendingRow({ "data-folder": folder.name }, name, acts, bar, words, failures);
  let stop = new AbortController();
  let startedMs = performance.now();
  /** Files to send, of which the first `next` have been taken. @type {readonly Item[]} */
  let items = [];
  let next = 0;
  let counts = { shared: 0, known: 0, empty: 0, sentBytes: 0 };
  /** @type {{ item: Item, text: string }[]} */
  let failed = [];
  /** Files whose upload was canceled midway. @type {Item[]} */
  let unsent = [];
  let inARow = 0;
  /** Bytes sent so far of each file in progress. @type {Map<Item, number>} */
  const onTheirWay = new Map();
  let drawnMs = 0;

  const mayGoOn = () => !stop.signal.aborted && inARow < MAX_FAILED_IN_A_ROW;

  function draw(isNow = false) {
    if (!isNow && performance.now() - drawnMs < DRAW_MS) return;
    drawnMs = performance.now();
    const done = counts.shared + counts.known + counts.empty + failed.length;
    let bytes = counts.sentBytes;
    for (const sent of onTheirWay.values()) bytes += sent;
    const speed = bytes / Math.max(0.001, (performance.now() - startedMs) / 1000);
    bar.max = Math.max(1, items.length);
    bar.value = done;
    setText(
      words,
      [
        `${numberText(done)} of ${plural(items.length, "file")}`,
        sizeText(bytes),
        rateText(speed),
        failed.length > 0 ? `${numberText(failed.length)} failed` : "",
      ].filter((part) => part !== "").join(" · "),
    );
  }

  /** @param {Item} item */
  async function shareOne(item) {
    let file;
    try {
      file = await item.open();
    } catch {
      return fail(item, "The browser cannot read it. Check that it still exists");
    }
    if (file.size === 0) { // the peer would refuse it, because nobody could fetch it
      counts.empty++;
      return folder.skip("empty");
    }
    const { kind, text } = await send(file, item.label, (loaded) => {
      onTheirWay.set(item, loaded);
      draw();
    }, stop.signal);
    onTheirWay.delete(item);
    if (kind === "failed") return fail(item, text);
    if (kind === "cancelled") return void unsent.push(item);
    inARow = 0;
    counts[kind]++;
    counts.sentBytes += file.size;
  }

  /** @param {Item} item @param {string} text */
  function fail(item, text) {
    failed.push({ item, text });
    inARow++;
  }

  async function work() {
    while (mayGoOn() && next < items.length) {
      await inTurn(async () => {
        const item = items[next];
        if (!item || !mayGoOn()) return;
        next++;
        await shareOne(item);
      });
      draw();
    }
  }

  /** @param {readonly Item[]} all */
  async function run(all) {
    items = all;
    failed = [];
    unsent = [];
    counts = { shared: 0, known: 0, empty: 0, sentBytes: 0 };
    next = inARow = 0;
    put(acts, button("Cancel", () => stop.abort()));
    bar.hidden = false;
    failures.hidden = true;
    words.className = "words";
    startedMs = performance.now();
    draw(true);
    await Promise.all(Array.from({ length: LANES }, work));
    end([...unsent, ...items.slice(next)]);
  }

  /** @param {readonly Item[]} left Files that were not sent */
  function end(left) {
    const took = tookText((performance.now() - startedMs) / 1000);
    const good = counts.shared + counts.known;
    const text = [
      counts.shared > 0 ? `${plural(counts.shared, "file")} shared in ${took}` : "",
      counts.known > 0 ? `${numberText(counts.known)} already shared` : "",
      failed.length > 0 ? `${numberText(failed.length)} failed` : "",
      left.length > 0 ? `${numberText(left.length)} not sent` : "",
      good + failed.length + left.length === 0 ? "No files to share" : "",
      skippedText(folder.skipped),
    ].filter((part) => part !== "").join(" · ");
    const kind = failed.length > 0 ? "failed" : good > 0 && left.length === 0 ? "good" : "";
    const mark = stop.signal.aborted
      ? "Canceled: "
      : kind === "failed"
      ? "✗ "
      : kind === "good"
      ? "✓ "
      : "";
    bar.hidden = true;
    setText(words, mark + text);
    words.className = `words ${kind}`;
    announce(`${name}: ${mark}${text}`);
    put(failures, ...failureLines());
    failures.hidden = failed.length === 0;
    const rest = [...failed.map(({ item }) => item), ...left];
    const again = rest.length === 0 ? [] : [
      button(failed.length === 0 ? "Continue" : "Retry", () => {
        stop = new AbortController();
        run(rest);
      }),
    ];
    keepFocus(element, () => put(acts, ...again, button("Dismiss", () => putAway(element))));
  }

  /** Returns the first failures, with names and reasons. */
  function failureLines() {
    const lines = failed.slice(0, MAX_NAMED).map(({ item, text }) =>
      h("li", {}, h("bdi", {}, visible(item.label, 80)), `: ${text}`)
    );
    const more = failed.length - lines.length;
    if (more > 0) lines.push(h("li", {}, `and ${numberText(more)} more`));
    return lines;
  }

  async function start() {
    put(acts, button("Cancel", () => stop.abort()));
    await find(() => {
      const soFar = plural(folder.items.length, "file");
      setText(words, `Scanning the folder: ${soFar} so far`);
    }, stop.signal);
    if (stop.signal.aborted) end(folder.items);
    else await run(folder.items);
  }
  start();
  return element;
}

/** @param {string} words @param {() => void} onclick */
const button = (words, onclick) => h("button", { type: "button", class: "quiet", onclick }, words);
