// What is known of content after it was read once: its SHA-256, and that of the content followed by a text.

import type { Hash } from "node:crypto";
import type { HashResult } from "./disk_messages.ts";
import type { Look } from "./looks.ts";

/** Hashes of one file. */
export interface Hashed {
  /** Number of bytes that were hashed. */
  readonly sizeBytes: number;
  /** Hex SHA-256 of the content. */
  readonly sha256: string;
  /** How the file looked after it had been read; undefined if nobody has looked yet. */
  readonly look?: Look;
  /** Returns the hex SHA-256 of the content followed by a text. Throws `Unhashed` if the content must be read again. */
  digestWith(suffix: string): string;
}

/** A digest is needed that was not made when the content was read. */
export class Unhashed extends Error {}

/** Returns the hashes for a state after the whole content. */
export function hashedOf(hash: Hash, sizeBytes: number): Hashed {
  const digests = new Map<string, string>();
  const digestWith = (suffix: string) => {
    let digest = digests.get(suffix);
    if (digest === undefined) {
      digests.set(suffix, digest = hash.copy().update(suffix).digest("hex"));
    }
    return digest;
  };
  return { sizeBytes, sha256: digestWith(""), digestWith };
}

/** Returns the hashes that another thread made with these suffixes. */
export function hashedElsewhere(
  { sizeBytes, sha256, digests, look }: HashResult,
  suffixes: readonly string[],
): Hashed {
  return {
    sizeBytes,
    sha256,
    look,
    digestWith(suffix) {
      const digest = digests[suffixes.indexOf(suffix)];
      if (digest === undefined) throw new Unhashed();
      return digest;
    },
  };
}
