// GOSSIP_REPLY, incoming: holders from whole lists, from pieces, from peers that may send only part of their list, and
// between two peers that both remember lists.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Effect } from "../../../protocol/effects.ts";
import {
  events,
  fileOfNumber,
  files,
  idOf,
  Machine,
  newPeer,
  oldPeer,
  only,
  readBack,
  refusals,
  sent,
} from "../machine.ts";

const holders = (
  machine: Machine,
  n: number,
) => [...machine.catalogue.get(idOf(n))?.holders ?? ["unknown"]];

Deno.test("a list adds new files and records their holder", () => {
  const machine = new Machine();
  machine.reply(oldPeer("a", 1), files(3));
  machine.reply(oldPeer("b", 2), files(1));
  deepStrictEqual([1, 2, 3].map((n) => holders(machine, n)), [["a", "b"], ["a"], ["a"]]);
});

Deno.test("all pieces of a round together remove what none of them names, in any order", () => {
  for (const order of [[1, 2, 3], [3, 1, 2], [2, 2, 3, 3, 1]]) {
    const machine = new Machine();
    const peer = newPeer("a", 1);
    machine.reply(peer, files(6), [1, 1, "before"]);
    for (const k of order.slice(0, -1)) machine.reply(peer, [fileOfNumber(k)], [k, 3, "now"]);
    deepStrictEqual(
      [1, 2, 3, 4, 5, 6].map((n) => holders(machine, n)),
      Array(6).fill(["a"]),
      "not complete yet",
    );
    const last = order.at(-1)!;
    machine.reply(peer, [fileOfNumber(last)], [last, 3, "now"]);
    deepStrictEqual([1, 2, 3, 4, 5, 6].map((n) => holders(machine, n).length), [1, 1, 1, 0, 0, 0]);
  }
});

Deno.test("a round with a missing piece removes nothing, and neither do pieces of different rounds together", () => {
  const machine = new Machine();
  const peer = newPeer("a", 1);
  machine.reply(peer, files(6), [1, 1, "before"]);
  machine.reply(peer, [], [1, 2, "r1"]);
  machine.reply(peer, [], [2, 2, "r2"]);
  machine.reply(peer, [], [2, 3, "r2"]);
  machine.reply(peer, [], [1, 3, "r3"]);
  for (let k = 1; k < 100; k++) machine.reply(peer, [], [k, 100, "long"]);
  deepStrictEqual([1, 6].map((n) => holders(machine, n)), [["a"], ["a"]]);
  machine.reply(peer, [], [100, 100, "long"]);
  deepStrictEqual([1, 6].map((n) => holders(machine, n)), [[], []]);
});

Deno.test("two lists in a row from an old peer remove what both lack, one alone does not", () => {
  const machine = new Machine();
  const peer = oldPeer("a", 1);
  machine.reply(peer, files(3));
  machine.reply(peer, files(1));
  deepStrictEqual([2, 3].map((n) => holders(machine, n)), [["a"], ["a"]]);
  machine.reply(peer, files(2));
  deepStrictEqual([2, 3].map((n) => holders(machine, n)), [["a"], []]);
  machine.reply(peer, files(1));
  deepStrictEqual(holders(machine, 2), ["a"], "it was named in between");
});

Deno.test("a list of changes removes nothing", () => {
  const machine = new Machine();
  const peer = newPeer("a", 1);
  machine.reply(peer, files(3), [1, 1, "r"]);
  for (let i = 0; i < 5; i++) machine.reply(peer, []);
  machine.reply(peer, files(1, 4));
  deepStrictEqual([1, 2, 3, 4].map((n) => holders(machine, n)), Array(4).fill(["a"]));
});

Deno.test("an entry that contradicts the first one is counted and changes nothing", () => {
  const machine = new Machine();
  machine.hold(files(1));
  machine.reply(oldPeer("a", 1), [fileOfNumber(2)]);
  const lies = [1, 2].map((n) => fileOfNumber(n, { owner: "thief", name: "x" }));
  const effects = machine.reply(oldPeer("b", 2), lies);
  deepStrictEqual(events(effects, "refused").map(({ reason, times }) => [reason, times]), [
    ["owner-conflict", 2],
  ]);
  deepStrictEqual([1, 2].map((n) => machine.catalogue.get(idOf(n))!.file.owner), [
    "owner",
    "owner",
  ]);
  deepStrictEqual(holders(machine, 2), ["a", "b"]);
  const announced = machine.announce(oldPeer("b", 2), lies[0]!);
  deepStrictEqual(refusals(announced), ["owner-conflict"]);
});

