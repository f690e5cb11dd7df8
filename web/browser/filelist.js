// @ts-check
// Which files are shown and in which order, as fast for 10,000 as for ten: the order is kept while one types, the
// search only leaves rows out. No DOM here. The same rules as of the API (web/api/listing.ts).

import { isAtRisk } from "./safety.js";

/** @typedef {import("./types.d.ts").FileRow} FileRow */
/** @typedef {"name" | "size" | "owner" | "time" | "holders"} SortKey */
/** @typedef {{ q: string, where: string, sort: string }} Query `sort` begins with - for the other way round */

/** A shorter word is no beginning of an id. */
const MIN_ID_CHARS = 4;
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

/** @type {Readonly<Record<SortKey, (a: FileRow, b: FileRow) => number>>} */
const orders = {
  name: (a, b) => byKey(a.file_name, b.file_name),
  size: (a, b) => bytesOf(a) - bytesOf(b),
  owner: (a, b) => byKey(a.file_owner, b.file_owner),
  time: (a, b) => (secondsOf(a) || 0) - (secondsOf(b) || 0),
  holders: (a, b) => a.peers_with_file.length - b.peers_with_file.length,
};

/** Whether the text names an order. @param {string} sort */
export const isSort = (sort) => Object.hasOwn(orders, sort.replace(/^-/, ""));

/** The most, or the newest, first. */
const DOWN_FIRST = ["size", "time", "holders"];

/**
 * What a press on the head of a column orders by: the other way round where it is ordered by it already.
 * @param {string} key @param {string} sort The order now
 */
export function turned(key, sort) {
  if (sort === key) return `-${key}`;
  if (sort === `-${key}`) return key;
  return DOWN_FIRST.includes(key) ? `-${key}` : key;
}

export class FileList {
  /** @type {Map<string, FileRow>} */
  #files = new Map();
  /** @type {FileRow[]} */
  #sorted = [];
  #sort = "-time";
  /** @type {Map<string, string>} What is searched, in lower case. */
  #texts = new Map();

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

  /** @param {Iterable<FileRow>} files */
  reset(files) {
    keys.clear();
    this.#files = new Map();
    this.#texts = new Map();
    for (const file of files) this.#put(file);
    this.#sorted = [...this.#files.values()];
    this.#order();
  }

  /** @param {{ changed: readonly FileRow[], removed: readonly string[] }} change */
  apply({ changed, removed }) {
    for (const file of changed) this.#put(file);
    for (const id of removed) {
      this.#files.delete(id);
      this.#texts.delete(id);
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
    this.#files.set(file.file_id, file);
    this.#texts.set(file.file_id, `${file.file_name}\n${file.file_owner}`.toLowerCase());
  }

  #order() {
    const sign = this.#sort.startsWith("-") ? -1 : 1;
    const order = orders[/** @type {SortKey} */ (this.#sort.replace(/^-/, ""))];
    this.#sorted.sort((a, b) => sign * order(a, b) || (a.file_id < b.file_id ? -1 : 1));
  }

  /** The files that fit, in order. @param {Query} query @param {string} own Our peer_id */
  find({ q, where, sort }, own) {
    if (sort !== this.#sort && isSort(sort)) {
      this.#sort = sort;
      this.#order();
    }
    const words = q.toLowerCase().split(/\s+/).filter((word) => word !== "");
    return this.#sorted.filter((file) => {
      if (where === "here" && !file.has_copy) return false;
      if (where === "elsewhere" && file.has_copy) return false;
      if (where === "mine" && file.file_owner !== own) return false;
      if (where === "risk" && !isAtRisk(file)) return false;
      const text = this.#texts.get(file.file_id) ?? "";
      return words.every((word) =>
        text.includes(word) || (word.length >= MIN_ID_CHARS && file.file_id.startsWith(word))
      );
    });
  }
}
