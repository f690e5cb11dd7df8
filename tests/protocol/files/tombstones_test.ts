// Tombstones: how many are kept, whose are forgotten first, and that the work per deletion does not grow.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Tombstones } from "../../../protocol/files/tombstones.ts";
import { MAX_TOMBSTONE_GROUPS, MAX_TOMBSTONES, TOMBSTONE_MS } from "../../../protocol/limits.ts";
import { idOf } from "../machine.ts";

Deno.test("an address that deletes more than all others cannot push out their tombstones, nor ours or earlier ones", () => {
  const tombstones = new Tombstones();
  const ours = 100_000;
  for (let n = 0; n < ours; n++) tombstones.add(idOf(n), 0);
  tombstones.load([[idOf(700_000), -5], [idOf(700_001), -9]]);
  tombstones.add(idOf(800_000), 1, "10.0.0.1");
  for (let n = 0; n < MAX_TOMBSTONES; n++) tombstones.add(idOf(1_000_000 + n), 2, "10.6.6.6");
  strictEqual(tombstones.size, MAX_TOMBSTONES);
  strictEqual(tombstones.evicted, ours + 3);
  for (const n of [0, 1, ours - 1, 700_000, 700_001, 800_000]) {
    ok(tombstones.has(idOf(n), 3), `${n}`);
  }
  strictEqual(tombstones.has(idOf(1_000_000), 3), false, "it lost its own oldest");
});

Deno.test("any number of addresses share a bounded number of groups", () => {
  const tombstones = new Tombstones();
  for (let n = 0; n < 100; n++) tombstones.add(idOf(n), n, `10.0.0.${n}`);
  tombstones.add(idOf(200), 0);
  tombstones.load([[idOf(201), 0]]);
  strictEqual(tombstones.size, 102);
  for (const { name, size, max } of tombstones.sizes) ok(size() <= max(), name);
  strictEqual(tombstones.sizes[1]!.size(), MAX_TOMBSTONE_GROUPS);
  strictEqual(tombstones.expire(TOMBSTONE_MS + 50), true);
  deepStrictEqual([...tombstones.all()].map(([fileId]) => fileId).sort(), [
    ...Array.from({ length: 49 }, (_, i) => idOf(51 + i)),
  ]);
});
