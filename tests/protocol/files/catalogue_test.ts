// The catalogue: what is heard first counts until content proves otherwise; holders, tombstones and bounds.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { Catalogue } from "../../../protocol/files/catalogue.ts";
import {
  EARLY_DELETE_MS,
  HOLDERLESS_MS,
  MAX_OTHER_TIMESTAMPS,
  MAX_TOMBSTONES,
  TOMBSTONE_MS,
} from "../../../protocol/limits.ts";
import { fileOfNumber, heldOf, idOf } from "../machine.ts";

const stamp = (text: string) => ({ timestamp: { text, quoted: false } });
const known = (catalogue: Catalogue) => [...catalogue.all()].map(({ file }) => file.fileId);

Deno.test("the first description of a file stays, and a different owner is reported as a conflict", () => {
  const catalogue = new Catalogue(10);
  strictEqual(catalogue.learn(fileOfNumber(1), 0), "new");
  strictEqual(catalogue.learn(fileOfNumber(1, { name: "other", size: 9 }), 0), "known");
  strictEqual(catalogue.learn(fileOfNumber(1, { owner: "thief" }), 0), "owner-conflict");
  deepStrictEqual(catalogue.get(idOf(1))!.file, fileOfNumber(1));
  strictEqual(catalogue.size, 1);
  strictEqual(catalogue.get("__proto__"), undefined);
});

Deno.test("a few other timestamps are remembered until content shows which one is true", () => {
  const catalogue = new Catalogue(10);
  for (let i = 0; i < 20; i++) catalogue.learn(fileOfNumber(1, stamp(`${1744170562 + i}`)), 0);
  catalogue.learn(fileOfNumber(1, stamp("1744170563")), 0);
  const entry = catalogue.get(idOf(1))!;
  strictEqual(entry.file.timestamp.text, "1744170562");
  deepStrictEqual(
    entry.otherTimestamps.map(({ text }) => text),
    ["1744170563", "1744170564", "1744170565"].slice(0, MAX_OTHER_TIMESTAMPS),
  );
  catalogue.hold(heldOf(fileOfNumber(1, stamp("1744170564"))), 0);
  strictEqual(entry.file.timestamp.text, "1744170564");
  catalogue.learn(fileOfNumber(1, stamp("1744170599")), 0);
  deepStrictEqual(entry.otherTimestamps, []);
});

Deno.test("nothing that others say changes a verified entry, and it is not forgotten when the file is lost", () => {
  const catalogue = new Catalogue(10);
  catalogue.hold(heldOf(fileOfNumber(1), 77), 0);
  const lie = fileOfNumber(1, { name: "x", owner: "thief", size: 5, sizeBytes: 5, ...stamp("1") });
  strictEqual(catalogue.learn(lie, 0), "owner-conflict");
  deepStrictEqual(catalogue.get(idOf(1))!.file, fileOfNumber(1, { sizeBytes: 77 }));
  catalogue.release(idOf(1), 0);
  catalogue.learn(lie, 0);
  deepStrictEqual(catalogue.get(idOf(1))!.file, fileOfNumber(1, { sizeBytes: 77 }));
});

Deno.test("a file without holders stays for a week and is then forgotten", () => {
  const catalogue = new Catalogue(10);
  catalogue.learn(fileOfNumber(1), 0);
  catalogue.learn(fileOfNumber(2), 0);
  catalogue.addHolder(idOf(2), "a");
  catalogue.hold(heldOf(fileOfNumber(3)), 0);
  strictEqual(catalogue.expire(HOLDERLESS_MS - 1), false);
  strictEqual(catalogue.expire(HOLDERLESS_MS), true);
  deepStrictEqual(known(catalogue), [idOf(2), idOf(3)]);
  catalogue.dropPeer("a", HOLDERLESS_MS);
  strictEqual(catalogue.holderlessSince(idOf(2)), HOLDERLESS_MS);
  catalogue.release(idOf(3), HOLDERLESS_MS + 5);
  strictEqual(catalogue.holderlessSince(idOf(3)), HOLDERLESS_MS + 5);
  catalogue.expire(2 * HOLDERLESS_MS);
  deepStrictEqual(known(catalogue), [idOf(3)]);
});

