// How long other work had to wait for the event loop, while the peer starts and reads its folder: the time by which a
// timer that is due every few milliseconds was late.

/** Interval of the timer, in milliseconds. It runs only between `start` and `stop`, because it keeps the processor awake. */
const EVERY_MS = 10;

export class LongestBlock {
  /** The longest block so far, in milliseconds. */
  ms = 0;
  #dueMs = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  start(): void {
    this.#dueMs = performance.now() + EVERY_MS;
    this.#timer = setInterval(() => {
      const nowMs = performance.now();
      this.ms = Math.max(this.ms, nowMs - this.#dueMs);
      this.#dueMs = nowMs + EVERY_MS;
    }, EVERY_MS);
    Deno.unrefTimer(this.#timer);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
