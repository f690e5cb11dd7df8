// Held content read again: for sending it, and for looking whether it is still what its id says.

import { verifyingTimestamp } from "../protocol/fileid.ts";
import { asStorageError } from "./errors.ts";
import { hashFile } from "./intake.ts";
import type { Placement } from "./metadata.ts";
import type { ShelvedFile } from "./shelf.ts";

/** Content of a held file, for sending. */
export class FileReader {
  constructor(
    readonly file: Deno.FsFile,
    readonly sizeBytes: number,
    /** Hex SHA-256 of the content alone. */
    readonly sha256: string,
  ) {}

  /** Fills the buffer; 0 at the end. */
  readInto(buffer: Uint8Array): number {
    let filled = 0;
    while (filled < buffer.length) {
      const read = this.file.readSync(buffer.subarray(filled));
      if (read === null) break;
      filled += read;
    }
    return filled;
  }

  seek(offset: number): void {
    this.file.seekSync(offset, Deno.SeekMode.Start);
  }

  close(): void {
    this.file.close();
  }
}

/**
 * Content for sending; undefined when it is not here or does not look as it did when it was hashed.
 * Throws `StorageError` when the process is out of descriptors: that says nothing about the file.
 */
export function openHeld(dir: string, placement: Placement): FileReader | undefined {
  const path = `${dir}/${placement.diskName}`;
  try {
    if (!looksAsHashed(Deno.lstatSync(path), placement)) return undefined;
    const { sizeBytes, sha256 } = placement;
    return new FileReader(Deno.openSync(path, { read: true }), sizeBytes, sha256);
  } catch (cause) {
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
    if (!looksAsHashed(await Deno.lstat(path), placement)) return "gone";
    const { hash } = await hashFile(path, onBytes);
    const digestWith = (suffix: string) => hash.copy().update(suffix).digest("hex");
    if (verifyingTimestamp(file.fileId, [file.timestamp], digestWith)) return "good";
    // Somebody may have written to it while it was read: then it is for the next look at the folder.
    return looksAsHashed(await Deno.lstat(path), placement) ? "damaged" : "gone";
  } catch (cause) {
    if (isTransient(cause)) throw asStorageError(cause, `Cannot read ${placement.diskName}`);
    // A disk that fails to read what it has is as bad as one that reads something else.
    return cause instanceof Deno.errors.NotFound ? "gone" : "damaged";
  }
}

function looksAsHashed(info: Deno.FileInfo, { sizeBytes, mtimeMs }: Placement): boolean {
  return info.isFile && info.size === sizeBytes && info.mtime?.getTime() === mtimeMs;
}

/** Out of descriptors or memory: nothing that another try may not mend. */
function isTransient(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "EMFILE" || code === "ENFILE" || code === "ENOMEM";
}
