// This machine gets another address: everybody hears of it at once, and gets our list again.

import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { events, files, Machine, newPeer, oldPeer, refusals, sent } from "../machine.ts";

const PORT = new Machine().peer.address.port;
const moveTo = (machine: Machine, host: string, ips = [host]) =>
  machine.do({ kind: "own-address", host, ips });

Deno.test("when our address changes, all peers are greeted from the new one and get our list again", () => {
  const machine = new Machine();
  machine.hold(files(2));
  machine.meet(newPeer("a", 1), oldPeer("b", 2));
  const old = machine.peer.address;
  machine.nowMs += 60_000;
  const effects = moveTo(machine, "10.0.0.77");
  deepStrictEqual(machine.peer.address, { host: "10.0.0.77", port: PORT });
  for (const what of ["GOSSIP", "GOSSIP_REPLY"] as const) {
    const all = sent(effects, what);
    deepStrictEqual(all.map(({ peerId }) => peerId).sort(), ["a", "b"], what);
    for (const { message } of all) {
      deepStrictEqual([message.host, message.port], ["10.0.0.77", PORT]);
    }
  }
  for (const { message } of sent(effects, "GOSSIP_REPLY")) strictEqual(message.files.length, 2);
  const [event, ...others] = events(effects, "own-address");
  deepStrictEqual([event!.other, event!.address, event!.peers], [old, machine.peer.address, 2]);
  deepStrictEqual(others, []);
});

Deno.test("the same address again, or another one beside it, is no news", () => {
  const machine = new Machine();
  machine.meet(newPeer("a", 1));
  const { host } = machine.peer.address;
  deepStrictEqual(moveTo(machine, host), []);
  deepStrictEqual(moveTo(machine, host, [host, "10.0.0.78"]), []);
  moveTo(machine, "10.0.0.77");
  deepStrictEqual(moveTo(machine, "10.0.0.77"), []);
});

Deno.test("what is greeted later hears of the new address, and nobody makes us dial it", () => {
  const machine = new Machine();
  machine.meet(newPeer("a", 1)); // a greeting that others might still get
  const old = machine.peer.address.host;
  moveTo(machine, "10.0.0.77");
  const [greeting] = sent(machine.gossip(newPeer("b", 2)), "GOSSIP");
  strictEqual(greeting!.message.host, "10.0.0.77");
  const liar = { ...oldPeer("c", 3), host: "10.0.0.77", port: PORT };
  deepStrictEqual(refusals(machine.gossip(liar, { via: "10.0.0.3" })), ["forbidden-address"]);
  // Somebody else may have the old one now.
  const heir = { ...oldPeer("d", 4), host: old, port: PORT };
  deepStrictEqual(refusals(machine.gossip(heir, { via: old })), []);
});

Deno.test("a peer that is alone when its address changes joins again", () => {
  const address = { host: "10.0.0.9", port: 8_999 };
  const machine = new Machine({ rejoin: [{ address, voucher: "remote" }] });
  machine.do({ kind: "start" });
  machine.wait(3_600_000); // by now, it tries rarely
  const effects = [...moveTo(machine, "10.0.0.77"), ...machine.wait(300)];
  const [gossip] = sent(effects, "GOSSIP");
  deepStrictEqual(gossip!.to, address);
  strictEqual(gossip!.message.host, "10.0.0.77");
});
