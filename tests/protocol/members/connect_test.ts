// Peers that people add while this one runs, and what is said of configured ones that do not answer.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { MAX_ADDED } from "../../../protocol/limits.ts";
import { addressText } from "../../../protocol/wire/address.ts";
import { events, Machine, newPeer, sent, type Who } from "../machine.ts";

const A = newPeer("a", 1);
const at = ({ host, port }: Who) => ({ host, port });

function connect(machine: Machine, who: Who) {
  return machine.do({ kind: "connect", address: at(who) });
}

/** A peer answers our gossip. */
function answer(machine: Machine, { peerId, host, port, ext, ip }: Who) {
  return machine.message(
    { type: "GOSSIP_REPLY", peerId, host, port, files: [], ...(ext ? { ext } : {}) },
    ip,
  );
}

const unreachable = (machine: Machine, who: Who, text: string) =>
  machine.do({
    kind: "unreachable",
    to: at(who),
    what: "GOSSIP",
    ticket: { for: "join" },
    text,
  });

const troubles = (machine: Machine) => [...machine.peer.bootstrapTroubles].map(({ text }) => text);

Deno.test("a peer that is added is greeted at once, and its answer is told", () => {
  const machine = new Machine();
  machine.start();
  const greeted = sent(connect(machine, A), "GOSSIP");
  deepStrictEqual(greeted.map(({ to }) => addressText(to)), [addressText(A)]);
  const [event] = events(answer(machine, A), "connected");
  deepStrictEqual([event?.peerId, event?.address], ["a", at(A)]);
  ok(machine.peer.membership.get("a")?.bootstrap, "it is one to join through");
  deepStrictEqual(machine.peer.bootstraps, [at(A)]);
  deepStrictEqual(events(answer(machine, A), "connected"), [], "it is told once");
});

Deno.test("a peer that does not answer is told, with the reason, and stays among those that are tried", () => {
  const machine = new Machine();
  machine.start();
  machine.meet(newPeer("b", 2));
  connect(machine, A);
  const [event] = events(unreachable(machine, A, "it refuses"), "not-connected");
  strictEqual(event?.text, "it refuses");
  deepStrictEqual(troubles(machine), ["it refuses"]);
  const greeted = sent(machine.wait(40_000), "GOSSIP").map(({ to }) => addressText(to));
  ok(greeted.includes(addressText(A)), "the next round of gossip tries it again");
  answer(machine, A);
  deepStrictEqual(troubles(machine), []);
  // One that accepts connections and says nothing is told, too.
  connect(machine, newPeer("c", 3));
  const [silent] = events(machine.wait(60_000), "not-connected");
  ok(silent && /accepts connections/.test(silent.text), silent?.text);
});

Deno.test("another spelling of an address is the same address, and its answer is told", () => {
  const machine = new Machine();
  machine.start();
  connect(machine, A);
  unreachable(machine, A, "it refuses");
  const { host, port } = at(A);
  const spelled = { host: `::ffff:${host}`, port };
  machine.do({ kind: "connect", address: spelled });
  deepStrictEqual(machine.peer.bootstraps, [at(A)]);
  deepStrictEqual(events(answer(machine, A), "connected").map(({ peerId }) => peerId), ["a"]);
});

Deno.test("a peer that is known already is connected at once, and becomes one to join through", () => {
  const machine = new Machine();
  machine.start();
  machine.meet(A);
  const effects = connect(machine, A);
  deepStrictEqual(events(effects, "connected").map(({ peerId }) => peerId), ["a"]);
  deepStrictEqual(sent(effects, "GOSSIP"), []);
  ok(machine.peer.membership.get("a")?.bootstrap);
  connect(machine, A);
  strictEqual(machine.peer.bootstraps.length, 1);
});

Deno.test("a configured peer that left says why it cannot be reached, once, and until it answers", () => {
  const machine = new Machine({ bootstraps: [at(A)] });
  machine.start();
  answer(machine, A);
  machine.meet(newPeer("b", 2));
  for (let i = 0; i < 5; i++) {
    machine.wait(20_000);
    machine.gossip(newPeer("b", 2));
  }
  strictEqual(machine.peer.membership.get("a"), undefined);
  const gone = { kind: "unreachable", to: at(A), what: "GOSSIP", text: "it refuses" } as const;
  strictEqual(events(machine.do(gone), "bootstrap-silent").length, 1);
  strictEqual(events(machine.do(gone), "bootstrap-silent").length, 0);
  deepStrictEqual(troubles(machine), ["it refuses"]);
  answer(machine, A);
  deepStrictEqual(troubles(machine), []);
});

Deno.test("the number of peers that are added is bounded", () => {
  const machine = new Machine();
  machine.start();
  let refused = 0;
  for (let i = 0; i < MAX_ADDED + 5; i++) {
    refused += events(connect(machine, newPeer(`p${i}`, i + 10)), "not-connected").length;
  }
  strictEqual(refused, 5);
  for (const { name, size, max } of machine.peer.sizes) ok(size() <= max(), name);
});
