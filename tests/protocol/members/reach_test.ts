// Peers that cannot be dialed: answers on the same connection, LINKs, relays, and what others say about us.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Effect } from "../../../protocol/effects.ts";
import {
  CROWDED_LINKS,
  DEFAULT_LIMITS,
  LINK_EVERY_MS,
  LINK_RETRY_MS,
  LINK_SHARE,
  LINK_SILENCE_MS,
  MAX_CALLED,
  MAX_LINKS,
  MAX_RELAYED,
  MAX_RELAYED_PER_PEER,
  REDIAL_AROUND_MS,
  REDIAL_MS,
} from "../../../protocol/limits.ts";
import type { Ext } from "../../../protocol/wire/ext.ts";
import { type Link, type Message } from "../../../protocol/wire/message.ts";
import {
  events,
  fileOfNumber,
  files,
  idOf,
  Machine,
  newPeer,
  oldPeer,
  only,
  OWN,
  readBack,
  receivers,
  refusals,
  sent,
  type Who,
} from "../machine.ts";

const CAN = ["lists", "links", "relay"];

/** A peer of this version. */
const peer = (name: string, last: number): Who => {
  const who = newPeer(name, last);
  return { ...who, ext: { ...who.ext!, can: CAN } };
};

const gossipOf = (who: Who, id: string, more: Partial<Ext> = {}) => {
  const { peerId, host, port, ext } = who;
  return { type: "GOSSIP", peerId, host, port, id, ext: { ...ext!, ...more } } as const;
};

const linkOf = ({ peerId, host, port, ext }: Who, more: Partial<Ext> = {}): Link => ({
  type: "LINK",
  peerId,
  host,
  port,
  ext: { ...ext!, ...more },
});

/** Returns the messages sent on open connections. */
const said = (effects: readonly Effect[]): readonly (readonly [number, Message])[] =>
  only(effects, "say").map(({ connection, bytes }) => [connection, readBack(bytes)[0]!] as const);

/** Lets a dial to a peer fail as often as it takes to count. */
function failDials(machine: Machine, who: Who, outcome: "refused" | "silent" = "silent"): Effect[] {
  const { peerId, host, port } = who;
  return [1, 2].flatMap(() => machine.do({ kind: "dialed", peerId, to: { host, port }, outcome }));
}

/** A machine that `names` could not connect to: they answer on the connections of its gossip. */
function walled(...names: string[]): { machine: Machine; whos: Who[]; effects: Effect[] } {
  const machine = new Machine();
  machine.start();
  const whos = names.map((name, i) => peer(name, i + 1));
  for (const [i, { peerId, host, port, ext, ip }] of whos.entries()) {
    const message = { type: "GOSSIP_REPLY", peerId, host, port, files: [], ext: ext! } as const;
    machine.do({ kind: "message", message, ip, connection: 100 + i, ours: "asking" });
  }
  return { machine, whos, effects: machine.wait(1_000) };
}

let nextConnection = 500;

/** Opens the LINKs that were asked for, and answers them. Returns the connection of each. */
function answerLinks(
  machine: Machine,
  effects: readonly Effect[],
  whos: readonly Who[],
  more: Partial<Ext> = {},
) {
  const opened = new Map<string, number>();
  let all: Effect[] = [];
  for (const { peerId } of only(effects, "link")) {
    const connection = nextConnection++;
    const who = whos.find((each) => each.peerId === peerId)!;
    opened.set(peerId, connection);
    machine.do({ kind: "linked", peerId, connection });
    const message = linkOf(who, { links: 1, seen: { ip: OWN.host, outcome: "silent" }, ...more });
    const answer = { kind: "message", message, ip: who.ip, connection, ours: "asking" } as const;
    all = [...all, ...machine.do(answer)];
  }
  return { opened, effects: all };
}

Deno.test("a gossip that takes answers on its connection is answered there while its sender cannot be dialed", () => {
  const machine = new Machine();
  const a = peer("a", 1);
  const effects = machine.message(gossipOf(a, "x1", { here: true }), a.ip, 7);
  deepStrictEqual(only(effects, "hold"), [{ kind: "hold", connection: 7, as: "answers" }]);
  deepStrictEqual(receivers(effects, "GOSSIP_REPLY"), ["a"]);
  deepStrictEqual(machine.peer.waysTo("a"), { dial: "first", on: 7, relays: [] });
  failDials(machine, a);
  deepStrictEqual(machine.peer.waysTo("a"), { dial: "last", on: 7, relays: [] });
  machine.do({ kind: "ended", connection: 7 });
  deepStrictEqual(machine.peer.waysTo("a"), { dial: "first", relays: [] });
});

