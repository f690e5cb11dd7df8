// Lists that anybody may ask for are made one at a time, on a thread that also serves peers. After an expensive one the
// next waits as long as it took, so however many are asked for, at least half of the thread is left for everything else.

/** Shorter work needs no pause, in milliseconds: a timer would cost more than it saves. */
const CHEAP_MS = 10;

export class Turns {
  #before: Promise<void> = Promise.resolve();
  /** Nothing more is made until then. */
  #restUntilMs = 0;

  /** Resolves with what `work` returns, once it is its turn. Throws what `work` throws. */
  async take<T>(work: () => T | Promise<T>): Promise<T> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const before = this.#before;
    this.#before = promise;
    await before;
    const restMs = this.#restUntilMs - performance.now();
    if (restMs > 0) await new Promise((go) => setTimeout(go, restMs));
    const startedMs = performance.now();
    try {
      return await work();
    } finally {
      const endedMs = performance.now();
      if (endedMs - startedMs >= CHEAP_MS) this.#restUntilMs = 2 * endedMs - startedMs;
      resolve();
    }
  }
}
