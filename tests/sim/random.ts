// Chance for the simulation: one generator from one seed, so that every run can be replayed.
// Nothing in tests/sim draws from anywhere else, and no result depends on the machine or on the time.

/** A seeded generator (sfc32, its state spread from the seed by splitmix32). */
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

  /** 32 random bits. */
  bits(): number {
    const sum = (this.#a + this.#b + this.#count) | 0;
    this.#count = (this.#count + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum >>> 0;
  }

  /** Uniform in [0, 1). */
  unit(): number {
    return this.bits() / 2 ** 32;
  }

  /** Uniform in [low, high). */
  between(low: number, high: number): number {
    return low + this.unit() * (high - low);
  }

  /** A whole number, uniform in [0, count). */
  below(count: number): number {
    return Math.floor(this.unit() * count);
  }

  /** True with this probability; draws nothing for 0, so that a fault that is off changes no run. */
  chance(probability: number): boolean {
    return probability > 0 && this.unit() < probability;
  }

  pick<T>(items: readonly T[]): T {
    if (items.length === 0) throw new RangeError("Cannot pick from an empty list");
    return items[this.below(items.length)]!;
  }

  /** `count` different items in random order, or all when there are fewer. */
  sample<T>(items: readonly T[], count: number): T[] {
    const pool = [...items];
    const wanted = Math.min(count, pool.length);
    for (let i = 0; i < wanted; i++) {
      const j = i + this.below(pool.length - i);
      [pool[i], pool[j]] = [pool[j]!, pool[i]!];
    }
    return pool.slice(0, wanted);
  }

  /** Text of random characters that may stand in `ext.node` and `ext.boot`. */
  token(length: number): string {
    const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let text = "";
    while (text.length < length) text += alphabet[this.bits() & 63];
    return text;
  }

  /** 64 hex digits. */
  fileId(): string {
    let text = "";
    while (text.length < 64) text += this.bits().toString(16).padStart(8, "0");
    return text;
  }

  /** A generator of its own, so that what one host draws does not shift what another gets. */
  fork(): Random {
    return new Random(this.bits());
  }
}
