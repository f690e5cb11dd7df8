// Limits on how fast content moves: the rate holds, everybody gets a turn, and without a limit nothing waits.

import assert from "node:assert/strict";
import fc from "fast-check";
import { Throttle } from "../../net/throttle.ts";

/** A clock that only moves when somebody waits. */
class Clock {
  nowMs = 0;
  #waiting: { atMs: number; go: () => void }[] = [];

  now = () => this.nowMs;
  wait = (ms: number) =>
    new Promise<void>((go) => void this.#waiting.push({ atMs: this.nowMs + ms, go }));

  /** Lets time pass until nobody waits. */
  async run(): Promise<void> {
    for (;;) {
      for (let i = 0; i < 20; i++) await Promise.resolve();
      this.#waiting.sort((a, b) => a.atMs - b.atMs);
      const next = this.#waiting.shift();
      if (!next) return;
      this.nowMs = Math.max(this.nowMs, next.atMs);
      next.go();
    }
  }
}

Deno.test("whatever is taken, the rate holds", async () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 50 });
  await fc.assert(
    fc.asyncProperty(sizes, fc.integer({ min: 1_000, max: 1e7 }), async (pieces, rate) => {
      const clock = new Clock();
      const throttle = new Throttle(rate, clock);
      const taking = (async () => {
        for (const bytes of pieces) await throttle.take(bytes);
      })();
      await clock.run();
      await taking;
      const before = pieces.slice(0, -1).reduce((sum, bytes) => sum + bytes, 0);
      assert.ok(Math.abs(clock.nowMs - before / rate * 1_000) < 1, `${clock.nowMs} ms`);
    }),
    { numRuns: 50 },
  );
});

Deno.test("a small file gets its turn while four large ones are under way", async () => {
  const clock = new Clock();
  const throttle = new Throttle(1_000_000, clock);
  const large = Array.from({ length: 4 }, async () => {
    for (let left = 5_000_000; left > 0;) {
      const piece = throttle.pieceOf(left);
      await throttle.take(piece);
      left -= piece;
    }
  });
  let smallMs = Infinity;
  const small = (async () => {
    await clock.wait(1_000);
    await throttle.take(throttle.pieceOf(4_096));
    smallMs = clock.nowMs;
  })();
  await clock.run();
  await Promise.all([...large, small]);
  assert.ok(smallMs - 1_000 <= 5 * 50, `${smallMs - 1_000} ms`);
  assert.ok(clock.nowMs >= 19_900);
});

Deno.test("without a limit nothing waits, and a limit may come and go at any time", async () => {
  const clock = new Clock();
  const throttle = new Throttle(0, clock);
  await throttle.take(1e12);
  assert.equal(throttle.pieceOf(1e12), 1e12);
  throttle.bytesPerSecond = 100_000;
  assert.equal(throttle.pieceOf(1e12), 5_000);
  assert.equal(throttle.pieceOf(10), 10);
  await throttle.take(100_000);
  const second = throttle.take(1);
  await clock.run();
  await second;
  assert.equal(clock.nowMs, 1_000);
  throttle.bytesPerSecond = 0;
  await throttle.take(1e12);
  throttle.bytesPerSecond = 20;
  assert.equal(
    throttle.pieceOf(1e6),
    1_024,
    "a piece is never so small that it is not worth a turn",
  );
});