Deno.test("a week without holders is counted from its start, in whatever order the store loads the files", () => {
  const catalogue = new Catalogue(10);
  const day = 86_400_000;
  const files = ([[1, 1], [2, 6], [3, 3]] as const).map(([n, days]) => ({
    file: fileOfNumber(n),
    away: [],
    sinceMs: undefined,
    holderlessSinceMs: -days * day,
    isUnwanted: false,
  }));
  catalogue.load({ kind: "load", files, deleted: [], unwanted: [] }, 0);
  catalogue.expire(day);
  deepStrictEqual(known(catalogue), [idOf(1), idOf(3)]);
  catalogue.expire(4 * day);
  deepStrictEqual(known(catalogue), [idOf(1)]);
});

Deno.test("a whole list removes what it lacks: at once, or when two in a row lack it", () => {
  for (const misses of [1, 2]) {
    const catalogue = new Catalogue(10);
    for (const n of [1, 2]) {
      catalogue.learn(fileOfNumber(n), 0);
      catalogue.addHolder(idOf(n), "a");
      catalogue.addHolder(idOf(n), "b");
    }
    const holders = () => [...catalogue.get(idOf(1))!.holders].sort().join("");
    strictEqual(catalogue.wholeList("a", new Set([idOf(2)]), misses, 0), misses === 1);
    strictEqual(holders(), misses === 1 ? "b" : "ab");
    if (misses === 2) {
      catalogue.addHolder(idOf(1), "a"); // listed again: the count starts over
      strictEqual(catalogue.wholeList("a", new Set([idOf(2)]), misses, 0), false);
      strictEqual(holders(), "ab");
    }
    catalogue.wholeList("a", new Set([idOf(2)]), misses, 0);
    strictEqual(holders(), "b");
    strictEqual(catalogue.holdingsOf("a"), 1);
    strictEqual(catalogue.wholeList("nobody", new Set(), 1, 0), false);
  }
});

Deno.test("gossip does not bring back a deleted file, or give it holders, for thirty days", () => {
  const catalogue = new Catalogue(10);
  catalogue.hold(heldOf(fileOfNumber(1)), 0);
  catalogue.addHolder(idOf(1), "a");
  catalogue.bury(idOf(1), 0);
  deepStrictEqual([
    catalogue.size,
    catalogue.heldCount,
    catalogue.heldBytes,
    catalogue.holdingsOf("a"),
  ], [0, 0, 0, 0]);
  strictEqual(catalogue.learn(fileOfNumber(1), TOMBSTONE_MS - 1), "deleted");
  strictEqual(catalogue.addHolder(idOf(1), "a"), false);
  strictEqual(catalogue.learn(fileOfNumber(1), TOMBSTONE_MS), "new");
  strictEqual(catalogue.expire(TOMBSTONE_MS), true);
  deepStrictEqual([...catalogue.tombstones.all()], []);
});

Deno.test("a tombstone is lifted explicitly, or by holding the file again on purpose", () => {
  const catalogue = new Catalogue(10);
  catalogue.bury(idOf(1), 0);
  strictEqual(catalogue.tombstones.lift(idOf(1)), true);
  strictEqual(catalogue.tombstones.lift(idOf(1)), false);
  strictEqual(catalogue.learn(fileOfNumber(1), 0), "new");
  catalogue.bury(idOf(2), 0);
  strictEqual(catalogue.hold(heldOf(fileOfNumber(2)), 0), true);
  strictEqual(catalogue.tombstones.has(idOf(2), 0), false);
});

Deno.test("the number of tombstones is bounded, and the oldest is forgotten first", () => {
  const catalogue = new Catalogue(10);
  for (let n = 0; n <= MAX_TOMBSTONES; n++) catalogue.bury(idOf(n), n);
  strictEqual([...catalogue.tombstones.all()].length, MAX_TOMBSTONES);
  deepStrictEqual([0, 1, MAX_TOMBSTONES].map((n) => catalogue.tombstones.has(idOf(n), 0)), [
    false,
    true,
    true,
  ]);
});