Deno.test("once its sender was dialed, the connection is closed, and the next one is not kept", () => {
  const machine = new Machine();
  const a = peer("a", 1);
  machine.message(gossipOf(a, "x1", { here: true }), a.ip, 7);
  const effects = machine.do({ kind: "dialed", peerId: "a", to: a, outcome: "reached" });
  deepStrictEqual(only(effects, "hang-up"), [{ kind: "hang-up", connection: 7 }]);
  machine.do({ kind: "ended", connection: 7 });
  machine.nowMs += 20_000;
  deepStrictEqual(only(machine.message(gossipOf(a, "x2", { here: true }), a.ip, 8), "hold"), []);
});

Deno.test("one dial that fails where others succeeded does not count", () => {
  const machine = new Machine();
  const a = peer("a", 1);
  machine.message(gossipOf(a, "x1", { here: true }), a.ip, 7);
  machine.do({ kind: "dialed", peerId: "a", to: a, outcome: "reached" });
  machine.message(linkOf(a), a.ip, 9);
  machine.do({ kind: "dialed", peerId: "a", to: a, outcome: "refused" });
  strictEqual(machine.peer.waysTo("a").dial, "first");
  machine.do({ kind: "dialed", peerId: "a", to: a, outcome: "refused" });
  strictEqual(machine.peer.waysTo("a").dial, "last");
  machine.do({ kind: "dialed", peerId: "a", to: a, outcome: "reached" });
  strictEqual(machine.peer.waysTo("a").dial, "first");
});

Deno.test("a peer with a LINK is dialed first only once a dial succeeded, one behind others after a while", () => {
  const machine = new Machine();
  const [a, b, c] = [peer("a", 1), peer("b", 2), peer("c", 3)];
  machine.gossip(c);
  machine.message(linkOf(a), a.ip, 7);
  machine.gossip(b);
  machine.message(gossipOf(b, "x1", { via: ["c"] }), b.ip, 8);
  for (const who of [a, b]) failDials(machine, who);
  machine.nowMs += REDIAL_AROUND_MS - 1;
  deepStrictEqual(["a", "b"].map((name) => machine.peer.waysTo(name).dial), ["last", "last"]);
  machine.nowMs += 1;
  machine.message(linkOf(c), c.ip, 9); // time has passed
  deepStrictEqual(["a", "b"].map((name) => machine.peer.waysTo(name).dial), ["last", "first"]);
});

Deno.test("a gossip that was forwarded before is answered when its sender brings it", () => {
  const machine = new Machine();
  const [a, b] = [peer("a", 1), peer("b", 2)];
  machine.hold(files(2));
  machine.gossip(b);
  machine.message(gossipOf(a, "x1"), b.ip, 3);
  failDials(machine, a);
  const effects = machine.message(gossipOf(a, "x1", { here: true }), a.ip, 7);
  deepStrictEqual(receivers(effects, "GOSSIP_REPLY"), ["a"]);
  ok(!receivers(effects, "GOSSIP").includes("b"), "and not forwarded once more");
  const again = machine.message(gossipOf(a, "x1", { here: true }), a.ip, 8);
  deepStrictEqual(receivers(again, "GOSSIP_REPLY"), [], "once");
});

Deno.test("what is forwarded does not say that answers are taken on the connection", () => {
  const machine = new Machine();
  const [a, b] = [peer("a", 1), peer("b", 2)];
  machine.gossip(b);
  const text = JSON.stringify({
    ...gossipOf(a, "x1"),
    ext: { v: 1, here: true, via: ["b"], x: 1 },
  });
  const [message] = readBack(new TextEncoder().encode(text));
  const effects = machine.message(message!, a.ip, 7);
  const [forwarded] = sent(effects, "GOSSIP").filter(({ message }) => message.peerId === "a");
  deepStrictEqual(JSON.parse(forwarded!.message.extText!), { v: 1, via: ["b"], x: 1 });
});

