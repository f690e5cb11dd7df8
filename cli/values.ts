// Parses option values as people write them: sizes, seconds, addresses, words. Each parser throws a `UsageError` that
// says what is allowed; the caller adds which flag, variable or config key the value came from.

import { type Address, canonicalIp } from "../protocol/wire/address.ts";

/** Thrown when the command line, the environment or the config file holds something unusable. Exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  /** What to do instead; undefined where `what` says what is allowed. */
  readonly hint: string | undefined;

  constructor(
    /** What is wrong, without the hint. */
    readonly what: string,
    { hint, ...options }: ErrorOptions & { readonly hint?: string | undefined } = {},
  ) {
    super(hint === undefined ? what : `${what}. ${hint}`, options);
    this.hint = hint;
  }
}

/** A value as written on the command line, in the environment or in the config file. */
export type Raw = string | boolean | number | readonly string[];

const unitBytes = new Map([["", 1], ["b", 1]]);
for (const [power, letter] of ["k", "m", "g", "t"].entries()) {
  unitBytes.set(letter, 1000 ** (power + 1));
  unitBytes.set(`${letter}b`, 1000 ** (power + 1));
  unitBytes.set(`${letter}ib`, 1024 ** (power + 1));
}

/** Slowest rate that may be set, in bytes per second: sources that send less than a twentieth of it count as stuck. */
const MIN_RATE_BYTES = 10 * 1024;

/** Returns a rate in bytes per second, from a size or "off"; 0 means no limit. Throws `UsageError`. */
export function rate(raw: Raw): number {
  const bytes = raw === "off" ? 0 : size(raw);
  if (bytes === 0 || bytes >= MIN_RATE_BYTES) return bytes;
  throw new UsageError(`must be 0 for no limit, or at least 10KiB, got "${raw}"`);
}

/** Returns a size in bytes, from `500000`, `2MiB` or `8GB`. Throws `UsageError`. */
export function size(raw: Raw): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(String(raw));
  const unit = match && unitBytes.get(match[2]!.toLowerCase());
  if (!match || !unit) {
    throw new UsageError(`must be a size such as 500000, 2MiB or 8GiB, got "${raw}"`);
  }
  return Math.round(Number(match[1]) * unit);
}

/** Returns the number, or NaN for anything that is neither text nor a number. */
const numberOf = (raw: Raw) => ["string", "number"].includes(typeof raw) ? Number(raw) : NaN;

/** Maximum duration, in seconds: one year. Anything longer is a mistake. */
const MAX_SECONDS = 365 * 86_400;

/** Returns milliseconds, from a value in seconds. Throws `UsageError`. */
export function seconds(raw: Raw): number {
  const value = numberOf(raw);
  if (!Number.isFinite(value) || value <= 0 || value > MAX_SECONDS) {
    throw new UsageError(
      `must be a number of seconds above 0 and at most ${MAX_SECONDS}, got "${raw}"`,
    );
  }
  return value * 1000;
}

/** Returns a parser of whole numbers within bounds; `or` names another value that is allowed, for its error message. */
export function whole(min: number, max: number, or = ""): (raw: Raw) => number {
  return (raw) => {
    const value = numberOf(raw);
    if (!Number.isInteger(value) || value < min || value > max || String(raw).trim() === "") {
      throw new UsageError(`must be ${or}a whole number from ${min} to ${max}, got "${raw}"`);
    }
    return value;
  };
}

/** Returns a parser that accepts one of these words, ignoring case. */
export function oneOf<const T extends string>(...words: T[]): (raw: Raw) => T {
  return (raw) => {
    const word = words.find((each) => each.toLowerCase() === String(raw).toLowerCase());
    if (word === undefined) {
      throw new UsageError(`must be one of ${words.join(", ")}, got "${raw}"`);
    }
    return word;
  };
}

/** Returns text that is not empty. Throws `UsageError`. */
export function text(raw: Raw): string {
  if (typeof raw !== "string" || raw === "") {
    throw new UsageError(`must be non-empty text, got "${raw}"`);
  }
  return raw;
}

/** Returns a boolean, from `true`, `yes`, `on`, `1` or their opposites. Throws `UsageError`. */
export function yes(raw: Raw): boolean {
  if (typeof raw === "boolean") return raw;
  if (/^(1|true|yes|on)$/i.test(String(raw))) return true;
  if (/^(0|false|no|off|)$/i.test(String(raw))) return false;
  throw new UsageError(`must be true or false, got "${raw}"`);
}

/** Parses `host:port` or `[ipv6]:port`. Throws `UsageError`. */
export function addressOf(raw: string): Address {
  const match = /^(?:\[([0-9a-f:.%]+)\]|([\w.-]+)):(\d{1,5})$/i.exec(raw.trim());
  const port = Number(match?.[3]);
  if (!match || port < 1 || port > 65535) {
    throw new UsageError(`must be host:port such as eagle.cs.umanitoba.ca:8999, got "${raw}"`);
  }
  return { host: match[1] ?? match[2]!, port };
}

/** Returns a host name or address. An IPv6 address may be in brackets, as in a URL. Throws `UsageError`. */
export function host(raw: Raw): string {
  return text(raw).replace(/^\[([^\]]*)\]$/, "$1");
}

/** Splits a list, or text with commas between its items. */
export function texts(raw: Raw): string[] {
  return (Array.isArray(raw) ? raw : String(raw).split(",")).map(String).filter(Boolean);
}

/** Returns host names that browsers may use to reach the pages. Throws `UsageError`. */
export function hosts(raw: Raw): string[] {
  return texts(raw).map((each) => {
    const name = each.trim();
    if (/^[\w.-]{1,253}$/.test(name)) return name;
    throw new UsageError(
      `must be a host name such as files.example.org, without a port or path, got "${each}"`,
    );
  });
}

/** Returns IP addresses in canonical form. Throws `UsageError`. */
export function ips(raw: Raw): string[] {
  return texts(raw).map((each) => {
    const ip = canonicalIp(each.trim());
    if (ip !== undefined) return ip;
    throw new UsageError(`must be an IP address such as 10.0.0.7, got "${each}"`);
  });
}

/** Top-level paths of the web pages. A base path that starts with one of these would be ambiguous. */
const OWN_PATHS = ["api", "browser", "lib", "shared"];

/** Returns a path of plain segments without its final slash; `/` alone becomes "". Throws `UsageError`. */
export function path(raw: Raw): string {
  const value = String(raw).replace(/\/$/, "");
  if (value === "") return "";
  const match = /^(?:\/[\w~-][\w.~-]*)+$/.test(value);
  if (match && value.length <= 200 && !OWN_PATHS.includes(value.split("/")[1]!)) return value;
  throw new UsageError(
    `must be a path such as /peer, made of letters, digits and "-._~", and must not start with ${
      OWN_PATHS.map((each) => `/${each}`).join(", ")
    }, got "${raw}"`,
  );
}

/** Returns several addresses, each as `host:port`. Throws `UsageError`. */
export const addresses = (raw: Raw): Address[] => texts(raw).map(addressOf);
