// Joining and staying: which peers are asked at the start, until when, and what is reported.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import type { Effect } from "../../../protocol/effects.ts";
import { MAX_REJOIN_PEERS } from "../../../protocol/limits.ts";
import {
  events,
  files,
  Machine,
  newPeer,
  oldPeer,
  OWN,
  OWN_NODE,
  receivers,
  refusals,
  sent,
} from "../machine.ts";

const BOOTSTRAPS = [{ host: "10.0.0.1", port: 6000 }, { host: "eagle", port: 6001 }];
const operator = BOOTSTRAPS.map((address) => `${address.host}:${address.port}`);

/** Answers each gossip with a failed dial. */
const refuse = (machine: Machine) => (effects: Effect[]) => {
  for (const { to, effect: { ticket } } of sent(effects, "GOSSIP")) {
    machine.do({
      kind: "unreachable",
      what: "GOSSIP",
      to,
      text: "refused",
      ...(ticket ? { ticket } : {}),
    });
  }
};

Deno.test("at the start every bootstrap gets a gossip, under one id that asks nobody else for a whole list", () => {
  const machine = new Machine({ bootstraps: BOOTSTRAPS });
  const gossips = sent(machine.start(), "GOSSIP");
  deepStrictEqual(gossips.map(({ to }) => `${to.host}:${to.port}`), operator);
  for (const { message, effect } of gossips) {
    deepStrictEqual([message.peerId, message.host, message.port], ["me", OWN.host, OWN.port]);
    deepStrictEqual(message.ext, {
      v: 1,
      node: OWN_NODE,
      boot: "boot-of-me",
      can: ["batch-delete", "lists", "raw", "batch-get", "offer", "parts", "links", "relay"],
      here: true,
    });
    strictEqual(effect.voucher, "operator");
  }
});

Deno.test("peers of the last run are asked too, up to a limit", () => {
  const rejoin = Array.from(
    { length: 100 },
    (_, i) => ({ address: { host: `10.1.0.${i}`, port: 6000 }, voucher: "remote" as const }),
  );
  const machine = new Machine({ bootstraps: BOOTSTRAPS, rejoin });
  strictEqual(sent(machine.start(), "GOSSIP").length, BOOTSTRAPS.length + MAX_REJOIN_PEERS);
});

Deno.test("joining is retried with increasing delays until a peer answers", () => {
  const machine = new Machine({ bootstraps: BOOTSTRAPS.slice(0, 1) });
  refuse(machine)(machine.start());
  const times: number[] = [0];
  const ids = new Set<string>();
  machine.wait(300_000, 250, (effects) => {
    for (const { message } of sent(effects, "GOSSIP")) {
      times.push(machine.nowMs);
      ids.add(message.id);
    }
    refuse(machine)(effects);
  });
  const pauses = times.slice(1).map((at, i) => at - times[i]!);
  ok(pauses[0]! <= 1_500 && Math.max(...pauses) <= 38_000, `${pauses}`);
  ok(pauses.slice(-3).every((pause) => pause >= 22_000), `${pauses}`);
  ok(ids.size >= 5, "who has seen one of these gossips must not be deaf to all");
  ok(times.length >= 10 && times.length <= 20, `${times.length} tries`);
  machine.gossip(oldPeer("a", 1));
  machine.wait(1_000, 250); // a round that is due
  const later = machine.wait(20_000, 250);
  deepStrictEqual(receivers(later, "GOSSIP"), [], "somebody is there: the round is waited for");
});

Deno.test("a lost network is joined again", () => {
  const machine = new Machine({ bootstraps: BOOTSTRAPS.slice(0, 1) });
  machine.start();
  machine.meet(oldPeer("a", 1));
  const effects = machine.wait(61_000);
  deepStrictEqual(events(effects, "peer-left").map(({ peerId }) => peerId), ["a"]);
  const asked = receivers(machine.wait(40_000, 1000, refuse(machine)), "GOSSIP");
  ok(asked.filter((to) => to === operator[0]).length >= 2, `${asked}`);
});

Deno.test("a peer without bootstraps reports once that it is alone, and waits for others", () => {
  const machine = new Machine({ autoFetch: 5 });
  const start = machine.start();
  strictEqual(events(start, "alone").length, 1);
  deepStrictEqual(events(start, "auto-fetch-complete").map(({ reason }) => reason), ["no-peers"]);
  deepStrictEqual(events(machine.wait(120_000), "alone"), []);
});

