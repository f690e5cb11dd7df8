// GOSSIP: answered and forwarded once, no more often than its originator may; and what happens when two peers use
// one name.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Effect } from "../../../protocol/effects.ts";
import { DEFAULT_LIMITS } from "../../../protocol/limits.ts";
import { encodeMessage } from "../../../protocol/wire/message.ts";
import { decode } from "../wire/decoding.ts";
import {
  events,
  files,
  heldOf,
  Machine,
  newPeer,
  oldPeer,
  only,
  receivers,
  refusals,
  sent,
} from "../machine.ts";

const circle = (count: number) => Array.from({ length: count }, (_, i) => oldPeer(`p${i}`, i + 1));

Deno.test("a new peer is answered on a new connection and gossiped to at once", () => {
  const machine = new Machine();
  machine.hold(files(2));
  const effects = machine.gossip(newPeer("a", 1));
  deepStrictEqual(only(effects, "send").map(({ to, what }) => `${what} ${to.host}:${to.port}`), [
    "GOSSIP 10.0.0.1:6000",
    "GOSSIP_REPLY 10.0.0.1:6000",
  ]);
  strictEqual(sent(effects, "GOSSIP_REPLY")[0]!.message.files.length, 2);
  deepStrictEqual(events(effects, "peer-joined").map(({ peerId }) => peerId), ["a"]);
  deepStrictEqual(only(machine.gossip(newPeer("a", 1)), "send").map(({ what }) => what), [
    "GOSSIP_REPLY",
  ]);
});

Deno.test("an empty host means the address that the connection came from, and is filled in before forwarding", () => {
  const machine = new Machine();
  machine.meet(oldPeer("b", 2));
  const effects = machine.gossip({ ...oldPeer("a", 1), host: "" });
  deepStrictEqual(machine.membership.get("a")?.address, { host: "10.0.0.1", port: 6000 });
  const [forward] = sent(effects, "GOSSIP").filter(({ peerId }) => peerId === "b");
  strictEqual(forward!.message.host, "10.0.0.1");
});

Deno.test("a gossip is forwarded to three others with the same fields, not to its sender or originator", () => {
  const machine = new Machine();
  const [originator, sender, ...others] = circle(12);
  machine.meet(originator!, sender!, ...others);
  const text = '{"type":"GOSSIP","host":"10.0.0.1","port":6000,"id":"new","peerId":"p0",' +
    '"ext":{"v":7,"boot":"x","other":[{"a":null}]}}';
  const chosen = new Set<string>();
  for (let i = 0; i < 200; i++) {
    machine.nowMs += 10_000;
    const { message } = decode(text.replace("new", `id ${i}`));
    const effects = machine.message(message, sender!.ip);
    const forwards = only(effects, "send").filter(({ what }) => what === "GOSSIP");
    strictEqual(forwards.length, 3);
    for (const { bytes, peerId } of forwards) {
      deepStrictEqual(bytes, encodeMessage(message));
      strictEqual(new TextDecoder().decode(bytes), text.replace("new", `id ${i}`));
      chosen.add(peerId!);
    }
    deepStrictEqual(receivers(effects, "GOSSIP_REPLY"), ["p0"], "the originator is answered");
  }
  deepStrictEqual([...chosen].sort(), others.map(({ peerId }) => peerId).sort());
});

Deno.test("a gossip is handled once, no matter who sends it", () => {
  const machine = new Machine();
  machine.meet(...circle(8));
  strictEqual(only(machine.gossip(oldPeer("p0", 1), { id: "x" }), "send").length, 4);
  for (let via = 1; via <= 8; via++) {
    deepStrictEqual(
      machine.gossip(oldPeer("p0", 1), { id: "x", via: `10.0.0.${via}` }).filter(({ kind }) =>
        kind !== "event"
      ),
      [],
    );
  }
  deepStrictEqual(only(machine.gossip(oldPeer("stranger", 99), { id: "x" }), "send"), []);
  machine.nowMs = 290_000;
  deepStrictEqual(only(machine.gossip(oldPeer("p0", 1), { id: "x" }), "send"), [], "remembered");
});

