// A map that knows its oldest key, and finds it in constant time on average. PURE.
// `map.keys().next()` does not: a JavaScript map keeps the places of deleted keys until it is rebuilt, and each new
// iterator passes over all of them, so taking n keys from the front would take n² steps. One iterator that is kept passes
// over each place once.

/** Keys with values, in the order in which they were added. */
export class OldestFirst<Value> {
  readonly #values = new Map<string, Value>();
  #keys = this.#values.keys();
  /** The key that the iterator returned last, as long as it is the oldest. */
  #front: string | undefined;

  /** Number of keys. */
  get size(): number {
    return this.#values.size;
  }

  /** Returns whether a key is present. */
  has(key: string): boolean {
    return this.#values.has(key);
  }

  /** Returns the value of a key. */
  get(key: string): Value | undefined {
    return this.#values.get(key);
  }

  /** Adds a key as the newest one, even if it is present. */
  add(key: string, value: Value): void {
    this.delete(key);
    this.#values.set(key, value);
  }

  /** Removes a key. Returns whether it was present. */
  delete(key: string): boolean {
    if (key === this.#front) this.#front = undefined;
    return this.#values.delete(key);
  }

  /** Removes all keys. */
  clear(): void {
    this.#values.clear();
    this.#keys = this.#values.keys();
    this.#front = undefined;
  }

  /** Returns the oldest key, or `undefined` if there are none. */
  oldest(): string | undefined {
    if (this.#front !== undefined || this.#values.size === 0) return this.#front;
    let next = this.#keys.next();
    if (next.done) {
      // An iterator that reached the end stays there, even if keys are added later.
      this.#keys = this.#values.keys();
      next = this.#keys.next();
    }
    this.#front = next.value;
    return this.#front;
  }

  /** Returns the keys and values, oldest first. */
  entries(): IterableIterator<[string, Value]> {
    return this.#values.entries();
  }
}
