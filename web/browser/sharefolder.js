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
  const row = new FolderRow(folder, putAway);
  row.start(find);
  return row.element;
}

/** Sends the files of one folder, and shows the progress and the outcome in its row. */
class FolderRow {
  #folder;
  #putAway;
  #name;
  #bar = h("progress");
  #words = h("p", { class: "words" }, "Scanning the folder");
  #failures = h("ul", { class: "plain failures" });
  #acts = h("div", { class: "acts" });
  #stop = new AbortController();
  #startedMs = performance.now();
  #drawnMs = 0;
  /** Files to send, of which the first `#next` have been taken. @type {readonly Item[]} */
  #items = [];
  #next = 0;
  #counts = noCounts();
  /** @type {Failure[]} */
  #failed = [];
  /** Number of failures in a row. */
  #inARow = 0;
  /** Files whose upload was canceled midway. @type {Item[]} */
  #unsent = [];
  /** Bytes sent so far of each file in progress. @type {Map<Item, number>} */
  #onTheirWay = new Map();

  /** @param {Folder} folder @param {(row: Element) => void} putAway */
  constructor(folder, putAway) {
    this.#folder = folder;
    this.#putAway = putAway;
    this.#name = visible(folder.name, 120);
    this.#bar.setAttribute("aria-label", `Progress of ${visible(folder.name, 80)}`);
    this.#failures.hidden = true;
    this.element = sendingRow(
      { "data-folder": folder.name },
      this.#name,
      this.#acts,
      this.#bar,
      this.#words,
      this.#failures,
    );
  }