Deno.test("files with the same name stay separate, and names that are special in JavaScript are ordinary names", () => {
  const machine = new Machine();
  const name = "EldenRing.txt";
  machine.reply(
    oldPeer("__proto__", 1),
    [1, 2, 3, 4, 5].map((n) => fileOfNumber(n, { name, owner: "constructor" })),
  );
  strictEqual(machine.catalogue.size, 5);
  deepStrictEqual(holders(machine, 5), ["__proto__"]);
  machine.reply(oldPeer("__proto__", 1), []);
  machine.reply(oldPeer("__proto__", 1), []);
  deepStrictEqual(holders(machine, 5), []);
  strictEqual(({} as Record<string, unknown>).x, undefined);
});

/** Two peers and a wire: what one sends to the other's address arrives, unless `loses` says otherwise. */
class Pair {
  readonly a = new Machine({
    peerId: "a",
    address: { host: "10.0.0.1", port: 6000 },
    node: "A".repeat(43),
    boot: "a1",
    seed: 2,
    own: { ips: ["10.0.0.1"], ports: [6000] },
  });
  readonly b = new Machine({
    peerId: "b",
    address: { host: "10.0.0.2", port: 6000 },
    node: "B".repeat(43),
    boot: "b1",
    seed: 3,
    own: { ips: ["10.0.0.2"], ports: [6000] },
    bootstraps: [{ host: "10.0.0.1", port: 6000 }],
  });
  /** Returns whether a peer's messages are lost. */
  cut: readonly Machine[] = [];
  filesSent = 0;

  start(): void {
    this.carry(this.a, this.a.start());
    this.carry(this.b, this.b.start());
  }

  wait(ms: number): void {
    for (let passed = 0; passed < ms; passed += 500) {
      for (const machine of [this.a, this.b]) this.carry(machine, machine.wait(500, 500));
    }
  }

  carry(from: Machine, effects: readonly Effect[]): void {
    for (const { bytes, to, peerId, ticket } of only(effects, "send")) {
      const other = to.host === "10.0.0.1" ? this.a : this.b;
      const about = { to, ...(peerId ? { peerId } : {}), ...(ticket ? { ticket } : {}) };
      if (this.cut.includes(from)) {
        this.carry(
          from,
          from.do({ kind: "unreachable", what: "GOSSIP_REPLY", ...about, text: "cut" }),
        );
        continue;
      }
      this.carry(from, from.do({ kind: "sent", ...about, ip: to.host }));
      for (const message of readBack(bytes)) {
        if (message.type === "GOSSIP_REPLY") this.filesSent += message.files.length;
        this.carry(other, other.message(message, from === this.a ? "10.0.0.1" : "10.0.0.2"));
      }
    }
  }
}

const seenBy = (machine: Machine, holder: string) =>
  [...machine.catalogue.all()].filter(({ holders }) => holders.has(holder)).map(({ file }) =>
    file.fileId
  ).sort();
const heldBy = (machine: Machine) =>
  [...machine.catalogue.held()].map(({ file }) => file.fileId).sort();

Deno.test("two peers that remember lists agree at once, and then exchange next to nothing", () => {
  const pair = new Pair();
  pair.a.hold(files(300));
  pair.b.hold(files(200, 1001));
  pair.start();
  deepStrictEqual(seenBy(pair.b, "a"), heldBy(pair.a));
  deepStrictEqual(seenBy(pair.a, "b"), heldBy(pair.b));
  pair.filesSent = 0;
  pair.wait(400_000);
  strictEqual(pair.filesSent, 0);
  ok(pair.a.membership.get("b") && pair.b.membership.get("a"), "they keep each other alive");
});

Deno.test("two peers that remember lists notice what was added and what was removed", () => {
  const pair = new Pair();
  pair.a.hold(files(300));
  pair.start();
  pair.carry(pair.a, pair.a.hold(files(5, 2001)));
  deepStrictEqual(seenBy(pair.b, "a"), heldBy(pair.a), "announced at once");
  pair.a.do({ kind: "lost", fileIds: [idOf(1), idOf(2)], why: "missing" });
  pair.wait(90_000);
  deepStrictEqual(seenBy(pair.b, "a"), heldBy(pair.a));
});

Deno.test("a broken connection, even in one direction, leaves no difference for more than three rounds", () => {
  for (const leadMs of [0, 10_000, 22_000, 40_000]) {
    for (const cutMs of [5_000, 20_000, 35_000, 120_000]) {
      for (const direction of ["both", "a", "b"] as const) {
        const pair = new Pair();
        pair.a.hold(files(20));
        pair.start();
        pair.wait(leadMs);
        pair.cut = direction === "both" ? [pair.a, pair.b] : [pair[direction]];
        pair.carry(pair.a, pair.a.hold(files(3, 3001)));
        pair.wait(cutMs);
        pair.cut = [];
        pair.wait(100_000);
        const difference = heldBy(pair.a).length - seenBy(pair.b, "a").length;
        strictEqual(difference, 0, `${direction}, at ${leadMs} for ${cutMs} ms`);
      }
    }
  }
});