Deno.test("a peer behind a router is sent to only on its connection, and its address is not dialed", () => {
  const machine = new Machine();
  const a = { ...peer("a", 1), host: "192.168.1.5" };
  const outside = "203.0.113.7";
  const effects = machine.message(linkOf(a), outside, 7);
  deepStrictEqual(only(effects, "hold"), [{ kind: "hold", connection: 7, as: "link" }]);
  deepStrictEqual(machine.peer.waysTo("a"), { dial: "no", on: 7, call: 7, relays: [] });
  // What comes from there counts as its own, so it may delete its files.
  const file = fileOfNumber(1, { owner: "a" });
  machine.hold([file]);
  deepStrictEqual(only(machine.delete("a", file.fileId, "203.0.113.8"), "trash"), []);
  strictEqual(only(machine.delete("a", file.fileId, outside), "trash").length, 1);
  machine.do({ kind: "ended", connection: 7 });
  const other = fileOfNumber(2, { owner: "a" });
  machine.hold([other]);
  deepStrictEqual(only(machine.delete("a", other.fileId, outside), "trash"), []);
});

Deno.test("a LINK in the name of a peer that speaks from its own address is refused", () => {
  const machine = new Machine();
  const a = peer("a", 1);
  machine.gossip(a);
  const effects = machine.message(linkOf(a), "10.0.0.66", 7);
  deepStrictEqual(only(effects, "hang-up"), [{ kind: "hang-up", connection: 7 }]);
  deepStrictEqual(refusals(effects), ["name-conflict"]);
  deepStrictEqual(machine.peer.waysTo("a"), { dial: "first", relays: [] });
});

Deno.test("a peer that speaks from its own address after all takes its name from whoever had a LINK", () => {
  const machine = new Machine();
  const a = peer("a", 1);
  machine.message(linkOf(a), "10.0.0.66", 7);
  strictEqual(machine.peer.waysTo("a").dial, "no");
  machine.gossip(a);
  const effects = machine.wait(1_000);
  ok(only(effects, "hang-up").some(({ connection }) => connection === 7));
});

Deno.test("a LINK is answered with what became of dials, and again when that changes", () => {
  const machine = new Machine();
  const a = peer("a", 1);
  const [[connection, answer] = []] = said(machine.message(linkOf(a), a.ip, 7));
  strictEqual(connection, 7);
  ok(answer?.type === "LINK");
  deepStrictEqual([answer.peerId, answer.ext!.seen, answer.ext!.links], ["me", { ip: a.ip }, 1]);
  const [, later] = said(failDials(machine, a, "refused"))[0]!;
  deepStrictEqual(later.ext!.seen, { ip: a.ip, outcome: "refused" });
  const reached = machine.do({ kind: "dialed", peerId: "a", to: a, outcome: "reached" });
  deepStrictEqual(said(reached)[0]![1].ext!.seen, { ip: a.ip, outcome: "reached" });
});

Deno.test("at an address from which a peer never speaks, whoever answers may be anybody", () => {
  const machine = new Machine();
  const a = { ...peer("a", 1), host: "10.0.0.99" };
  machine.message(linkOf(a), "10.0.0.1", 7);
  const effects = machine.do({ kind: "dialed", peerId: "a", to: a, outcome: "reached" });
  deepStrictEqual(said(effects)[0]![1].ext!.seen, { ip: "10.0.0.1", outcome: "other" });
});

Deno.test("peers with a LINK are dialed now and then, to see whether they need it", () => {
  const machine = new Machine();
  const a = peer("a", 1);
  machine.message(linkOf(a), a.ip, 7);
  failDials(machine, a);
  deepStrictEqual(only(machine.wait(4_000), "probe"), []);
  const [probe] = only(machine.wait(3_000), "probe"); // the first time soon: dials may fail by chance
  deepStrictEqual([probe!.peerId, probe!.to], ["a", { host: a.host, port: a.port }]);
  failDials(machine, a);
  // It speaks now and then, or it would be forgotten.
  const probes = machine.wait(3 * REDIAL_MS, 1_000, () => machine.message(linkOf(a), a.ip, 7));
  strictEqual(only(probes, "probe").length, 3);
});

