// Values as people write them in options: sizes, seconds, addresses, words. Each reader throws a `UsageError` that says
// what would do; who calls it names the place of the value.

import { type Address, canonicalIp } from "../protocol/wire/address.ts";

/** Something on the command line, in the environment or in the config file cannot be used. Exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** A value as it is written, in any of the three places. */
export type Raw = string | boolean | number | readonly string[];

const unitBytes = new Map([["", 1], ["b", 1]]);
for (const [power, letter] of ["k", "m", "g", "t"].entries()) {
  unitBytes.set(letter, 1000 ** (power + 1));
  unitBytes.set(`${letter}b`, 1000 ** (power + 1));
  unitBytes.set(`${letter}ib`, 1024 ** (power + 1));
}

/** Bytes: `500000`, `2MiB`, `8GB`. */
export function size(raw: Raw): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(String(raw));
  const unit = match && unitBytes.get(match[2]!.toLowerCase());
  if (!match || !unit) {
    throw new UsageError(`must be a size such as 500000, 2MiB or 8GiB, got "${raw}"`);
  }
  return Math.round(Number(match[1]) * unit);
}

/** A number as it is written; what is no text and no number is none. */
const numberOf = (raw: Raw) => ["string", "number"].includes(typeof raw) ? Number(raw) : NaN;

/** A year: longer waits are mistakes. */
const MAX_SECONDS = 365 * 86_400;

/** Milliseconds, from seconds. */
export function seconds(raw: Raw): number {
  const value = numberOf(raw);
  if (!Number.isFinite(value) || value <= 0 || value > MAX_SECONDS) {
    throw new UsageError(
      `must be a number of seconds above 0, at most ${MAX_SECONDS}, got "${raw}"`,
    );
  }
  return value * 1000;
}

/** A whole number within bounds; `or` names what else would do. */
export function whole(min: number, max: number, or = ""): (raw: Raw) => number {
  return (raw) => {
    const value = numberOf(raw);
    if (!Number.isInteger(value) || value < min || value > max || String(raw).trim() === "") {
      throw new UsageError(`must be ${or}a whole number from ${min} to ${max}, got "${raw}"`);
    }
    return value;
  };
}

/** One of the words, in any case. */
export function oneOf<const T extends string>(...words: T[]): (raw: Raw) => T {
  return (raw) => {
    const word = words.find((each) => each.toLowerCase() === String(raw).toLowerCase());
    if (word === undefined) {
      throw new UsageError(`must be one of ${words.join(", ")}, got "${raw}"`);
    }
    return word;
  };
}

/** Text that is not empty. */
export function text(raw: Raw): string {
  if (typeof raw !== "string" || raw === "") throw new UsageError(`must be text, got "${raw}"`);
  return raw;
}

/** `true`, `yes`, `on`, `1` and their opposites. */
export function yes(raw: Raw): boolean {
  if (typeof raw === "boolean") return raw;
  if (/^(1|true|yes|on)$/i.test(String(raw))) return true;
  if (/^(0|false|no|off|)$/i.test(String(raw))) return false;
  throw new UsageError(`must be true or false, got "${raw}"`);
}

/** Reads `host:port`, `[ipv6]:port`. Throws `UsageError`. */
export function addressOf(raw: string): Address {
  const match = /^(?:\[([0-9a-f:.%]+)\]|([\w.-]+)):(\d{1,5})$/i.exec(raw.trim());
  const port = Number(match?.[3]);
  if (!match || port < 1 || port > 65535) {
    throw new UsageError(`must be host:port such as eagle.cs.umanitoba.ca:8999, got "${raw}"`);
  }
  return { host: match[1] ?? match[2]!, port };
}

/** Several, as a list or with commas between them. */
/** A host: a name, or an address, of which one of IPv6 may be given in brackets as in a URL. */
export function host(raw: Raw): string {
  return text(raw).replace(/^\[([^\]]*)\]$/, "$1");
}

export function texts(raw: Raw): string[] {
  return (Array.isArray(raw) ? raw : String(raw).split(",")).map(String).filter(Boolean);
}

/** Names that a browser may have in its address line. Throws `UsageError`. */
export function hosts(raw: Raw): string[] {
  return texts(raw).map((each) => {
    const name = each.trim();
    if (/^[\w.-]{1,253}$/.test(name)) return name;
    throw new UsageError(
      `must be a name such as files.example.org, no port and no path, got "${each}"`,
    );
  });
}

/** IP addresses in canonical form. Throws `UsageError`. */
export function ips(raw: Raw): string[] {
  return texts(raw).map((each) => {
    const ip = canonicalIp(each.trim());
    if (ip !== undefined) return ip;
    throw new UsageError(`must be an IP address such as 10.0.0.7, got "${each}"`);
  });
}

/** Top-level paths of the web pages: a base path that starts with one could not be told from them. */
const OWN_PATHS = ["api", "browser", "lib"];

/** A path of plain segments, without its final slash; `/` alone is the empty one. Throws `UsageError`. */
export function path(raw: Raw): string {
  const value = String(raw).replace(/\/$/, "");
  if (value === "") return "";
  const match = /^(?:\/[\w~-][\w.~-]*)+$/.test(value);
  if (match && value.length <= 200 && !OWN_PATHS.includes(value.split("/")[1]!)) return value;
  throw new UsageError(
    `must be a path such as /peer, of letters, digits and "-._~", and not start with ${
      OWN_PATHS.map((each) => `/${each}`).join(", ")
    }, got "${raw}"`,
  );
}

export const addresses = (raw: Raw): Address[] => texts(raw).map(addressOf);
