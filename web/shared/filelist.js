// @ts-check
// What the page and the peer's own page need to know of the list of files: its orders, and figures of a row. No DOM here.

/** @typedef {import("./types.d.ts").FileRow} FileRow */

/** Returns the size in bytes; older peers only report MiB. @param {FileRow} file */
export const bytesOf = (file) => file.size_bytes ?? Math.round(file.file_size * 1024 ** 2);
/** Returns the modification time in Unix seconds, or NaN if the owner gave no valid date. @param {FileRow} file */
export const secondsOf = (file) => file.modified_at ?? NaN;

const SORTS = ["name", "size", "owner", "time", "holders", "known"];

/** Returns whether `sort` names a sort order. @param {string} sort */
export const isSort = (sort) => SORTS.includes(sort.replace(/^-/, ""));

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
