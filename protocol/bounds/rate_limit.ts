// How often something may happen: token buckets, alone and by key, in bounded memory. PURE.

/** A bucket that holds `burst` tokens and gains `perSecond` of them each second. */
export class TokenBucket {
  #tokens: number;
  #at: number;

  constructor(readonly burst: number, readonly perSecond: number, nowMs: number) {
    this.#tokens = burst;
    this.#at = nowMs;
  }

  /** Takes `cost` tokens if they are there; otherwise takes none and answers false. */
  take(nowMs: number, cost = 1): boolean {
    this.#refill(nowMs);
    if (this.#tokens < cost) return false;
    this.#tokens -= cost;
    return true;
  }

  /** Whether the bucket is as full as it can be: forgetting it then changes nothing. */
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
 * One bucket per key, at most `maxKeys` of them. When there is no room, full buckets go first and then
 * the oldest: who rotates keys gains a new burst by it, which is why a total budget stands beside each.
 */
export class KeyedBuckets {
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(readonly burst: number, readonly perSecond: number, readonly maxKeys = 4096) {}

  take(key: string, nowMs: number, cost = 1): boolean {
    let bucket = this.#buckets.get(key);
    if (!bucket) {
      if (this.#buckets.size >= this.maxKeys) this.#makeRoom(nowMs);
      bucket = new TokenBucket(this.burst, this.perSecond, nowMs);
      this.#buckets.set(key, bucket);
    }
    return bucket.take(nowMs, cost);
  }

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

/** Counts per key and window: at most `perWindow` in each `windowMs` that begins with a first use. */
export class KeyedWindows {
  readonly #windows = new Map<string, { beganMs: number; spent: number }>();

  constructor(
    readonly perWindow: number,
    readonly windowMs = 60_000,
    readonly maxKeys = 4096,
  ) {}

  /** Spends `cost` if that much is left in the key's window; otherwise nothing, and answers false. */
  take(key: string, nowMs: number, cost = 1): boolean {
    const window = this.#current(key, nowMs);
    if (window.spent + cost > this.perWindow) return false;
    window.spent += cost;
    return true;
  }

  /** What is left in the key's window. */
  left(key: string, nowMs: number): number {
    return this.perWindow - this.#current(key, nowMs).spent;
  }

  get size(): number {
    return this.#windows.size;
  }

  #current(key: string, nowMs: number): { beganMs: number; spent: number } {
    const known = this.#windows.get(key);
    if (known && nowMs - known.beganMs < this.windowMs) return known;
    this.#windows.delete(key); // so that insertion order stays order of time
    // Windows that are over, and with too many keys the oldest, make room.
    for (const [old, { beganMs }] of this.#windows) {
      if (nowMs - beganMs < this.windowMs && this.#windows.size < this.maxKeys) break;
      this.#windows.delete(old);
    }
    const fresh = { beganMs: nowMs, spent: 0 };
    this.#windows.set(key, fresh);
    return fresh;
  }
}
