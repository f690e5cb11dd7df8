// Sets of holders are shared by files with the same holders, and one that was handed out never changes.

import assert from "node:assert/strict";
import fc from "fast-check";
import { HolderSets } from "../../../protocol/files/holder_sets.ts";

Deno.test("whatever is added and removed, each file has its holders, and files with the same ones share a set", () => {
  const step = fc.record({
    file: fc.nat(4),
    peer: fc.constantFrom("a", "b", "c", "d"),
    isAdded: fc.boolean(),
  });
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const sets = new HolderSets();
    const files = Array.from({ length: 5 }, () => ({ set: sets.none, names: new Set<string>() }));
    const handedOut: { set: ReadonlySet<string>; was: string[] }[] = [];
    for (const { file, peer, isAdded } of steps) {
      const each = files[file]!;
      each.set = isAdded ? sets.with(each.set, peer) : sets.without(each.set, peer);
      if (isAdded) each.names.add(peer);
      else each.names.delete(peer);
      handedOut.push({ set: each.set, was: [...each.set] });
      assert.deepEqual([...each.set].sort(), [...each.names].sort());
      for (const other of files) {
        const isSame = [...other.names].sort().join() === [...each.names].sort().join();
        assert.equal(other.set === each.set, isSame, "shared if the same, and only then");
      }
    }
    for (const { set, was } of handedOut) assert.deepEqual([...set], was);
  }));
});

Deno.test("adding a holder that is there, or removing one that is not, returns the same set", () => {
  const sets = new HolderSets();
  const set = sets.with(sets.none, "a");
  assert.equal(sets.with(set, "a"), set);
  assert.equal(sets.without(set, "b"), set);
  assert.equal(sets.without(set, "a"), sets.none);
});

Deno.test("however many different sets there are, a bounded number is shared, and the others stay right", () => {
  const sets = new HolderSets();
  const kept = sets.with(sets.none, "first");
  for (let i = 0; i < 3 * sets.max; i++) {
    const set = sets.with(sets.none, `peer ${i}`);
    assert.deepEqual([...set], [`peer ${i}`]);
    assert.ok(sets.size <= sets.max);
  }
  assert.deepEqual([...kept], ["first"]);
  assert.deepEqual([...sets.with(kept, "second")].sort(), ["first", "second"]);
  assert.equal(sets.without(kept, "first"), sets.none);
});