Deno.test("many peers with a LINK are dialed one at a time, each in its turn, and those behind routers seldom", () => {
  const machine = new Machine();
  const firewalled = Array.from({ length: 30 }, (_, i) => peer(`wall${i}`, i + 1));
  const routed = { ...peer("routed", 99), host: "192.168.1.5" };
  for (const [i, who] of firewalled.entries()) machine.message(linkOf(who), who.ip, i);
  machine.message(linkOf(routed), "10.0.0.99", 99);
  const alive = () => {
    for (const [i, who] of firewalled.entries()) machine.message(linkOf(who), who.ip, i);
    machine.message(linkOf(routed), "10.0.0.99", 99);
  };
  const probes = only(machine.wait(240_000, 1_000, alive), "probe").map(({ peerId }) => peerId);
  ok(probes.length <= 121, `${probes.length} in four minutes`);
  for (const { peerId } of firewalled) {
    const times = probes.filter((each) => each === peerId).length;
    ok(times >= 3 && times <= 5, `${peerId} ${times} times`);
  }
  strictEqual(probes.filter((each) => each === "routed").length, 1);
});

Deno.test("peers that could not connect to us get a few LINKs, which say now and then that they are alive", () => {
  const { machine, whos, effects } = walled("a", "b", "c", "d", "e");
  strictEqual(only(effects, "link").length, MAX_LINKS);
  const { opened, effects: answered } = answerLinks(machine, effects, whos);
  deepStrictEqual(
    events(answered, "linked").map(({ peerId }) => peerId).sort(),
    [...opened.keys()].sort(),
  );
  deepStrictEqual([...machine.peer.via].sort(), [...opened.keys()].sort());
  const told = sent(machine.wait(11_000), "GOSSIP").map(({ message }) => message.ext?.via?.length);
  ok(told.includes(MAX_LINKS), "others hear of it");
  const alive = said(machine.wait(LINK_EVERY_MS - 11_000 + 1_000));
  deepStrictEqual(alive.map(([connection]) => connection).sort(), [...opened.values()].sort());
});

Deno.test("a LINK on which nothing comes is given up, and another one takes its place", () => {
  const { machine, whos, effects } = walled("a", "b", "c", "d");
  const { opened } = answerLinks(machine, effects, whos);
  const [first] = [...opened.keys()];
  const alive = (peerId: string, connection: number) => {
    const who = whos.find((each) => each.peerId === peerId)!;
    const message = linkOf(who, { seen: { ip: OWN.host, outcome: "silent" } });
    machine.do({ kind: "message", message, ip: who.ip, connection, ours: "asking" });
  };
  const later = machine.wait(LINK_SILENCE_MS + 2_000, 1_000, () => {
    for (const [peerId, connection] of opened) if (peerId !== first) alive(peerId, connection);
  });
  deepStrictEqual(only(later, "hang-up").map(({ connection }) => connection), [opened.get(first!)]);
  const fourth = whos.find(({ peerId }) => !opened.has(peerId))!;
  deepStrictEqual(only(later, "link").map(({ peerId }) => peerId), [fourth.peerId]);
});

Deno.test("a peer that connects to us needs no LINK", () => {
  const { machine, whos, effects } = walled("a", "b");
  const { opened } = answerLinks(machine, effects, whos);
  const closed = machine.gossip(whos[0]!);
  deepStrictEqual(only(closed, "hang-up"), [{ kind: "hang-up", connection: opened.get("a")! }]);
  deepStrictEqual(events(closed, "unlinked").map(({ peerId }) => peerId), ["a"]);
  deepStrictEqual(machine.peer.via, ["b"]);
});

Deno.test("a forged report changes what is displayed, and which LINK is kept, and nothing else", () => {
  const { machine, whos, effects } = walled("a");
  const { address } = machine.peer;
  answerLinks(machine, effects, whos, { seen: { ip: "8.8.8.8", outcome: "other" } });
  deepStrictEqual(machine.peer.address, address);
  deepStrictEqual([...machine.peer.reports], [{ peerId: "a", ip: "8.8.8.8", outcome: "other" }]);
  for (const { to } of only(machine.wait(120_000), "send")) strictEqual(to.host, whos[0]!.host);
});

Deno.test("a peer that says by turns that it can connect and that it cannot causes few LINKs", () => {
  const { machine, whos, effects } = walled("a");
  let opened = only(effects, "link").length;
  let last: readonly Effect[] = effects;
  for (let i = 0; i < 120; i++) {
    answerLinks(machine, last, whos, { seen: { ip: OWN.host, outcome: "reached" } });
    const { peerId, host, port, ext, ip } = whos[0]!;
    const message = { type: "GOSSIP_REPLY", peerId, host, port, files: [], ext: ext! } as const;
    machine.do({ kind: "message", message, ip, connection: 1_000 + i, ours: "asking" });
    last = machine.wait(1_000);
    opened += only(last, "link").length;
  }
  ok(opened <= 1 + 120_000 / LINK_RETRY_MS, `${opened}`);
});

