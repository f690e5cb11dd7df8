// @ts-check
// Which files are shown and in which order. Stays fast at 10,000 files: the sorted order is kept while the user types,
// and searching only filters it. No DOM here. Follows the same rules as the API (web/api/listing.ts).

import { isAtRisk } from "./safety.js";

/** @typedef {import("./types.d.ts").FileRow} FileRow */
/** @typedef {"name" | "size" | "owner" | "time" | "holders" | "known"} SortKey */
/** @typedef {{ q: string, where: string, sort: string }} Query A leading - in `sort` reverses the order */

/** Minimum length of a word that may match the start of an id: a single hex digit would match every 16th file. */
const MIN_ID_CHARS = 4;

/**
 * Returns text normalized for searching: lowercase, without accents, and with `-`, `_`, and `.` as spaces, so that
 * "exam 07" and "exam-07" find "exam_07.pdf". Precomposed characters and the letter-plus-accent pairs that macOS writes
 * both reduce to the letter.
 * @param {string} text
 */
export function searchText(text) {
  const plain = /[^\0-\x7f]/.test(text) ? text.normalize("NFKD").replace(/\p{M}+/gu, "") : text;
  return plain.toLowerCase().replace(/[-_.]+/g, " ");
}

/**
 * Returns the words of a query, each with its normalized form. A word keeps its separators, as spaces, so "a.pdf" finds
 * "a.pdf" and not every PDF with an "a".
 * @param {string} q
 */
export const searchWords = (q) =>
  q.split(/\s+/).map((word) => ({ text: searchText(word), id: word.toLowerCase() }))
    .filter(({ text }) => text.trim() !== "");

/**
 * Returns whether every word is in the text or starts the id.
 * @param {ReturnType<typeof searchWords>} words @param {string} text As returned by `searchText` @param {string} fileId
 */
export const isFound = (words, text, fileId) =>
  words.every(({ text: word, id }) =>
    text.includes(word) || (id.length >= MIN_ID_CHARS && fileId.startsWith(id))
  );

/**
 * Returns the sort key of a name as plain text: letters ignore case and accents, and numbers sort by value (each is
 * prefixed with its length, since a longer number is larger). Comparing keys is ten times as fast as locale collation.
 * @param {string} name
 */
export const nameKey = (name) =>
  name.normalize("NFKD").replace(/\p{M}+/gu, "").toLowerCase()
    .replace(/\d+/g, (digits) => {
      const value = digits.replace(/^0+(?=\d)/, "");
      return String.fromCharCode(0x30 + Math.min(value.length, 9)) + value;
    });

/** Returns the size in bytes; older peers only report MiB. @param {FileRow} file */
export const bytesOf = (file) => file.size_bytes ?? Math.round(file.file_size * 1024 ** 2);
/** Returns the modification time in Unix seconds, or NaN if the owner gave no valid date. @param {FileRow} file */
export const secondsOf = (file) => file.modified_at ?? NaN;

/** Sort keys of names compared so far, computed once per name. @type {Map<string, string>} */
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

/**
 * If the peer does not say when it learned of files, their order of arrival in the list decides.
 * @type {Readonly<Record<SortKey, (a: FileRow, b: FileRow) => number>>}
 */
const orders = {
  name: (a, b) => byKey(a.file_name, b.file_name),
  size: (a, b) => bytesOf(a) - bytesOf(b),
  owner: (a, b) => byKey(a.file_owner, b.file_owner),
  time: (a, b) => (secondsOf(a) || 0) - (secondsOf(b) || 0),
  holders: (a, b) => a.peers_with_file.length - b.peers_with_file.length,
  known: (a, b) => (a.known_at ?? 0) - (b.known_at ?? 0),
};

/** Returns whether `sort` names a sort order. @param {string} sort */
export const isSort = (sort) => Object.hasOwn(orders, sort.replace(/^-/, ""));

/** Keys that sort descending by default: largest or newest first. */
const DOWN_FIRST = ["size", "time", "holders", "known"];

/**
 * Returns the order after a click on a column header: reversed if the table is already sorted by that column.
 * @param {string} key @param {string} sort The current order
 */
export function turned(key, sort) {
  if (sort === key) return `-${key}`;
  if (sort === `-${key}`) return key;
  return DOWN_FIRST.includes(key) ? `-${key}` : key;
}

/** The page's initial order: the files this peer learned of most recently come first. */
export const NEWEST_FIRST = "-known";

export class FileList {
  /** @type {Map<string, FileRow>} */
  #files = new Map();
  /** @type {FileRow[]} */
  #sorted = [];
  #sort = NEWEST_FIRST;
  /** Normalized text to search, by file id. @type {Map<string, string>} */
  #texts = new Map();
  /** Order of arrival, by file id. @type {Map<string, number>} */
  #arrivals = new Map();
  #arrived = 0;

  get size() {
    return this.#files.size;
  }

  /** @param {string} fileId */
  get(fileId) {
    return this.#files.get(fileId);
  }

  /** All files, in the most recently requested order. @returns {readonly FileRow[]} */
  get all() {
    return this.#sorted;
  }

  /** Replaces all files. @param {readonly FileRow[]} files Newest first, as the peer lists them for `NEWEST_FIRST` */
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
    // Keep the old order: the built-in sort is fast on nearly sorted input.
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

  /** Returns the matching files, in order. @param {Query} query @param {string} own This peer's id */
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
