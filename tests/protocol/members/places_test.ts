// Slots among the tracked peers: bounded in total and per address, and which peer gives up its slot to which.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { machineOf, Membership, sameAddress } from "../../../protocol/members/membership.ts";
import { BOOTSTRAP, BOUNDS, claim, ids, outcome, track, tracker } from "../tracker.ts";

Deno.test("one address has a limited number of slots, in whatever spelling it is named", () => {
  const members = tracker();
  const spellings = ["10.0.0.2", "::ffff:10.0.0.2", "0x0a000002", "10.2", "167772162", "10.0.0.2."];
  for (const [i, host] of spellings.entries()) {
    const expected = i < BOUNDS.maxPeersPerAddress ? "new" : "full";
    strictEqual(
      outcome(members, claim(`p${i}`, host, { ip: "10.0.0.2", port: 6000 + i })),
      expected,
    );
  }
  strictEqual(members.soleAt("10.0.0.2"), undefined);
});

Deno.test("one address gains no further slots through peers that move to it", () => {
  const members = tracker({ maxPeers: 100 });
  for (let i = 0; i < 20; i++) {
    const node = String(i).padStart(43, "n");
    track(members, claim(`p${i}`, `10.1.0.${i}`, { node, ip: "10.6.6.6" }));
    members.hear(claim(`p${i}`, "10.0.0.2", { node, port: 6000 + i, ip: "10.6.6.6" }), 1);
  }
  const there = [...members.all()].filter((record) => machineOf(record) === "10.0.0.2");
  ok(there.length <= BOUNDS.maxPeersPerAddress, `${there.length} peers at one address`);
});

Deno.test("a peer that restarts on another port keeps its slot when all are taken", () => {
  const members = tracker();
  for (let i = 0; i < BOUNDS.maxPeersPerAddress; i++) {
    const node = String(i).padStart(43, "n");
    track(members, claim(`p${i}`, "10.0.0.2", { node, port: 6000 + i }));
  }
  const node = "0".padStart(43, "n");
  strictEqual(outcome(members, claim("p0", "10.0.0.2", { node, port: 7000 }), 1), "moved");
  strictEqual(members.get("p0")!.address.port, 7000);
});

Deno.test("one address gains no further slots through host names that lead to it", () => {
  const members = tracker({ maxPeers: 100 });
  for (let i = 0; i < 20; i++) {
    const record = track(
      members,
      claim(`p${i}`, `n${i}.example`, { port: 6000 + i, ip: "10.6.6.6" }),
    );
    members.reached(record, "10.0.0.2");
  }
  const there = [...members.all()].filter((record) => machineOf(record) === "10.0.0.2");
  ok(there.length <= BOUNDS.maxPeersPerAddress, `${there.length} peers at one address`);
});

Deno.test("when all slots are taken, a proven newcomer takes that of the newest unproven peer", () => {
  const members = tracker();
  track(members, claim("boot", BOOTSTRAP.host));
  track(members, claim("honest", "10.0.0.2"));
  for (let i = 0; i < 8; i++) track(members, claim(`fake${i}`, `10.1.0.${i}`, { ip: "10.6.6.6" }));
  strictEqual(members.size, BOUNDS.maxPeers);
  strictEqual(outcome(members, claim("fake8", "10.1.0.8", { ip: "10.6.6.6" })), "full");
  strictEqual(outcome(members, claim("late", "10.0.0.3")), "new");
  strictEqual(members.size, BOUNDS.maxPeers);
  deepStrictEqual(ids(members).slice(0, 3), ["boot", "honest", "fake0"]);
  strictEqual(members.get("fake7"), undefined);
  for (let i = 0; i < 20; i++) members.hear(claim(`late${i}`, `10.2.0.${i}`), 0);
  strictEqual(members.size, BOUNDS.maxPeers);
  ok(members.get("boot") && members.get("honest"), "bootstraps and proven peers stay");
  strictEqual(
    outcome(members, claim("late99", "10.3.0.1")),
    "full",
    "no unproven peer is left",
  );
  ok(members.get("late") && members.get("late1"), "who came first stays");
});

Deno.test("a bootstrap keeps its slot before it is known where its host name leads", () => {
  const bootstrap = { host: "eagle", port: 6000 };
  const members = new Membership(BOUNDS, (address) => sameAddress(bootstrap, address));
  for (let i = 0; i < 9; i++) track(members, claim(`fake${i}`, `10.1.0.${i}`, { ip: "10.6.6.6" }));
  track(members, claim("boot", "eagle", { ip: "10.0.0.1" }));
  for (let i = 0; i < 20; i++) members.hear(claim(`late${i}`, `10.2.0.${i}`), 0);
  ok(members.get("boot"));
  strictEqual(members.size, BOUNDS.maxPeers);
});

Deno.test("there is one bootstrap at a time, and speaking from its address beats naming it", () => {
  const members = tracker();
  const fake = track(members, claim("fake0", BOOTSTRAP.host, { ip: "10.6.6.6" }));
  track(members, claim("fake1", BOOTSTRAP.host, { ip: "10.6.6.6" }));
  const real = track(members, claim("real", BOOTSTRAP.host));
  track(members, claim("fake2", BOOTSTRAP.host, { ip: "10.6.6.6" }));
  deepStrictEqual([...members.all()].filter(({ bootstrap }) => bootstrap), [real]);
  strictEqual(fake.voucher, "remote", "nobody becomes the operator's word by naming an address");
});

Deno.test("slots are counted correctly, whatever happens in whatever order", () => {
  const names = fc.constantFrom("a", "b", "c", "d", "e");
  const hosts = fc.constantFrom("10.0.0.1", "10.0.0.2", "10.0.0.3", "eagle", "hawk");
  const act = fc.oneof(
    fc.record({
      act: fc.constant("hear"),
      name: names,
      host: hosts,
      ip: hosts,
      node: fc.option(fc.constantFrom("n".repeat(43), "m".repeat(43)), { nil: undefined }),
    }),
    fc.record({
      act: fc.constant("reach"),
      name: names,
      ip: fc.constantFrom("10.0.0.1", "10.0.0.2", "10.0.0.9"),
    }),
    fc.record({ act: fc.constant("expire"), waitMs: fc.nat(70_000) }),
  ) as fc.Arbitrary<
    { act: string; name: string; host: string; ip: string; node?: string; waitMs: number }
  >;
  fc.assert(
    fc.property(fc.array(act, { maxLength: 60 }), (acts) => {
      const members = tracker({ maxPeers: 4, maxPeersPerAddress: 4 });
      let nowMs = 0;
      for (const { act, name, host, ip, node, waitMs } of acts) {
        const record = members.get(name);
        if (act === "hear") {
          members.hear(claim(name, host, { ip, ...(node ? { node } : {}) }), nowMs);
        } else if (act === "expire") members.expire(nowMs += waitMs);
        else if (record) members.reached(record, ip);
        ok(members.size <= 4);
        for (const machine of ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.9", "eagle", "hawk"]) {
          const there = [...members.all()].filter((record) => machineOf(record) === machine);
          strictEqual(members.knowsMachine(machine), there.length > 0);
          strictEqual(members.soleAt(machine), there.length === 1 ? there[0] : undefined);
        }
      }
    }),
  );
});
