// When the page reads everything anew: at once, once for many reasons, and ever more seldom while the reasons go on.
// The page's module itself, with the network and the timers of this test.

import { deepStrictEqual, strictEqual } from "node:assert/strict";

/** Not by a literal: these modules know a browser's names, and are checked with the page. */
const LIVE = new URL("../../web/browser/live.js", import.meta.url).href;

class World {
  asked = 0;
  nowMs = 0;
  isDown = false;
  readonly pauses: number[] = [];
  #goOn: (() => void)[] = [];

  fetch = (url: string): Promise<Response> => {
    if (this.isDown) return Promise.reject(new TypeError("no answer"));
    if (url.includes("/files")) this.asked++;
    const status = { files: { known: 0 }, bytes: { in: 0, out: 0 }, uptime_seconds: 1, now: 1 };
    const lists = { peers: [], transfers: [], files: [], rates: [], total: 0 };
    return Promise.resolve(Response.json(url.endsWith("/status") ? status : lists));
  };

  setTimeout = (go: () => void, ms: number): number => {
    this.pauses.push(ms);
    this.#goOn.push(go);
    return 0;
  };

  /** Lets what waits for the network go on, until it waits for a timer. */
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

Deno.test("lists are read anew at once, and ever more seldom while there is ever more reason to", async () => {
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
    reload(); // while the first is on its way: what it reads may be old already
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
    strictEqual(world.asked, 9, "what failed is tried again");

    live.isGone = true;
    reload();
    world.pass();
    await Promise.resolve();
    strictEqual(world.asked, 9, "nobody is asked who is not there");
    live.isGone = false;
    reload();
    strictEqual(world.asked, 10, "what is owed is read when the peer is there again");
    await world.settle(11);
    world.pass();
  } finally {
    Object.assign(globalThis, before);
    Reflect.deleteProperty(globalThis, "requestAnimationFrame");
    if (now) Object.defineProperty(performance, "now", now);
    else Reflect.deleteProperty(performance, "now");
  }
});
