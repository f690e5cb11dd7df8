// Rate limits: never more than promised, for any number of keys, in bounded memory.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { KeyedBuckets, KeyedWindows, TokenBucket } from "../../../protocol/bounds/rate_limit.ts";

const steps = fc.array(
  fc.record({
    waitMs: fc.integer({ min: -2_000, max: 20_000 }),
    cost: fc.integer({ min: 1, max: 4 }),
  }),
  { maxLength: 200 },
);

Deno.test("a bucket gives no more than its burst and its rate, whatever the clock does", () => {
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 10 }), (steps, burst) => {
      const bucket = new TokenBucket(burst, 0.5, 0);
      let nowMs = 0;
      let latestMs = 0;
      let taken = 0;
      for (const { waitMs, cost } of steps) {
        nowMs += waitMs;
        latestMs = Math.max(latestMs, nowMs);
        if (bucket.take(nowMs, cost)) taken += cost;
        ok(taken <= burst + (0.5 * latestMs) / 1000 + 1e-6, `${taken} taken at ${latestMs}`);
      }
    }),
  );
});

Deno.test("a bucket refuses without taking tokens, and refills up to its burst", () => {
  const bucket = new TokenBucket(5, 0.1, 1000);
  deepStrictEqual(Array.from({ length: 7 }, () => bucket.take(1000)), [
    true,
    true,
    true,
    true,
    true,
    false,
    false,
  ]);
  strictEqual(bucket.take(10_999), false);
  strictEqual(bucket.take(11_001), true);
  strictEqual(bucket.isFull(11_001), false);
  strictEqual(bucket.isFull(1e9), true);
  deepStrictEqual([bucket.take(1e9, 6), bucket.take(1e9, 5), bucket.take(1e9, 1)], [
    false,
    true,
    false,
  ]);
});

Deno.test("each key has its own bucket, and there are no more buckets than the bound", () => {
  const buckets = new KeyedBuckets(1, 0.001, 100);
  ok(buckets.take("a", 0));
  ok(!buckets.take("a", 0));
  ok(buckets.take("__proto__", 0));
  ok(!buckets.take("__proto__", 0));
  for (let i = 0; i < 5_000; i++) {
    ok(buckets.take(`key ${i}`, 0));
    ok(buckets.size <= 100);
  }
});

Deno.test("when there is no space, full buckets are forgotten before spent ones", () => {
  const buckets = new KeyedBuckets(2, 0.1, 3);
  for (const key of ["spent", "spent", "old"]) buckets.take(key, 0);
  buckets.take("spent", 15_000);
  buckets.take("young", 15_000); // "old" is full again by now
  ok(buckets.take("new", 15_000));
  // 0 + 1.5 - 1 leaves half a token; a forgotten bucket would be full again.
  strictEqual(buckets.take("spent", 15_000), false);
});

Deno.test("a window gives its whole amount once, and again when the next one begins", () => {
  const windows = new KeyedWindows(3, 60_000);
  deepStrictEqual([0, 1, 59_999, 59_999].map((at) => windows.take("a", at)), [
    true,
    true,
    true,
    false,
  ]);
  strictEqual(windows.left("a", 59_999), 0);
  strictEqual(windows.left("b", 59_999), 3);
  deepStrictEqual([60_000, 60_000, 60_000, 60_000].map((at) => windows.take("a", at)), [
    true,
    true,
    true,
    false,
  ]);
  strictEqual(windows.take("c", 0, 4), false, "more than a window allows is never granted");
  deepStrictEqual([windows.take("d", 0, 2), windows.take("d", 0, 2), windows.take("d", 0, 1)], [
    true,
    false,
    true,
  ]);
});

Deno.test("in any period as long as a window, no key gets more than twice what a window allows", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(9_000), fc.constantFrom("a", "b"), fc.nat(3))), (uses) => {
      const windows = new KeyedWindows(5, 10_000, 2);
      const spent: { atMs: number; key: string; cost: number }[] = [];
      let atMs = 0;
      for (const [waitMs, key, cost] of uses) {
        atMs += waitMs;
        if (windows.take(key, atMs, cost)) spent.push({ atMs, key, cost });
        const recent = spent.filter((use) => use.key === key && atMs - use.atMs < 10_000);
        ok(recent.reduce((sum, { cost }) => sum + cost, 0) <= 10);
      }
    }),
  );
});

Deno.test("windows of too many keys are forgotten oldest first, after those that have ended", () => {
  const windows = new KeyedWindows(1, 60_000, 3);
  for (const [key, at] of [["a", 0], ["b", 1], ["c", 2]] as const) ok(windows.take(key, at));
  ok(windows.take("d", 3));
  strictEqual(windows.size, 3);
  strictEqual(windows.take("c", 3), false);
  strictEqual(windows.take("b", 3), false);
  strictEqual(windows.take("a", 3), true, "the oldest was forgotten");
  for (let i = 0; i < 1_000; i++) windows.take(`key ${i}`, 60_010 + i);
  ok(windows.size <= 3);
  ok(windows.take("late", 500_000));
  strictEqual(windows.size, 1);
});
