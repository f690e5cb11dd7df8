// Lists that anyone may request are built one at a time, because the same thread also serves peers. After an expensive
// one, the next waits as long as it took, so however many are requested, at least half of the thread's time is left.

/** Duration below which work needs no pause, in milliseconds: a timer would cost more than it saves. */
export const CHEAP_MS = 10;

export class Turns {
  #before: Promise<void> = Promise.resolve();
  /** Time before which no more work starts, in milliseconds of `performance.now()`. */
  #restUntilMs = 0;

  /**
   * Runs `work` once its turn comes. Resolves to its result, or throws what it throws. If `signal` is aborted while it
   * waits, it gives up its turn and throws the signal's reason.
   */
  async take<T>(work: () => T | Promise<T>, signal?: AbortSignal): Promise<T> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const before = this.#before;
    this.#before = promise;
    await before;
    try {
      signal?.throwIfAborted();
      const restMs = this.#restUntilMs - performance.now();
      if (restMs > 0) await new Promise((go) => setTimeout(go, restMs));
      signal?.throwIfAborted();
      return await this.#timed(work);
    } finally {
      resolve();
    }
  }

  async #timed<T>(work: () => T | Promise<T>): Promise<T> {
    const startedMs = performance.now();
    try {
      return await work();
    } finally {
      const endedMs = performance.now();
      if (endedMs - startedMs >= CHEAP_MS) this.#restUntilMs = 2 * endedMs - startedMs;
    }
  }
}
