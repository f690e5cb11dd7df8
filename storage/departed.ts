// Files that were taken out of the folder a while ago, so that they need not be read again when they come back, as
// after `mv`, or under another name. PURE.
// Invariants: at most `MAX_DEPARTED`; the oldest is forgotten first; content is trusted only if inode, size and
// modification time are those that it had.

import type { Look } from "./looks.ts";
import type { ShelvedFile } from "./shelf.ts";

/** Maximum number of files remembered: 30 MB. */
export const MAX_DEPARTED = 100_000;

/** The files that left. */
export class Departed {
  readonly #byId = new Map<string, ShelvedFile>();
  readonly #byInode = new Map<number, string[]>();

  /** Number of files remembered. */
  get size(): number {
    return this.#byId.size;
  }

  /** Remembers a file that is no longer where it was. */
  add(shelved: ShelvedFile): void {
    const { file: { fileId }, placement: { inode } } = shelved;
    this.delete(fileId);
    if (inode === undefined) return;
    if (this.#byId.size >= MAX_DEPARTED) this.#forgetOldest();
    this.#byId.set(fileId, shelved);
    const ids = this.#byInode.get(inode);
    if (ids) ids.push(fileId);
    else this.#byInode.set(inode, [fileId]);
  }

  /** Forgets many at once, because finding the oldest key of a map takes longer the more were deleted before it. */
  #forgetOldest(): void {
    let left = MAX_DEPARTED / 16;
    for (const fileId of this.#byId.keys()) {
      if (left-- <= 0) return;
      this.delete(fileId);
    }
  }

  /** Forgets a file: it is back. */
  delete(fileId: string): void {
    const shelved = this.#byId.get(fileId);
    if (!shelved) return;
    this.#byId.delete(fileId);
    const inode = shelved.placement.inode!;
    const left = this.#byInode.get(inode)!.filter((other) => other !== fileId);
    if (left.length > 0) this.#byInode.set(inode, left);
    else this.#byInode.delete(inode);
  }

  /** Returns the file with this id. */
  get(fileId: string): ShelvedFile | undefined {
    return this.#byId.get(fileId);
  }

  /** Returns the files whose content this must be. */
  lookingLike({ inode, sizeBytes, mtimeMs }: Look): ShelvedFile[] {
    if (inode === undefined) return [];
    const found: ShelvedFile[] = [];
    for (const fileId of this.#byInode.get(inode) ?? []) {
      const shelved = this.#byId.get(fileId)!;
      const { placement } = shelved;
      if (placement.sizeBytes === sizeBytes && placement.mtimeMs === mtimeMs) found.push(shelved);
    }
    return found;
  }
}
