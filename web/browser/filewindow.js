// @ts-check
// The part of the file list that this page holds: blocks of rows around what is on the screen. The peer searches, sorts,
// and counts; the page asks for rows by their position as the user scrolls. No DOM here.
// Invariants: at most `MAX_BLOCKS` blocks are kept; rows on the screen stay until their replacement is there; an answer
// to a question that nobody asks anymore is never shown.

/** @typedef {import("../shared/types.d.ts").FileRow} FileRow */
/** @typedef {{ q: string, where: string, sort: string }} Query */
/** @typedef {{ files: FileRow[], total: number, next: string | null }} Page */
/**
 * @typedef {(query: Query, page: { start: string, limit: number, view: string, signal: AbortSignal }) => Promise<Page>} Ask
 * `view` names what is asked for: an older request for the same is not worth an answer anymore.
 */
/** @typedef {{ changed: readonly FileRow[], removed: readonly string[] }} Change */

/** Rows per request: two screens full. */
export const BLOCK = 100;
/** Maximum number of blocks kept, about 1 MB. More: scrolling back needs no request; fewer: less memory. */
export const MAX_BLOCKS = 20;
/** Number of blocks that may be on the screen at the same time. */
const SCREEN_BLOCKS = 4;
/** Maximum number of rows remembered that changed while an answer was on its way. */
const MAX_LATE = 2_000;

/** @param {Query} query */
const keyOf = ({ q, where, sort }) => JSON.stringify([q, where, sort]);

export class FileWindow {
  /** Number of files in the whole list. */
  total = 0;
  /** What the rows are the answer to, as `keyOf` writes it; "" before the first answer. */
  shownKey = "";
  /** Whether the list has changed since it was asked for. */
  isStale = false;
  /** Number of files that came into the list since it was asked for. */
  news = 0;
  /** Whether the last request got no answer. */
  hasFailed = false;

  /** @type {Query} */
  #query = { q: "", where: "all", sort: "" };
  /** @type {Map<number, Page>} */
  #blocks = new Map();
  /** Position of each loaded file. @type {Map<string, number>} */
  #places = new Map();
  /** Loaded files that are gone. @type {Set<string>} */
  #gone = new Set();
  /** What is on the screen: first and last row, exclusive. */
  #range = { first: 0, last: BLOCK };
  /** Requests under way, by block. "all" replaces every block. @type {Map<number | "all" | "peek", AbortController>} */
  #asking = new Map();
  /** Rows that changed while an answer was on its way, which may be older. @type {Map<string, FileRow>} */
  #late = new Map();

  /** @param {Ask} ask @param {() => void} onChange Called after each answer */
  constructor(ask, onChange) {
    this.ask = ask;
    this.onChange = onChange;
  }

