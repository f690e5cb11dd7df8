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
  /**
   * A time, Unix seconds, from which on digests for the first seconds were made ahead; undefined if any can be made, or
   * none was.
   */
  readonly aheadSeconds?: number;
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

/** Hashes that another thread made, with those suffixes only. */
class HashedElsewhere implements Hashed {
  readonly sizeBytes: number;
  readonly sha256: string;
  readonly look: Look;
  readonly #digests: readonly string[];

  constructor(
    result: HashResult,
    readonly suffixes: readonly string[],
    readonly aheadSeconds: number | undefined,
  ) {
    this.sizeBytes = result.sizeBytes;
    this.sha256 = result.sha256;
    this.look = result.look;
    this.#digests = result.digests;
  }

  digestWith(suffix: string): string {
    const digest = this.#digests[this.suffixes.indexOf(suffix)];
    if (digest === undefined) throw new Unhashed();
    return digest;
  }
}

/** Returns the hashes that another thread made with these suffixes; see `Hashed.aheadSeconds`. */
export function hashedElsewhere(
  result: HashResult,
  suffixes: readonly string[],
  aheadSeconds?: number,
): Hashed {
  return new HashedElsewhere(result, suffixes, aheadSeconds);
}
