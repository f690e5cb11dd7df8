// Virtual time: what happens, in order, without waiting. A binary heap of events by time, and among
// equals by the order in which they were made, so that a run is the same each time.

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

const isBefore = (a: Event, b: Event) =>
  a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

export class Clock {
  nowMs = 0;
  /** Events that ran. */
  steps = 0;
  #order = 0;
  readonly #heap: Event[] = [];

  /** Runs something `delayMs` from now. */
  after(delayMs: number, run: () => void): void {
    const event = { atMs: this.nowMs + Math.max(0, delayMs), order: this.#order++, run };
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  /** Lets everything happen that is due until then; the clock stands there afterwards. */
  runUntil(untilMs: number): void {
    while (this.#heap.length > 0 && this.#heap[0]!.atMs <= untilMs) {
      const event = this.#take();
      this.nowMs = event.atMs;
      this.steps++;
      event.run();
    }
    this.nowMs = Math.max(this.nowMs, untilMs);
  }

  #take(): Event {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    const size = heap.length;
    if (size === 0) return first;
    let at = 0;
    while (true) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}
