// The file_id: the name of a file on the network, and how content is verified against it. PURE.
// file_id = sha256(content ‖ text(timestamp)), where text is Python's `str()` of the owner's timestamp. Peers along the
// way re-render the number, so several candidates are tried (docs/PROTOCOL.md).

import { MAX_NUMBER_CHARS } from "../limits.ts";
import { NumberText } from "./text.ts";

/** A timestamp exactly as it appeared in JSON, so that it can be passed on unchanged: both are part of the id. */
export interface Timestamp {
  /** The source text of the number, or the content of the string. */
  readonly text: string;
  /** Whether it was a JSON string instead of a number. */
  readonly quoted: boolean;
}

/** Returns whether `text` is a file_id: 64 lowercase hex digits. */
export function isFileId(text: unknown): text is string {
  return typeof text === "string" && /^[0-9a-f]{64}$/.test(text);
}

const dateString =
  /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 0-3]\d \d{2}:\d{2}:\d{2} \d{4}$/;

/**
 * Returns whether the timestamp has a form that can prove content. Nothing separates content from timestamp in the
 * hash, so bytes could be shifted from one to the other. Only forms that rule this out count: exactly 10 digits before
 * the decimal point and at most 9 after it, or a date string.
 */
export function isBindingTimestamp(timestamp: Timestamp): boolean {
  return timestamp.quoted
    ? dateString.test(timestamp.text)
    : /^\d{10}(\.\d{1,9})?$/.test(timestamp.text);
}

/**
 * Returns the texts that may have been hashed after the content, in the order to try them: the source text, its
 * integer part, its integer part with `.0`. Empty for a timestamp that cannot prove content. Source: all 15 entries
 * of 11 owners in the real stores of two peers verified with one of these.
 */
export function timestampCandidates(timestamp: Timestamp): string[] {
  if (!isBindingTimestamp(timestamp)) return [];
  if (timestamp.quoted) return [timestamp.text];
  const whole = timestamp.text.slice(0, 10);
  return [...new Set([timestamp.text, whole, `${whole}.0`])];
}

/**
 * Returns the first of `timestamps` under which the content has the given id, or `undefined` if it is damaged or
 * forged. `digestWith` returns the SHA-256 of the content followed by a text, in lowercase hex.
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

/** Returns the timestamp in Unix seconds, or `undefined` if it is not a date. For display and modification times. */
export function timestampSeconds(timestamp: Timestamp): number | undefined {
  const seconds = timestamp.quoted
    ? Date.parse(dateString.test(timestamp.text) ? `${timestamp.text} UTC` : "") / 1000
    : Number(timestamp.text);
  // JavaScript cannot represent later dates, so they could be neither displayed nor set on a file.
  return Number.isFinite(seconds) && seconds >= 0 && seconds <= 8.64e12 ? seconds : undefined;
}

/** Returns a timestamp for a file of our own: whole seconds, which every implementation renders the same way. */
export function ownTimestamp(seconds: number): Timestamp {
  return { text: String(Math.trunc(seconds)), quoted: false };
}

/** Returns the timestamp in a value parsed by `parseJson`, or `undefined` if it is none or too long. */
export function timestampOf(value: unknown): Timestamp | undefined {
  if (typeof value === "string") {
    return value.length <= 64 && value.isWellFormed() ? { text: value, quoted: true } : undefined;
  }
  if (!(value instanceof NumberText) || value.text.length > MAX_NUMBER_CHARS) return undefined;
  return Number.isFinite(Number(value.text)) ? { text: value.text, quoted: false } : undefined;
}
