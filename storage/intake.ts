// Incoming content: written to a temporary file and hashed as it arrives, verified, then kept or removed. A single
// thread that reads, hashes and writes synchronously was the fastest way measured, and its only memory is the
// reader's buffer (docs/BENCHMARKS.md).

import { createHash, type Hash } from "node:crypto";
import { asStorageError, StorageError } from "./errors.ts";
import { removeTemporary } from "./leftovers.ts";
import type { Space } from "./space.ts";

/** One incoming file. Ends with `close` if the temporary file is kept, or with `abort`. */
export class FileIntake {
  /** The open file. */
  readonly file: Deno.FsFile;
  #hash: Hash;
  #open = true;
  /** Bytes written so far. */
  sizeBytes: number;

  /**
   * Creates the temporary file at `path`, which must not exist, or, if content was begun there, continues it. Throws
   * `StorageError`.
   */
  constructor(
    readonly path: string,
    readonly maxBytes: number,
    readonly space: Pick<Space, "take" | "makeRoom">,
    begun?: { readonly hash: Hash; readonly sizeBytes: number },
  ) {
    this.#hash = begun?.hash ?? createHash("sha256");
    this.sizeBytes = begun?.sizeBytes ?? 0;
    try {
      space.take(0);
      this.file = begun
        ? Deno.openSync(path, { append: true })
        : Deno.openSync(path, { write: true, createNew: true, mode: 0o644 });
    } catch (cause) {
      throw asStorageError(cause, "Cannot receive a file");
    }
  }

  /** Appends content. Throws `StorageError`: "too-large", "no-space" or another code. */
  write(content: Uint8Array): void {
    if (this.sizeBytes + content.length > this.maxBytes) {
      throw new StorageError(
        "too-large",
        `The file is larger than ${this.maxBytes} bytes`,
        { hint: "Raise --max-file-size to accept larger files" },
      );
    }
    try {
      this.space.take(content.length);
      for (let at = 0; at < content.length;) at += this.#writeSome(content.subarray(at));
    } catch (cause) {
      this.#cutBack();
      throw asStorageError(cause, "Cannot receive a file");
    }
    this.#hash.update(content);
    this.sizeBytes += content.length;
  }

  /**
   * Other programs write to the disk too, so our count of free space can be off; then the disk reports that it is
   * full.
   */
  #writeSome(content: Uint8Array): number {
    for (;;) {
      try {
        return this.file.writeSync(content);
      } catch (cause) {
        const isFull = asStorageError(cause, "").code === "no-space";
        if (!isFull || !this.space.makeRoom()) throw cause;
      }
    }
  }

  /** Takes back what was written of a piece that was not written whole: the file is what was hashed. */
  #cutBack(): void {
    try {
      this.file.truncateSync(this.sizeBytes);
      this.file.seekSync(this.sizeBytes, Deno.SeekMode.Start);
    } catch {
      // The disk is gone: nothing more can be written either.
    }
  }

  /** Starts over with an empty file. */
  restart(): void {
    this.file.truncateSync(0);
    this.file.seekSync(0, Deno.SeekMode.Start);
    this.#hash = createHash("sha256");
    this.sizeBytes = 0;
  }

  /** Returns the hex SHA-256 of the content followed by `suffix`. */
  digestWith(suffix: string): string {
    return this.#hash.copy().update(suffix).digest("hex");
  }

  /** Flushes the content to disk. */
  sync(): void {
    this.file.syncSync();
  }

  /** Closes the temporary file and leaves it in place for the caller to move. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.file.close();
  }

  /** Removes the temporary file. Does nothing after `close`. */
  abort(): void {
    if (!this.#open) return;
    this.close();
    removeTemporary(this.path);
  }
}

/** Maximum size of the buffer for hashing existing files, in bytes. */
const READ_BYTES = 1024 * 1024;

/**
 * Returns the SHA-256 state of a file on disk. Yields to other work between reads. `expectedBytes` sizes the
 * buffer. Throws the signal's reason once it is aborted, and file system errors as they are.
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
    // One byte more than expected, so that the second read detects the end.
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