Deno.test("a silent bootstrap is reported once, and a peer that finds no other is alone", () => {
  const machine = new Machine({ bootstraps: BOOTSTRAPS });
  const all: Effect[] = [];
  const fail = (effects: Effect[]) => {
    for (const { to, effect: { ticket } } of sent(effects, "GOSSIP")) {
      all.push(
        ...machine.do({
          kind: "unreachable",
          what: "GOSSIP",
          to,
          text: "refused",
          ...(ticket ? { ticket } : {}),
        }),
      );
    }
  };
  fail(machine.start());
  all.push(...machine.wait(120_000, 1000, fail));
  strictEqual(events(all, "bootstrap-silent").length, 2);
  strictEqual(events(all, "alone").length, 1);
});

Deno.test("a silent bootstrap is blamed only if others reach us: answers are connections to us", () => {
  const [bootstrap] = BOOTSTRAPS;
  // Where others are does not matter, but peers on this machine always get through.
  for (const from of [undefined, "127.0.0.1", "10.0.0.5", "moved"]) {
    const isReached = from === "10.0.0.5";
    const machine = new Machine({ bootstraps: [bootstrap!] });
    machine.start();
    machine.do({ kind: "sent", to: bootstrap!, ip: "10.0.0.1" });
    const ip = from === "moved" ? "10.0.0.5" : from;
    if (ip) machine.message({ type: "GET_FILE", fileId: "ab".repeat(32) }, ip);
    if (from === "moved") {
      machine.do({ kind: "own-address", host: "10.0.0.77", ips: ["10.0.0.77"] });
    }
    const [silent] = events(machine.wait(6_000), "bootstrap-silent");
    const { host, port } = machine.peer.address;
    const expected = isReached
      ? /accepts connections but does not answer$/
      : new RegExp(`nobody has connected to ${host}:${port} to answer: .* open TCP port ${port}$`);
    match(silent!.text, expected);
  }
});

Deno.test("a bootstrap that accepts the gossip but never answers counts as silent too", () => {
  const machine = new Machine({ bootstraps: BOOTSTRAPS.slice(0, 1) });
  const all: Effect[] = [];
  const accept = (effects: Effect[]) => {
    for (const { to } of sent(effects, "GOSSIP")) {
      all.push(...machine.do({ kind: "sent", to, ip: "10.0.0.1" }));
    }
  };
  accept(machine.start());
  all.push(...machine.wait(60_000, 1000, accept));
  strictEqual(events(all, "bootstrap-silent").length, 1);
  strictEqual(events(all, "alone").length, 1);
});

Deno.test("the peer is synchronized when everyone it asked has answered, or no further answers arrive", () => {
  const whole = new Machine({ bootstraps: BOOTSTRAPS.slice(0, 1) });
  whole.start();
  whole.nowMs = 40;
  const told = events(whole.reply(oldPeer("a", 1), files(3)), "synchronized");
  deepStrictEqual(told, [{ name: "synchronized", afterMs: 40, peers: 1, files: 3 }]);
  ok(whole.peer.synchronized);

  const partly = new Machine({ bootstraps: BOOTSTRAPS });
  partly.start();
  deepStrictEqual(events(partly.reply(oldPeer("a", 1), files(3)), "synchronized"), []);
  deepStrictEqual(events(partly.wait(200, 100), "synchronized"), []);
  strictEqual(events(partly.wait(200, 100), "synchronized").length, 1);
  deepStrictEqual(events(partly.reply(oldPeer("b", 2), files(3)), "synchronized"), [], "once");
});

Deno.test("a bootstrap that advertises another address is recognized by where its configured address led", () => {
  for (const isReplyFirst of [false, true]) {
    const machine = new Machine({ bootstraps: [{ host: "eagle.lab", port: 6000 }] });
    machine.start();
    const led = () =>
      machine.do({ kind: "sent", to: { host: "eagle.lab", port: 6000 }, ip: "10.0.0.1" });
    if (!isReplyFirst) led();
    machine.reply(oldPeer("a", 1), []);
    if (isReplyFirst) led();
    strictEqual(machine.membership.get("a")?.bootstrap, true);
    const gossips = receivers(
      machine.wait(120_000, 1000, () => machine.gossip(oldPeer("a", 1))),
      "GOSSIP",
    );
    ok(!gossips.includes("eagle.lab:6000"), `${gossips}`);
  }
});

