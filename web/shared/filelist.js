// @ts-check
// Which files are shown and in which order, as fast for 10,000 as for ten: the order is kept while one types, the
// search only leaves rows out. No DOM here. The same rules as of the API (web/api/listing.ts).

import { isAtRisk } from "./safety.js";

/** @typedef {import("./types.d.ts").FileRow} FileRow */
/** @typedef {"name" | "size" | "owner" | "time" | "holders" | "known"} SortKey */
/** @typedef {{ q: string, where: string, sort: string }} Query `sort` begins with - for the other way round */

/** Minimum length of a word that may be the beginning of an id: one file in sixteen begins with any shorter one. */
const MIN_ID_CHARS = 4;

/**
 * Returns text as it is searched: in lower case, without accents, and with `-`, `_` and `.` as spaces, so that "exam 07" and
 * "exam-07" find "exam_07.pdf". Of what macOS writes as a letter and an accent, the letter is left, as of one character.
 * @param {string} text
 */
export function searchText(text) {
  const plain = /[^\0-\x7f]/.test(text) ? text.normalize("NFKD").replace(/\p{M}+/gu, "") : text;
  return plain.toLowerCase().replace(/[-_.]+/g, " ");
}

/**
 * Returns the words of a query, each with what it looks like in a searched text. A word keeps its separators, as spaces: "a.pdf"
 * finds "a.pdf" and not every PDF with an "a".
 * @param {string} q
 */
export const searchWords = (q) =>
  q.split(/\s+/).map((word) => ({ text: searchText(word), id: word.toLowerCase() }))
    .filter(({ text }) => text.trim() !== "");

/**
 * Returns whether every word is in the text, or begins the id.
 * @param {ReturnType<typeof searchWords>} words @param {string} text As `searchText` gives it @param {string} fileId
 */
export const isFound = (words, text, fileId) =>
  words.every(({ text: word, id }) =>
    text.includes(word) || (id.length >= MIN_ID_CHARS && fileId.startsWith(id))
  );

/**
 * What a name is ordered by, as plain text: letters whatever their case and accents, numbers by their value (a longer one
 * is larger, so its length stands before it). Comparing such texts is ten times as fast as asking the language's rules.
 * @param {string} name
 */
export const nameKey = (name) =>
  name.normalize("NFKD").replace(/\p{M}+/gu, "").toLowerCase()
    .replace(/\d+/g, (digits) => {
      const value = digits.replace(/^0+(?=\d)/, "");
      return String.fromCharCode(0x30 + Math.min(value.length, 9)) + value;
    });

/** @param {FileRow} file In bytes; older peers tell only MiB. */
export const bytesOf = (file) => file.size_bytes ?? Math.round(file.file_size * 1024 ** 2);
/** @param {FileRow} file Unix seconds; NaN when the owner told no date. */
export const secondsOf = (file) => file.modified_at ?? NaN;

/** Keys of names that were compared; made once for each. @type {Map<string, string>} */
const keys = new Map();

/** @param {string} name */
function keyOf(name) {
  let key = keys.get(name);
  if (key === undefined) keys.set(name, key = nameKey(name));
  return key;
}

/** @param {string} a @param {string} b */
function byKey(a, b) {
  const [x, y] = [keyOf(a), keyOf(b)];
  return x < y ? -1 : x > y ? 1 : 0;
}

/** Where the peer does not say since when it knows of them, the list's own order of arrival decides. @type {Readonly<Record<SortKey, (a: FileRow, b: FileRow) => number>>} */
const orders = {
  name: (a, b) => byKey(a.file_name, b.file_name),
  size: (a, b) => bytesOf(a) - bytesOf(b),
  owner: (a, b) => byKey(a.file_owner, b.file_owner),
  time: (a, b) => (secondsOf(a) || 0) - (secondsOf(b) || 0),
  holders: (a, b) => a.peers_with_file.length - b.peers_with_file.length,
  known: (a, b) => (a.known_at ?? 0) - (b.known_at ?? 0),
};

