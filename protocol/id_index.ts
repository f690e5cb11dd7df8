// Ids by a key that usually has one. PURE.

/** Ids by key. A key with one id takes no set of its own: that would cost more memory than all else about a file. */
export class IdIndex {
  readonly #ids = new Map<string, string | Set<string>>();

  /** Number of keys. */
  get size(): number {
    return this.#ids.size;
  }

  /** Returns whether a key has any id. */
  has(key: string): boolean {
    return this.#ids.has(key);
  }

  /** Returns all keys. */
  keys(): IterableIterator<string> {
    return this.#ids.keys();
  }

  /** Returns the ids of a key, in the order in which they were added. */
  get(key: string): Iterable<string> {
    const ids = this.#ids.get(key);
    return ids === undefined ? [] : typeof ids === "string" ? [ids] : ids;
  }

  /** Adds an id. Returns whether the key is new. */
  add(key: string, fileId: string): boolean {
    const ids = this.#ids.get(key);
    if (ids === undefined) this.#ids.set(key, fileId);
    else if (typeof ids !== "string") ids.add(fileId);
    else if (ids !== fileId) this.#ids.set(key, new Set([ids, fileId]));
    return ids === undefined;
  }

  /** Removes an id. Returns whether the key had no other one. */
  delete(key: string, fileId: string): boolean {
    const ids = this.#ids.get(key);
    if (ids instanceof Set) {
      ids.delete(fileId);
      if (ids.size === 1) this.#ids.set(key, ids.values().next().value!);
      return false;
    }
    return ids === fileId && this.#ids.delete(key);
  }
}