Deno.test("in a full catalogue, files without holders make space, oldest first, for one that has a holder", () => {
  const catalogue = new Catalogue(3);
  for (const n of [1, 2, 3]) catalogue.learn(fileOfNumber(n), n);
  catalogue.addHolder(idOf(1), "a");
  catalogue.hold(heldOf(fileOfNumber(3)), 3);
  strictEqual(catalogue.learn(fileOfNumber(4), 4), "full", "this one has no holder either");
  strictEqual(catalogue.learn(fileOfNumber(4), 4, "b"), "new");
  deepStrictEqual(known(catalogue), [idOf(1), idOf(3), idOf(4)]);
  catalogue.addHolder(idOf(4), "b");
  strictEqual(catalogue.learn(fileOfNumber(5), 5, "b"), "full", "no peer has more files");
  strictEqual(catalogue.size, 3);
});

Deno.test("the peer with the most files gives up space to one with fewer, but not files that others or we hold", () => {
  const catalogue = new Catalogue(10);
  for (let n = 0; n < 10; n++) {
    strictEqual(catalogue.learn(fileOfNumber(n), 0, "many"), "new");
    catalogue.addHolder(idOf(n), "many");
  }
  catalogue.addHolder(idOf(0), "few");
  catalogue.hold(heldOf(fileOfNumber(1)), 0);
  for (let n = 10; n < 20; n++) {
    if (catalogue.learn(fileOfNumber(n), 0, "few") === "new") catalogue.addHolder(idOf(n), "few");
  }
  deepStrictEqual([catalogue.size, catalogue.holdingsOf("many"), catalogue.holdingsOf("few")], [
    10,
    6,
    5,
  ]);
  ok(catalogue.get(idOf(0)) && catalogue.get(idOf(1)), "they stay");
  strictEqual(catalogue.learn(fileOfNumber(30), 0, "many"), "full");
});

Deno.test("a DELETE that arrives before the news of its file keeps it away, but not another owner's file", () => {
  const catalogue = new Catalogue(10);
  catalogue.tombstones.addEarly(idOf(1), "owner", 0);
  strictEqual(catalogue.learn(fileOfNumber(1, { owner: "other" }), 1), "new");
  catalogue.tombstones.addEarly(idOf(2), "owner", 0);
  strictEqual(catalogue.learn(fileOfNumber(2), 1), "deleted");
  ok(catalogue.tombstones.has(idOf(2), 1));
  catalogue.tombstones.addEarly(idOf(3), "owner", 0);
  strictEqual(catalogue.learn(fileOfNumber(3), EARLY_DELETE_MS), "new", "the DELETE has expired");
});

Deno.test("a held file takes the place of one without holders", () => {
  const catalogue = new Catalogue(3);
  for (const n of [1, 2, 3]) catalogue.learn(fileOfNumber(n), n);
  for (const n of [4, 5, 6]) catalogue.hold(heldOf(fileOfNumber(n)), n);
  ok(catalogue.size <= 3, `${catalogue.size} entries`);
  strictEqual(catalogue.heldCount, 3);
});

Deno.test("changes to our own list are returned since any revision that is remembered", () => {
  const catalogue = new Catalogue(10_000);
  deepStrictEqual(catalogue.changesSince(0), { added: [], removed: [] });
  catalogue.hold(heldOf(fileOfNumber(1)), 0);
  catalogue.hold(heldOf(fileOfNumber(2)), 0);
  deepStrictEqual(catalogue.changesSince(0), { added: [idOf(1), idOf(2)], removed: [] });
  deepStrictEqual(catalogue.changesSince(1), { added: [idOf(2)], removed: [] });
  catalogue.release(idOf(1), 0);
  deepStrictEqual(catalogue.changesSince(1), { added: [idOf(2)], removed: [idOf(1)] });
  catalogue.hold(heldOf(fileOfNumber(1)), 0);
  deepStrictEqual(catalogue.changesSince(4), { added: [], removed: [] });
  for (let n = 10; n < 5_000; n++) catalogue.hold(heldOf(fileOfNumber(n)), 0);
  strictEqual(catalogue.changesSince(4), undefined, "that is too many changes ago");
  strictEqual(catalogue.changesSince(catalogue.revision - 500)?.added.length, 500);
});