/** Whether the text names an order. @param {string} sort */
export const isSort = (sort) => Object.hasOwn(orders, sort.replace(/^-/, ""));

/** The most, or the newest, first. */
const DOWN_FIRST = ["size", "time", "holders", "known"];

/**
 * What a press on the head of a column orders by: the other way round where it is ordered by it already.
 * @param {string} key @param {string} sort The order now
 */
export function turned(key, sort) {
  if (sort === key) return `-${key}`;
  if (sort === `-${key}`) return key;
  return DOWN_FIRST.includes(key) ? `-${key}` : key;
}

/** The order that the page begins with: what this peer learned of last is on top. */
export const NEWEST_FIRST = "-known";

export class FileList {
  /** @type {Map<string, FileRow>} */
  #files = new Map();
  /** @type {FileRow[]} */
  #sorted = [];
  #sort = NEWEST_FIRST;
  /** @type {Map<string, string>} What is searched. */
  #texts = new Map();
  /** In which order they came. @type {Map<string, number>} */
  #arrivals = new Map();
  #arrived = 0;

  get size() {
    return this.#files.size;
  }

  /** @param {string} fileId */
  get(fileId) {
    return this.#files.get(fileId);
  }

  /** All, in the order that was asked for last. @returns {readonly FileRow[]} */
  get all() {
    return this.#sorted;
  }

  /** @param {readonly FileRow[]} files The newest first, as the peer lists them by `NEWEST_FIRST` */
  reset(files) {
    keys.clear();
    this.#arrivals = new Map();
    this.#arrived = 0;
    this.#files = new Map();
    this.#texts = new Map();
    for (const file of [...files].reverse()) this.#put(file);
    this.#sorted = [...this.#files.values()];
    this.#order();
  }

  /** @param {{ changed: readonly FileRow[], removed: readonly string[] }} change */
  apply({ changed, removed }) {
    for (const file of changed) this.#put(file);
    for (const id of removed) {
      this.#files.delete(id);
      this.#texts.delete(id);
      this.#arrivals.delete(id);
    }
    // What was in order stays nearly in order, which the built-in sort is quick with.
    const known = new Set();
    const kept = [];
    for (const { file_id } of this.#sorted) {
      const file = this.#files.get(file_id);
      if (file) kept.push(file);
      known.add(file_id);
    }
    const fresh = changed.filter(({ file_id }) => !known.has(file_id) && this.#files.has(file_id));
    this.#sorted = [...kept, ...new Set(fresh)];
    this.#order();
  }

  /** @param {FileRow} file */
  #put(file) {
    if (!this.#arrivals.has(file.file_id)) this.#arrivals.set(file.file_id, ++this.#arrived);
    this.#files.set(file.file_id, file);
    this.#texts.set(file.file_id, searchText(`${file.file_name}\n${file.file_owner}`));
  }

  #order() {
    const sign = this.#sort.startsWith("-") ? -1 : 1;
    const order = orders[/** @type {SortKey} */ (this.#sort.replace(/^-/, ""))];
    const cameAt = (/** @type {FileRow} */ { file_id, known_at }) =>
      this.#sort.endsWith("known") && known_at === null ? this.#arrivals.get(file_id) ?? 0 : 0;
    this.#sorted.sort((a, b) =>
      sign * (order(a, b) || cameAt(a) - cameAt(b)) || (a.file_id < b.file_id ? -1 : 1)
    );
  }

  /** The files that fit, in order. @param {Query} query @param {string} own Our peer_id */
  find({ q, where, sort }, own) {
    if (sort !== this.#sort && isSort(sort)) {
      this.#sort = sort;
      this.#order();
    }
    const words = searchWords(q);
    return this.#sorted.filter((file) => {
      if (where === "here" && !file.has_copy) return false;
      if (where === "elsewhere" && file.has_copy) return false;
      if (where === "mine" && file.file_owner !== own) return false;
      if (where === "risk" && !isAtRisk(file)) return false;
      return isFound(words, this.#texts.get(file.file_id) ?? "", file.file_id);
    });
  }
}
