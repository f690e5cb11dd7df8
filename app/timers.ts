// Timers that are canceled together by `clear`, both single and repeated ones.

export class Timers {
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #isCleared = false;

  get size(): number {
    return this.#timers.size;
  }

  /** Calls `act` once, after a delay in milliseconds; never after `clear`. */
  after(delayMs: number, act: () => void): ReturnType<typeof setTimeout> | undefined {
    if (this.#isCleared) return undefined;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, delayMs);
    this.#timers.add(timer);
    return timer;
  }

  /**
   * Calls `act` again and again, with an interval in milliseconds between the end of one call and the next. `act` must
   * not reject.
   */
  repeat(everyMs: number, act: () => Promise<void>): void {
    this.after(everyMs, async () => {
      await act();
      this.repeat(everyMs, act);
    });
  }

  cancel(timer: ReturnType<typeof setTimeout> | undefined): void {
    if (timer === undefined) return;
    clearTimeout(timer);
    this.#timers.delete(timer);
  }

  clear(): void {
    this.#isCleared = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }
}
