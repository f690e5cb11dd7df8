// A clock that advances only when the test says so. Replaces `setInterval`, `clearInterval`, and `performance.now`.

interface Timer {
  readonly act: () => void;
  readonly everyMs: number;
  nextMs: number;
}

export class FakeTime {
  #nowMs = 0;
  #serial = 0;
  readonly #timers = new Map<number, Timer>();
  readonly #real = {
    setInterval: globalThis.setInterval,
    clearInterval: globalThis.clearInterval,
    now: performance.now,
  };

  constructor() {
    globalThis.setInterval = ((act: () => void, everyMs: number) => {
      const id = ++this.#serial;
      this.#timers.set(id, { act, everyMs, nextMs: this.#nowMs + everyMs });
      return id;
    }) as unknown as typeof setInterval;
    globalThis.clearInterval =
      ((id: number) => void this.#timers.delete(id)) as typeof clearInterval;
    performance.now = () => this.#nowMs;
  }

  pass(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const [first] = [...this.#timers.values()].sort((a, b) => a.nextMs - b.nextMs);
      if (!first || first.nextMs > untilMs) break;
      this.#nowMs = first.nextMs;
      first.nextMs += first.everyMs;
      first.act();
    }
    this.#nowMs = untilMs;
  }

  restore(): void {
    globalThis.setInterval = this.#real.setInterval;
    globalThis.clearInterval = this.#real.clearInterval;
    performance.now = this.#real.now;
  }
}
