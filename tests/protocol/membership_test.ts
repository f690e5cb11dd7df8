// Who is tracked, at which address, proven by what; and that nobody takes more places than the bounds give.

import { deepStrictEqual, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import {
  type Claim,
  isProven,
  machineOf,
  Membership,
  type PeerRecord,
  sameAddress,
  shuffleFront,
} from "../../protocol/membership.ts";
import { Random } from "../sim/random.ts";

const BOUNDS = { maxPeers: 10, maxPeersPerAddress: 4, timeoutMs: 60_000 };
const BOOTSTRAP = { host: "10.0.0.1", port: 6000 };
const NODE = "n".repeat(43);

const tracker = (over: Partial<typeof BOUNDS> = {}) =>
  new Membership({ ...BOUNDS, ...over }, (address) => sameAddress(BOOTSTRAP, address));

/** A claim, by default from the address that it names. */
function claim(
  peerId: string,
  host: string,
  over: Partial<Claim> & { port?: number; node?: string } = {},
): Claim {
  const { port = 6000, node, ...rest } = over;
  const ext = node === undefined ? undefined : { v: 1, node };
  return { peerId, address: { host, port }, ip: host, ext, ...rest };
}

/** Hears somebody who is expected to be tracked. */
function track(members: Membership, said: Claim, nowMs = 0): PeerRecord {
  const hearing = members.hear(said, nowMs);
  ok("record" in hearing && hearing.outcome !== "conflict", hearing.outcome);
  return hearing.record;
}
const outcome = (members: Membership, said: Claim, nowMs = 0) => members.hear(said, nowMs).outcome;
const ids = (members: Membership) => [...members.all()].map(({ peerId }) => peerId);

Deno.test("who names itself is tracked, and known the next time", () => {
  const members = tracker();
  strictEqual(outcome(members, claim("a", "10.0.0.2")), "new");
  strictEqual(outcome(members, claim("a", "10.0.0.2"), 10), "known");
  strictEqual(members.get("a")!.lastHeardMs, 10);
  strictEqual(members.get("a")!.firstHeardMs, 0);
  for (const name of ["__proto__", "constructor"]) {
    strictEqual(members.get(name), undefined);
    strictEqual(outcome(members, claim(name, "10.0.0.3")), "new");
    strictEqual(members.get(name)!.peerId, name);
  }
});

Deno.test("a peer that is not heard from for a minute is dropped, and no sooner", () => {
  const members = tracker();
  track(members, claim("a", "10.0.0.2"), 0);
  track(members, claim("b", "10.0.0.3"), 1);
  deepStrictEqual(members.expire(59_999), []);
  deepStrictEqual(members.expire(60_000).map(({ peerId }) => peerId), ["a"]);
  deepStrictEqual(ids(members), ["b"]);
  strictEqual(members.knowsMachine("10.0.0.2"), false);
  strictEqual(members.knowsMachine("10.0.0.3"), true);
});

Deno.test("a peer is proven once it was heard from the address that it names", () => {
  const members = tracker();
  const fake = track(members, claim("a", "10.0.0.2", { ip: "10.6.6.6" }));
  ok(!isProven(fake));
  ok(isProven(track(members, claim("a", "10.0.0.2"))));
  const named = track(members, claim("b", "eagle", { ip: "10.0.0.3" }));
  ok(!isProven(named), "nobody knows yet where the name leads");
  members.reached(named, "10.0.0.4");
  ok(!isProven(named));
  members.reached(named, "10.0.0.3");
  ok(isProven(named));
});

Deno.test("a peer that others handed on is proven when it speaks for itself, however many those were", () => {
  const members = tracker();
  for (let i = 1; i <= 20; i++) track(members, claim("a", "10.0.0.2", { ip: `10.1.0.${i}` }));
  ok(!isProven(members.get("a")!));
  track(members, claim("a", "10.0.0.2"));
  ok(isProven(members.get("a")!));
  ok(members.get("a")!.heardFrom.size <= 5, "what is remembered of them stays bounded");
});

Deno.test("somebody else who uses a live peer's name changes nothing but the rival", () => {
  const members = tracker();
  const peer = track(members, claim("a", "10.0.0.2", { node: NODE }));
  for (
    const said of [
      claim("a", "10.6.6.6"),
      claim("a", "10.6.6.6", { node: "x".repeat(43) }),
      claim("a", "10.0.0.2", { port: 6001 }),
      claim("a", "10.6.6.6", { ip: "10.0.0.2", port: 7000 }),
    ]
  ) {
    strictEqual(outcome(members, said, 59_999), "conflict");
    deepStrictEqual(peer.address, { host: "10.0.0.2", port: 6000 });
    deepStrictEqual(peer.rival, said.address);
    strictEqual(peer.lastHeardMs, 0);
    deepStrictEqual([...peer.heardFrom], ["10.0.0.2"]);
  }
});

Deno.test("the same key on another port, or a minute of silence, moves a peer at once", () => {
  for (const [over, nowMs] of [[{ node: NODE }, 1], [{}, 60_000]] as const) {
    const members = tracker();
    const peer = track(members, claim("a", "10.0.0.2", { node: NODE }));
    const hearing = members.hear(claim("a", "10.0.0.3", { port: 7000, ...over }), nowMs);
    strictEqual(hearing.outcome, "moved");
    deepStrictEqual(peer.address, { host: "10.0.0.3", port: 7000 });
    strictEqual(peer.lastHeardMs, nowMs);
    ok(isProven(peer));
    strictEqual(peer.voucher, "remote");
    deepStrictEqual([members.knowsMachine("10.0.0.2"), members.knowsMachine("10.0.0.3")], [
      false,
      true,
    ]);
  }
  const members = tracker();
  track(members, claim("a", "10.0.0.2"));
  strictEqual(
    outcome(members, claim("a", "10.0.0.3")),
    "conflict",
    "two peers without keys share none",
  );
});

Deno.test("a key that somebody else tells does not replace the one that a live peer told itself", () => {
  const members = tracker();
  const peer = track(members, claim("a", "10.0.0.2", { node: NODE }));
  track(members, claim("a", "10.0.0.2", { node: "x".repeat(43), ip: "10.6.6.6" }), 1);
  strictEqual(peer.node, NODE);
  strictEqual(outcome(members, claim("a", "10.6.6.6", { node: "x".repeat(43) }), 2), "conflict");
  track(members, claim("a", "10.0.0.2", { node: "y".repeat(43) }), 3);
  strictEqual(peer.node, "y".repeat(43), "from its own address it may have a new one");
});

Deno.test("one machine under two names is one peer", () => {
  const members = tracker();
  const peer = track(members, claim("a", "eagle", { ip: "10.0.0.2" }));
  members.reached(peer, "10.0.0.2");
  strictEqual(outcome(members, claim("a", "10.0.0.2"), 5), "known");
  strictEqual(outcome(members, claim("a", "EAGLE.", { ip: "10.7.7.7" }), 6), "known");
  strictEqual(outcome(members, claim("a", "::ffff:10.0.0.2", { ip: "10.0.0.2" }), 7), "known");
  deepStrictEqual(peer.address, { host: "eagle", port: 6000 });
});

Deno.test("other messages count as life only when they come from where the peer is", () => {
  const members = tracker();
  const peer = track(members, claim("a", "10.0.0.2"));
  members.alive(peer, "10.6.6.6", 50);
  strictEqual(peer.lastHeardMs, 0);
  members.alive(peer, "10.0.0.2", 50);
  strictEqual(peer.lastHeardMs, 50);
});

Deno.test("one address has so many places and no more, in whatever spelling it is named", () => {
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

Deno.test("one address gains no further places by peers that move to it", () => {
  const members = tracker({ maxPeers: 100 });
  for (let i = 0; i < 20; i++) {
    const node = String(i).padStart(43, "n");
    track(members, claim(`p${i}`, `10.1.0.${i}`, { node, ip: "10.6.6.6" }));
    members.hear(claim(`p${i}`, "10.0.0.2", { node, port: 6000 + i, ip: "10.6.6.6" }), 1);
  }
  const there = [...members.all()].filter((record) => machineOf(record) === "10.0.0.2");
  ok(there.length <= BOUNDS.maxPeersPerAddress, `${there.length} peers at one address`);
});

Deno.test("a peer that restarts on another port finds its place where all are taken", () => {
  const members = tracker();
  for (let i = 0; i < BOUNDS.maxPeersPerAddress; i++) {
    const node = String(i).padStart(43, "n");
    track(members, claim(`p${i}`, "10.0.0.2", { node, port: 6000 + i }));
  }
  const node = "0".padStart(43, "n");
  strictEqual(outcome(members, claim("p0", "10.0.0.2", { node, port: 7000 }), 1), "moved");
  strictEqual(members.get("p0")!.address.port, 7000);
});

Deno.test("one address gains no further places by names that lead to it", () => {
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

Deno.test("when all places are taken, a proven newcomer takes that of the newest unproven peer", () => {
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
});

Deno.test("a bootstrap keeps its place before it is known where its name leads", () => {
  const bootstrap = { host: "eagle", port: 6000 };
  const members = new Membership(BOUNDS, (address) => sameAddress(bootstrap, address));
  for (let i = 0; i < 9; i++) track(members, claim(`fake${i}`, `10.1.0.${i}`, { ip: "10.6.6.6" }));
  track(members, claim("boot", "eagle", { ip: "10.0.0.1" }));
  for (let i = 0; i < 20; i++) members.hear(claim(`late${i}`, `10.2.0.${i}`), 0);
  ok(members.get("boot"));
  strictEqual(members.size, BOUNDS.maxPeers);
});

Deno.test("places are taken and given back in step, whatever happens in whatever order", () => {
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

Deno.test("a lot picks different records that pass, the same for the same chance", () => {
  const members = tracker({ maxPeers: 100 });
  for (let i = 0; i < 20; i++) track(members, claim(`p${i}`, `10.1.0.${i}`));
  const pick = (seed: number, count: number) => {
    const random = new Random(seed);
    return members.pick(count, () => random.unit(), ({ peerId }) => peerId !== "p7").map((
      { peerId },
    ) => peerId);
  };
  for (let seed = 1; seed <= 50; seed++) {
    const picked = pick(seed, 5);
    strictEqual(new Set(picked).size, 5);
    ok(!picked.includes("p7"));
    deepStrictEqual(pick(seed, 5), picked);
    strictEqual(pick(seed, 100).length, 19);
  }
  notStrictEqual(pick(1, 19).join(), pick(2, 19).join());
  strictEqual(new Set(Array.from({ length: 300 }, (_, seed) => pick(seed, 1)[0])).size, 19);
  deepStrictEqual(shuffleFront([], 3, () => 0.5), []);
});
