// The map that knows its oldest key.

import { deepStrictEqual, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { OldestFirst } from "../../../protocol/bounds/oldest_first.ts";

Deno.test("the oldest key is the one that was added first, whatever was added and removed in between", () => {
  const step = fc.record({
    key: fc.constantFrom(..."abcdef"),
    does: fc.constantFrom("add", "delete", "look"),
  });
  fc.assert(fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
    const map = new OldestFirst<number>();
    const model: string[] = [];
    for (const [n, { key, does }] of steps.entries()) {
      const at = model.indexOf(key);
      if (does === "look") strictEqual(map.oldest(), model[0]);
      else if (at >= 0) model.splice(at, 1);
      if (does === "add") {
        map.add(key, n);
        model.push(key);
      } else if (does === "delete") strictEqual(map.delete(key), at >= 0);
      strictEqual(map.size, model.length);
    }
    deepStrictEqual([...map.entries()].map(([key]) => key), model);
    for (const key of model) {
      strictEqual(map.oldest(), key);
      map.delete(key);
    }
    strictEqual(map.oldest(), undefined);
    map.add("z", 0);
    strictEqual(map.oldest(), "z");
  }));
});