Deno.test("LINKs take only a share of the connections, in all and from one address", () => {
  const machine = new Machine();
  const { maxConnections, maxConnectionsPerAddress } = DEFAULT_LIMITS;
  const held = (who: Who, connection: number) =>
    only(machine.message(linkOf(who), who.ip, connection), "hold").length;
  let there = 0;
  for (let i = 0; i < 100; i++) there += held({ ...peer(`n${i}`, 1), port: 7_000 + i }, i);
  strictEqual(there, maxConnectionsPerAddress * LINK_SHARE);
  let all = there;
  for (let i = 0; i < 400; i++) all += held(peer(`m${i}`, 2 + i), 1_000 + i);
  strictEqual(all, maxConnections * LINK_SHARE);
});

Deno.test("a peer with many LINKs refuses those that have others, and takes those that have none", () => {
  const machine = new Machine();
  for (let i = 0; i < CROWDED_LINKS; i++) {
    machine.message(linkOf(peer(`n${i}`, i + 1)), `10.0.0.${i + 1}`, i);
  }
  const rich = machine.message(linkOf(peer("rich", 77), { links: 1 }), "10.0.0.77", 77);
  strictEqual(said(rich)[0]![1].ext!.links, CROWDED_LINKS + 1);
  deepStrictEqual(only(rich, "hang-up"), [{ kind: "hang-up", connection: 77 }]);
  const poor = machine.message(linkOf(peer("poor", 78)), "10.0.0.78", 78);
  deepStrictEqual(only(poor, "hang-up"), []);
  strictEqual(machine.peer.keptConnections.theirs, CROWDED_LINKS + 1);
});

Deno.test("where there are too many LINKs, a peer with others leaves", () => {
  const { machine, whos, effects } = walled("a", "b");
  const [first, second] = only(effects, "link");
  answerLinks(machine, [first!], whos);
  const { effects: left } = answerLinks(machine, [second!], whos, { links: CROWDED_LINKS + 1 });
  strictEqual(only(left, "hang-up").length, 1);
  deepStrictEqual(machine.peer.via, [first!.peerId]);
});

Deno.test("a connection is passed on only to a peer with a LINK, and nothing is dialed for it", () => {
  const machine = new Machine();
  const [a, b] = [peer("a", 1), peer("b", 2)];
  machine.gossip(a); // can be dialed, but keeps no LINK
  const connect = (to: string, connection: number) =>
    machine.message({ type: "CONNECT", to }, b.ip, connection);
  for (const to of ["a", "me", "nobody"]) {
    const effects = connect(to, 5).filter(({ kind }) => kind !== "event");
    deepStrictEqual(effects, [{ kind: "hang-up", connection: 5 }], to);
  }
  machine.message(linkOf(a), a.ip, 7);
  const [effect] = only(connect("a", 6), "relay");
  deepStrictEqual([effect!.connection, effect!.link], [6, 7]);
  deepStrictEqual(readBack(effect!.bytes).map(({ type }) => type), ["CONNECT"]);
  const quiet = new Machine({ isRelay: false });
  quiet.message(linkOf(a), a.ip, 7);
  deepStrictEqual(only(quiet.message({ type: "CONNECT", to: "a" }, b.ip, 6), "relay"), []);
});

Deno.test("connections that are passed on are bounded for one asker, for one peer, and in all", () => {
  const machine = new Machine();
  const names = Array.from({ length: 12 }, (_, i) => `n${i}`);
  names.forEach((name, i) => machine.message(linkOf(peer(name, i + 1)), `10.0.0.${i + 1}`, i));
  let connection = 1_000;
  const relayed = (to: string, ip: string) =>
    only(machine.message({ type: "CONNECT", to }, ip, connection++), "relay");
  const [first] = relayed("n0", "10.0.1.1");
  let fromOne = 1;
  for (const name of names) for (let i = 0; i < 4; i++) fromOne += relayed(name, "10.0.1.1").length;
  strictEqual(fromOne, MAX_RELAYED_PER_PEER);
  let all = fromOne;
  for (let i = 0; i < 200; i++) all += relayed(names[i % 12]!, `10.0.2.${i % 30}`).length;
  strictEqual(all, MAX_RELAYED);
  machine.do({ kind: "passed-on", what: "relay", key: first!.key });
  strictEqual(relayed("n5", "10.0.1.1").length, 1, "one that ended makes room");
});