Deno.test("one originator is answered and forwarded five times in a burst and then once in ten seconds", () => {
  const machine = new Machine();
  machine.meet(...circle(5).slice(1));
  const talk = () => machine.gossip(oldPeer("p0", 1));
  const burst = Array.from({ length: 100 }, talk);
  const answered = burst.filter((effects) => receivers(effects, "GOSSIP_REPLY").length > 0);
  strictEqual(answered.length, 5);
  strictEqual(burst.filter((effects) => receivers(effects, "GOSSIP").length > 0).length, 5);
  ok(burst.slice(5).every((effects) => refusals(effects).includes("gossip-rate")));
  machine.nowMs = 10_000;
  deepStrictEqual([talk(), talk()].map((effects) => receivers(effects, "GOSSIP").length), [3, 0]);
  ok(
    receivers(machine.gossip(oldPeer("p1", 2)), "GOSSIP_REPLY").includes("p1"),
    "other originators are not affected",
  );
});

Deno.test("an impostor is answered, and the address of the peer whose name it uses stays", () => {
  const machine = new Machine();
  machine.hold(files(50));
  const [victim, impostor] = [newPeer("a", 1), {
    ...newPeer("a", 66),
    ext: { v: 1, node: "x".repeat(43) },
  }];
  machine.meet(victim);
  machine.nowMs = 20_000;
  const effects = machine.gossip(impostor);
  const [probe] = sent(effects, "GOSSIP");
  deepStrictEqual(probe!.to, { host: "10.0.0.1", port: 6000 });
  deepStrictEqual(probe!.effect.ticket, { for: "probe", peerId: "a" });
  const [answer] = sent(effects, "GOSSIP_REPLY");
  deepStrictEqual(answer!.to, { host: "10.0.0.66", port: 6000 });
  ok(answer!.message.files.length > 0 && answer!.effect.bytes.length <= 4096);
  strictEqual(events(effects, "peer-conflict").length, 1);
  deepStrictEqual(refusals(effects), ["name-conflict"]);
  // The old address accepts the dial, so it is alive.
  machine.do({
    kind: "sent",
    to: probe!.to,
    peerId: "a",
    ip: "10.0.0.1",
    ticket: { for: "probe", peerId: "a" },
  });
  deepStrictEqual(machine.membership.get("a")!.address, { host: "10.0.0.1", port: 6000 });
  machine.reply(impostor, files(1, 900));
  strictEqual(machine.catalogue.get(files(1, 900)[0]!.fileId), undefined, "its files do not count");
  strictEqual(machine.membership.get("a")!.lastHeardMs, 0, "and it is no sign of life");
  const again = Array.from({ length: 100 }, () => machine.gossip(impostor)).flat();
  strictEqual(sent(again, "GOSSIP").length, 0, "not every claim causes a probe");
  ok(sent(again, "GOSSIP_REPLY").length <= 30);
});

Deno.test("a peer that restarted on another port with the same key is reachable at once", () => {
  const machine = new Machine();
  machine.meet(newPeer("a", 1));
  const effects = machine.gossip({
    ...newPeer("a", 1, 7000),
    ext: { v: 1, node: newPeer("a", 1).ext!.node!, boot: "boot2" },
  });
  strictEqual(events(effects, "peer-moved").length, 1);
  deepStrictEqual(sent(effects, "GOSSIP_REPLY").map(({ to }) => to), [{
    host: "10.0.0.1",
    port: 7000,
  }]);
});

Deno.test("a restarted peer without a key takes over once its old address does not answer", () => {
  const machine = new Machine();
  machine.meet(oldPeer("a", 1));
  const [probe] = sent(machine.gossip(oldPeer("a", 1, 7000)), "GOSSIP");
  deepStrictEqual(probe!.to, { host: "10.0.0.1", port: 6000 });
  const { to, ticket } = probe!.effect;
  const effects = machine.do({
    kind: "unreachable",
    what: "GOSSIP",
    to,
    peerId: "a",
    text: "refused",
    ...(ticket ? { ticket } : {}),
  });
  deepStrictEqual(machine.membership.get("a")!.address, { host: "10.0.0.1", port: 7000 });
  deepStrictEqual(sent(effects, "GOSSIP").map(({ to }) => to), [{ host: "10.0.0.1", port: 7000 }]);
  strictEqual(events(effects, "peer-moved").length, 1);
});

