// @ts-check
// The rules by which files are found and sorted, for the peer, which does it (web/file_index.ts), and for the page, which
// offers it. No DOM here.

/** @typedef {import("./types.d.ts").FileRow} FileRow */

/** Minimum length of a word that may match the start of an id: a single hex digit would match every 16th file. */
const MIN_ID_CHARS = 4;

/**
 * Returns text normalized for searching: lowercase, without accents, and with `-`, `_`, and `.` as spaces, so that
 * "exam 07" and "exam-07" find "exam_07.pdf". Precomposed characters and the letter-plus-accent pairs that macOS writes
 * both reduce to the letter.
 * @param {string} text
 */
export const searchText = (text) => plainText(text).toLowerCase().replace(/[-_.]+/g, " ");

/** Returns text without accents, and with compatible characters as the plain ones. @param {string} text */
const plainText = (text) =>
  /[^\0-\x7f]/.test(text) ? text.normalize("NFKD").replace(/\p{M}+/gu, "") : text;

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
  plainText(name).toLowerCase()
    .replace(/\d+/g, (digits) => {
      const value = digits.replace(/^0+(?=\d)/, "");
      return String.fromCharCode(0x30 + Math.min(value.length, 9)) + value;
    });

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
