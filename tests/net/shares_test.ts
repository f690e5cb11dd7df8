// Limits of which nobody may use more than a share.

import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { Shares } from "../../net/shares.ts";
import { Throttle } from "../../net/throttle.ts";

Deno.test("each user has a share of its own, which all of its uses share, and the limit of all holds as well", () => {
  const all = new Throttle(1_000);
  const shares = new Shares(all, 1 / 4);
  const first = shares.take(["ann", "bob"]);
  const second = shares.take(["ann", "cat"]);
  deepStrictEqual(first.map(({ bytesPerSecond }) => bytesPerSecond), [250, 250, 1_000]);
  strictEqual(first[0], second[0]);
  strictEqual(first.at(-1), all);
  strictEqual(new Set([...first, ...second]).size, 4);
});

Deno.test("what is over is forgotten, and a share follows the limit", () => {
  const all = new Throttle(1_000);
  const shares = new Shares(all, 1 / 2);
  const [own] = shares.take(["ann"]);
  shares.take(["ann"]);
  all.bytesPerSecond = 3_000;
  shares.take(["ann"]);
  strictEqual(own!.bytesPerSecond, 1_500);
  for (let i = 0; i < 3; i++) {
    strictEqual(shares.size, 1);
    shares.give(["ann"]);
  }
  strictEqual(shares.size, 0);
  all.bytesPerSecond = 0;
  strictEqual(shares.take(["ann"])[0]!.bytesPerSecond, 0, "no limit has no share");
});
