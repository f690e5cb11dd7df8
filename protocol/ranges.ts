// A set of byte positions as sorted ranges that neither touch nor overlap. PURE.

/** Positions from `start` up to, but not including, `end`. */
export type Span = readonly [start: number, end: number];

/** A set of byte positions. */
export class Ranges {
  #spans: Span[] = [];
  #bytes = 0;

  /** Contains the given spans, which may touch or overlap. */
  constructor(spans: Iterable<Span> = []) {
    for (const [start, end] of spans) this.add(start, end);
  }

  /** Returns a copy, which changes on its own. */
  copy(): Ranges {
    const copy = new Ranges();
    copy.#spans = [...this.#spans];
    copy.#bytes = this.#bytes;
    return copy;
  }

  /** The spans, in order. */
  get spans(): readonly Span[] {
    return this.#spans;
  }

  /** Number of positions. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Adds a span. Returns how many of its positions are new. */
  add(start: number, end: number): number {
    if (start >= end) return 0;
    const before = this.#bytes;
    let [from, to] = [start, end];
    const first = this.#spans.findIndex((span) => span[1] >= start);
    let after = first < 0 ? this.#spans.length : first;
    const at = after;
    for (let span = this.#spans[after]; span && span[0] <= end; span = this.#spans[++after]) {
      from = Math.min(from, span[0]);
      to = Math.max(to, span[1]);
      this.#bytes -= span[1] - span[0];
    }
    this.#spans.splice(at, after - at, [from, to]);
    this.#bytes += to - from;
    return this.#bytes - before;
  }

  /** Removes a span. */
  remove(start: number, end: number): void {
    if (start >= end) return;
    const left: Span[] = [];
    this.#bytes = 0;
    for (const [from, to] of this.#spans) {
      for (const span of [[from, Math.min(to, start)], [Math.max(from, end), to]] as const) {
        if (span[0] >= span[1]) continue;
        left.push(span);
        this.#bytes += span[1] - span[0];
      }
    }
    this.#spans = left;
  }

  /** Returns whether all positions of a span are here. */
  has(start: number, end: number): boolean {
    return start >= end || this.endAt(start) >= end;
  }

  /** Returns the end of the span that contains a position, or the position itself if none does. */
  endAt(position: number): number {
    const span = this.#spans.find(([start, end]) => start <= position && position < end);
    return span ? span[1] : position;
  }

  /** Returns the first missing span within these limits, or `undefined` if nothing is missing. */
  gap(start: number, end: number): Span | undefined {
    const from = this.endAt(start);
    if (from >= end) return undefined;
    const next = this.#spans.find(([begin]) => begin > from);
    return [from, Math.min(end, next ? next[0] : end)];
  }

  /** Returns the missing spans within these limits. */
  gaps(start: number, end: number): Span[] {
    const gaps: Span[] = [];
    let at = start;
    for (const [from, to] of this.#spans) {
      if (from >= end) break;
      if (from > at) gaps.push([at, from]);
      at = Math.max(at, to);
    }
    if (at < end) gaps.push([at, end]);
    return gaps;
  }
}
