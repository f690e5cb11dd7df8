// Which part of a file to request from which source next, when several sources deliver one file. PURE.
// A source may have only parts of the file, and may say what to ask it for.
// Invariants: nothing is requested twice while there is something that nobody was asked for; at the end a part is
// requested from at most one source besides the one that is slow with it; a source that vanishes gives back what it did not
// deliver.

import { chunkBytesOf, wholeChunks } from "./chunks.ts";
import { Ranges, type Span } from "./ranges.ts";

/** Maximum size of one request, in bytes. Higher: fewer requests; lower: a new source gets its share sooner. */
export const MAX_SPAN_BYTES: number = 64 * 1024 * 1024;
/** Size of the first request to a source whose speed is not known, in bytes. */
const FIRST_SPAN_BYTES = 4 * 1024 * 1024;
/** How much larger the next request may be than the one before. */
const GROWTH = 4;
/** How much of a source's speed one request is, in seconds. */
const SPAN_SECONDS = 0.5;
/** Maximum number of requests that a source has at a time: the next one is on its way while one is answered. */
export const MAX_REQUESTS_PER_SOURCE = 2;
/** A source from which nothing came for this long, in milliseconds, while others deliver, is given up. (A guess.) */
export const STALL_MS = 5_000;
/** A source that takes this long for one request, in milliseconds, while others deliver, is given up. (A guess.) */
export const SLOW_REQUEST_MS = 300_000;
/** A source from which nothing came for this long, in milliseconds, is not waited for at the end. (A guess.) */
const SILENT_MS = 500;
/** How long speeds are measured before they are averaged, in milliseconds. */
const RATE_WINDOW_MS = 100;
/** How much sooner a second source must be expected to deliver what one is slow with, in seconds. */
const WORTH_SECONDS = 0.1;

/** Maximum number of parts that a source said to ask for and that were not asked for yet. */
const MAX_HINTS = 4;

/** A part that was requested from a source. */
interface Requested {
  readonly start: number;
  readonly end: number;
  /** The next position that is expected. */
  at: number;
  /** When the first bytes came, in milliseconds; `undefined` until then. */
  beganMs: number | undefined;
}

/** A source as the plan sees it. */
interface PlannedSource {
  /** What it has; undefined means everything. */
  have: Ranges | undefined;
  /** What it said to ask for, because nobody else does. */
  hinted: Span[];
  readonly requested: Requested[];
  /** Bytes per second, with the time until answers come; `undefined` until it was measured. */
  rate: number | undefined;
  /** Bytes per second while the latest answer came; `undefined` until one is complete. */
  burst: number | undefined;
  /** Size of the largest request so far, in bytes. */
  largest: number;
  /** When something came last, or was first requested, in milliseconds. */
  lastMs: number;
  /** When its first request became the first, in milliseconds. */
  firstMs: number;
  windowMs: number;
  windowBytes: number;
}

/** Plans the requests for one file. Times are milliseconds on one monotonic clock. */
export class RangePlan {
  readonly #sources = new Map<string, PlannedSource>();
  readonly #chunkBytes: number;

  /**
   * `done` is what is here already; it grows with what is delivered. `random` returns numbers in [0, 1): peers that fetch the
   * same parts from each other must not all begin with the same one.
   */
  constructor(
    readonly sizeBytes: number,
    readonly done: Ranges = new Ranges(),
    readonly random: () => number = () => 0,
  ) {
    this.#chunkBytes = chunkBytesOf(sizeBytes);
  }

  /** Whether everything is here. */
  get isDone(): boolean {
    return this.done.has(0, this.sizeBytes);
  }

  /** Number of bytes that nobody delivered or was asked for yet. */
  get freeBytes(): number {
    return this.sizeBytes - this.#covered().bytes;
  }

  /** Returns the speed of a source, in bytes per second; 0 if it is not known. */
  rateOf(source: string): number {
    return this.#sources.get(source)?.rate ?? 0;
  }

