// Held content read again: for sending it, and for looking whether it is still what its id says.

import { verifyingTimestamp } from "../protocol/wire/fileid.ts";
import { asStorageError, StorageError } from "./errors.ts";
import { hashFile } from "./intake.ts";
import { lookOf, looksAsHashed } from "./looks.ts";
import type { Placement } from "./metadata.ts";
import type { ShelvedFile } from "./shelf.ts";

/**
 * Content of a held file, for sending. What was checked when it was opened is checked again before the last piece is
 * handed out, so that nobody gets a mix of two versions for whole.
 */
export class FileReader {
  #position = 0;
  #end: number;

  constructor(
    private readonly file: Deno.FsFile,
    private readonly path: string,
    private readonly placement: Placement,
    /** How the file looked when it was opened. */
    private readonly opened: Deno.FileInfo,
  ) {
    this.#end = placement.sizeBytes;
  }

  get sizeBytes(): number {
    return this.placement.sizeBytes;
  }

  /** Hex SHA-256 of the content alone. */
  get sha256(): string {
    return this.placement.sha256;
  }

  /**
   * Fills the buffer, at most to the end of what is sent; 0 at the end. Throws `StorageError` instead of handing out the
   * last piece when the file was changed since it was opened.
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

  /** What is sent begins here and ends after so many bytes. */
  seek(offset: number, bytes = this.sizeBytes - offset): void {
    this.file.seekSync(offset, Deno.SeekMode.Start);
    this.#position = offset;
    this.#end = offset + bytes;
  }

  close(): void {
    this.file.close();
  }

  /** Throws `StorageError` when the content may be another one than that which was opened. */
  #check(): void {
    const [now, opened] = [this.file.statSync(), this.opened];
    const look = lookOf(now);
    const isSame = look.sizeBytes === this.placement.sizeBytes &&
      look.mtimeMs === this.placement.mtimeMs &&
      // Renaming and removing a file changes its inode too, and leaves the content as it is.
      (look.ctimeMs === lookOf(opened).ctimeMs || now.nlink !== opened.nlink || !this.#isInPlace());
    if (!isSame) {
      throw new StorageError("io", `${this.placement.diskName} was changed while it was sent`);
    }
  }

  /** Whether the file that was opened still has its name. */
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
 * Content for sending; undefined when it is not here or does not look as it did when it was hashed.
 * Throws `StorageError` when the process is out of descriptors: that says nothing about the file.
 */
export function openHeld(dir: string, placement: Placement): FileReader | undefined {
  const path = `${dir}/${placement.diskName}`;
  let file: Deno.FsFile | undefined;
  try {
    // Looked at before it is opened, which must not wait for a pipe, and after, when nothing can take its place.
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

export type Examined = "good" | "damaged" | "gone";

/**
 * Reads content again and compares it with its id. "gone": it is not there, or was changed in a way that any
 * look at the folder sees. Calls `onBytes` as it goes on. Throws `StorageError` when it cannot be read just now.
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
    // Somebody may have written to it while it was read: then it is for the next look at the folder.
    return isAsHashed(await Deno.lstat(path), placement) ? "damaged" : "gone";
  } catch (cause) {
    if (isTransient(cause)) throw asStorageError(cause, `Cannot read ${placement.diskName}`);
    // A disk that fails to read what it has is as bad as one that reads something else.
    return cause instanceof Deno.errors.NotFound ? "gone" : "damaged";
  }
}

const isAsHashed = (info: Deno.FileInfo, placement: Placement) =>
  info.isFile && looksAsHashed(lookOf(info), placement);

/** Whether this process was out of descriptors or memory, which says nothing about the file. */
export function isTransient(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "EMFILE" || code === "ENFILE" || code === "ENOMEM";
}
