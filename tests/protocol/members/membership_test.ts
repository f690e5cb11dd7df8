// Which peers are tracked, at which address, and what proves it.

import { deepStrictEqual, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { isFrom, isProven, shuffleFront } from "../../../protocol/members/membership.ts";
import { Random } from "../../sim/random.ts";
import { claim, ids, NODE, outcome, track, tracker } from "../tracker.ts";

Deno.test("a peer that introduces itself is tracked, and known the next time", () => {
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

Deno.test("a peer not heard from for a minute is dropped, and no sooner", () => {
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
  ok(!isProven(named), "it is not known yet where the host name leads");
  members.reached(named, "10.0.0.4");
  ok(!isProven(named));
  members.reached(named, "10.0.0.3");
  ok(isProven(named));
});

Deno.test("a peer known from forwarded gossip is proven once it speaks for itself, no matter how many forwarded it", () => {
  const members = tracker();
  for (let i = 1; i <= 20; i++) track(members, claim("a", "10.0.0.2", { ip: `10.1.0.${i}` }));
  ok(!isProven(members.get("a")!));
  track(members, claim("a", "10.0.0.2"));
  ok(isProven(members.get("a")!));
  ok(members.get("a")!.heardFrom.size <= 5, "the number of addresses remembered is bounded");
});

Deno.test("another peer that uses a live peer's name changes nothing but the rival", () => {
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
    "two missing keys are not the same key",
  );
});

Deno.test("a key sent by somebody else does not replace the one that a live peer sent itself", () => {
  const members = tracker();
  const peer = track(members, claim("a", "10.0.0.2", { node: NODE }));
  track(members, claim("a", "10.0.0.2", { node: "x".repeat(43), ip: "10.6.6.6" }), 1);
  strictEqual(peer.node, NODE);
  strictEqual(outcome(members, claim("a", "10.6.6.6", { node: "x".repeat(43) }), 2), "conflict");
  track(members, claim("a", "10.0.0.2", { node: "y".repeat(43) }), 3);
  strictEqual(peer.node, "y".repeat(43), "from its own address it may change its key");
});

Deno.test("one machine with two host names is one peer", () => {
  const members = tracker();
  const peer = track(members, claim("a", "eagle", { ip: "10.0.0.2" }));
  members.reached(peer, "10.0.0.2");
  strictEqual(outcome(members, claim("a", "10.0.0.2"), 5), "known");
  strictEqual(outcome(members, claim("a", "EAGLE.", { ip: "10.7.7.7" }), 6), "known");
  strictEqual(outcome(members, claim("a", "::ffff:10.0.0.2", { ip: "10.0.0.2" }), 7), "known");
  deepStrictEqual(peer.address, { host: "eagle", port: 6000 });
});

Deno.test("other messages are signs of life only if they come from the peer's own address", () => {
  const members = tracker();
  const peer = track(members, claim("a", "10.0.0.2"));
  members.alive(peer.peerId, "10.6.6.6", 50);
  strictEqual(peer.lastHeardMs, 0);
  members.alive(peer.peerId, "10.0.0.2", 50);
  strictEqual(peer.lastHeardMs, 50);
});

Deno.test("random picks are distinct records that pass, and the same for the same random numbers", () => {
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

Deno.test("a peer with several addresses is one peer, at the one that it speaks from", () => {
  const members = tracker();
  // Forwarded by another peer: nobody knows yet which address works.
  const also = ["fd00::2", "10.1.0.2"];
  const a = track(members, claim("a", "10.0.0.2", { ip: "10.0.0.9", node: NODE, also }));
  deepStrictEqual([a.address.host, a.also, isProven(a)], ["10.0.0.2", also, false]);
  const itself = claim("a", "fd00::2", { node: NODE, also: ["10.0.0.2", "10.1.0.2"] });
  strictEqual(outcome(members, itself), "known");
  deepStrictEqual(
    [a.address.host, a.ip, a.also, isProven(a)],
    ["fd00::2", "fd00::2", ["10.0.0.2", "10.1.0.2"], true],
  );
  // It speaks from another one later. That one is not preferred before a dial to it works.
  strictEqual(outcome(members, claim("a", "10.0.0.2", { node: NODE, also: ["fd00::2"] })), "known");
  deepStrictEqual([a.address.host, a.also], ["fd00::2", ["10.0.0.2"]]);
  ok(isFrom(a, "10.0.0.2") && isFrom(a, "fd00::2") && !isFrom(a, "10.1.0.2"));
  ok(members.reached(a, "10.0.0.2"));
  deepStrictEqual([a.address.host, a.also, isProven(a)], ["10.0.0.2", ["fd00::2"], true]);
  deepStrictEqual([members.size, members.knowsMachine("fd00::2")], [1, false]);
});

Deno.test("what others say of a peer's addresses gives nobody its rights", () => {
  const members = tracker();
  const a = track(members, claim("a", "10.0.0.2", { node: NODE }));
  // Somebody elsewhere says that the peer is there too.
  for (const host of ["10.0.0.2", "10.6.6.6"]) {
    const also = [host === "10.0.0.2" ? "10.6.6.6" : "10.0.0.2"];
    const expected = host === "10.0.0.2" ? "known" : "conflict";
    strictEqual(outcome(members, claim("a", host, { ip: "10.6.6.6", also })), expected);
    deepStrictEqual([a.address.host, a.also], ["10.0.0.2", []]);
    ok(!isFrom(a, "10.6.6.6"));
  }
  ok(members.reached(a, "10.0.0.2"));
  // What was said before it spoke for itself ends with its own word.
  const b = track(members, claim("b", "10.0.0.3", { ip: "10.6.6.6", also: ["10.6.6.7"] }));
  deepStrictEqual(b.also, ["10.6.6.7"]);
  ok(!isFrom(b, "10.6.6.7"));
  track(members, claim("b", "10.0.0.3"));
  deepStrictEqual(b.also, []);
  // An address that answers is dialed first only if the peer speaks from it, too.
  track(members, claim("b", "10.0.0.3", { also: ["10.0.0.4"] }));
  ok(members.reached(b, "10.0.0.4"));
  strictEqual(b.address.host, "10.0.0.3");
});

Deno.test("who only names a peer's address among others does not become that peer", () => {
  const members = tracker();
  const a = track(members, claim("a", "10.0.0.2", { ip: "10.0.0.9", node: NODE }));
  const thief = claim("a", "10.6.6.6", { node: "x".repeat(43), also: ["10.0.0.2"] });
  strictEqual(outcome(members, thief), "conflict");
  deepStrictEqual([a.address.host, isProven(a)], ["10.0.0.2", false]);
  // A key that somebody else told us of may be the thief's own.
  const planted = { ip: "10.6.6.6", node: "x".repeat(43) };
  const b = track(members, claim("b", "10.0.0.3", planted));
  strictEqual(outcome(members, claim("b", "10.6.6.6", planted)), "conflict");
  deepStrictEqual([b.address.host, isProven(b)], ["10.0.0.3", false]);
  // Where a host name leads is known later, and who named further addresses before that may be anybody.
  const c = track(members, claim("c", "eagle", { ip: "10.0.0.4" }));
  track(members, claim("c", "eagle", { ip: "10.6.6.6", also: ["10.6.6.7"] }));
  ok(members.reached(c, "10.0.0.4"));
  ok(isProven(c) && !isFrom(c, "10.6.6.7"));
});

Deno.test("a machine with too many peers gets no more of them as another address of a peer elsewhere", () => {
  const members = tracker({ maxPeersPerAddress: 1 });
  track(members, claim("a", "10.0.0.2"));
  const b = track(members, claim("b", "10.0.0.3", { node: NODE, also: ["10.0.0.2"] }));
  const there = claim("b", "10.0.0.2", { node: NODE, also: ["10.0.0.3"] });
  strictEqual(outcome(members, there), "known");
  members.reached(b, "10.0.0.2");
  strictEqual(b.address.host, "10.0.0.3");
});
