// ExpiringSet: bounded by time and by number, oldest forgotten first.

import { strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { ExpiringSet } from "../../../protocol/bounds/expiring.ts";

Deno.test("a key is a member once, until it expires", () => {
  const seen = new ExpiringSet(10, 1000);
  strictEqual(seen.add("a", 0), true);
  strictEqual(seen.add("a", 500), false);
  strictEqual(seen.has("a", 999), true);
  strictEqual(seen.has("a", 1000), false, "its time was not renewed");
  strictEqual(seen.add("a", 1000), true);
  strictEqual(seen.add("__proto__", 1000), true);
  strictEqual(seen.add("__proto__", 1000), false);
});

Deno.test("when the set is full, the oldest member is forgotten", () => {
  const seen = new ExpiringSet(3, 1000);
  for (const key of ["a", "b", "c", "d"]) seen.add(key, 0);
  strictEqual(seen.size, 3);
  strictEqual(seen.has("a", 0), false);
  for (const key of ["b", "c", "d"]) strictEqual(seen.has(key, 0), true, key);
  for (let i = 0; i < 1000; i++) seen.add(`key ${i}`, 0);
  strictEqual(seen.size, 3);
});

Deno.test("it behaves like a list of keys and times", () => {
  const act = fc.record({
    key: fc.constantFrom(..."abcdefgh"),
    waitMs: fc.nat(400),
    isAdd: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(act, { maxLength: 100 }), (acts) => {
      const seen = new ExpiringSet(4, 1000);
      let model: { key: string; atMs: number }[] = [];
      let nowMs = 0;
      for (const { key, waitMs, isAdd } of acts) {
        nowMs += waitMs;
        model = model.filter(({ atMs }) => nowMs - atMs < 1000);
        const isThere = model.some((known) => known.key === key);
        if (isAdd) {
          strictEqual(seen.add(key, nowMs), !isThere);
          if (!isThere) model = [...model, { key, atMs: nowMs }].slice(-4);
        } else strictEqual(seen.has(key, nowMs), isThere);
        strictEqual(seen.size, model.length);
      }
    }),
  );
});
