// Ids for files of our own: content and a time that no known file of the same content has.
// Always holds: finding one costs the same however many files have the same content. PURE.

import { isBindingTimestamp, ownTimestamp, type Timestamp } from "../protocol/wire/fileid.ts";

/** Maximum number of contents whose last second is remembered; the oldest is forgotten first. */
const MAX_REMEMBERED = 10_000;

export class OwnIds {
  /** Per SHA-256 of the content: the second after the last one given out. */
  readonly #next = new Map<string, number>();

  /**
   * The id of a file of ours: by its own modification time where that has ten digits and gives a free id, otherwise by
   * the current second or the first free one after it. `digestWith` is the SHA-256 of the content and a text behind it.
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

function idAt(digestWith: (suffix: string) => string, seconds: number) {
  const timestamp = ownTimestamp(seconds);
  return isBindingTimestamp(timestamp)
    ? { fileId: digestWith(timestamp.text), timestamp }
    : undefined;
}