const wanted = (effects: readonly Effect[]) =>
  sent(effects, "GOSSIP").map(({ peerId, message }) => [peerId, message.ext?.want]);

Deno.test("a list that never arrived is requested in the next round, by the name of its peer", () => {
  const machine = new Machine();
  machine.start();
  machine.gossip(newPeer("a", 1));
  machine.gossip(newPeer("b", 2));
  machine.reply(newPeer("b", 2), files(3), [1, 1, "r"]);
  machine.gossip(oldPeer("c", 3));
  deepStrictEqual(wanted(machine.wait(20_000)), [], "the answer to the greeting is waited for");
  const effects = machine.wait(15_000);
  const round = wanted(effects);
  deepStrictEqual(round.map(([peerId]) => peerId).sort(), ["a", "b", "c"]);
  deepStrictEqual(round.map(([, names]) => names), [["a"], ["a"], ["a"]]);
  machine.reply(newPeer("a", 1), files(3), [1, 1, "r"]);
  const before = new Set(sent(effects, "GOSSIP").map(({ message }) => message.id));
  const later = sent(machine.wait(34_000), "GOSSIP").filter(({ message }) =>
    !before.has(message.id)
  );
  ok(later.length > 0 && later.every(({ message }) => message.ext?.want === undefined));
});

Deno.test("a list whose pieces are still arriving is not requested, one that stopped is", () => {
  const machine = new Machine();
  machine.start();
  const slow = newPeer("slow", 1);
  machine.gossip(slow);
  const effects: Effect[] = [];
  for (let k = 1; k <= 5; k++) {
    effects.push(...machine.reply(slow, files(1, k), [k, 9, "r"]), ...machine.wait(9_000));
  }
  ok(wanted(effects).length > 0, "no round was held");
  ok(wanted(effects).every(([, names]) => names === undefined), "it was asked too early");
  const later = wanted(machine.wait(40_000));
  ok(later.some(([, names]) => String(names) === "slow"), "it was never asked");
});

Deno.test("a peer that lists changes to a list that we do not have is asked for all of it within a second or two", () => {
  const machine = new Machine();
  machine.start();
  machine.nowMs = 11_000;
  const forgotten = newPeer("a", 1);
  machine.reply(forgotten, []);
  deepStrictEqual(wanted(machine.wait(2_000)), [["a", ["a"]]]);
  machine.reply(forgotten, []);
  deepStrictEqual(wanted(machine.wait(7_000)), [], "a liar can hasten one round in ten seconds");
});

Deno.test("a round requests at most 16 missing lists, and the next round others", () => {
  const machine = new Machine();
  machine.start();
  const crowd = Array.from({ length: 40 }, (_, i) => newPeer(`p${i}`, i + 1));
  machine.meet(...crowd);
  const asked = new Set<string>();
  for (let round = 0; round < 3; round++) {
    const effects = machine.wait(33_000, 1000, () => machine.meet(...crowd));
    for (const { message } of sent(effects, "GOSSIP")) {
      ok((message.ext?.want?.length ?? 0) <= 16);
      for (const name of message.ext?.want ?? []) asked.add(name);
    }
  }
  ok(asked.size > 25, `${asked.size} of 40 were asked`);
});

Deno.test("changes after a gap are taken in, and the missing ones are requested", () => {
  const machine = new Machine();
  machine.start();
  machine.nowMs = 11_000;
  const peer = newPeer("a", 1);
  machine.reply(peer, files(2), [1, 1, "r"], [0, 7]);
  machine.reply(peer, files(1, 3), undefined, [7, 9]);
  machine.reply(peer, files(1, 3), undefined, [7, 8]);
  machine.reply(peer, [], undefined, [9, 9]);
  ok(wanted(machine.wait(2_000)).every(([, names]) => names === undefined), "nothing was lost");
  machine.reply(peer, files(1, 5), undefined, [10, 11]);
  deepStrictEqual(holders(machine, 5), ["a"]);
  ok(wanted(machine.wait(2_000)).some(([, names]) => String(names) === "a"), "one change was lost");
  machine.reply(peer, files(5), [1, 1, "s"], [0, 11]);
  machine.reply(peer, [], undefined, [11, 11]);
  machine.nowMs += 9_000;
  ok(wanted(machine.wait(2_000)).every(([, names]) => names === undefined), "it is whole again");
});
