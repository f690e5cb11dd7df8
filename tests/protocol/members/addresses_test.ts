// Peers with several addresses: what we tell of ours, and which of theirs are dialed.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { DEFAULT_LIMITS, UNPROVEN_REPLY_BYTES } from "../../../protocol/limits.ts";
import { encodeMessage } from "../../../protocol/wire/message.ts";
import { Machine, newPeer, OWN, readBack, sent, type Who } from "../machine.ts";

/** Hears a reply of a peer that names further addresses: nobody forwards those. */
function answer(machine: Machine, who: Who, also: readonly string[], from: string) {
  const { peerId, host, port, ext } = who;
  return machine.message(
    { type: "GOSSIP_REPLY", peerId, host, port, files: [], ext: { ...ext!, also } },
    from,
  );
}

/** Hears a gossip of a peer that names further addresses. `from`: where it comes from. */
function hear(machine: Machine, who: Who, also: readonly string[], from = who.ip) {
  const { peerId, host, port, ext } = who;
  const id = machine.nowMs + peerId + from + also.join();
  return machine.message(
    { type: "GOSSIP", peerId, host, port, id, ext: { ...ext!, also } },
    from,
  );
}

Deno.test("further addresses are read if they are IP addresses, in one spelling, and not too many", () => {
  const read = (also: unknown) => {
    const text = JSON.stringify({
      type: "GOSSIP",
      peerId: "a",
      host: "10.0.0.1",
      port: 6000,
      id: "1",
      ext: { v: 1, also },
    });
    const [message] = readBack(new TextEncoder().encode(text));
    return message?.type === "GOSSIP" ? message.ext?.also : "no gossip";
  };
  deepStrictEqual(read(["fd00::1", "10.0.0.2"]), ["fd00::1", "10.0.0.2"]);
  const others = ["eagle", "127.1", "FD00::2", "fe80::1%eth0", 7, null, "::ffff:10.0.0.1", ""];
  for (const each of others) deepStrictEqual(read([each, "fd00::1"]), ["fd00::1"], `${each}`);
  for (const each of ["fd00::1", {}, [], ["eagle"]]) strictEqual(read(each), undefined);
  const many = Array.from({ length: 40 }, (_, i) => `10.0.0.${i}`);
  deepStrictEqual(read(many), many.slice(0, 6));
  const written = encodeMessage({
    type: "GOSSIP",
    peerId: "a",
    host: "10.0.0.1",
    port: 6000,
    id: "1",
    ext: { v: 1, also: ["fd00::1"] },
  });
  const [back] = readBack(written);
  deepStrictEqual(back?.type === "GOSSIP" && back.ext?.also, ["fd00::1"]);
});

Deno.test("our further addresses are told in every message, and soon after they change", () => {
  const machine = new Machine();
  machine.start();
  const a = { ...newPeer("a", 1), ext: { ...newPeer("a", 1).ext!, can: ["lists"] } };
  machine.meet(a);
  const { host } = OWN;
  // An answer without news is made once for everybody.
  const answer = () => sent(hear(machine, a, []), "GOSSIP_REPLY")[0]?.message.ext?.also;
  machine.wait(5_000);
  deepStrictEqual(answer(), undefined);
  const other = { kind: "own-address", host, ips: [host, "fd00::9"], also: ["fd00::9"] } as const;
  machine.do(other);
  const [gossip] = sent(machine.wait(5_000), "GOSSIP");
  deepStrictEqual([gossip?.message.host, gossip?.message.ext?.also], [host, ["fd00::9"]]);
  machine.do(other);
  deepStrictEqual(sent(machine.wait(5_000), "GOSSIP"), [], "it is no news any more");
  deepStrictEqual(answer(), ["fd00::9"]);
});

Deno.test("a peer that speaks from a further address of its machine is dialed there first", () => {
  const machine = new Machine();
  machine.start();
  const a = newPeer("a", 1);
  hear(machine, a, ["fd00::1"], "10.0.0.50");
  deepStrictEqual(machine.peer.waysTo("a"), { dial: "first", also: ["fd00::1"], relays: [] });
  answer(machine, a, ["fd00::1"], "fd00::1");
  strictEqual(machine.peer.membership.get("a")?.address.host, "fd00::1");
  deepStrictEqual(machine.peer.waysTo("a").also, [a.host]);
});

