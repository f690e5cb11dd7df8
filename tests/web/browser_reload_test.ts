// When the page reloads its lists: at once, once for many resets, and less and less often while resets continue.
// Runs the page's own module with this test's network and timers.

import { deepStrictEqual, strictEqual } from "node:assert/strict";

/** Not a literal import: these modules use browser globals and are type-checked with the page. */
const LIVE = new URL("../../web/browser/live.js", import.meta.url).href;

class World {
  asked = 0;
  nowMs = 0;
  isDown = false;
  readonly pauses: number[] = [];
  #goOn: (() => void)[] = [];

  fetch = (url: string): Promise<Response> => {
    if (this.isDown) return Promise.reject(new TypeError("no answer"));
    if (url.includes("/transfers")) this.asked++;
    const status = { files: { known: 0 }, bytes: { in: 0, out: 0 }, uptime_seconds: 1, now: 1 };
    const lists = { peers: [], transfers: [], rates: [] };
    return Promise.resolve(Response.json(url.endsWith("/status") ? status : lists));
  };

  setTimeout = (go: () => void, ms: number): number => {
    this.pauses.push(ms);
    this.#goOn.push(go);
    return 0;
  };

  /** Lets code that waits for the network continue until it waits for a timer. */
  async settle(pauses: number): Promise<void> {
    for (let turn = 0; this.pauses.length < pauses && turn < 1_000; turn++) {
      await new Promise((go) => queueMicrotask(() => go(undefined)));
      await Response.json({}).json(); // a body takes more than microtasks
    }
    strictEqual(this.pauses.length, pauses);
  }

  pass(): void {
    this.#goOn.shift()!();
  }
}

Deno.test("lists are reloaded at once, and less and less often while resets keep coming", async () => {
  const world = new World();
  const before = { fetch: globalThis.fetch, setTimeout: globalThis.setTimeout };
  const now = Object.getOwnPropertyDescriptor(performance, "now");
  Object.defineProperty(performance, "now", { configurable: true, value: () => world.nowMs });
  Object.assign(globalThis, {
    fetch: world.fetch,
    setTimeout: world.setTimeout,
    requestAnimationFrame: () => 0,
  });
  try {
    const { live, reload } = await import(LIVE);
    reload();
    strictEqual(world.asked, 1);
    reload(); // while the first is running: what it reads may already be stale
    await world.settle(1);
    for (let round = 2; round <= 7; round++) {
      strictEqual(world.asked, round - 1, "nothing is read before the pause is over");
      world.pass();
      await world.settle(round);
      strictEqual(world.asked, round);
      for (let i = 0; i < 5; i++) reload();
    }
    deepStrictEqual(world.pauses, [1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000]);

    world.nowMs += 60_000;
    world.pass();
    await world.settle(8);
    strictEqual(world.pauses[7], 1_000, "after a calm minute the pause is short again");

    reload();
    world.isDown = true;
    world.pass();
    await world.settle(9);
    strictEqual(world.pauses[8], 3_000);
    world.isDown = false;
    world.pass();
    await world.settle(10);
    strictEqual(world.asked, 9, "a failed reload is retried");

    live.isGone = true;
    reload();
    world.pass();
    await Promise.resolve();
    strictEqual(world.asked, 9, "a peer that is away is not asked");
    live.isGone = false;
    reload();
    strictEqual(world.asked, 10, "the pending reload runs once the peer is back");
    await world.settle(11);
    world.pass();
  } finally {
    Object.assign(globalThis, before);
    Reflect.deleteProperty(globalThis, "requestAnimationFrame");
    if (now) Object.defineProperty(performance, "now", now);
    else Reflect.deleteProperty(performance, "now");
  }
});
