// Crowds and storms: invented peers, rotated files, peers that never stop talking. Slots are bounded, honest peers
// keep theirs, and peers that leave are forgotten completely.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Effect } from "../../protocol/effects.ts";
import { DEFAULT_LIMITS } from "../../protocol/limits.ts";
import { busyMachine, countWalks, SINK, sink } from "./attack.ts";
import {
  events,
  fileOfNumber,
  files,
  idOf,
  Machine,
  newPeer,
  oldPeer,
  only,
  sent,
} from "./machine.ts";

Deno.test("an unchanged list is not walked and encoded again for each invented peer", () => {
  const machine = busyMachine();
  const walked = countWalks(machine);
  for (let i = 0; i < 1000; i++) machine.gossip(sink(i, { host: `10.77.${i >> 8}.${i & 255}` }));
  // Measured: 1,024 such peers and a list of 200,000 files take 2 GiB, and 190 ms for each gossip.
  ok(walked.entries <= 20 * 2_000, `${walked.entries / 2_000} walks of the whole list`);
});

Deno.test("five thousand invented peers take only free slots, and honest peers keep theirs", () => {
  for (
    const host of [
      (_: number) => SINK,
      (i: number) => `10.77.${i >> 8}.${i & 255}`,
      (i: number) => `n${i}.example`,
    ]
  ) {
    const machine = busyMachine(10);
    const honest = [oldPeer("boot", 1), oldPeer("b", 2), oldPeer("c", 3)];
    let sentBytes = 0;
    for (let i = 0; i < 5000; i++) {
      if (i % 50 === 0) {
        for (const effect of only(machine.wait(1000), "send")) sentBytes += effect.bytes.length;
      }
      if (i % 500 === 0) { for (const who of honest) machine.gossip(who); }
      machine.gossip(sink(i, { host: host(i) }));
      ok(machine.membership.size <= DEFAULT_LIMITS.maxPeers);
    }
    deepStrictEqual(honest.map(({ peerId }) => machine.membership.get(peerId) !== undefined), [
      true,
      true,
      true,
    ]);
    const there = [...machine.membership.all()].filter(({ ip }) => ip === SINK).length;
    ok(there <= DEFAULT_LIMITS.maxPeersPerAddress, `${there} at one address`);
    machine.gossip(oldPeer("late", 4));
    ok(machine.membership.get("late"), "a peer that proves its address gets a slot");
    ok(sentBytes < 50_000_000);
  }
});

Deno.test("invented peers at a bootstrap's address evict nobody", () => {
  const machine = busyMachine(10);
  for (let i = 0; i < 5000; i++) machine.gossip(sink(i, { host: "10.0.0.1" }));
  deepStrictEqual(["boot", "b", "c"].map((peerId) => machine.membership.get(peerId)?.peerId), [
    "boot",
    "b",
    "c",
  ]);
  const there = [...machine.membership.all()].filter(({ ip }) => ip === "10.0.0.1").length;
  ok(there <= DEFAULT_LIMITS.maxPeersPerAddress + 1, `${there} peers at the bootstrap's address`);
});

Deno.test("an evicted peer is removed as a holder and its departure is reported", () => {
  const machine = new Machine({ limits: { maxPeers: 4, maxCatalogueEntries: 8 } });
  const left: string[] = [];
  for (let i = 0; i < 40; i++) {
    machine.reply(sink(i, { host: `10.78.0.${i}` }), [fileOfNumber(i)]);
    const effects = machine.gossip(oldPeer(`honest ${i % 4}`, i % 4));
    left.push(
      ...only(effects, "event").flatMap(({ event }) =>
        event.name === "peer-left" ? [event.peerId] : []
      ),
    );
    machine.wait(30_000);
  }
  for (const { file, holders } of machine.catalogue.all()) {
    for (const peerId of holders) {
      ok(
        machine.membership.get(peerId),
        `${peerId} is gone but still counts as a holder of ${file.name}`,
      );
    }
  }
  ok(left.every((peerId) => machine.membership.get(peerId) === undefined));
});

Deno.test("a peer whose host name leads to a full address is dropped, also as a holder", () => {
  const machine = new Machine({ limits: { maxPeersPerAddress: 3 } });
  const all: Effect[] = [];
  for (let i = 0; i < 6; i++) {
    const to = { host: `n${i}.example`, port: 6000 };
    machine.reply(sink(i, to), [fileOfNumber(1)]);
    all.push(...machine.do({ kind: "sent", to, peerId: `fake ${i}`, ip: SINK }));
  }
  const left = events(all, "peer-left").map(({ peerId }) => peerId);
  deepStrictEqual(left, ["fake 3", "fake 4", "fake 5"]);
  deepStrictEqual([...machine.catalogue.get(idOf(1))!.holders], ["fake 0", "fake 1", "fake 2"]);
});

Deno.test("endlessly rotated files fill the catalogue up to its bound and evict nothing held", () => {
  const machine = new Machine({ limits: { maxCatalogueEntries: 100 } });
  machine.hold(files(10));
  const peer = newPeer("a", 1);
  for (let i = 0; i < 300; i++) {
    machine.reply(peer, files(50, 1000 + 50 * i), [1, 1, `r${i}`]);
    for (const file of files(5, 50_000 + 5 * i)) {
      machine.announce({ ...peer, peerId: "nobody" }, file);
    }
    ok(machine.catalogue.size <= 100, `${machine.catalogue.size} entries`);
  }
  strictEqual(machine.catalogue.heldCount, 10);
  ok(machine.catalogue.holdingsOf("a") <= 90);
});

Deno.test("two peers that answer each gossip with two new ones get less than two messages a second", () => {
  const storms = [newPeer("storm a", 1), oldPeer("storm b", 2)];
  const machine = new Machine();
  machine.hold(files(20));
  machine.start();
  machine.meet(...storms, oldPeer("calm", 3));
  let left = 0;
  let pending = 4;
  for (let second = 0; second < 900; second++) {
    machine.nowMs += 1000;
    const effects = machine.do({ kind: "tick" });
    // The two also provoke each other, so there is always more than is sent here.
    const count = Math.min(200, pending + 20);
    pending = 0;
    for (let i = 0; i < count; i++) effects.push(...machine.gossip(storms[i % 2]!));
    if (second % 30 === 0) machine.gossip(oldPeer("calm", 3));
    pending += 2 *
      sent(effects, "GOSSIP").filter(({ peerId }) => peerId?.startsWith("storm")).length;
    if (second >= 300) left += only(effects, "send").length;
  }
  ok(left / 600 <= 2, `${left / 600} messages per second`);
  ok(left / 600 > 0.1, "they are still answered now and then");
  ok(machine.membership.get("calm"));
});
