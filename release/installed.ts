// The executable on this machine, and what is kept in the folder next to it (`p2p-peer.release`): the checksums that it was installed
// with, their signature, and where they came from. Peers that have them pass them on with the executable.
// Invariant: checksums that do not name the executable as it is now are not passed on.

import { createHash } from "node:crypto";
import { fileNameOf, type Platform } from "./platform.ts";
import { MAX_SUMS_BYTES, readSums, SIGNATURE, SUMS, sumsText } from "./sums.ts";

/** Size of each piece that is read for the hash, in bytes: the event loop is busy for about a millisecond. */
const PIECE_BYTES = 1024 * 1024;

/** Checksums as they were published. */
export interface Published {
  /** Text of SHA256SUMS. */
  readonly sums: string;
  /** Text of its signature; `undefined` if it has none. */
  readonly signature: string | undefined;
}

/** An executable as it is on disk now. */
export interface Content {
  readonly sizeBytes: number;
  /** Hex SHA-256. */
  readonly sha256: string;
  /** When it was last changed, in Unix seconds. */
  readonly modifiedSeconds: number;
}

/** An installed executable. */
export class Installed {
  /** Its name among those of a release. */
  readonly name: string;
  /** The folder next to it. */
  readonly folder: string;
  readonly #atStart: Promise<string>;
  #known: { readonly version: string; readonly content: Promise<Content> } | undefined;

  /** `path`: the file itself, not a link to it. `ownVersion` is that of the running program. */
  constructor(readonly path: string, readonly platform: Platform, readonly ownVersion: string) {
    this.name = fileNameOf(platform);
    this.folder = `${path}.release`;
    this.#atStart = this.#versionNow().catch(() => "");
  }

  /** Resolves to what is on disk. It is read and hashed again only after it has changed. Throws errors of the system. */
  async content(): Promise<Content> {
    const version = await this.#versionNow();
    if (this.#known?.version !== version) {
      this.#known = { version, content: contentOf(this.path) };
      this.#known.content.catch(() => this.#known = undefined);
    }
    return await this.#known.content;
  }

  /** Resolves to whether the file has changed since this object was created, when the program started. */
  async isReplaced(): Promise<boolean> {
    return await this.#versionNow() !== await this.#atStart;
  }

  async #versionNow(): Promise<string> {
    const { ino, size, mtime } = await Deno.stat(this.path);
    return `${ino} ${size} ${mtime?.getTime()}`;
  }

  /**
   * Resolves to the checksums that belong to the executable: those of its release, from the folder next to it or, where a whole
   * release is in one folder, from there; otherwise a list of the executable alone. Resolves to `undefined` if it was replaced by hand:
   * its version is unknown then.
   */
  async published(): Promise<Published | undefined> {
    const { sha256 } = await this.content();
    const beside = this.path.slice(
      0,
      Math.max(this.path.lastIndexOf("/"), this.path.lastIndexOf("\\")) + 1,
    );
    for (const folder of [`${this.folder}/`, beside]) {
      const sums = await smallText(`${folder}${SUMS}`);
      if (sums === undefined || readSums(sums)?.hashes.get(this.name) !== sha256) continue;
      return { sums, signature: await smallText(`${folder}${SIGNATURE}`) };
    }
    if (await this.isReplaced()) return undefined;
    const hashes = new Map([[this.name, sha256]]);
    return { sums: sumsText({ version: this.ownVersion, hashes }), signature: undefined };
  }

  /** Resolves to where it was downloaded from, if that is known. */
  async from(): Promise<string | undefined> {
    return (await smallText(`${this.folder}/from`))?.trim();
  }
}

/** Resolves to the text of a small file; `undefined` if there is none that can be read. Links are not followed. */
async function smallText(path: string): Promise<string | undefined> {
  try {
    const { isFile, size } = await Deno.lstat(path);
    return isFile && size <= MAX_SUMS_BYTES ? await Deno.readTextFile(path) : undefined;
  } catch {
    return undefined; // as if it were not there: the executable works without
  }
}

async function contentOf(path: string): Promise<Content> {
  using file = await Deno.open(path);
  const { mtime } = await file.stat();
  const hash = createHash("sha256");
  const piece = new Uint8Array(PIECE_BYTES);
  let sizeBytes = 0;
  for (let read; (read = await file.read(piece)) !== null; sizeBytes += read) {
    hash.update(piece.subarray(0, read));
  }
  return {
    sizeBytes,
    sha256: hash.digest("hex"),
    modifiedSeconds: Math.floor((mtime?.getTime() ?? 0) / 1000),
  };
}