  /**
   * Fills the folder and sends its files.
   * @param {(onFound: () => void, signal: AbortSignal) => Promise<void>} find
   */
  async start(find) {
    const { items } = this.#folder;
    this.#offerCancel();
    await find(() => {
      setText(this.#words, `Scanning the folder: ${plural(items.length, "file")} so far`);
    }, this.#stop.signal);
    if (this.#stop.signal.aborted) this.#end(items);
    else await this.#run(items);
  }

  /** Sends these files, and then shows the outcome. @param {readonly Item[]} items */
  async #run(items) {
    this.#items = items;
    this.#failed = [];
    this.#unsent = [];
    this.#counts = noCounts();
    this.#next = this.#inARow = 0;
    this.#offerCancel();
    this.#bar.hidden = false;
    this.#failures.hidden = true;
    this.#words.className = "words";
    this.#startedMs = performance.now();
    this.#draw(true);
    await Promise.all(Array.from({ length: LANES }, () => this.#work()));
    this.#end([...this.#unsent, ...items.slice(this.#next)]);
  }

  #offerCancel() {
    put(this.#acts, button("Cancel", () => this.#stop.abort()));
  }

  #mayGoOn() {
    return !this.#stop.signal.aborted && this.#inARow < MAX_FAILED_IN_A_ROW;
  }

  /** Sends one file after another; several of these run at once. */
  async #work() {
    while (this.#mayGoOn() && this.#next < this.#items.length) {
      await inTurn(async () => {
        const item = this.#items[this.#next];
        if (!item || !this.#mayGoOn()) return;
        this.#next++;
        await this.#shareOne(item);
      });
      this.#draw();
    }
  }

  /** @param {Item} item */
  async #shareOne(item) {
    let file;
    try {
      file = await item.open();
    } catch {
      return this.#fail(item, "The browser cannot read it. Check that it still exists");
    }
    if (file.size === 0) { // the peer would refuse it, because nobody could fetch it
      this.#counts.empty++;
      return this.#folder.skip("empty");
    }
    const { kind, text } = await send(file, item.label, (loaded) => {
      this.#onTheirWay.set(item, loaded);
      this.#draw();
    }, this.#stop.signal);
    this.#onTheirWay.delete(item);
    if (kind === "failed") return this.#fail(item, text);
    if (kind === "cancelled") return void this.#unsent.push(item);
    this.#inARow = 0;
    this.#counts[kind]++;
    this.#counts.sentBytes += file.size;
  }

  /** @param {Item} item @param {string} text */
  #fail(item, text) {
    this.#failed.push({ item, text });
    this.#inARow++;
  }

  #draw(isNow = false) {
    const nowMs = performance.now();
    if (!isNow && nowMs - this.#drawnMs < DRAW_MS) return;
    this.#drawnMs = nowMs;
    const { shared, known, empty, sentBytes } = this.#counts;
    const failed = this.#failed.length;
    const done = shared + known + empty + failed;
    let bytes = sentBytes;
    for (const sent of this.#onTheirWay.values()) bytes += sent;
    const speed = bytes / Math.max(0.001, (nowMs - this.#startedMs) / 1000);
    this.#bar.max = Math.max(1, this.#items.length);
    this.#bar.value = done;
    setText(
      this.#words,
      joined(
        `${numberText(done)} of ${plural(this.#items.length, "file")}`,
        sizeText(bytes),
        rateText(speed),
        failed > 0 ? `${numberText(failed)} failed` : "",
      ),
    );
  }

  /** Shows the outcome. @param {readonly Item[]} left Files that were not sent */
  #end(left) {
    const failed = this.#failed;
    const { shared, known } = this.#counts;
    const isAllSent = shared + known > 0 && left.length === 0;
    const kind = failed.length > 0 ? "failed" : isAllSent ? "good" : "";
    const mark = this.#stop.signal.aborted ? "Canceled: " : MARKS[kind];
    const seconds = (performance.now() - this.#startedMs) / 1000;
    const text = mark + joined(
      outcomeText(this.#counts, failed.length, left.length, seconds),
      skippedText(this.#folder.skipped),
    );
    this.#bar.hidden = true;
    setText(this.#words, text);
    this.#words.className = `words ${kind}`;
    announce(`${this.#name}: ${text}`);
    put(this.#failures, ...failureLines(failed));
    this.#failures.hidden = failed.length === 0;
    this.#offerRest([...failed.map(({ item }) => item), ...left]);
  }

  /** Offers to send the rest, if any, and to dismiss the row. @param {readonly Item[]} rest */
  #offerRest(rest) {
    const again = rest.length === 0 ? [] : [
      button(this.#failed.length === 0 ? "Continue" : "Retry", () => {
        this.#stop = new AbortController();
        this.#run(rest);
      }),
    ];
    const dismiss = button("Dismiss", () => this.#putAway(this.element));
    keepFocus(this.element, () => put(this.#acts, ...again, dismiss));
  }
}

const noCounts = () => ({ shared: 0, known: 0, empty: 0, sentBytes: 0 });

/** @typedef {ReturnType<typeof noCounts>} Counts */
/** @typedef {{ item: Item, text: string }} Failure */

/** Marks in front of the outcome. */
const MARKS = { failed: "✗ ", good: "✓ ", "": "" };

/** Joins those parts that are not empty. @param {...string} parts */
const joined = (...parts) => parts.filter((part) => part !== "").join(" · ");

/**
 * Returns how many files were shared, failed, and were not sent.
 * @param {Counts} counts @param {number} failed @param {number} left @param {number} seconds How long it took
 */
function outcomeText({ shared, known }, failed, left, seconds) {
  return joined(
    shared > 0 ? `${plural(shared, "file")} shared in ${tookText(seconds)}` : "",
    known > 0 ? `${numberText(known)} already shared` : "",
    failed > 0 ? `${numberText(failed)} failed` : "",
    left > 0 ? `${numberText(left)} not sent` : "",
    shared + known + failed + left === 0 ? "No files to share" : "",
  );
}

/** Returns the first failures, with names and reasons. @param {readonly Failure[]} failed */
function failureLines(failed) {
  const lines = failed.slice(0, MAX_NAMED).map(({ item, text }) =>
    h("li", {}, h("bdi", {}, visible(item.label, 80)), `: ${text}`)
  );
  const more = failed.length - lines.length;
  if (more > 0) lines.push(h("li", {}, `and ${numberText(more)} more`));
  return lines;
}

/** @param {string} words @param {() => void} onclick */
const button = (words, onclick) => h("button", { type: "button", class: "quiet", onclick }, words);