Deno.test("a missing bootstrap is asked in every round, even while other peers are tracked", () => {
  const machine = new Machine({ bootstraps: BOOTSTRAPS.slice(0, 1) });
  machine.start();
  const effects = machine.wait(150_000, 1000, () => machine.gossip(oldPeer("b", 2)));
  const asked = receivers(effects, "GOSSIP").filter((to) => to === operator[0]);
  ok(asked.length >= 4 && asked.length <= 6, `${asked.length} times`);
});

Deno.test("every half minute, with jitter, three to five tracked peers get a gossip", () => {
  const machine = new Machine();
  machine.start();
  const peers = Array.from({ length: 20 }, (_, i) => oldPeer(`p${i}`, i + 1));
  machine.meet(...peers);
  const rounds: number[] = [];
  const asked = new Set<string>();
  machine.wait(1_200_000, 500, (effects) => {
    const to = receivers(effects, "GOSSIP");
    if (to.length > 0) {
      rounds.push(machine.nowMs);
      ok(to.length >= 3 && to.length <= 5, `${to.length} at once`);
      for (const peerId of to) asked.add(peerId);
    }
    if (machine.nowMs % 20_000 === 0) { for (const peer of peers) machine.gossip(peer); }
  });
  const pauses = rounds.slice(1).map((at, i) => at - rounds[i]!);
  ok(pauses.every((pause) => pause >= 27_000 && pause <= 34_000), `${pauses}`);
  ok(new Set(pauses).size > 3, "rounds of many peers must not fall together");
  strictEqual(asked.size, 20, "peers are asked by lot, and each of them in forty rounds");
});

Deno.test("a peer that fell silent is asked once more before it is dropped", () => {
  const machine = new Machine();
  machine.start();
  const quiet = oldPeer("quiet", 99);
  const loud = Array.from({ length: 30 }, (_, i) => oldPeer(`p${i}`, i + 1));
  machine.nowMs = 15_000;
  machine.meet(quiet, ...loud);
  let asked = 0;
  const effects = machine.wait(59_000, 1000, (effects) => {
    asked += receivers(effects, "GOSSIP").filter((to) => to === "quiet").length;
    for (const peer of loud) machine.gossip(peer);
  });
  ok(asked >= 1);
  deepStrictEqual(events(effects, "peer-left"), []);
  deepStrictEqual(events(machine.wait(2_000), "peer-left").map(({ peerId }) => peerId), ["quiet"]);
});

Deno.test("a silent peer is dropped as a holder too", () => {
  const machine = new Machine();
  machine.start();
  machine.reply(newPeer("a", 1), files(2), [1, 1, "r"]);
  machine.reply(newPeer("b", 2), files(1), [1, 1, "r"]);
  machine.wait(59_000, 1000, () => machine.gossip(newPeer("b", 2)));
  const holders = () => files(2).map(({ fileId }) => [...machine.catalogue.get(fileId)!.holders]);
  deepStrictEqual(holders(), [["a", "b"], ["a"]]);
  machine.wait(1_000);
  deepStrictEqual(holders(), [["b"], []]);
  strictEqual(machine.catalogue.size, 2, "what nobody holds any more is still known");
});

Deno.test("our own name and our own address change nothing when others use them", () => {
  const machine = new Machine();
  const own = { peerId: "me", ...OWN, ip: "10.0.0.1" };
  deepStrictEqual(sent(machine.gossip(own), "GOSSIP_REPLY"), []);
  deepStrictEqual(refusals(machine.gossip(own)), [], "our own gossip came back");
  const thief = { peerId: "me", host: "10.6.6.6", port: 6000, ip: "10.6.6.6" };
  deepStrictEqual(refusals(machine.gossip(thief)), ["own-name"]);
  deepStrictEqual(refusals(machine.gossip({ ...thief, ext: { v: 1, node: OWN_NODE } })), []);
  deepStrictEqual(refusals(machine.gossip({ ...thief, ...OWN, peerId: "x" })), [
    "forbidden-address",
  ]);
  machine.reply(thief, files(1));
  deepStrictEqual([machine.membership.size, machine.catalogue.size], [0, 0]);
});
