// One file from several sources, simulated: sources that are fast, slow, stall, vanish and come back.

import assert from "node:assert/strict";
import fc from "fast-check";
import { CHUNK_BYTES, chunkBytesOf, MAX_CHUNKS } from "../../protocol/chunks.ts";
import { MAX_SPAN_BYTES, RangePlan, SLOW_REQUEST_MS, STALL_MS } from "../../protocol/range_plan.ts";
import { Ranges, type Span } from "../../protocol/ranges.ts";

const MIB = 1024 ** 2;
const TICK_MS = 10;

interface SimulatedSource {
  readonly name: string;
  /** Bytes per second. */
  rate: number;
  /** How long a request takes to arrive, and its answer, in milliseconds. */
  readonly latencyMs: number;
  /** What becomes of it, and when, in milliseconds. */
  readonly fate?: {
    readonly what: "stalls" | "vanishes";
    readonly atMs: number;
    readonly backMs?: number;
  };
}

interface Outcome {
  readonly seconds: number;
  readonly requests: number;
  /** Bytes that came although they were here already. */
  readonly twiceBytes: number;
  /** New bytes that a source delivered. */
  bytesOf(name: string): number;
}

/** Runs a download on a virtual clock. */
function simulate(sizeBytes: number, sources: readonly SimulatedSource[], done?: Ranges): Outcome {
  const plan = new RangePlan(sizeBytes, done);
  const got = new Ranges(done?.spans);
  const queues = new Map<SimulatedSource, { at: number; readonly end: number; fromMs: number }[]>();
  for (const source of sources) {
    plan.add(source.name, 0);
    queues.set(source, []);
  }
  const delivered = new Map<string, number>();
  let [requests, twiceBytes, nowMs] = [0, 0, 0];
  const isAway = ({ fate }: SimulatedSource) =>
    fate?.what === "vanishes" && nowMs >= fate.atMs && nowMs < (fate.backMs ?? Infinity);
  const gone = new Set<SimulatedSource>();
  const stalled = new Map<SimulatedSource, number>();
  const ask = (source: SimulatedSource) => {
    for (let span = plan.next(source.name, nowMs); span; span = plan.next(source.name, nowMs)) {
      requests++;
      const [at, end] = span;
      assert.ok(at < end && end <= sizeBytes && end - at <= MAX_SPAN_BYTES + 2 * CHUNK_BYTES);
      queues.get(source)!.push({ at, end, fromMs: nowMs + source.latencyMs });
    }
  };
  for (; !plan.isDone; nowMs += TICK_MS) {
    assert.ok(nowMs < 3_600_000, "it does not end");
    for (const source of sources) {
      if (isAway(source) !== gone.has(source)) {
        if (gone.delete(source)) plan.add(source.name, nowMs);
        else {
          gone.add(source);
          plan.drop(source.name);
        }
        queues.set(source, []);
      }
      if (gone.has(source)) continue;
      ask(source);
      const isStalled = source.fate?.what === "stalls" && nowMs >= source.fate.atMs &&
        nowMs < (source.fate.backMs ?? Infinity);
      let budget = isStalled ? 0 : source.rate * TICK_MS / 1_000;
      const queue = queues.get(source)!;
      for (let [first] = queue; first && budget > 0 && first.fromMs <= nowMs; [first] = queue) {
        const bytes = Math.min(budget, first.end - first.at);
        const fresh = plan.received(source.name, first.at, bytes, nowMs);
        assert.equal(fresh, got.add(first.at, first.at + bytes));
        twiceBytes += bytes - fresh;
        delivered.set(source.name, (delivered.get(source.name) ?? 0) + fresh);
        first.at += bytes;
        budget -= bytes;
        if (first.at === first.end) queue.shift();
        ask(source);
        if (plan.isSuperseded(source.name)) {
          plan.release(source.name);
          queue.length = 0;
        }
      }
    }
    for (const name of plan.stalled(nowMs)) {
      const source = sources.find((each) => each.name === name)!;
      plan.drop(name);
      queues.set(source, []);
      stalled.set(source, nowMs);
    }
    for (const [source, sinceMs] of stalled) {
      if (nowMs - sinceMs < 10_000) continue; // what keeps other sources is asked again after a while
      stalled.delete(source);
      plan.add(source.name, nowMs);
    }
  }
  assert.deepEqual(got.spans, [[0, sizeBytes]]);
  const bytesOf = (name: string) => delivered.get(name) ?? 0;
  return { seconds: nowMs / 1_000, requests, twiceBytes, bytesOf };
}

const source = (name: string, mibPerSecond: number, over: Partial<SimulatedSource> = {}) => ({
  name,
  rate: mibPerSecond * MIB,
  latencyMs: 0,
  ...over,
});

