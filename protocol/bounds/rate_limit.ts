// Rate limits: token buckets and fixed windows, single and per key, in bounded memory. PURE.

/** A token bucket that holds up to `burst` tokens and gains `perSecond` tokens per second. */
export class TokenBucket {
  #tokens: number;
  #at: number;

  /** Creates a full bucket. */
  constructor(readonly burst: number, readonly perSecond: number, nowMs: number) {
    this.#tokens = burst;
    this.#at = nowMs;
  }

  /** Takes `cost` tokens. Returns false, and takes none, if there are fewer. */
  take(nowMs: number, cost = 1): boolean {
    this.#refill(nowMs);
    if (this.#tokens < cost) return false;
    this.#tokens -= cost;
    return true;
  }

  /** Returns whether the bucket is full, so that it can be forgotten without consequences. */
  isFull(nowMs: number): boolean {
    this.#refill(nowMs);
    return this.#tokens >= this.burst;
  }

  #refill(nowMs: number): void {
    const seconds = Math.max(0, nowMs - this.#at) / 1000;
    this.#tokens = Math.min(this.burst, this.#tokens + seconds * this.perSecond);
    this.#at = Math.max(this.#at, nowMs);
  }
}

/**
 * One token bucket per key, at most `maxKeys` of them. To make space, full buckets are forgotten first, then the
 * oldest one. A sender that keeps changing its key thus gets a new burst each time, which is why each of these is
 * paired with a limit on the total.
 */
export class KeyedBuckets {
  readonly #buckets = new Map<string, TokenBucket>();

  /** Creates the limit; each key starts with a full bucket. */
  constructor(readonly burst: number, readonly perSecond: number, readonly maxKeys = 4096) {}

  /** Takes `cost` tokens from the bucket of `key`. Returns false, and takes none, if there are fewer. */
  take(key: string, nowMs: number, cost = 1): boolean {
    let bucket = this.#buckets.get(key);
    if (!bucket) {
      if (this.#buckets.size >= this.maxKeys) this.#makeRoom(nowMs);
      bucket = new TokenBucket(this.burst, this.perSecond, nowMs);
      this.#buckets.set(key, bucket);
    }
    return bucket.take(nowMs, cost);
  }

  /** Number of keys remembered. */
  get size(): number {
    return this.#buckets.size;
  }

  #makeRoom(nowMs: number): void {
    for (const [key, bucket] of this.#buckets) {
      if (bucket.isFull(nowMs)) this.#buckets.delete(key);
    }
    const oldest = this.#buckets.keys().next();
    if (this.#buckets.size >= this.maxKeys && !oldest.done) this.#buckets.delete(oldest.value);
  }
}

/** A fixed-window limit per key: at most `perWindow` in the `windowMs` milliseconds that start with the first use. */
export class KeyedWindows {
  readonly #windows = new Map<string, { beganMs: number; spent: number }>();

  /** Creates the limit; beyond `maxKeys` keys, the oldest windows are forgotten. */
  constructor(
    readonly perWindow: number,
    readonly windowMs = 60_000,
    readonly maxKeys = 4096,
  ) {}

  /** Spends `cost` in the current window of `key`. Returns false, and spends nothing, if less than that is left. */
  take(key: string, nowMs: number, cost = 1): boolean {
    const window = this.#current(key, nowMs);
    if (window.spent + cost > this.perWindow) return false;
    window.spent += cost;
    return true;
  }

  /** Returns how much is left in the current window of `key`. */
  left(key: string, nowMs: number): number {
    return this.perWindow - this.#current(key, nowMs).spent;
  }

  /** Number of keys remembered. */
  get size(): number {
    return this.#windows.size;
  }

  #current(key: string, nowMs: number): { beganMs: number; spent: number } {
    const known = this.#windows.get(key);
    if (known && nowMs - known.beganMs < this.windowMs) return known;
    this.#windows.delete(key); // keeps insertion order chronological
    // Forget windows that have ended and, if there are too many keys, the oldest ones.
    for (const [old, { beganMs }] of this.#windows) {
      if (nowMs - beganMs < this.windowMs && this.#windows.size < this.maxKeys) break;
      this.#windows.delete(old);
    }
    const fresh = { beganMs: nowMs, spent: 0 };
    this.#windows.set(key, fresh);
    return fresh;
  }
}
