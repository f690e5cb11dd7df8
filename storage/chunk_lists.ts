// Lists of the hashes of the chunks of held files, for peers whose download does not verify.
// Invariants: at most one file is read at a time, for a third of the time, so that nobody can keep this peer busy with that;
// at most `MAX_WAITING_LISTS` wait for it; a list is made
// only of content that looks as it did when it was verified.

import { createHash } from "node:crypto";
import { chunksOf, DIGEST_BYTES, listBytesOf } from "../protocol/chunks.ts";
import { StorageError } from "./errors.ts";
import type { FileReader } from "./reader.ts";

/** Maximum number of lists kept in memory, up to 128 KiB each. (A guess.) */
const MAX_CHUNK_LISTS = 8;
/** Maximum number of files that wait to be read. (A guess.) */
const MAX_WAITING_LISTS = 4;
/** Size of the pieces that are read, in bytes. */
const READ_BYTES = 1024 * 1024;
/** How long hashing may keep other work waiting, and how long it rests then, in milliseconds. */
const TURN_MS = 4;
const REST_MS = 2 * TURN_MS;

/** The lists of one store. */
export class ChunkLists {
  /** By file id; the one that was asked for last is last. */
  readonly #lists = new Map<string, Uint8Array>();
  /** Lists that are being made, by file id. */
  readonly #making = new Map<string, Promise<Uint8Array | undefined>>();
  #last: Promise<unknown> = Promise.resolve();

  /** `open` opens a held file, as `Store.reader` does. `signal` stops reading. */
  constructor(
    readonly open: (fileId: string) => FileReader | undefined,
    readonly signal?: AbortSignal,
  ) {}

  /**
   * Resolves to the list of a held file, or to `undefined` if the file is no longer here. Throws `StorageError` if it
   * cannot be read now, or if too many others wait for that.
   */
  async of(fileId: string): Promise<Uint8Array | undefined> {
    const known = this.#lists.get(fileId);
    if (known) {
      this.#lists.delete(fileId);
      this.#lists.set(fileId, known);
      return known;
    }
    const making = this.#making.get(fileId);
    if (making) return await making;
    if (this.#making.size >= MAX_WAITING_LISTS) {
      throw new StorageError("io", "Too many files are being read for others");
    }
    const list = this.#last.then(() => this.#make(fileId));
    this.#last = list.catch(() => {});
    this.#making.set(fileId, list);
    try {
      const made = await list;
      if (!made) return undefined;
      if (this.#lists.size >= MAX_CHUNK_LISTS) {
        this.#lists.delete(this.#lists.keys().next().value!);
      }
      this.#lists.set(fileId, made);
      return made;
    } finally {
      this.#making.delete(fileId);
    }
  }

  async #make(fileId: string): Promise<Uint8Array | undefined> {
    const reader = this.open(fileId);
    if (!reader) return undefined;
    try {
      const list = new Uint8Array(listBytesOf(reader.sizeBytes));
      const buffer = new Uint8Array(Math.min(READ_BYTES, Math.max(1, reader.sizeBytes)));
      let sinceMs = performance.now();
      let at = 0;
      for (const [start, end] of chunksOf(reader.sizeBytes)) {
        const hash = createHash("sha256");
        for (let left = end - start; left > 0;) {
          if (performance.now() - sinceMs >= TURN_MS) {
            await new Promise((go) => setTimeout(go, REST_MS));
            sinceMs = performance.now();
          }
          this.signal?.throwIfAborted();
          const read = reader.readInto(buffer.subarray(0, left));
          if (read === 0) throw new StorageError("io", "The file became shorter");
          hash.update(buffer.subarray(0, read));
          left -= read;
        }
        list.set(hash.digest(), at);
        at += DIGEST_BYTES;
      }
      return list;
    } finally {
      reader.close();
    }
  }
}