Deno.test("addresses that must not be dialed are left out, whoever names them", () => {
  const machine = new Machine();
  machine.start();
  const a = newPeer("a", 1, OWN.port);
  const bad = ["127.0.0.1", "224.0.0.1", "fe80::1", OWN.host, "::1"];
  hear(machine, a, [...bad, "fd00::1"]);
  deepStrictEqual(machine.peer.membership.get("a")?.also, ["fd00::1"]);
});

Deno.test("where a peer never spoke from, dials are as rare as to strangers, and only for short messages", () => {
  const machine = new Machine();
  machine.start();
  const a = newPeer("a", 1);
  hear(machine, a, ["fd00::1", "fd00::2"]);
  answer(machine, a, ["fd00::1", "fd00::2"], "fd00::2");
  const may = (ip: string, sizeBytes = 100) => machine.peer.mayDialAlso("a", ip, sizeBytes);
  ok(!may("fd00::7"), "it is not one of its addresses");
  ok(!may("fd00::1", UNPROVEN_REPLY_BYTES + 1));
  const { repliesPerMinute } = DEFAULT_LIMITS;
  for (let i = 0; i < repliesPerMinute; i++) ok(may("fd00::1"));
  ok(!may("fd00::1"));
  for (let i = 0; i < 2 * repliesPerMinute; i++) {
    ok(may("fd00::2", 1_000_000), "it spoke from there");
  }
  // All strangers together share a limit, too.
  let dials = 0;
  for (let i = 2; i < 60; i++) {
    hear(machine, newPeer(`p${i}`, i), [`fd00::${i}:1`]);
    for (let k = 0; k < 20; k++) {
      if (machine.peer.mayDialAlso(`p${i}`, `fd00::${i}:1`, 100)) dials++;
    }
  }
  ok(dials <= DEFAULT_LIMITS.unprovenDialsPerMinute, `${dials}`);
});

Deno.test("a gossip that somebody forwarded gives nobody's machine the rights of its originator", () => {
  const machine = new Machine();
  machine.start();
  const victim = "10.0.0.77";
  // Whoever is at the victim's address forwarded what these said: of a new peer, and of one that had spoken before.
  const a = newPeer("a", 1);
  hear(machine, a, [victim], victim);
  const record = machine.peer.membership.get("a")!;
  deepStrictEqual([record.address.host, record.proven], [a.host, false]);
  const b = newPeer("b", 2);
  hear(machine, b, [victim]);
  hear(machine, b, [victim], victim);
  for (const peerId of ["a", "b"]) {
    ok(!machine.peer.mayDialAlso(peerId, victim, UNPROVEN_REPLY_BYTES + 1), peerId);
  }
  machine.do({ kind: "sent", to: { host: b.host, port: b.port }, peerId: "b", ip: victim });
  strictEqual(machine.peer.membership.get("b")?.address.host, b.host);
});

Deno.test("gossip that names this machine is forwarded only if it comes from this machine", () => {
  const machine = new Machine();
  machine.start();
  const friend = newPeer("friend", 9);
  machine.meet(friend);
  const other = { ...newPeer("other", 1), host: OWN.host, port: OWN.port + 1 };
  const forwards = (also: readonly string[], from: string, who: Who = other) =>
    sent(hear(machine, who, also, from), "GOSSIP").filter(({ message }) =>
      message.peerId === who.peerId
    );
  strictEqual(forwards([], "10.0.0.66").length, 0);
  strictEqual(forwards([OWN.host], "10.0.0.66", newPeer("named", 2)).length, 0);
  ok(forwards([], OWN.host).length > 0, "another peer of this machine");
  ok(forwards(["10.0.0.78"], "10.0.0.66", newPeer("elsewhere", 3)).length > 0);
});
