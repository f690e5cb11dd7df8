// Chooses ids for our own files: a digest of the content and a time that no known file of the same content uses.
// PURE.
// Invariant: finding an id costs the same however many files have the same content.

import { isBindingTimestamp, ownTimestamp, type Timestamp } from "../protocol/wire/fileid.ts";

/** Maximum number of contents whose last second is remembered. Beyond this, the oldest is forgotten. */
const MAX_REMEMBERED = 10_000;

/** Chooses ids, and remembers where to continue for each content. */
export class OwnIds {
  /** For each SHA-256 of content, the second after the last one used. */
  readonly #next = new Map<string, number>();

  /**
   * Returns the id and timestamp for one of our files. The timestamp is the file's own modification time if that
   * has ten digits and yields a free id, otherwise the first second from now on that yields one. `digestWith`
   * returns the SHA-256 of the content followed by a text.
   */
  free(
    digestWith: (suffix: string) => string,
    modifiedSeconds: number,
    nowSeconds: number,
    isTaken: (fileId: string) => boolean,
  ): { fileId: string; timestamp: Timestamp } {
    const own = idAt(digestWith, modifiedSeconds);
    if (own && !isTaken(own.fileId)) return own;
    const sha256 = digestWith("");
    const from = Math.trunc(nowSeconds);
    for (let seconds = Math.max(from, this.#next.get(sha256) ?? from);; seconds++) {
      const id = idAt(digestWith, seconds);
      if (!id || isTaken(id.fileId)) continue;
      this.#remember(sha256, seconds + 1);
      return id;
    }
  }

  #remember(sha256: string, next: number): void {
    this.#next.delete(sha256);
    if (this.#next.size >= MAX_REMEMBERED) this.#next.delete(this.#next.keys().next().value!);
    this.#next.set(sha256, next);
  }
}

/** Returns the text after the content in the id of one of our files, or `undefined` if this time cannot be in an id. */
export function ownSuffix(modifiedSeconds: number): string | undefined {
  const timestamp = ownTimestamp(modifiedSeconds);
  return isBindingTimestamp(timestamp) ? timestamp.text : undefined;
}

function idAt(digestWith: (suffix: string) => string, seconds: number) {
  const timestamp = ownTimestamp(seconds);
  return isBindingTimestamp(timestamp)
    ? { fileId: digestWith(timestamp.text), timestamp }
    : undefined;
}