Deno.test("the totals match the entries, whatever happens in whatever order", () => {
  const act = fc.record({
    act: fc.constantFrom(
      "learn",
      "holder",
      "drop",
      "list",
      "hold",
      "push",
      "release",
      "bury",
      "lift",
      "expire",
    ),
    n: fc.nat(5),
    peer: fc.constantFrom("a", "b"),
    waitMs: fc.constantFrom(0, 1000, HOLDERLESS_MS / 2, TOMBSTONE_MS / 2),
  });
  fc.assert(
    fc.property(fc.array(act, { maxLength: 120 }), (acts) => {
      const catalogue = new Catalogue(4);
      let nowMs = 0;
      for (const { act, n, peer, waitMs } of acts) {
        nowMs += waitMs;
        const fileId = idOf(n);
        if (act === "learn") catalogue.learn(fileOfNumber(n), nowMs);
        else if (act === "holder") catalogue.addHolder(fileId, peer);
        else if (act === "drop") catalogue.dropPeer(peer, nowMs);
        else if (act === "list") catalogue.wholeList(peer, new Set([fileId]), 1 + (n & 1), nowMs);
        else if (act === "hold" && n < 2) catalogue.hold(heldOf(fileOfNumber(n), 100 + n), nowMs);
        else if (act === "push" && n < 2) {
          catalogue.hold({ ...heldOf(fileOfNumber(n), 100 + n), pushed: true }, nowMs);
        } else if (act === "release") catalogue.release(fileId, nowMs);
        else if (act === "bury") catalogue.bury(fileId, nowMs);
        else if (act === "lift") catalogue.tombstones.lift(fileId);
        else if (act === "expire") catalogue.expire(nowMs);
        const entries = [...catalogue.all()];
        const held = entries.filter(({ held }) => held);
        const sum = (some: typeof held) =>
          some.reduce((bytes, { file }) => bytes + (file.sizeBytes ?? 0), 0);
        strictEqual(catalogue.heldBytes, sum(held));
        strictEqual(catalogue.pushedBytes, sum(held.filter(({ pushed }) => pushed)));
        strictEqual(catalogue.heldCount, held.length);
        deepStrictEqual(new Set([...catalogue.held()]), new Set(held));
        for (const peerId of ["a", "b"]) {
          strictEqual(
            catalogue.holdingsOf(peerId),
            entries.filter(({ holders }) => holders.has(peerId)).length,
          );
        }
        for (const { file: { fileId }, held, holders } of entries) {
          ok(!catalogue.tombstones.has(fileId, nowMs));
          strictEqual(catalogue.holderlessSince(fileId) !== undefined, !held && holders.size === 0);
        }
      }
    }),
    { numRuns: 200 },
  );
});

Deno.test("while watched, every changed entry is named once, and no other", () => {
  const catalogue = new Catalogue(3);
  catalogue.learn(fileOfNumber(1), 0);
  deepStrictEqual(catalogue.takeTouched(), [], "nobody watched");
  catalogue.watch(true);
  const touched = (act: () => void) => {
    act();
    return catalogue.takeTouched();
  };
  deepStrictEqual(touched(() => catalogue.learn(fileOfNumber(1), 0)), [], "no news");
  deepStrictEqual(touched(() => catalogue.learn(fileOfNumber(2), 0)), [idOf(2)]);
  deepStrictEqual(touched(() => catalogue.addHolder(idOf(1), "p")), [idOf(1)]);
  deepStrictEqual(touched(() => catalogue.addHolder(idOf(1), "p")), [], "no news");
  deepStrictEqual(touched(() => catalogue.hold(heldOf(fileOfNumber(2)), 0)), [idOf(2)]);
  deepStrictEqual(touched(() => catalogue.release(idOf(2), 0)), [idOf(2)]);
  deepStrictEqual(touched(() => catalogue.dropPeer("p", 0)), [idOf(1)]);
  deepStrictEqual(touched(() => catalogue.bury(idOf(2), 0)), [idOf(2)]);
  deepStrictEqual(touched(() => catalogue.expire(HOLDERLESS_MS)), [idOf(1)]);
  catalogue.watch(false);
  deepStrictEqual(touched(() => catalogue.learn(fileOfNumber(3), 0)), []);
});

Deno.test("an entry evicted for another is named too, and too many changes are not named individually", () => {
  const catalogue = new Catalogue(30_000);
  catalogue.watch(true);
  for (let n = 1; n <= 30_000; n++) catalogue.learn(fileOfNumber(n), 0);
  strictEqual(catalogue.takeTouched(), "many");
  catalogue.learn(fileOfNumber(30_001), 0, "p");
  deepStrictEqual(catalogue.takeTouched(), [idOf(1), idOf(30_001)]);
});