Deno.test("nobody but the peer that we linked to makes us open a connection, and only to itself", () => {
  const { machine, whos, effects } = walled("a");
  const { opened } = answerLinks(machine, effects, whos);
  const token = "0123456789abcdef";
  const stranger = machine.message({ type: "CONNECT", token }, "10.0.0.1", 3);
  deepStrictEqual(only(stranger, "call-back"), []);
  deepStrictEqual(refusals(stranger), ["unsolicited"]);
  const asked = machine.do({
    kind: "message",
    message: { type: "CONNECT", token, isRelayed: true },
    ip: whos[0]!.ip,
    connection: opened.get("a")!,
    ours: "asking",
  });
  const [call] = only(asked, "call-back");
  deepStrictEqual([call!.to.host, call!.to.port, call!.isRelayed], [
    whos[0]!.host,
    whos[0]!.port,
    true,
  ]);
  const [message] = readBack(call!.bytes);
  ok(message?.type === "CONNECT" && message.token === token);
});

Deno.test("what another peer passes on counts as coming from nobody", () => {
  const machine = new Machine();
  const a = peer("a", 1);
  machine.gossip(a);
  const file = fileOfNumber(1, { owner: "a" });
  machine.hold([file]);
  deepStrictEqual(refusals(machine.delete("a", file.fileId, "relay 10.0.0.1")), ["forged-delete"]);
  // Not even for a place that it leaves open where it is.
  const effects = machine.message({ ...gossipOf(peer("b", 2), "x2"), host: "" }, "relay 10.0.0.1");
  deepStrictEqual(sent(effects, "GOSSIP_REPLY"), []);
  deepStrictEqual(refusals(effects), ["forbidden-address"]);
});

Deno.test("a source is not blamed for what somebody else passed on", () => {
  const machine = new Machine();
  const [a, b] = [peer("a", 1), peer("b", 2)];
  machine.meet(a, b);
  for (const who of [a, b]) machine.reply(who, [fileOfNumber(1)]);
  machine.do({ kind: "want", fileId: idOf(1) });
  const source = ["a", "b"].find((each) => machine.attempt(idOf(1), each) > 0)!;
  const failed = {
    kind: "fetch-failed",
    fileId: idOf(1),
    source,
    attempt: machine.attempt(idOf(1), source),
    failure: "mismatch",
    text: "sent the wrong content",
  } as const;
  const effects = machine.do({ ...failed, isPassedOn: true });
  deepStrictEqual(refusals(effects), []);
  ok(machine.catalogue.get(idOf(1))!.holders.has(source), "it still counts as a holder");
  strictEqual(only(effects, "fetch").length, 1, "the other one is asked");
});

Deno.test("relays are tracked peers that said that they pass on; nobody's word makes us dial an address", () => {
  const machine = new Machine();
  const [a, b, c] = [peer("a", 1), peer("b", 2), { ...peer("c", 3), ext: newPeer("c", 3).ext! }];
  machine.meet(b, c);
  machine.message(gossipOf(a, "x1", { via: ["b", "c", "nobody", "10.0.0.66:6000"] }), b.ip, 4);
  deepStrictEqual(machine.peer.waysTo("a").relays.map(({ peerId, to }) => [peerId, to.host]), [[
    "b",
    b.host,
  ]]);
});

Deno.test("a relay that never spoke from its own address is not dialed", () => {
  const machine = new Machine();
  const [a, b] = [peer("a", 1), peer("b", 2)];
  machine.message(gossipOf(b, "x1"), "10.0.0.66", 3);
  machine.message(gossipOf(a, "x2", { via: ["b"] }), "10.0.0.66", 4);
  deepStrictEqual(machine.peer.waysTo("a").relays, []);
});

Deno.test("only the peer that we linked to can answer on a LINK", () => {
  const { machine, whos, effects } = walled("a", "b");
  const { peerId } = only(effects, "link")[0]!;
  machine.do({ kind: "linked", peerId, connection: 900 });
  const other = whos.find((each) => each.peerId !== peerId)!;
  const message = linkOf(other, { seen: { ip: OWN.host, outcome: "reached" } });
  machine.do({ kind: "message", message, ip: other.ip, connection: 900, ours: "asking" });
  deepStrictEqual([machine.peer.via, [...machine.peer.reports]], [[], []]);
});

