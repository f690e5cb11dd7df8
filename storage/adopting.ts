// Holds a file as content that is here already, under another id and perhaps another name.
// Invariants: the content is read again and verified for the new id, and counts only if it looks as it did when it was
// hashed; nothing is written but a line of the journal; large files are read one at a time, in another thread.

import {
  type Timestamp,
  timestampCandidates,
  verifyingTimestamp,
} from "../protocol/wire/fileid.ts";
import type { FileRecord } from "../protocol/wire/message.ts";
import { DiskThread } from "./disk_thread.ts";
import { asStorageError } from "./errors.ts";
import { hashedElsewhere } from "./hashed.ts";
import { SmallContent } from "./keeping.ts";
import { looksAsHashed } from "./looks.ts";
import type { Placement } from "./metadata.ts";
import { contentOfHeld } from "./reader.ts";
import type { HeldContent, Shelf } from "./shelf.ts";

/** Content up to this size is hashed at once: another thread would take longer, in bytes. */
const SMALL_BYTES = 1024 * 1024;

/** What adopting needs of the store. */
export interface AdoptingParts {
  /** The folder of the store. */
  readonly dir: string;
  /** The held files. */
  readonly shelf: Shelf;
  /** Returns whether a held file is being removed. */
  readonly isRemoving: (fileId: string) => boolean;
  /** Whether the journal must be on disk before a file is held. */
  readonly isDurable: boolean;
  /** The current time, Unix milliseconds. */
  readonly now: () => number;
  /** Aborted when the store closes. */
  readonly signal: AbortSignal;
}

/** Adopts files. */
export class Adopting {
  readonly #thread = new DiskThread();
  /** Resolves when the large files named so far have been read. */
  #turn: Promise<unknown> = Promise.resolve();

  /** Shares `parts` with the rest of the store. */
  constructor(readonly parts: AdoptingParts) {
    parts.signal.addEventListener("abort", () => this.#thread.close(parts.signal.reason));
  }

  /**
   * Holds `file` as the content of the held file `twin`. Resolves to `undefined` if that does not verify for its id under
   * any of the timestamps. Throws `StorageError` if it is no longer here or cannot be read.
   */
  async adopt(
    file: FileRecord,
    timestamps: readonly Timestamp[],
    twin: string,
  ): Promise<HeldContent | undefined> {
    const { shelf, isRemoving, isDurable, now } = this.parts;
    const before = shelf.get(twin)?.placement;
    try {
      if (!before) throw new Deno.errors.NotFound("It is no longer here");
      const digestWith = await this.#digests(before, timestamps);
      const timestamp = verifyingTimestamp(file.fileId, timestamps, digestWith);
      if (!timestamp) return undefined;
      // It may have been removed or renamed while it was read.
      const placement = shelf.get(twin)?.placement;
      if (placement?.diskName !== before.diskName || isRemoving(twin)) {
        throw new Deno.errors.NotFound("It is no longer here");
      }
      // It may have been kept from elsewhere meanwhile, with a file of its own.
      const known = shelf.get(file.fileId);
      if (known) {
        const { file, placement: { sizeBytes }, pushed } = known;
        return { file, sizeBytes, pushed };
      }
      const { sizeBytes, sha256 } = placement;
      const knownSince = Math.trunc(now() / 1000);
      const held = { file: { ...file, timestamp, sizeBytes, sha256 }, pushed: false, knownSince };
      shelf.add([{ ...held, placement }], { sync: isDurable });
      return { ...held, sizeBytes };
    } catch (cause) {
      throw asStorageError(cause, `Cannot use the content of ${before?.diskName ?? twin}`);
    }
  }

  async #digests(
    placement: Placement,
    timestamps: readonly Timestamp[],
  ): Promise<(suffix: string) => string> {
    const { dir } = this.parts;
    if (placement.sizeBytes <= SMALL_BYTES) {
      const content = contentOfHeld(dir, placement);
      if (!content) throw new Deno.errors.NotFound("It is no longer here");
      const small = new SmallContent(content);
      return (suffix) => small.digestWith(suffix);
    }
    const reading = this.#turn.then(() => this.#read(placement, timestamps));
    this.#turn = reading.catch(() => {}); // reported to the caller
    return await reading;
  }

  async #read(
    placement: Placement,
    timestamps: readonly Timestamp[],
  ): Promise<(suffix: string) => string> {
    const { diskName, sizeBytes } = placement;
    const suffixes = timestamps.flatMap((timestamp) => timestampCandidates(timestamp));
    const [result] = await this.#thread.hash({
      dir: this.parts.dir,
      names: [diskName],
      sizes: [sizeBytes],
      suffixes: [suffixes],
    });
    if (result instanceof Error) throw result;
    if (!looksAsHashed(result!.look, placement)) {
      throw new Deno.errors.NotFound("It was changed in the folder");
    }
    const hashed = hashedElsewhere(result!, suffixes);
    return (suffix) => hashed.digestWith(suffix);
  }
}