  /** Adds a source, which has everything until `limit` says otherwise. */
  add(source: string, nowMs: number, have?: Ranges): void {
    this.#sources.set(source, {
      have: have && this.#whole(have),
      hinted: [],
      requested: [],
      rate: undefined,
      burst: undefined,
      largest: 0,
      lastMs: nowMs,
      firstMs: nowMs,
      windowMs: nowMs,
      windowBytes: 0,
    });
  }

  /** Notes what a source has; undefined means everything. */
  limit(source: string, have: Ranges | undefined): void {
    const planned = this.#sources.get(source);
    if (planned) planned.have = have && this.#whole(have);
  }

  /** Returns the whole chunks in these ranges: crumbs would make many small requests, and cost more than they bring. */
  #whole(have: Ranges): Ranges {
    return new Ranges(wholeChunks(have, this.sizeBytes));
  }

  /** Notes what a source said to ask it for. */
  hint(source: string, span: Span): void {
    const hinted = this.#sources.get(source)?.hinted;
    const start = Math.floor(span[0] / this.#chunkBytes) * this.#chunkBytes;
    const end = Math.min(this.#aligned(span[1]), this.sizeBytes);
    if (!hinted || span[0] >= span[1] || start >= end) return;
    if (hinted.length >= MAX_HINTS) hinted.shift();
    hinted.push([start, end]);
  }

  /** Notes that a source answers a request for `asked` only up to `end`: the rest is free for others. */
  cut(source: string, asked: Span, end: number): void {
    const requested = this.#sources.get(source)?.requested ?? [];
    const index = requested.findIndex((each) => each.at === asked[0] && each.end === asked[1]);
    if (index < 0 || end >= asked[1]) return;
    if (end <= asked[0]) requested.splice(index, 1);
    else requested[index] = requestOf(asked[0], end);
  }

  /** Forgets what was requested from a source: it is free for others, or for a new connection to it. */
  release(source: string): void {
    const planned = this.#sources.get(source);
    if (planned) planned.requested.length = 0;
  }

  /** Removes a source. */
  drop(source: string): void {
    this.release(source);
    this.#sources.delete(source);
  }

  /** Returns what to request from a source now, which counts as requested, or `undefined` if nothing. */
  next(source: string, nowMs: number): Span | undefined {
    const planned = this.#sources.get(source);
    if (!planned || planned.requested.length >= MAX_REQUESTS_PER_SOURCE) return undefined;
    const span = this.#free(planned) ?? this.#doubled(planned, nowMs);
    if (!span) return undefined;
    if (planned.requested.length === 0) {
      planned.lastMs = planned.firstMs = planned.windowMs = nowMs;
    }
    planned.requested.push(requestOf(...span));
    planned.largest = Math.max(planned.largest, span[1] - span[0]);
    return span;
  }

  /** Notes a request that was made before there was a plan. */
  begun(source: string, [at, end]: Span): void {
    const planned = this.#sources.get(source);
    planned?.requested.push(requestOf(at, end));
    if (planned) planned.largest = Math.max(planned.largest, end - at);
  }

  /** Records that a source delivered the next bytes of a request. Returns how many of them are new. */
  received(source: string, offset: number, bytes: number, nowMs: number): number {
    const fresh = this.done.add(offset, offset + bytes);
    const planned = this.#sources.get(source);
    if (!planned) return fresh;
    const index = planned.requested.findIndex(({ at }) => at === offset);
    const request = planned.requested[index];
    if (request) {
      request.at = Math.min(request.end, offset + bytes);
      request.beganMs ??= nowMs;
    }
    if (request && request.at === request.end) {
      const ms = Math.max(1, nowMs - request.beganMs!);
      planned.burst = (request.end - request.start) / ms * 1_000;
      planned.requested.splice(index, 1);
      planned.firstMs = nowMs;
    }
    measure(planned, bytes, nowMs);
    return fresh;
  }

  /** Returns whether a source owes something that was requested from it. */
  owes(source: string): boolean {
    return (this.#sources.get(source)?.requested.length ?? 0) > 0;
  }

  /** Returns whether everything that a source still owes its first request has come from elsewhere. */
  isSuperseded(source: string): boolean {
    const first = this.#sources.get(source)?.requested[0];
    return first !== undefined && this.done.has(first.at, first.end);
  }

  /** Returns the sources that owe something, and from which nothing came for a while, or not all of it for a long time. */
  stalled(nowMs: number): string[] {
    return [...this.#sources].filter(([, { requested, lastMs, firstMs }]) =>
      requested.length > 0 && (nowMs - lastMs >= STALL_MS || nowMs - firstMs >= SLOW_REQUEST_MS)
    ).map(([source]) => source);
  }

  /**
   * Returns a part that nobody was asked for: what the source said; otherwise the first one, or one from any place if others
   * fetch the file too, so that not all of them ask for the same.
   */
  #free(planned: PlannedSource): Span | undefined {
    const covered = this.#covered();
    const have = planned.have ?? (this.#hasFellows ? new Ranges([[0, this.sizeBytes]]) : undefined);
    const gap = this.#hinted(planned, covered) ??
      (have ? this.#oneOf(have, covered) : covered.gap(0, this.sizeBytes));
    if (!gap) return undefined;
    // Over a long way, a request must be larger than what comes while it is under way.
    const { rate, burst, largest } = planned;
    const speed = Math.max(rate ?? 0, burst ?? Infinity) * SPAN_SECONDS;
    const most = largest === 0 ? FIRST_SPAN_BYTES : GROWTH * largest;
    // The parts get smaller towards the end, so that all sources end at about the same time.
    const { size } = this.#sources;
    const share = size === 1 ? Infinity : (this.sizeBytes - covered.bytes) / (2 * size);
    const wanted = Math.min(MAX_SPAN_BYTES, most, speed, share);
    const [start, end] = gap;
    return [start, Math.min(end, this.#aligned(start + Math.max(this.#chunkBytes, wanted)))];
  }

  /** Whether there are sources that have only parts, and therefore others that fetch the same file. */
  get #hasFellows(): boolean {
    for (const { have } of this.#sources.values()) if (have) return true;
    return false;
  }

  /** Returns the first part that a source said to ask for, and drops what is covered. */
  #hinted({ hinted }: PlannedSource, covered: Ranges): Span | undefined {
    for (let [first] = hinted; first; [first] = hinted) {
      const gap = covered.gap(...first);
      if (gap) return gap;
      hinted.shift();
    }
    return undefined;
  }

  /** Returns a part that a source has and that nobody was asked for, from any place. */
  #oneOf(have: Ranges, covered: Ranges): Span | undefined {
    const parts = have.spans.flatMap(([start, end]) =>
      covered.gaps(start, Math.min(end, this.sizeBytes))
    );
    const part = parts[Math.floor(this.random() * parts.length)];
    if (!part) return undefined;
    // Somewhere in it, from the beginning of a chunk, so that what is requested next is not always what came first.
    const [start, end] = part;
    const chunks = Math.ceil((end - start) / this.#chunkBytes);
    const from = this.#aligned(start + Math.floor(this.random() * chunks) * this.#chunkBytes);
    return [from < end ? from : start, end];
  }

  /** Returns a part that another source is slow with, if this one is expected to deliver it much sooner. */
  #doubled(planned: PlannedSource, nowMs: number): Span | undefined {
    if (planned.requested.length > 0) return undefined;
    let slowest: { readonly gap: Span; readonly seconds: number } | undefined;
    for (const other of this.#sources.values()) {
      if (other === planned) continue;
      const isSilent = nowMs - other.lastMs >= SILENT_MS || !other.rate;
      let ahead = 0;
      for (const { at, end } of other.requested) {
        ahead += end - at;
        const free = this.#besides(other).gap(at, end);
        const gap = free && firstPart(planned.have, free);
        if (!gap) continue;
        const seconds = isSilent ? Infinity : ahead / other.rate!;
        if (slowest && seconds <= slowest.seconds) continue;
        // The end of what is on its way: the other one delivers the beginning meanwhile.
        const half = this.#aligned(gap[0] + (gap[1] - gap[0]) / 2);
        slowest = { gap: isSilent || half >= gap[1] ? gap : [half, gap[1]], seconds };
      }
    }
    if (!slowest) return undefined;
    const { gap, seconds } = slowest;
    const own = planned.rate ? (gap[1] - gap[0]) / planned.rate : 0;
    return own + WORTH_SECONDS <= seconds ? gap : undefined;
  }

  /** Returns everything that is here or requested from others than this source. */
  #besides(source: PlannedSource): Ranges {
    const others = this.done.copy();
    for (const each of this.#sources.values()) {
      if (each === source) continue;
      for (const { at, end } of each.requested) others.add(at, end);
    }
    return others;
  }

  #aligned(position: number): number {
    return Math.ceil(position / this.#chunkBytes) * this.#chunkBytes;
  }

  #covered(): Ranges {
    const covered = this.done.copy();
    for (const { requested } of this.#sources.values()) {
      for (const { at, end } of requested) covered.add(at, end);
    }
    return covered;
  }
}

/** Returns the first part of a span that a source has, or `undefined` if it has none. */
function firstPart(have: Ranges | undefined, [start, end]: Span): Span | undefined {
  if (!have) return [start, end];
  const part = have.spans.find((span) => span[1] > start);
  return part && part[0] < end ? [Math.max(start, part[0]), Math.min(end, part[1])] : undefined;
}

const requestOf = (start: number, end: number): Requested => ({
  start,
  end,
  at: start,
  beganMs: undefined,
});

function measure(planned: PlannedSource, bytes: number, nowMs: number): void {
  planned.lastMs = nowMs;
  planned.windowBytes += bytes;
  const ms = nowMs - planned.windowMs;
  if (ms < RATE_WINDOW_MS) return;
  const rate = planned.windowBytes / ms * 1_000;
  planned.rate = planned.rate === undefined ? rate : 0.7 * planned.rate + 0.3 * rate;
  planned.windowMs = nowMs;
  planned.windowBytes = 0;
}