Deno.test("a LINK that lasted is opened again at once, and one that ended soon is not", () => {
  const { machine, whos, effects } = walled("a");
  const first = answerLinks(machine, effects, whos).opened.get("a")!;
  machine.do({ kind: "ended", connection: first });
  deepStrictEqual(only(machine.wait(5_000), "link"), []);
  const later = machine.wait(LINK_RETRY_MS);
  strictEqual(only(later, "link").length, 1);
  const second = answerLinks(machine, later, whos).opened.get("a")!;
  const alive = linkOf(whos[0]!, { seen: { ip: OWN.host, outcome: "silent" } });
  const hear = () =>
    machine.do({
      kind: "message",
      message: alive,
      ip: whos[0]!.ip,
      connection: second,
      ours: "asking",
    });
  machine.wait(2 * LINK_RETRY_MS, 1_000, hear);
  ok(machine.membership.get("a"), "a sign of life on a LINK is one");
  machine.do({ kind: "ended", connection: second });
  strictEqual(only(machine.wait(1_000), "link").length, 1);
});

Deno.test("a gossip on a LINK does not turn it into a connection that is closed soon", () => {
  const machine = new Machine();
  const a = peer("a", 1);
  machine.message(linkOf(a), a.ip, 7);
  const effects = machine.message(gossipOf(a, "x1", { here: true }), a.ip, 7);
  deepStrictEqual([only(effects, "hold"), only(effects, "hang-up")], [[], []]);
  deepStrictEqual(machine.peer.waysTo("a"), { dial: "first", on: 7, call: 7, relays: [] });
});

Deno.test("connections that are opened because others ask for them are bounded", () => {
  const { machine, whos, effects } = walled("a");
  const { opened } = answerLinks(machine, effects, whos);
  const ask = () =>
    only(
      machine.do({
        kind: "message",
        message: { type: "CONNECT", token: "0123456789abcdef" },
        ip: whos[0]!.ip,
        connection: opened.get("a")!,
        ours: "asking",
      }),
      "call-back",
    ).length;
  let calls = 0;
  for (let i = 0; i < 2 * MAX_CALLED; i++) calls += ask();
  strictEqual(calls, MAX_CALLED);
  machine.do({ kind: "passed-on", what: "call-back", key: "a" });
  strictEqual(ask(), 1);
});

Deno.test("a peer that connected to us a moment ago gets no LINK because one dial of its failed", () => {
  const machine = new Machine();
  machine.start();
  const a = peer("a", 1);
  const answer = (connection: number) => {
    const { peerId, host, port, ext, ip } = a;
    const message = { type: "GOSSIP_REPLY", peerId, host, port, files: [], ext: ext! } as const;
    machine.do({ kind: "message", message, ip, connection, ours: "asking" });
  };
  machine.gossip(a);
  machine.nowMs += 10_000;
  answer(50);
  deepStrictEqual(only(machine.wait(2_000), "link"), []);
  machine.nowMs += 50_000;
  answer(51);
  strictEqual(only(machine.wait(2_000), "link").length, 1, "it has not connected for long");
});

Deno.test("peers that connected to us get no LINK, also where others could not, and one failed dial says nothing of others", () => {
  const { machine, effects } = walled("c");
  machine.gossip(peer("a", 20));
  deepStrictEqual(only([...effects, ...machine.wait(2_000)], "link").map(({ peerId }) => peerId), [
    "c",
  ]);

  const other = new Machine();
  other.start();
  const [a, b] = [peer("a", 1), peer("b", 2)];
  other.message(linkOf(b), b.ip, 7); // known, and has not connected in any other way
  other.gossip(a);
  const { peerId, host, port, ext, ip } = a;
  const message = { type: "GOSSIP_REPLY", peerId, host, port, files: [], ext: ext! } as const;
  other.do({ kind: "message", message, ip, connection: 50, ours: "asking" });
  deepStrictEqual(only(other.wait(2_000), "link"), []);
});

Deno.test("of the LINKs at a peer that has too many, a few leave at a time", () => {
  const { machine, whos, effects } = walled("a", "b");
  const { opened } = answerLinks(machine, effects, whos);
  const crowded = linkOf(whos[0]!, { links: CROWDED_LINKS + 1 });
  let answers = 0;
  for (let left: Effect[] = []; left.length === 0; answers++) {
    ok(answers < 100, "it never leaves");
    left = only(
      machine.do({
        kind: "message",
        message: crowded,
        ip: whos[0]!.ip,
        connection: opened.get("a")!,
        ours: "asking",
      }),
      "hang-up",
    );
  }
  ok(answers > 1, "not at the first chance");
  deepStrictEqual(machine.peer.via, ["b"]);
});

