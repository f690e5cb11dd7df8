// Content on its way in: written to a temporary file and hashed as it comes, verified, then kept or removed.
// One thread that reads, hashes and writes synchronously is the fastest way that was measured, and its
// memory is the reader's buffer (docs/BENCHMARKS.md).

import { createHash, type Hash } from "node:crypto";
import { asStorageError, StorageError } from "./errors.ts";
import { removeTemporary } from "./leftovers.ts";
import type { Space } from "./space.ts";

export class FileIntake {
  readonly #file: Deno.FsFile;
  #hash: Hash = createHash("sha256");
  #open = true;
  sizeBytes = 0;

  /** Makes the temporary file; `path` must not exist. Throws `StorageError`. */
  constructor(
    readonly path: string,
    readonly maxBytes: number,
    readonly space: Pick<Space, "take" | "makeRoom">,
  ) {
    try {
      space.take(0);
      this.#file = Deno.openSync(path, { write: true, createNew: true, mode: 0o644 });
    } catch (cause) {
      throw asStorageError(cause, "Cannot take in a file");
    }
  }

  /** Throws `StorageError`: "too-large", "no-space" or another. */
  write(content: Uint8Array): void {
    if (this.sizeBytes + content.length > this.maxBytes) {
      throw new StorageError(
        "too-large",
        `File is larger than ${this.maxBytes} bytes`,
        { hint: "--max-file-size allows more" },
      );
    }
    try {
      this.space.take(content.length);
      for (let at = 0; at < content.length;) at += this.#writeSome(content.subarray(at));
    } catch (cause) {
      throw asStorageError(cause, "Cannot take in a file");
    }
    this.#hash.update(content);
    this.sizeBytes += content.length;
  }

  /** The account of the room may be wrong by what others wrote: then the disk says so itself. */
  #writeSome(content: Uint8Array): number {
    for (;;) {
      try {
        return this.#file.writeSync(content);
      } catch (cause) {
        const isFull = asStorageError(cause, "").code === "no-space";
        if (!isFull || !this.space.makeRoom()) throw cause;
      }
    }
  }

  /** Begins again with an empty file. */
  restart(): void {
    this.#file.truncateSync(0);
    this.#file.seekSync(0, Deno.SeekMode.Start);
    this.#hash = createHash("sha256");
    this.sizeBytes = 0;
  }

  /** Hex SHA-256 of the content and a text behind it. */
  digestWith(suffix: string): string {
    return this.#hash.copy().update(suffix).digest("hex");
  }

  sync(): void {
    this.#file.syncSync();
  }

  /** Closes the temporary file, which stays for who keeps it. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#file.close();
  }

  /** Removes the temporary file; harmless when it was kept. */
  abort(): void {
    if (!this.#open) return;
    this.close();
    removeTemporary(this.path);
  }
}

/** Buffer for hashing files that lie there already. */
const READ_BYTES = 1024 * 1024;

/**
 * Hash state of a file on disk. Gives way to other work between reads. `expectedBytes` sizes the buffer. Throws the
 * signal's reason once it is aborted, and what the file system throws.
 */
export async function hashFile(
  path: string,
  { expectedBytes = READ_BYTES, onBytes, signal }: {
    readonly expectedBytes?: number;
    readonly onBytes?: (bytes: number) => void;
    readonly signal?: AbortSignal;
  } = {},
): Promise<{ hash: Hash; sizeBytes: number }> {
  const file = await Deno.open(path, { read: true });
  try {
    const hash = createHash("sha256");
    // One byte more than expected, so that the end shows in the second read.
    const buffer = new Uint8Array(Math.min(READ_BYTES, Math.max(1, expectedBytes) + 1));
    let sizeBytes = 0;
    for (;;) {
      signal?.throwIfAborted();
      const read = await file.read(buffer);
      if (read === null) return { hash, sizeBytes };
      hash.update(buffer.subarray(0, read));
      sizeBytes += read;
      onBytes?.(read);
    }
  } finally {
    file.close();
  }
}