Deno.test("any failed dial to the address of a claimed name counts as a probe, but a failure on our side does not", () => {
  const to = { host: "10.0.0.1", port: 6000 };
  const about = { to, peerId: "a", what: "ANNOUNCE", text: "refused" } as const;
  const ticket = { for: "probe", peerId: "a" } as const;
  const machine = new Machine();
  const address = () => machine.membership.get("a")!.address.host;
  machine.meet(oldPeer("a", 1));
  machine.do({ kind: "unreachable", ...about });
  deepStrictEqual(address(), "10.0.0.1", "there is no claim to the name");
  machine.gossip(oldPeer("a", 66));
  machine.do({ kind: "unsent", ...about, ticket });
  machine.do({ kind: "unsent", ...about });
  deepStrictEqual(address(), "10.0.0.1", "the dial failed on our side");
  machine.do({ kind: "unreachable", ...about });
  deepStrictEqual(address(), "10.0.0.66");
});

Deno.test("an expired claim does not get the name when its owner stops", () => {
  const machine = new Machine();
  machine.meet(oldPeer("a", 1));
  machine.gossip(oldPeer("a", 66));
  for (let i = 0; i < 3; i++) {
    machine.nowMs += 25_000;
    machine.gossip(oldPeer("a", 1));
  }
  const to = { host: "10.0.0.1", port: 6000 };
  machine.do({ kind: "unreachable", to, peerId: "a", what: "GOSSIP", text: "refused" });
  deepStrictEqual(machine.membership.get("a")!.address.host, "10.0.0.1");
});

Deno.test("a name that was falsely claimed a moment ago can still move at once", () => {
  const machine = new Machine();
  machine.meet(oldPeer("a", 1));
  machine.hold(files(3));
  const probes = (effects: Effect[]) =>
    only(effects, "send").filter((s) => s.ticket?.for === "probe");
  strictEqual(probes(machine.gossip(oldPeer("a", 66))).length, 1, "a false claim, and a probe");
  machine.do({
    kind: "sent",
    to: { host: "10.0.0.1", port: 6000 },
    peerId: "a",
    ip: "10.0.0.1",
    ticket: { for: "probe", peerId: "a" },
  });
  machine.nowMs += 500; // the owner stops, and starts on another port
  const [probe] = probes(machine.gossip(oldPeer("a", 1, 6001)));
  ok(probe, "each new claim is probed");
  const told = machine.do({
    kind: "unreachable",
    to: probe.to,
    peerId: "a",
    what: "GOSSIP",
    ticket: { for: "probe", peerId: "a" },
    text: "refused",
  });
  deepStrictEqual(machine.membership.get("a")!.address.port, 6001);
  // It may gossip only once in its lifetime, so it gets everything now.
  deepStrictEqual(sent(told, "GOSSIP_REPLY").flatMap(({ message }) => message.files.length), [3]);
  deepStrictEqual(sent(told, "GOSSIP_REPLY").map(({ to }) => to.port), [6001]);
  machine.nowMs += 500; // and once more
  const [again] = probes(machine.gossip(oldPeer("a", 1, 6002)));
  ok(again, "a second move right after the first works too");
});

Deno.test("a peer that claims a taken name is told where its owner is, and reports that to its user", () => {
  const lister = new Machine({ peerId: "lister", address: { host: "10.0.0.9", port: 6000 } });
  lister.meet(newPeer("me", 1));
  const claimant = new Machine({ peerId: "me", address: { host: "10.0.0.2", port: 6000 } });
  const claim = lister.gossip({ ...newPeer("me", 2), ext: { ...newPeer("other", 2).ext! } });
  const [answer] = sent(claim, "GOSSIP_REPLY");
  deepStrictEqual(answer!.message.ext?.taken, { host: "10.0.0.1", port: 6000 });
  deepStrictEqual(events(claimant.message(answer!.message, "10.0.0.9"), "name-taken"), [{
    name: "name-taken",
    other: { host: "10.0.0.1", port: 6000 },
    toldBy: "lister",
  }]);
});

