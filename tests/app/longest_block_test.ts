// How long the event loop was busy, as measured while the folder is indexed.

import assert from "node:assert/strict";
import { LongestBlock } from "../../app/longest_block.ts";
import { until } from "../until.ts";

Deno.test("a block is measured while it is watched, and not afterwards", async () => {
  const block = new LongestBlock();
  const busy = (ms: number) => {
    const untilMs = performance.now() + ms;
    while (performance.now() < untilMs);
  };
  block.start();
  busy(60);
  await until("the block was noticed", () => block.ms >= 50);
  block.stop();
  const before = block.ms;
  busy(before + 60);
  await new Promise((go) => setTimeout(go, 0));
  assert.equal(block.ms, before);
});
