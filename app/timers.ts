// Timers that end together: what repeats and what comes later, until `clear`.

export class Timers {
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #isCleared = false;

  get size(): number {
    return this.#timers.size;
  }

  /** Acts once, after this many milliseconds; never after `clear`. */
  after(delayMs: number, act: () => void): ReturnType<typeof setTimeout> | undefined {
    if (this.#isCleared) return undefined;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, delayMs);
    this.#timers.add(timer);
    return timer;
  }

  /** Acts every so many milliseconds, counted from the end of the last time. `act` never rejects. */
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
