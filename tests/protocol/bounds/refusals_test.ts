// Refusals are counted by reason and by sender, in bounded memory, no matter what peers call themselves.

import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { OTHERS, Refusals } from "../../../protocol/bounds/refusals.ts";

Deno.test("refusals are counted by reason and by sender, those with the most first", () => {
  const refusals = new Refusals();
  refusals.note("a", "not-json");
  for (let i = 0; i < 3; i++) refusals.note("__proto__", "bad-hex");
  refusals.note("a", "bad-hex");
  deepStrictEqual([...refusals.byReason], [["not-json", 1], ["bad-hex", 4]]);
  deepStrictEqual(
    refusals.byPeer().map(({ who, counts }) => [who, Object.fromEntries(counts)]),
    [["__proto__", { "bad-hex": 3 }], ["a", { "not-json": 1, "bad-hex": 1 }]],
  );
});

Deno.test("a sender that rotates names does not fill memory, and every refusal stays counted", () => {
  const refusals = new Refusals();
  for (let i = 0; i < 10_000; i++) refusals.note(`name ${i}`, "not-json");
  const rows = refusals.byPeer();
  strictEqual(rows.length, 257);
  strictEqual(rows.at(-1)!.who, OTHERS);
  strictEqual(rows.reduce((sum, { counts }) => sum + counts.get("not-json")!, 0), 10_000);
});
