// What a file is called on the network, and how content is checked against it. PURE.
// file_id = sha256(content ‖ text(timestamp)), where text is Python's `str()` of the number that the
// owner had. Peers on the way re-render the number, so several candidates are tried (docs/PROTOCOL.md).

import { MAX_NUMBER_CHARS } from "../limits.ts";
import { NumberText } from "./text.ts";

/** A timestamp as it stood in JSON: the source text of a number, or a string. Handed on unchanged. */
export interface Timestamp {
  readonly text: string;
  readonly quoted: boolean;
}

/** Whether `text` is a file_id: 64 lower-case hex digits. */
export function isFileId(text: unknown): text is string {
  return typeof text === "string" && /^[0-9a-f]{64}$/.test(text);
}

const dateString =
  /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0-3]\d \d{2}:\d{2}:\d{2} \d{4}$/;

/**
 * Whether the timestamp has a form that can vouch for content. Nothing separates content from timestamp
 * under the hash, so only forms are allowed that bytes cannot be shifted into or out of: exactly 10
 * digits before the point and at most 9 behind it, or a date string.
 */
export function isBindingTimestamp(timestamp: Timestamp): boolean {
  return timestamp.quoted
    ? dateString.test(timestamp.text)
    : /^\d{10}(\.\d{1,9})?$/.test(timestamp.text);
}

/**
 * Texts that may have been hashed behind the content, in the order in which they are tried: the source
 * text, its integer part, its integer part with `.0`. Empty for a timestamp that cannot vouch.
 */
export function timestampCandidates(timestamp: Timestamp): string[] {
  if (!isBindingTimestamp(timestamp)) return [];
  if (timestamp.quoted) return [timestamp.text];
  const whole = timestamp.text.slice(0, 10);
  return [...new Set([timestamp.text, whole, `${whole}.0`])];
}

/**
 * The first of `timestamps` under which the content has the given id, or undefined.
 * `digestWith` gives the hex SHA-256 of the content followed by a text.
 */
export function verifyingTimestamp(
  fileId: string,
  timestamps: Iterable<Timestamp>,
  digestWith: (suffix: string) => string,
): Timestamp | undefined {
  for (const timestamp of timestamps) {
    for (const text of timestampCandidates(timestamp)) {
      if (digestWith(text) === fileId) return timestamp;
    }
  }
  return undefined;
}

/** Unix seconds that the timestamp means, or undefined when it means none. For showing and for mtimes. */
export function timestampSeconds(timestamp: Timestamp): number | undefined {
  const seconds = timestamp.quoted
    ? Date.parse(dateString.test(timestamp.text) ? `${timestamp.text} UTC` : "") / 1000
    : Number(timestamp.text);
  // Dates beyond this cannot be shown or set on a file.
  return Number.isFinite(seconds) && seconds >= 0 && seconds <= 8.64e12 ? seconds : undefined;
}

/** The timestamp that we give to files of our own: whole seconds, which every implementation renders alike. */
export function ownTimestamp(seconds: number): Timestamp {
  return { text: String(Math.trunc(seconds)), quoted: false };
}

/** Reads a timestamp from a parsed value; undefined where it is none or too long. */
export function timestampOf(value: unknown): Timestamp | undefined {
  if (typeof value === "string") {
    return value.length <= 64 && value.isWellFormed() ? { text: value, quoted: true } : undefined;
  }
  if (!(value instanceof NumberText) || value.text.length > MAX_NUMBER_CHARS) return undefined;
  return Number.isFinite(Number(value.text)) ? { text: value.text, quoted: false } : undefined;
}
