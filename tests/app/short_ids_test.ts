// The shortest beginnings of ids that name one file each.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { MIN_CHARS, shortestIds } from "../../app/short_ids.ts";
import { inSlices } from "../../web/slices.ts";
import { Random } from "../sim/random.ts";

const short = (ids: readonly string[], all: Iterable<string>) => inSlices(shortestIds(ids, all));

Deno.test("an id is as short as it can be, and no shorter than six characters", async () => {
  const ids = ["aaaaaaaa1", "aaaaaaaa2", "aaaaab000", "bbbbbbbbb"];
  deepStrictEqual([...await short(ids, ids)], [
    ["aaaaaaaa1", "aaaaaaaa1"],
    ["aaaaaaaa2", "aaaaaaaa2"],
    ["aaaaab000", "aaaaab"],
    ["bbbbbbbbb", "bbbbbb"],
  ]);
  deepStrictEqual([...await short(["aaaaab000"], ids)], [["aaaaab000", "aaaaab"]]);
  deepStrictEqual([...await short([], ids)], []);
});

Deno.test("no two of many ids have the same beginning, and each is needed", async () => {
  const random = new Random(5);
  const all = Array.from(
    { length: 20_000 },
    () => Array.from({ length: 64 }, () => Math.floor(random.unit() * 3).toString(16)).join(""),
  );
  const shown = all.slice(0, 50);
  for (const [id, beginning] of await short(shown, all)) {
    ok(id.startsWith(beginning));
    strictEqual(all.filter((each) => each.startsWith(beginning)).length, 1, beginning);
    const shorter = beginning.slice(0, -1);
    ok(shorter.length < MIN_CHARS || all.filter((each) => each.startsWith(shorter)).length > 1);
  }
});