Deno.test("on a connection that we opened to ask, no answers are sent", () => {
  const machine = new Machine();
  const a = peer("a", 1);
  const message = gossipOf(a, "x1", { here: true });
  const ask = { kind: "message", message, ip: a.ip, connection: 5 } as const;
  deepStrictEqual(only(machine.do({ ...ask, ours: "asking" }), "hold"), []);
  const called = { ...ask, message: { ...message, id: "x2" }, connection: 6 };
  strictEqual(only(machine.do({ ...called, ours: "called" }), "hold").length, 1);
});

Deno.test("gossip of peers with extensions is not passed on to everybody behind walls", () => {
  const machine = new Machine();
  const lost = Array.from({ length: 9 }, (_, i) => peer(`lost${i}`, 20 + i));
  for (const [i, who] of lost.entries()) {
    machine.message(linkOf(who), who.ip, 60 + i);
    failDials(machine, who);
  }
  const forwarded = (who: Who) =>
    sent(machine.gossip(who), "GOSSIP").filter(({ message }) => message.peerId === who.peerId)
      .length;
  ok(forwarded(peer("new", 1)) <= 3);
  ok(forwarded(oldPeer("old", 2)) >= 9);
});

Deno.test("a peer that there is another way to is asked for its list at once", () => {
  const machine = new Machine();
  const [a, b] = [peer("a", 1), peer("b", 2)];
  machine.gossip(b);
  machine.message(gossipOf(a, "x1"), b.ip, 4);
  failDials(machine, a);
  machine.nowMs += 25_000;
  const effects = machine.message(gossipOf(a, "x2", { via: ["b"] }), b.ip, 5);
  ok(receivers(effects, "GOSSIP").includes("a"));
});

Deno.test("a name is not taken from a peer because its address does not answer while it has a LINK", () => {
  const machine = new Machine();
  const a = peer("a", 1);
  machine.message(linkOf(a), a.ip, 7);
  const rival = { ...peer("a", 66), ext: { v: 1, node: "R".repeat(43), boot: "r" } };
  machine.message(gossipOf(rival, "x9"), rival.ip, 9);
  machine.do({
    kind: "unreachable",
    to: a,
    what: "GOSSIP",
    peerId: "a",
    ticket: { for: "probe", peerId: "a" },
    text: "",
  });
  deepStrictEqual(machine.membership.get("a")!.address, { host: a.host, port: a.port });
});

Deno.test("what peers without extensions say of their files is passed on to those that they cannot reach", () => {
  const machine = new Machine();
  const [old, a] = [oldPeer("old", 1), peer("a", 2)];
  machine.gossip(old);
  machine.reply(old, files(2));
  const effects = machine.message(linkOf(a), a.ip, 7);
  const introduced = said(effects).map(([, message]) => message).find(({ type }) =>
    type === "GOSSIP_REPLY"
  );
  ok(introduced?.type === "GOSSIP_REPLY");
  deepStrictEqual([introduced.peerId, introduced.host, introduced.files.length], [
    "old",
    old.host,
    2,
  ]);
  strictEqual(introduced.ext, undefined);
  failDials(machine, a);
  const [[connection, list] = []] = said(machine.reply(old, files(3)));
  ok(list?.type === "GOSSIP_REPLY" && list.files.length === 3);
  strictEqual(connection, 7);
  const [[, announced] = []] = said(machine.announce(old, fileOfNumber(9)));
  strictEqual(announced?.type, "ANNOUNCE");
  deepStrictEqual(said(machine.reply(old, files(3))), [], "no news");
  machine.do({ kind: "dialed", peerId: "a", to: a, outcome: "reached" });
  deepStrictEqual(said(machine.reply(old, files(4))), [], "it can be reached");
});

Deno.test("when this machine moves, its LINKs and what was said about the old address are gone", () => {
  const { machine, whos, effects } = walled("a", "b");
  const { opened } = answerLinks(machine, effects, whos);
  const moved = machine.do({ kind: "own-address", host: "10.9.9.77", ips: ["10.9.9.77"] });
  deepStrictEqual(
    only(moved, "hang-up").map(({ connection }) => connection).sort(),
    [...opened.values()].sort(),
  );
  deepStrictEqual([...machine.peer.reports], []);
  deepStrictEqual(machine.peer.via, []);
});
