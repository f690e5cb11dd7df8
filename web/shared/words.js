// @ts-check
// Figures, times and names as people read them, on the page. The prompt and the page without script have the same
// words (cli/units.ts, protocol/wire/text.ts); a test compares them. No DOM here.

/** `12.4 MB`; units of 1,000. @param {number} bytes */
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

/** `9.1 MB/s`. @param {number} bytesPerSecond */
export const rateText = (bytesPerSecond) => `${sizeText(bytesPerSecond)}/s`;

/** `12.4 of 80.0 MB`. @param {number} done @param {number | null} total */
export function progressText(done, total) {
  if (total === null) return sizeText(done);
  const [a, unitA] = sizeText(done).split(" ");
  const [b, unitB] = sizeText(total).split(" ");
  return unitA === unitB ? `${a} of ${b} ${unitB}` : `${a} ${unitA} of ${b} ${unitB}`;
}

/** How long something took: `under 1 s`, `42 s`. @param {number} seconds */
export const tookText = (seconds) => seconds < 1 ? "under 1 s" : durationText(seconds);

/** `42 s`, `5 min`, `3 h`, `2 d`. @param {number} seconds */
export function durationText(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5_400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/** `3 h ago`; a time to come is a date. @param {number} seconds @param {number} nowSeconds Unix times */
export function agoText(seconds, nowSeconds) {
  if (Number.isNaN(seconds)) return "invalid date";
  const age = nowSeconds - seconds;
  if (age < -5) return isoText(seconds).replace(/T.*/, "");
  return age < 2 ? "now" : `${durationText(age)} ago`;
}

/** `2025-04-09T03:29:12.000Z`, or words where there is no such date. @param {number} seconds */
export function isoText(seconds) {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? "invalid date" : date.toISOString();
}

/**
 * Made once, by the first who asks: it takes a hundred times as long to make as to use, and 6 MB of memory in the
 * program, which reads this file too.
 * @type {Intl.DateTimeFormat | undefined}
 */
let exact;

/** The date in a long form of the reader's own. @param {number} seconds */
export function exactText(seconds) {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return "invalid date";
  exact ??= new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  return exact.format(date);
}

/** `a1b2c3…9f0e`. @param {string} id */
export const shortId = (id) => id.length <= 12 ? id : `${id.slice(0, 6)}…${id.slice(-4)}`;

/**
 * `12,345`: a whole number, its thousands apart. Not by Intl, whose tables cost the program 5 MB for this alone.
 * @param {number} count from 0, below 2^53
 */
export const numberText = (count) => String(count).replace(/\B(?=(\d{3})+$)/g, ",");

/** `1 file`, `3 files`. @param {number} count @param {string} one @param {string} [many] */
export const plural = (count, one, many = `${one}s`) =>
  `${numberText(count)} ${count === 1 ? one : many}`;

/** `a, b and c`. @param {readonly string[]} names */
export function listText(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

// What joins two emoji, and what gives a sign its colour or its key: a family is one sign.
const joiner = String
  .raw`(?<=\p{Extended_Pictographic}[\ufe0f\p{Emoji_Modifier}]?)\u200d(?=\p{Extended_Pictographic})`;
const style = String.raw`(?<=\p{Extended_Pictographic})\ufe0f|\ufe0f(?=\u20e3)`;
// Controls, formats (marks that change reading direction among them), line and paragraph separators, and letters that
// leave no trace.
const invisible = new RegExp(
  String
    .raw`(?!${joiner}|${style})[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]`,
  "gu",
);
/** @param {string} sign */
const escapeSign = (sign) => `\\u{${sign.codePointAt(0)?.toString(16)}}`;

/** Text of a stranger that cannot deceive: what cannot be seen stands as `\u{hex}`. @param {string} text */
export function visible(text, maxChars = 200) {
  const isBlank = !/\S/.test(text);
  const shown = text.toWellFormed().replace(isBlank ? /./gsu : invisible, escapeSign);
  if (shown.length <= maxChars) return shown;
  return shown.slice(0, maxChars - 1).toWellFormed().replace(/\u200d$/, "") + "…";
}

/** How much of the end of a long name is always shown: what tells versions apart, and the kind of file. */
const TAIL_CHARS = 12;
/** Maximum distance from there to a place where a name can be cut. */
const TAIL_SLACK = 12;

/**
 * Splits a name into a head, which may be cut short with an ellipsis, and a tail, which is always shown; the tail of a short name
 * is empty. Cuts only in front of a visible ASCII character, so never inside a sign that is made of several characters.
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

/** `host:port`, with brackets around IPv6. @param {{ host: string, port: number }} address */
export const addressText = ({ host, port }) =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;

/** The line that starts another peer, which joins this one. @param {{ host: string, port: number }} status */
export const startLine = (status) => `p2p-peer NAME 8117 8118 --bootstrap ${addressText(status)}`;

/** Returns whether the host is this machine, under a name or address that leads nowhere else. @param {string} host */
export const isLoopback = (host) =>
  /^(localhost|127(\.\d+){3}|\[?::1\]?|\[?::ffff:(127\.|7f)[^\]]*\]?)$/i.test(host);

/** What to do about an empty network. @param {{ host: string }} status */
export const startWords = ({ host }) =>
  isLoopback(host)
    ? "No peers yet. Start another on this machine with"
    : "No peers yet. Start another with";

/**
 * Returns the classes of the table of peers: which of its columns have something to show.
 * @param {Iterable<{ extended: boolean, refused: number }>} peers
 */
export function shownColumns(peers) {
  const all = [...peers];
  return [
    all.some(({ extended }) => !extended) ? "has-kind" : "",
    all.some(({ refused }) => refused > 0) ? "has-refused" : "",
  ].join(" ").trim();
}

/** Free space below which somebody should do something, in bytes. */
const LOW_BYTES = 1_000_000_000;

/**
 * Returns what is wrong with the peer as a whole and what to do about it, or "".
 * @param {{ free_bytes: number, peers: number, bootstraps: readonly string[], name_taken_by: string | null }} status
 */
export function warningText({ free_bytes, peers, bootstraps, name_taken_by }) {
  if (name_taken_by) {
    return `The peer at ${name_taken_by} has the same peer id as this one, so others list only one of the two. Restart one of them with a different peer id.`;
  }
  if (free_bytes <= 0) {
    return "The disk is full: nothing can be fetched or shared. Delete files here, or free up space on the disk.";
  }
  if (free_bytes < LOW_BYTES) {
    return `Only ${sizeText(free_bytes)} left on the disk. Larger files cannot be fetched.`;
  }
  if (peers === 0 && bootstraps.length > 0) {
    return `No answer from ${
      bootstraps.join(", ")
    } yet. Retrying every few seconds; check that it is running and that its port is open.`;
  }
  return "";
}

/** How it stands with the network. @param {{ synchronized: boolean, peers: number }} status */
export const stateText = ({ synchronized, peers }) =>
  synchronized ? "synchronized" : peers > 0 ? "joining…" : "alone";