Deno.test("one source delivers at its speed, in few requests and nothing twice", () => {
  const { seconds, requests, twiceBytes } = simulate(1024 * MIB, [
    source("a", 100, { latencyMs: 50 }),
  ]);
  assert.ok(seconds <= 10.24 * 1.02, `${seconds} s`);
  assert.ok(requests <= 30, `${requests} requests`);
  assert.equal(twiceBytes, 0);
});

Deno.test("a fast source that is far away delivers 100 MiB in few round trips", () => {
  const { seconds, requests } = simulate(100 * MIB, [source("a", 2_000, { latencyMs: 100 })]);
  // 4, 16, 64 and 16 MiB, each asked for when the one before is answered.
  assert.ok(seconds <= 0.5, `${seconds} s`);
  assert.ok(requests <= 5, `${requests} requests`);
});

Deno.test("the first request to a source is small, and the next one at most four times as large", () => {
  const plan = new RangePlan(1024 * MIB);
  plan.add("a", 0);
  assert.deepEqual(plan.next("a", 0), [0, 4 * MIB]);
  assert.deepEqual(plan.next("a", 0), [4 * MIB, 20 * MIB]);
  assert.equal(plan.next("a", 0), undefined, "two at a time");
});

Deno.test("a slow source gets small requests, however it begins", () => {
  const { requests } = simulate(64 * MIB, [source("a", 2), source("b", 2)]);
  assert.ok(requests >= 20, `${requests} requests`);
});

Deno.test("four sources deliver four times as fast, and end together", () => {
  const sources = ["a", "b", "c", "d"].map((name) => source(name, 20, { latencyMs: 20 }));
  const { seconds, twiceBytes } = simulate(400 * MIB, sources);
  assert.ok(seconds <= 5 * 1.1, `${seconds} s`);
  assert.ok(twiceBytes <= 4 * CHUNK_BYTES, `${twiceBytes} bytes twice`);
});

Deno.test("a fast source delivers more than a slow one, and does not wait for it at the end", () => {
  const { seconds, bytesOf } = simulate(200 * MIB, [source("fast", 90), source("slow", 10)]);
  assert.ok(seconds <= 2 * 1.2, `${seconds} s`);
  const [fast, slow] = ["fast", "slow"].map(bytesOf);
  assert.ok(fast! > 6 * slow!, `${fast} ${slow}`);
});

Deno.test("a source that stalls or vanishes costs the others only its share", () => {
  for (const what of ["stalls", "vanishes"] as const) {
    const { seconds } = simulate(200 * MIB, [
      source("a", 20),
      source("b", 20),
      source("c", 20, { fate: { what, atMs: 500 } }),
    ]);
    assert.ok(seconds <= 5 * 1.15, `${what}: ${seconds} s`);
  }
});

Deno.test("a source that comes back is used again", () => {
  const fate = { what: "vanishes", atMs: 500, backMs: 2_000 } as const;
  const { bytesOf } = simulate(400 * MIB, [source("a", 10), source("b", 100, { fate })]);
  assert.ok(bytesOf("b") > 200 * MIB);
});

Deno.test("what is here already is not requested", () => {
  const done = new Ranges([[0, 30 * MIB], [50 * MIB, 90 * MIB]]);
  const { seconds } = simulate(100 * MIB, [source("a", 10)], done);
  assert.ok(seconds <= 3.1, `${seconds} s`);
});

Deno.test("whatever sources do, a file is complete in the end, and little comes twice", () => {
  const one = fc.record({
    mibPerSecond: fc.integer({ min: 1, max: 200 }),
    latencyMs: fc.integer({ min: 0, max: 300 }),
    fate: fc.option(
      fc.record({
        what: fc.constantFrom("stalls" as const, "vanishes" as const),
        atMs: fc.integer({ min: 0, max: 5_000 }),
        pauseMs: fc.integer({ min: 0, max: 20_000 }),
      }),
    ),
  });
  const sizes = fc.integer({ min: 1, max: 300 * MIB });
  fc.assert(
    fc.property(sizes, fc.array(one, { minLength: 1, maxLength: 6 }), (sizeBytes, all) => {
      const sources = all.map(({ mibPerSecond, latencyMs, fate }, i) => ({
        name: `s${i}`,
        rate: mibPerSecond * MIB,
        latencyMs,
        ...(fate ? { fate: { ...fate, backMs: fate.atMs + fate.pauseMs } } : {}),
      }));
      const { twiceBytes } = simulate(sizeBytes, sources);
      const disturbances = sources.filter(({ fate }) => fate).length;
      const bound = (sources.length + disturbances) * 2 * Math.max(CHUNK_BYTES, 16 * MIB);
      assert.ok(twiceBytes <= bound, `${twiceBytes} bytes twice`);
    }),
    { numRuns: 60 },
  );
});

