// @ts-check
// Numbers, times, and names formatted for people. The prompt and the server-rendered page use the same wording
// (cli/units.ts, protocol/wire/text.ts); a test compares them. No DOM here.

/** Returns a size such as `12.4 MB`, in units of 1,000. @param {number} bytes */
export function sizeText(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  let value = bytes;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return unit === 0 ? `${Math.round(value)} B` : `${value.toPrecision(3)} ${units[unit]}`;
}

/** Returns a rate such as `9.1 MB/s`. @param {number} bytesPerSecond */
export const rateText = (bytesPerSecond) => `${sizeText(bytesPerSecond)}/s`;

/** Returns progress such as `12.4 of 80.0 MB`. @param {number} done @param {number | null} total */
export function progressText(done, total) {
  if (total === null) return sizeText(done);
  const [a, unitA] = sizeText(done).split(" ");
  const [b, unitB] = sizeText(total).split(" ");
  return unitA === unitB ? `${a} of ${b} ${unitB}` : `${a} ${unitA} of ${b} ${unitB}`;
}

/**
 * Returns how far the folder has been indexed.
 * @param {{ files_done: number, files_total: number, bytes_done: number, bytes_total: number }} indexing
 */
export const indexingText = ({ files_done, files_total, bytes_done, bytes_total }) =>
  `Indexing: ${numberText(files_done)} of ${plural(files_total, "file")}, ${
    progressText(bytes_done, bytes_total)
  }; files are shared as they are indexed`;

/** Returns how long something took: `under 1 s`, `42 s`. @param {number} seconds */
export const tookText = (seconds) => seconds < 1 ? "under 1 s" : durationText(seconds);