  /** Whether the rows are the answer to the latest question. */
  get isCurrent() {
    return this.shownKey === keyOf(this.#query);
  }

  /** @param {number} index @returns {FileRow | undefined} Undefined if it is not loaded */
  at(index) {
    return this.#blocks.get(Math.floor(index / BLOCK))?.files[index % BLOCK];
  }

  /** Returns a file if it is loaded and not gone. @param {string} fileId */
  get(fileId) {
    return this.#gone.has(fileId) ? undefined : this.at(this.placeOf(fileId));
  }

  /** Returns the position of a loaded file, or -1. @param {string} fileId */
  placeOf(fileId) {
    return this.#places.get(fileId) ?? -1;
  }

  /** Number of loaded rows. */
  get loaded() {
    let count = 0;
    for (const { files } of this.#blocks.values()) count += files.length;
    return count;
  }

  /** Asks another question. The rows of the previous one stay until the answer is there. @param {Query} query */
  show(query) {
    if (keyOf(query) === keyOf(this.#query) && (this.isCurrent || this.#asking.has("all"))) return;
    this.#query = { ...query };
    this.#range = { first: 0, last: BLOCK };
    this.refresh();
  }

  /** Loads the rows that are on the screen, unless they are. @param {number} first @param {number} last Exclusive */
  need(first, last) {
    this.#range = { first, last };
    if (!this.isCurrent || this.#asking.has("all")) return;
    const from = Math.floor(first / BLOCK);
    const until = Math.ceil(Math.min(last, this.total) / BLOCK);
    // Whoever drags the scroll bar passes thousands of rows that nobody sees.
    for (const [block, request] of this.#asking) {
      if (typeof block === "number" && (block < from || block >= until)) this.#drop(block, request);
    }
    for (let block = from; block < until; block++) {
      if (!this.#blocks.has(block) && !this.#asking.has(block)) this.#load(block);
    }
  }

  /** Loads what is on the screen again and forgets all other rows. Resolves when that is done or has failed. */
  refresh() {
    const from = Math.floor(this.#range.first / BLOCK);
    const count = Math.max(1, Math.ceil(this.#range.last / BLOCK) - from);
    this.isStale = false;
    for (const [block, request] of this.#asking) this.#drop(block, request);
    this.#late.clear();
    return this.#request("all", `${from * BLOCK}`, count * BLOCK, (page) => {
      this.#blocks.clear();
      this.#places.clear();
      this.#gone.clear();
      this.total = page.total;
      this.#take(from, page);
      this.news = 0;
      this.shownKey = keyOf(this.#query);
    });
  }

  /** Asks how many files there are now, without touching the rows. */
  peek() {
    this.isStale = true;
    return this.#request("peek", "0", 1, ({ total }) => {
      this.news = Math.max(0, total - this.total + this.#gone.size);
    });
  }

  /** Takes over what changed about loaded rows. @param {Change} change */
  apply({ changed, removed }) {
    this.isStale = true;
    for (const file of changed) {
      if (this.#asking.size > 0) this.#late.set(file.file_id, file);
      this.#put(file);
    }
    for (const id of removed) {
      if (this.#places.has(id)) this.#gone.add(id);
    }
    if (this.#late.size > MAX_LATE) this.#late.clear(); // whoever is stale is read again soon
  }

  /** @param {FileRow} file */
  #put(file) {
    const place = this.placeOf(file.file_id);
    const block = this.#blocks.get(Math.floor(place / BLOCK));
    if (!block) return;
    block.files[place % BLOCK] = file;
    this.#gone.delete(file.file_id);
  }

  /** @param {number} block */
  #load(block) {
    // Rows that came or went since the neighbor was loaded must not repeat or skip any.
    const start = this.#blocks.get(block - 1)?.next ?? `${block * BLOCK}`;
    this.#request(block, start, BLOCK, (page) => {
      if (page.total !== this.total) this.isStale = true;
      this.#take(block, page);
      this.#forget();
    });
  }

  /**
   * @param {number | "all" | "peek"} key @param {string} start @param {number} limit
   * @param {(page: Page) => void} take
   */
  async #request(key, start, limit, take) {
    this.#asking.get(key)?.abort();
    const request = new AbortController();
    this.#asking.set(key, request);
    try {
      const view = typeof key === "number" ? `block-${key % SCREEN_BLOCKS}` : key;
      const page = await this.ask(this.#query, { start, limit, view, signal: request.signal });
      if (request.signal.aborted) return;
      this.#asking.delete(key);
      this.hasFailed = false;
      take(page);
      for (const file of this.#late.values()) this.#put(file);
      if (this.#asking.size === 0) this.#late.clear();
    } catch {
      if (request.signal.aborted) return;
      this.#asking.delete(key);
      this.isStale = this.hasFailed = true; // the peer is away, or reading needs a login
    }
    this.onChange();
  }

  /** @param {number | "all" | "peek"} key @param {AbortController} request */
  #drop(key, request) {
    request.abort();
    this.#asking.delete(key);
  }

  /** @param {number} from First block @param {Page} page Of one or more blocks */
  #take(from, { files, total, next }) {
    for (let at = 0; at < files.length; at += BLOCK) {
      const rows = files.slice(at, at + BLOCK);
      const block = from + at / BLOCK;
      const isLast = at + BLOCK >= files.length;
      const after = rows.length < BLOCK ? null : `${(block + 1) * BLOCK}-${rows.at(-1)?.file_id}`;
      this.#blocks.set(block, { files: rows, total, next: isLast ? next : after });
      for (const [offset, { file_id }] of rows.entries()) {
        this.#places.set(file_id, block * BLOCK + offset);
      }
    }
  }

  /** Forgets the blocks farthest from the screen. */
  #forget() {
    const middle = (this.#range.first + this.#range.last) / 2 / BLOCK;
    const byDistance = [...this.#blocks.keys()].sort((a, b) =>
      Math.abs(b - middle) - Math.abs(a - middle)
    );
    for (const block of byDistance.slice(0, Math.max(0, byDistance.length - MAX_BLOCKS))) {
      for (const { file_id } of this.#blocks.get(block)?.files ?? []) {
        if (Math.floor(this.placeOf(file_id) / BLOCK) === block) this.#places.delete(file_id);
      }
      this.#blocks.delete(block);
    }
  }
}
