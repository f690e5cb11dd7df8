// The order in which files are downloaded: those that people requested before all others. PURE.

/** Ids of files that wait to be downloaded, each once. */
export class DownloadQueue {
  readonly #requested = new Map<string, true>();
  readonly #others = new Map<string, true>();

  /** Number of files that wait. */
  get size(): number {
    return this.#requested.size + this.#others.size;
  }

  /** Returns whether a file waits. */
  has(fileId: string): boolean {
    return this.#requested.has(fileId) || this.#others.has(fileId);
  }

  /** Adds a file behind the others that people requested, or behind all. Does nothing if it waits already. */
  add(fileId: string, isRequested: boolean): void {
    if (!this.has(fileId)) (isRequested ? this.#requested : this.#others).set(fileId, true);
  }

  /** Puts a file that waits before all others, because a person asks for it. */
  putFirst(fileId: string): void {
    if (!this.delete(fileId)) return;
    const before = [...this.#requested.keys()];
    this.#requested.clear();
    for (const each of [fileId, ...before]) this.#requested.set(each, true);
  }

  /** Lets a file that cannot be fetched now make way, unless a person requested it. */
  passOver(fileId: string): void {
    if (this.#others.delete(fileId)) this.#others.set(fileId, true);
  }

  /** Removes a file. Returns whether it waited. */
  delete(fileId: string): boolean {
    return this.#requested.delete(fileId) || this.#others.delete(fileId);
  }

  /** Yields the files in order. A file that was passed over is yielded again, after the others. */
  *[Symbol.iterator](): IterableIterator<string> {
    yield* this.#requested.keys();
    yield* this.#others.keys();
  }
}
