// Conditional requests (RFC 9110, 13): parses the entity tags and dates that clients send, and evaluates them.
// Malformed tags never match, and invalid dates are ignored.

import type { Context } from "hono";

interface Tag {
  readonly isWeak: boolean;
  /** Including the quotes. */
  readonly text: string;
}

/** Matches one list element and the comma after it. Empty elements are allowed (RFC 9110, 5.6.1). */
const ELEMENT = /[ \t]*(?:(W\/)?("[!#-~\x80-\xff]*"))?[ \t]*(?:,|$)/y;

/** Parses a list of entity tags, which may themselves contain commas. "*" alone means any. */
function tagsOf(header: string): readonly Tag[] | "*" {
  if (header.trim() === "*") return "*";
  const tags: Tag[] = [];
  ELEMENT.lastIndex = 0;
  while (ELEMENT.lastIndex < header.length) {
    const match = ELEMENT.exec(header);
    if (!match) return [];
    if (match[2] !== undefined) tags.push({ isWeak: match[1] !== undefined, text: match[2] });
  }
  return tags;
}

/** Returns whether a list contains this strong tag. In strong comparison, weak tags never match (8.8.3.2). */
function names(header: string, etag: string, comparison: "strong" | "weak"): boolean {
  const tags = tagsOf(header);
  if (tags === "*") return true;
  return tags.some(({ isWeak, text }) => text === etag && (comparison === "weak" || !isWeak));
}

/** Returns whether `If-None-Match` names the current version, so that it need not be sent again. */
export const isKnown = (header: string | undefined, etag: string) =>
  header !== undefined && names(header, etag, "weak");

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const TIME = String.raw`(?<hour>\d\d):(?<minute>\d\d):(?<second>\d\d)`;
const DATES = [
  String.raw`[A-Z][a-z]{2}, (?<day>\d\d) (?<month>[A-Z][a-z]{2}) (?<year>\d{4}) ${TIME} GMT`,
  String.raw`[A-Z][a-z]{5,8}, (?<day>\d\d)-(?<month>[A-Z][a-z]{2})-(?<short>\d\d) ${TIME} GMT`,
  String.raw`[A-Z][a-z]{2} (?<month>[A-Z][a-z]{2}) (?<day>[ \d]\d) ${TIME} (?<year>\d{4})`,
].map((pattern) => new RegExp(`^${pattern}$`));

/**
 * Returns the Unix seconds of an HTTP date in any of its three formats (RFC 9110, 5.6.7), or undefined if it is
 * invalid. `Date.parse` accepts much else, and reads the third format in the local time zone. `nowSeconds` resolves
 * two-digit years.
 */
export function httpDate(text: string | undefined, nowSeconds: number): number | undefined {
  const groups = DATES.map((form) => form.exec(text ?? "")?.groups).find((found) => found);
  if (!groups) return undefined;
  const [day, hour, minute, second] = ["day", "hour", "minute", "second"]
    .map((name) => Number(groups[name])) as [number, number, number, number];
  const month = MONTHS.indexOf(groups.month!);
  const year = groups.year === undefined
    ? fullYear(Number(groups.short), nowSeconds)
    : Number(groups.year);
  const date = new Date(0);
  date.setUTCFullYear(year, month, day);
  // Reject days that roll over, such as the 31st of a short month. A leap second is accepted.
  if (month < 0 || date.getUTCMonth() !== month || date.getUTCDate() !== day) return undefined;
  if (hour > 23 || minute > 59 || second > 60) return undefined;
  return date.getTime() / 1000 + hour * 3600 + minute * 60 + second;
}

/** Returns the full year: more than 50 years in the future means the previous century (RFC 9110, 5.6.7). */
function fullYear(short: number, nowSeconds: number): number {
  const thisYear = new Date(nowSeconds * 1000).getUTCFullYear();
  const year = thisYear - thisYear % 100 + short;
  return year > thisYear + 50 ? year - 100 : year;
}

/** The current state of the requested resource. */
export interface Representation {
  /** A strong entity tag. */
  readonly etag: string;
  /** Whole Unix seconds. */
  readonly modifiedSeconds: number | undefined;
  readonly nowSeconds: number;
}

/**
 * Evaluates the conditions of GET or HEAD in order (RFC 9110, 13.2.2). Returns undefined if the request may proceed.
 */
export function preconditionOf(c: Context, now: Representation): 304 | 412 | undefined {
  const { etag, modifiedSeconds = NaN, nowSeconds } = now;
  const dateOf = (name: string) => httpDate(c.req.header(name), nowSeconds) ?? NaN;
  const ifMatch = c.req.header("if-match");
  const ifNoneMatch = c.req.header("if-none-match");
  if (ifMatch !== undefined) {
    if (!names(ifMatch, etag, "strong")) return 412;
  } else if (modifiedSeconds > dateOf("if-unmodified-since")) return 412;
  if (ifNoneMatch !== undefined) return names(ifNoneMatch, etag, "weak") ? 304 : undefined;
  return modifiedSeconds <= dateOf("if-modified-since") ? 304 : undefined;
}

/**
 * Returns whether `If-Range` allows sending a range (RFC 9110, 13.1.5). A weak tag never matches. A date matches if it
 * equals the content's: the id fixes the content, so it cannot change within a second either.
 */
export function isSameForRange(header: string | undefined, now: Representation): boolean {
  if (header === undefined || header === now.etag) return true;
  const seconds = httpDate(header, now.nowSeconds);
  return seconds !== undefined && seconds === now.modifiedSeconds;
}

/**
 * Returns whether the conditions of a change hold (RFC 9110, 13.2). `etag` is that of the resource to change, if any.
 */
export function mayChange(c: Context, etag: string | undefined): boolean {
  const [ifMatch, ifNoneMatch] = [c.req.header("if-match"), c.req.header("if-none-match")];
  if (ifMatch !== undefined && (etag === undefined || !names(ifMatch, etag, "strong"))) {
    return false;
  }
  return ifNoneMatch === undefined || etag === undefined || !names(ifNoneMatch, etag, "weak");
}
