// Makes content one of this peer's own files, from a path or from content that was received.
// Invariants: an empty file is refused; the same content under the same name is shared only once; two files never
// get the same id.

import { type FileRecord, labelOf } from "../protocol/wire/message.ts";
import { asStorageError, StorageError } from "./errors.ts";
import type { FileIntake } from "./intake.ts";
import type { OwnIds } from "./ownids.ts";
import { openHeld } from "./reader.ts";
import { refuseSecrets } from "./layout.ts";
import type { HeldContent, Shelf } from "./shelf.ts";

/** A file of ours. `isNew` is false if the same content was already shared under the same name. */
export type PublishedContent = HeldContent & { readonly isNew: boolean };

/** What `Publishing` needs of the store. */
export interface PublishingOptions {
  /** The folder of the store. */
  readonly dir: string;
  /** Owner of the files that are published. */
  readonly owner: string;
  /** The held files. */
  readonly shelf: Shelf;
  /** Chooses the ids. */
  readonly ownIds: OwnIds;
  /** The current time, Unix milliseconds. */
  readonly now: () => number;
  /** Opens a temporary file for content. Throws `StorageError`. */
  readonly intake: () => FileIntake;
  /** Keeps content under a readable name. Throws `StorageError`. */
  readonly keep: (intake: FileIntake, held: HeldContent) => Promise<HeldContent>;
}

/** Publishes files under this peer's name. */
export class Publishing {
  /** Uses the store's own parts. */
  constructor(readonly options: PublishingOptions) {}

  /**
   * Copies a file from anywhere into the store as one of ours. `isTaken` says which ids are in use elsewhere.
   * Throws `StorageError`.
   */
  async publish(
    path: string,
    isTaken: (fileId: string) => boolean,
  ): Promise<PublishedContent> {
    const info = await Deno.stat(path).catch((cause) => {
      throw cause instanceof Deno.errors.NotFound
        ? new StorageError("not-found", `There is no file at ${path}`, { cause })
        : asStorageError(cause, `Cannot read ${path}`);
    });
    await refuseSecrets(path);
    if (!info.isFile) throw new StorageError("not-found", `${path} is not a regular file`);
    const intake = this.options.intake();
    try {
      const source = await Deno.open(path, { read: true });
      try {
        const buffer = new Uint8Array(1024 * 1024);
        for (;;) {
          const read = await source.read(buffer);
          if (read === null) break;
          intake.write(buffer.subarray(0, read));
        }
      } finally {
        source.close();
      }
      return await this.publishIntake(
        intake,
        labelOf(path),
        (info.mtime?.getTime() ?? 0) / 1000,
        isTaken,
      );
    } catch (cause) {
      intake.abort();
      throw asStorageError(cause, `Cannot share ${path}`);
    }
  }

  /**
   * Keeps received content as one of our files. If we already share the same content under this name, returns that
   * file with `isNew` false and keeps nothing twice. `modifiedSeconds` is in Unix seconds. Throws `StorageError`.
   */
  async publishIntake(
    intake: FileIntake,
    name: string,
    modifiedSeconds: number,
    isTaken: (fileId: string) => boolean,
  ): Promise<PublishedContent> {
    const label = labelOf(name);
    if (intake.sizeBytes === 0) {
      intake.abort();
      throw new StorageError("empty", `${label} is empty, so no peer could fetch it`);
    }
    const same = this.#sharedAs(label, intake.digestWith(""));
    if (same) {
      intake.abort();
      return { ...same, isNew: false };
    }
    const nowSeconds = this.options.now() / 1000;
    const { fileId, timestamp } = this.options.ownIds.free(
      (suffix) => intake.digestWith(suffix),
      Math.min(modifiedSeconds, nowSeconds),
      nowSeconds,
      (id) => isTaken(id) || this.options.shelf.isTaken(id),
    );
    // The same content may arrive under two names at once.
    this.options.shelf.claim(fileId);
    const file: FileRecord = {
      fileId,
      name: label,
      owner: this.options.owner,
      timestamp,
      size: intake.sizeBytes / (1024 * 1024),
      sizeBytes: intake.sizeBytes,
    };
    try {
      return {
        ...await this.options.keep(intake, { file, sizeBytes: intake.sizeBytes }),
        isNew: true,
      };
    } finally {
      this.options.shelf.unclaim(fileId);
    }
  }

  /** Returns our file with this name and content, if it still looks as it did. */
  #sharedAs(label: string, sha256: string): HeldContent | undefined {
    for (const fileId of this.options.shelf.idsOf(sha256)) {
      const { file, placement, pushed } = this.options.shelf.get(fileId)!;
      if (file.owner !== this.options.owner || file.name !== label) continue;
      const reader = openHeld(this.options.dir, placement);
      reader?.close();
      if (reader) return { file, sizeBytes: placement.sizeBytes, pushed };
    }
    return undefined;
  }
}
