// The order in which files are downloaded: those that people requested before all others, and small ones first. PURE.

/** Why a file waits: a person requested it, and it is small or not; or nobody did. */
export type Standing = "small" | "requested" | "other";

/** Ids of files that wait to be downloaded, each once. */
export class DownloadQueue {
  readonly #parts: Readonly<Record<Standing, Map<string, true>>> = {
    small: new Map(),
    requested: new Map(),
    other: new Map(),
  };

  /** Number of files that wait. */
  get size(): number {
    const { small, requested, other } = this.#parts;
    return small.size + requested.size + other.size;
  }

  /** Returns whether a file waits. */
  has(fileId: string): boolean {
    const { small, requested, other } = this.#parts;
    return small.has(fileId) || requested.has(fileId) || other.has(fileId);
  }

  /** Adds a file behind the others of its standing. Does nothing if it waits already. */
  add(fileId: string, standing: Standing): void {
    if (!this.has(fileId)) this.#parts[standing].set(fileId, true);
  }

  /** Puts a file that waits before all others, because a person asks for it. */
  putFirst(fileId: string): void {
    if (!this.delete(fileId)) return;
    const { small } = this.#parts;
    const before = [...small.keys()];
    small.clear();
    for (const each of [fileId, ...before]) small.set(each, true);
  }

  /** Lets a file that cannot be fetched now make way for others of its standing. */
  passOver(fileId: string): void {
    for (const part of Object.values(this.#parts)) {
      if (part.delete(fileId)) part.set(fileId, true);
    }
  }

  /** Removes a file. Returns whether it waited. */
  delete(fileId: string): boolean {
    const { small, requested, other } = this.#parts;
    return small.delete(fileId) || requested.delete(fileId) || other.delete(fileId);
  }

  /** Returns the first files of each standing, at most `each` of them, in order. */
  front(each: number): string[] {
    return Object.values(this.#parts).flatMap((part) => {
      const ids: string[] = [];
      for (const fileId of part.keys()) if (ids.push(fileId) >= each) break;
      return ids;
    });
  }

  /** Yields the files in order. */
  *[Symbol.iterator](): IterableIterator<string> {
    for (const part of Object.values(this.#parts)) yield* part.keys();
  }
}