/** Returns a duration such as `42 s`, `5 min`, `3 h`, or `2 d`. @param {number} seconds */
export function durationText(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5_400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/**
 * Returns an age such as `3 h ago`, or a date if the time is in the future.
 * @param {number} seconds @param {number} nowSeconds Unix times
 */
export function agoText(seconds, nowSeconds) {
  if (Number.isNaN(seconds)) return "invalid date";
  const age = nowSeconds - seconds;
  if (age < -5) return isoText(seconds).replace(/T.*/, "");
  return age < 2 ? "now" : `${durationText(age)} ago`;
}

/** Returns how long ago a peer left. @param {number} seconds @param {number} nowSeconds Unix times */
export const awayText = (seconds, nowSeconds) => `away, seen ${agoText(seconds, nowSeconds)}`;

/** Returns an ISO date such as `2025-04-09T03:29:12.000Z`, or `invalid date`. @param {number} seconds Unix time */
export function isoText(seconds) {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? "invalid date" : date.toISOString();
}

/**
 * Created once, on first use: creating it takes a hundred times as long as using it, and costs 6 MB of memory in the
 * peer process, which imports this file too.
 * @type {Intl.DateTimeFormat | undefined}
 */
let exact;

/** Returns the exact date and time in the reader's locale. @param {number} seconds Unix time */
export function exactText(seconds) {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return "invalid date";
  exact ??= new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  return exact.format(date);
}

/** Shortens an id in the middle: `a1b2c3…9f0e`. @param {string} id */
export const shortId = (id) => id.length <= 12 ? id : `${id.slice(0, 6)}…${id.slice(-4)}`;

/**
 * Returns an integer with thousands separators: `12,345`. Not done with Intl, whose tables cost the program 5 MB for
 * this alone.
 * @param {number} count At least 0, below 2^53
 */
export const numberText = (count) => String(count).replace(/\B(?=(\d{3})+$)/g, ",");

/**
 * Returns a count with its noun: `1 file`, `3 files`.
 * @param {number} count @param {string} one @param {string} [many]
 */
export const plural = (count, one, many = `${one}s`) =>
  `${numberText(count)} ${count === 1 ? one : many}`;

/** Joins names: `a, b and c`. @param {readonly string[]} names */
export function listText(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

// Joiners between emoji, and selectors for the emoji or keycap style, must survive: a family emoji is one character.
const joiner = String
  .raw`(?<=\p{Extended_Pictographic}[\ufe0f\p{Emoji_Modifier}]?)\u200d(?=\p{Extended_Pictographic})`;
const style = String.raw`(?<=\p{Extended_Pictographic})\ufe0f|\ufe0f(?=\u20e3)`;
// Control characters, format characters (including those that change reading direction), line and paragraph
// separators, and letters that render as nothing.
const invisible = new RegExp(
  String
    .raw`(?!${joiner}|${style})[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]`,
  "gu",
);
/** @param {string} sign */
const escapeSign = (sign) => `\\u{${sign.codePointAt(0)?.toString(16)}}`;

/** Makes untrusted text safe to show: invisible characters become `\u{hex}`. @param {string} text */
export function visible(text, maxChars = 200) {
  const isBlank = !/\S/.test(text);
  const shown = text.toWellFormed().replace(isBlank ? /./gsu : invisible, escapeSign);
  if (shown.length <= maxChars) return shown;
  return shown.slice(0, maxChars - 1).toWellFormed().replace(/\u200d$/, "") + "…";
}

/** Characters at the end of a long name that are always shown: they tell versions and file types apart. */
const TAIL_CHARS = 12;
/** Maximum characters to move the cut to the left in search of a safe place. */
const TAIL_SLACK = 12;

/**
 * Splits a name into a head, which may be shortened with an ellipsis, and a tail, which is always shown. The tail of a
 * short name is empty. Cuts only before a visible ASCII character, so never inside a multi-part character.
 * @param {string} name @returns {[head: string, tail: string]}
 */
export function splitName(name) {
  if (name.length <= 2 * TAIL_CHARS) return [name, ""];
  const last = name.length - TAIL_CHARS;
  for (let at = last; at >= last - TAIL_SLACK; at--) {
    if (/[!-~]/.test(name[at] ?? "")) return [name.slice(0, at), name.slice(at)];
  }
  return [name, ""];
}

/** Returns `host:port`, with brackets around IPv6 addresses. @param {{ host: string, port: number }} address */
export const addressText = ({ host, port }) =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;

/**
 * Returns the command that starts another peer and joins it to this one.
 * @param {{ host: string, port: number }} status
 */
export const startLine = (status) => `p2p-peer NAME 8117 8118 --bootstrap ${addressText(status)}`;

/** Returns whether the host is a name or address that only works on this machine. @param {string} host */
export const isLoopback = (host) =>
  /^(localhost|127(\.\d+){3}|\[?::1\]?|\[?::ffff:(127\.|7f)[^\]]*\]?)$/i.test(host);

/** Returns what to do about an empty network. @param {{ host: string }} status */
export const startWords = ({ host }) =>
  isLoopback(host)
    ? "No peers yet. Start another on this machine with"
    : "No peers yet. Start another with";

/**
 * Returns the CSS classes of the peer table, which say which optional columns have something to show.
 * @param {Iterable<{ extended: boolean, refused: number }>} peers
 */
export function shownColumns(peers) {
  const all = [...peers];
  return [
    all.some(({ extended }) => !extended) ? "has-kind" : "",
    all.some(({ refused }) => refused > 0) ? "has-refused" : "",
  ].join(" ").trim();
}

/** Free disk space below which the page warns, in bytes. */
const LOW_BYTES = 1_000_000_000;

/**
 * Returns a warning about the peer as a whole and what to do about it, or "" if all is well.
 * @param {{ free_bytes: number, name_taken_by: string | null, unreachable: { text: string } | null }} status
 */
export function warningText({ free_bytes, name_taken_by, unreachable }) {
  if (name_taken_by) {
    return `The peer at ${name_taken_by} has the same peer id as this one, so others list only one of the two. Restart one of them with a different peer id.`;
  }
  if (free_bytes <= 0) {
    return "The disk is full: nothing can be fetched or shared. Delete files here, or free up space on the disk.";
  }
  if (free_bytes < LOW_BYTES) {
    return `Only ${sizeText(free_bytes)} left on the disk. Larger files cannot be fetched.`;
  }
  if (unreachable) return `${unreachable.text}.`;
  return "";
}

/** The first few, a line each. @param {readonly { text: string, hint: string }[]} troubles */
export const troubleTexts = (troubles) =>
  troubles.slice(0, 4).map(({ text, hint }) => visible(`Bootstrap ${text}. ${hint}.`, 500)).join(
    "\n",
  );

/** Number of limits named on the page. The API and `stats` have all. */
const LIMITS_SHOWN = 3;

/**
 * Returns which limits were reached since the start, the most often first, or "" if none was.
 * @param {readonly { what: string, times: number, option?: string | null }[]} reached
 */
export const limitsText = (reached) =>
  reached.slice(0, LIMITS_SHOWN).map(({ what, times, option }) =>
    `${what}: ${numberText(times)}${option ? ` (${option})` : ""}`
  ).join(". ");

/** Returns the peer's state in the network. @param {{ synchronized: boolean, peers: number }} status */
export const stateText = ({ synchronized, peers }) =>
  synchronized ? "synchronized" : peers > 0 ? "joining…" : "alone";
