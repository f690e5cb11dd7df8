// Announcements on the local network: each leads to one greeting at most, and there are only so many.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import {
  DEFAULT_LIMITS,
  DISCOVERED_PER_HOUR,
  DISCOVERED_PER_MACHINE,
} from "../../../protocol/limits.ts";
import { addressText } from "../../../protocol/wire/address.ts";
import { events, Machine, newPeer, OWN, OWN_NODE, sent } from "../machine.ts";

const found = (machine: Machine, host: string, port = 8115, node?: string) =>
  sent(machine.do({ kind: "discovered", address: { host, port }, node }), "GOSSIP");

Deno.test("a peer that announces itself is greeted like a stranger, once a minute at most", () => {
  const machine = new Machine();
  machine.start();
  const [greeting] = found(machine, "10.0.0.7");
  deepStrictEqual([addressText(greeting!.to), greeting!.effect.voucher], [
    "10.0.0.7:8115",
    "remote",
  ]);
  deepStrictEqual(found(machine, "10.0.0.7"), []);
  machine.nowMs += 61_000;
  strictEqual(found(machine, "10.0.0.7").length, 1);
});

Deno.test("our own announcement, and those of peers that are tracked, are no news", () => {
  const machine = new Machine();
  machine.start();
  const a = newPeer("a", 1);
  machine.meet(a);
  deepStrictEqual(found(machine, a.host, a.port), []);
  deepStrictEqual(found(machine, "10.0.0.99", 8115, a.ext!.node), [], "the same peer elsewhere");
  deepStrictEqual(found(machine, OWN.host, OWN.port), []);
  deepStrictEqual(found(machine, "10.0.0.98", 8115, OWN_NODE), []);
});

Deno.test("forged announcements make this peer contact few, and it says so", () => {
  const machine = new Machine();
  machine.start();
  let dials = 0;
  let ignored = 0;
  for (let minute = 0; minute < 30; minute++) {
    for (let i = 0; i < 200; i++) {
      const address = { host: `10.${minute}.${i}.1`, port: 8115 };
      const effects = machine.do({ kind: "discovered", address, node: undefined });
      dials += sent(effects, "GOSSIP").length;
      ignored += events(effects, "overload").filter(({ overload }) =>
        overload === "announced-ignored"
      ).length;
    }
    machine.nowMs += 60_000;
  }
  ok(dials <= DISCOVERED_PER_HOUR && dials > 0, `${dials} dials`);
  ok(ignored > 0);
  ok(
    DEFAULT_LIMITS.unprovenDialsPerMinute < DISCOVERED_PER_HOUR,
    "the limit on strangers holds as well",
  );
  const one = new Machine();
  one.start();
  let toOne = 0;
  for (let port = 1_024; port < 2_024; port++) toOne += found(one, "10.0.0.66", port).length;
  strictEqual(toOne, DISCOVERED_PER_MACHINE, "one machine gets no more than its share");
  strictEqual(found(one, "10.0.0.7").length, 1, "and others theirs");
  for (const { name, size, max } of machine.peer.sizes) ok(size() <= max(), name);
});
