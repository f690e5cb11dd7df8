// Reads held content again, to send it or to check that it still matches its id.

import { verifyingTimestamp } from "../protocol/wire/fileid.ts";
import { asStorageError, StorageError } from "./errors.ts";
import { hashFile } from "./intake.ts";
import { lookOf, looksAsHashed } from "./looks.ts";
import type { Placement } from "./metadata.ts";
import type { ShelvedFile } from "./shelf.ts";

/**
 * The content of a held file, for sending. What was checked at opening is checked again before the last piece is
 * handed out, so that nobody mistakes a mix of two versions for the whole file.
 */
export class FileReader {
  #position = 0;
  #end: number;

  /** Wraps an open file; see `openHeld`. */
  constructor(
    private readonly file: Deno.FsFile,
    private readonly path: string,
    private readonly placement: Placement,
    /** How the file looked when it was opened. */
    private readonly opened: Deno.FileInfo,
  ) {
    this.#end = placement.sizeBytes;
  }

  /** Size of the whole content, in bytes. */
  get sizeBytes(): number {
    return this.placement.sizeBytes;
  }

  /** Hex SHA-256 of the content alone. */
  get sha256(): string {
    return this.placement.sha256;
  }

  /**
   * Fills the buffer up to the end of the range that is sent, and returns the number of bytes; 0 at the end. Throws
   * `StorageError` instead of handing out the last piece if the file has changed since it was opened.
   */
  readInto(buffer: Uint8Array): number {
    const wanted = Math.min(buffer.length, this.#end - this.#position);
    let filled = 0;
    while (filled < wanted) {
      const read = this.file.readSync(buffer.subarray(filled, wanted));
      if (read === null) break;
      filled += read;
    }
    this.#position += filled;
    if (wanted > 0 && (this.#position === this.#end || filled < wanted)) this.#check();
    return filled;
  }

  /** Limits what is sent to `bytes` bytes from `offset`. */
  seek(offset: number, bytes = this.sizeBytes - offset): void {
    this.file.seekSync(offset, Deno.SeekMode.Start);
    this.#position = offset;
    this.#end = offset + bytes;
  }

  /** Closes the file. */
  close(): void {
    this.file.close();
  }

  /** Throws `StorageError` if the content may not be what was opened. */
  #check(): void {
    const [now, opened] = [this.file.statSync(), this.opened];
    const look = lookOf(now);
    const isSame = look.sizeBytes === this.placement.sizeBytes &&
      look.mtimeMs === this.placement.mtimeMs &&
      // Renaming or removing a file changes its inode too, but not its content.
      (look.ctimeMs === lookOf(opened).ctimeMs || now.nlink !== opened.nlink || !this.#isInPlace());
    if (!isSame) {
      throw new StorageError("io", `${this.placement.diskName} changed while it was being sent`);
    }
  }

  /** Returns whether the opened file still has its name. */
  #isInPlace(): boolean {
    try {
      const { ino, dev } = Deno.lstatSync(this.path);
      return ino === this.opened.ino && dev === this.opened.dev;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  }
}

/**
 * Opens content for sending. Returns `undefined` if it is not here or does not look as it did when it was hashed.
 * Throws `StorageError` if the process is out of file descriptors or memory, which says nothing about the file.
 */
export function openHeld(dir: string, placement: Placement): FileReader | undefined {
  const path = `${dir}/${placement.diskName}`;
  let file: Deno.FsFile | undefined;
  try {
    // Checked before opening, because opening a pipe would block, and again afterwards, when nothing can replace it
    // any more.
    if (!isAsHashed(Deno.lstatSync(path), placement)) return undefined;
    file = Deno.openSync(path, { read: true });
    const opened = file.statSync();
    if (isAsHashed(opened, placement)) return new FileReader(file, path, placement, opened);
    file.close();
    return undefined;
  } catch (cause) {
    file?.close();
    if (isTransient(cause)) throw asStorageError(cause, `Cannot read ${placement.diskName}`);
    return undefined; // removed or unreadable
  }
}

/**
 * Returns all of a small file, as `openHeld` and reading it would, for a third of the cost. Returns `undefined` if it is
 * not here or does not look as it did when it was hashed. Throws `StorageError` if the process is out of file descriptors
 * or memory.
 */
export function contentOfHeld(dir: string, placement: Placement): Uint8Array | undefined {
  const path = `${dir}/${placement.diskName}`;
  try {
    if (!isAsHashed(Deno.lstatSync(path), placement)) return undefined;
    const content = Deno.readFileSync(path);
    // Checked again, so that nobody gets a mix of two versions.
    const isSame = content.length === placement.sizeBytes &&
      isAsHashed(Deno.lstatSync(path), placement);
    return isSame ? content : undefined;
  } catch (cause) {
    if (isTransient(cause)) throw asStorageError(cause, `Cannot read ${placement.diskName}`);
    return undefined; // removed or unreadable
  }
}

/** The result of reading held content again; see `examine`. */
export type Examined = "good" | "damaged" | "gone";

/**
 * Reads content again and compares it with its id. Resolves to "gone" if it is not there or was changed in a way
 * that any folder scan will notice. Calls `onBytes` for each piece read. Throws `StorageError` if it cannot be read
 * right now.
 */
export async function examine(
  dir: string,
  { file, placement }: ShelvedFile,
  onBytes: (bytes: number) => void = () => {},
): Promise<Examined> {
  const path = `${dir}/${placement.diskName}`;
  try {
    if (!isAsHashed(await Deno.lstat(path), placement)) return "gone";
    const { hash } = await hashFile(path, { expectedBytes: placement.sizeBytes, onBytes });
    const digestWith = (suffix: string) => hash.copy().update(suffix).digest("hex");
    if (verifyingTimestamp(file.fileId, [file.timestamp], digestWith)) return "good";
    // If somebody wrote to it while it was read, the next folder scan handles it.
    return isAsHashed(await Deno.lstat(path), placement) ? "damaged" : "gone";
  } catch (cause) {
    if (isTransient(cause)) throw asStorageError(cause, `Cannot read ${placement.diskName}`);
    // A disk that cannot read its content is as bad as one that reads something else.
    return cause instanceof Deno.errors.NotFound ? "gone" : "damaged";
  }
}

const isAsHashed = (info: Deno.FileInfo, placement: Placement) =>
  info.isFile && looksAsHashed(lookOf(info), placement);

/** Returns whether this process is out of file descriptors or memory, which says nothing about the file. */
export function isTransient(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "EMFILE" || code === "ENFILE" || code === "ENOMEM";
}