Deno.test("an address with many names gets each message once", () => {
  const machine = new Machine();
  machine.meet(newPeer("honest", 2));
  const effects: Effect[] = [];
  for (let i = 0; i < 300; i++) {
    effects.push(...machine.gossip({ ...newPeer(`name ${i}`, 1), ext: { v: 1 } }));
  }
  effects.push(...machine.wait(1_000, 250));
  const there = only(effects, "send").filter(({ to }) => to.host === "10.0.0.1");
  const messages = there.map(({ bytes }) => new TextDecoder().decode(bytes));
  const gossips = messages.filter((text) => text.includes('"type":"GOSSIP",'));
  strictEqual(new Set(gossips).size, gossips.length, "no gossip twice");
  // Answers within their rate limit, to tracked and other names, and a greeting now and then.
  ok(there.length <= 2 * DEFAULT_LIMITS.repliesPerMinute + 3, `${there.length} connections`);
  const announced = sent(machine.hold(files(1), "published"), "ANNOUNCE");
  strictEqual(announced.filter(({ to }) => to.host === "10.0.0.1").length, 1);
  strictEqual(announced.length, 2);
});

Deno.test("a late dial failure for an address that a peer has left does not move it", () => {
  const machine = new Machine();
  machine.meet(newPeer("a", 1));
  machine.gossip(oldPeer("a", 66));
  machine.gossip({ ...newPeer("a", 2), ext: newPeer("a", 1).ext! });
  machine.gossip(oldPeer("a", 66));
  machine.do({
    kind: "unreachable",
    what: "GOSSIP",
    to: { host: "10.0.0.1", port: 6000 },
    peerId: "a",
    text: "late",
    ticket: { for: "probe", peerId: "a" },
  });
  strictEqual(machine.membership.get("a")!.address.host, "10.0.0.2");
});

Deno.test("gossip with addresses that a remote sender may not name leads to no dial", () => {
  const hosts = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f.1",
    "017700000001",
    "0",
    "0.0.0.0",
    "::",
    "::1",
  ];
  hosts.push(
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "localhost",
    "LOCALHOST.",
    "a.localhost",
    "127.0.0.1.",
    "::1%lo",
  );
  hosts.push(
    "169.254.169.254",
    "0xa9fea9fe",
    "224.0.0.1",
    "255.255.255.255",
    "fe80::1",
    "ff02::1",
    "0.1.2.3",
  );
  const machine = new Machine();
  machine.hold(files(3));
  machine.meet(...circle(5));
  const places = [...hosts.map((host) => ({ host, port: 6000 })), { host: "10.9.9.9", port: 8080 }];
  places.push({ host: "eagle", port: 22 }, { host: "10.0.0.7", port: 80 }, {
    host: "::ffff:10.9.9.9",
    port: 5000,
  });
  for (const [i, place] of places.entries()) {
    const who = { peerId: `x${i}`, ...place, ip: "10.0.0.66" };
    for (const effects of [machine.gossip(who), machine.reply(who, files(1, 900))]) {
      deepStrictEqual(refusals(effects), ["forbidden-address"], place.host);
      deepStrictEqual(only(effects, "send"), [], place.host);
    }
    strictEqual(machine.membership.get(who.peerId), undefined);
  }
});

Deno.test("a sender on this machine may name loopback, but no other forbidden address", () => {
  const machine = new Machine();
  for (const [i, host] of ["127.0.0.1", "localhost", "::1"].entries()) {
    const effects = machine.gossip({ peerId: `l${i}`, host, port: 6000 + i, ip: "127.0.0.1" });
    strictEqual(sent(effects, "GOSSIP_REPLY").length, 1, host);
    ok(only(effects, "send").every(({ voucher }) => voucher === "local"));
  }
  for (
    const [host, port] of [["127.0.0.1", 5000], ["127.0.0.1", 80], ["169.254.0.1", 6000], [
      "localhost",
      22,
    ]] as const
  ) {
    deepStrictEqual(refusals(machine.gossip({ peerId: "x", host, port, ip: "127.0.0.1" })), [
      "forbidden-address",
    ]);
  }
});

Deno.test("messages that name no sender do not get anybody tracked", () => {
  const machine = new Machine();
  machine.do({ kind: "held", files: [heldOf(files(1)[0]!)], how: "pushed" });
  machine.message({ type: "FILE_DATA", hasContent: true }, "10.0.0.66");
  machine.message({ type: "GET_FILE", fileId: files(1)[0]!.fileId }, "10.0.0.66");
  strictEqual(machine.membership.size, 0);
});