Deno.test("while nothing is free, a part is requested twice at most, and by no source that has something to do", () => {
  const plan = new RangePlan(2 * MIB);
  for (const name of ["a", "b", "c", "d"]) plan.add(name, 0);
  const spans = ["a", "b"].map((name) => plan.next(name, 0));
  assert.deepEqual(spans, [[0, MIB], [MIB, 2 * MIB]]);
  assert.deepEqual(plan.next("a", 0), undefined);
  const doubled = ["c", "d"].map((name) => plan.next(name, 0));
  assert.deepEqual(doubled, [[0, MIB], [MIB, 2 * MIB]]);
  assert.deepEqual(
    ["a", "b", "c", "d"].map((name) => plan.next(name, 0)),
    Array(4).fill(undefined),
  );
  assert.deepEqual(plan.stalled(STALL_MS - 1), []);
  assert.deepEqual(plan.stalled(STALL_MS), ["a", "b", "c", "d"]);
  plan.received("a", 0, MIB, 1);
  assert.ok(plan.isSuperseded("c") && !plan.isSuperseded("d"));
});

Deno.test("a source that trickles does not hold a part for ever", () => {
  const plan = new RangePlan(2 * MIB);
  plan.add("a", 0);
  plan.next("a", 0);
  let at = 0;
  for (let nowMs = 1_000; nowMs < SLOW_REQUEST_MS; nowMs += 1_000) {
    plan.received("a", at++, 1, nowMs);
    assert.deepEqual(plan.stalled(nowMs), []);
  }
  plan.received("a", at, 1, SLOW_REQUEST_MS);
  assert.deepEqual(plan.stalled(SLOW_REQUEST_MS), ["a"]);
});

Deno.test("a file has at most so many chunks, of whole MiB", () => {
  for (const gib of [1, 4, 8, 100]) {
    const chunk = chunkBytesOf(gib * 1024 * MIB);
    assert.equal(chunk % MIB, 0);
    assert.ok(gib * 1024 * MIB / chunk <= MAX_CHUNKS);
  }
  assert.equal(chunkBytesOf(0), MIB);
});

Deno.test("a set of ranges has what was added, and nothing else", () => {
  const spans = fc.array(fc.tuple(fc.nat(60), fc.nat(12)), { maxLength: 20 });
  fc.assert(fc.property(spans, fc.nat(60), fc.nat(60), (added, from, to) => {
    const model = new Set<number>();
    const ranges = new Ranges();
    for (const [start, length] of added) {
      const before = model.size;
      for (let at = start; at < start + length; at++) model.add(at);
      assert.equal(ranges.add(start, start + length), model.size - before);
    }
    assert.equal(ranges.bytes, model.size);
    const flat = ranges.spans.flatMap(([start, end]) =>
      Array.from({ length: end - start }, (_, i) => start + i)
    );
    assert.deepEqual(flat, [...model].sort((a, b) => a - b));
    const touching = ranges.spans.some(([start], i) => start <= (ranges.spans[i - 1]?.[1] ?? -1));
    assert.ok(!touching);
    const missing: number[] = [];
    for (let at = from; at < to; at++) if (!model.has(at)) missing.push(at);
    const gaps = ranges.gaps(from, to).flatMap(([start, end]: Span) =>
      Array.from({ length: end - start }, (_, i) => start + i)
    );
    assert.deepEqual(gaps, missing);
    assert.equal(ranges.has(from, to), missing.length === 0);
  }));
});

Deno.test("crumbs that a source has or speaks of are not asked for", () => {
  const plan = new RangePlan(16 * MIB, new Ranges(), () => 0);
  plan.add("f", 0, new Ranges(Array.from({ length: 16 }, (_, i) => [i * MIB + 7, i * MIB + 8])));
  assert.equal(plan.next("f", 0), undefined);
  plan.limit("f", new Ranges([[MIB - 1, 3 * MIB + 1]]));
  assert.deepEqual(plan.next("f", 0), [MIB, 3 * MIB]);
  plan.add("a", 0);
  plan.hint("a", [5 * MIB + 9, 5 * MIB + 10]);
  assert.equal(plan.next("a", 0)![0], 5 * MIB);
});

Deno.test("copies of ranges change on their own, and gaps are what is missing", () => {
  const spans = fc.array(fc.tuple(fc.nat(60), fc.nat(20)));
  fc.assert(fc.property(spans, fc.nat(40), fc.nat(60), (parts, start, length) => {
    const ranges = new Ranges(parts.map(([at, bytes]) => [at, at + bytes]));
    const copy = ranges.copy();
    copy.add(0, 100);
    const gaps = ranges.gaps(start, start + length);
    for (let at = start; at < start + length; at++) {
      assert.equal(gaps.some(([from, to]) => from <= at && at < to), !ranges.has(at, at + 1));
    }
    assert.equal(
      gaps.reduce((sum, [from, to]) => sum + to - from, 0) +
        Array.from({ length }, (_, i) => ranges.has(start + i, start + i + 1)).filter(Boolean)
          .length,
      length,
    );
  }));
});
