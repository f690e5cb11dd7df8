// Randomness for the simulation: a single seeded generator, so that every run can be replayed.
// Nothing in tests/sim uses another source, and no result depends on the machine or the time.

/** A seeded generator (sfc32, initialized from the seed with splitmix32). */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #count = 1;

  constructor(seed: number) {
    let state = seed >>> 0;
    const spread = () => {
      state = (state + 0x9e3779b9) >>> 0;
      let z = state;
      z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
      return (z ^ (z >>> 15)) >>> 0;
    };
    this.#a = spread();
    this.#b = spread();
    this.#c = spread();
    for (let i = 0; i < 12; i++) this.bits();
  }

  /** Returns 32 random bits. */
  bits(): number {
    const sum = (this.#a + this.#b + this.#count) | 0;
    this.#count = (this.#count + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** Returns a number uniformly distributed in [0, 1). */
  unit(): number {
    return this.bits() / 2 ** 32;
  }

  /** Returns a number uniformly distributed in [low, high). */
  between(low: number, high: number): number {
    return low + this.unit() * (high - low);
  }

  /** Returns an integer uniformly distributed in [0, count). */
  below(count: number): number {
    return Math.floor(this.unit() * count);
  }

  /** Returns true with this probability. Draws nothing for 0, so that a disabled fault does not change the run. */
  chance(probability: number): boolean {
    return probability > 0 && this.unit() < probability;
  }

  pick<T>(items: readonly T[]): T {
    if (items.length === 0) throw new RangeError("Cannot pick from an empty list");
    return items[this.below(items.length)]!;
  }

  /** Returns `count` different items in random order, or all of them if there are fewer. */
  sample<T>(items: readonly T[], count: number): T[] {
    const pool = [...items];
    const wanted = Math.min(count, pool.length);
    for (let i = 0; i < wanted; i++) {
      const j = i + this.below(pool.length - i);
      [pool[i], pool[j]] = [pool[j]!, pool[i]!];
    }
    return pool.slice(0, wanted);
  }

  /** Returns random text of characters allowed in `ext.node` and `ext.boot`. */
  token(length: number): string {
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let text = "";
    while (text.length < length) text += alphabet[this.bits() & 63];
    return text;
  }

  /** Returns 64 random hex digits. */
  fileId(): string {
    let text = "";
    while (text.length < 64) text += this.bits().toString(16).padStart(8, "0");
    return text;
  }

  /** Returns an independent generator, so that one host's draws do not affect another's. */
  fork(): Random {
    return new Random(this.bits());
  }
}
