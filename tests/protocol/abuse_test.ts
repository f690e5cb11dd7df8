// Reflection: however an attacker names a victim's address, it gets no more traffic than the rate limits allow. The
// tests assert work: messages and bytes sent, entries visited.

import { ok, strictEqual } from "node:assert/strict";
import { DEFAULT_LIMITS } from "../../protocol/limits.ts";
import { busyMachine, countWalks, flood, SINK, sink, SPELLINGS, traffic } from "./attack.ts";
import { fileOfNumber, newPeer, oldPeer, only, sent } from "./machine.ts";

const assertWithinLimits = (
  { dials, bytes }: { dials: number; bytes: number },
  maxDials: number,
) => {
  ok(dials > 0, "the test must reach the sink at all");
  ok(dials <= maxDials, `${dials} dials`);
  ok(bytes <= DEFAULT_LIMITS.replyBytesPerMinute, `${bytes} bytes`);
};
const { repliesPerMinute, unprovenDialsPerMinute } = DEFAULT_LIMITS;

Deno.test("a thousand gossips that name a victim bring it no more than the rate limit of one destination allows", () => {
  const machine = busyMachine();
  const effects = flood(machine, 1000, (i) => machine.gossip(sink(i), { want: true }));
  assertWithinLimits(traffic(effects, (host) => host === SINK), repliesPerMinute);
  for (const honest of [newPeer("honest", 77), { ...newPeer("named", 78), host: "eagle" }]) {
    const replies = sent(machine.gossip(honest, { want: true }), "GOSSIP_REPLY");
    ok(replies.some(({ peerId }) => peerId === honest.peerId), `${honest.peerId} is answered`);
  }
});

Deno.test("a victim named in many spellings is one destination", () => {
  const machine = busyMachine(20_000);
  const effects = flood(machine, 100, (i) => {
    const n = Math.floor(i / 5) % 10;
    return machine.gossip(sink(n, { host: SPELLINGS[n]! }), { want: true });
  });
  assertWithinLimits(traffic(effects, (host) => SPELLINGS.includes(host)), repliesPerMinute);
});

Deno.test("a victim's many ports share the limits on unproven dials and on bytes per destination", () => {
  const machine = busyMachine(20_000);
  const effects = flood(machine, 200, (i) => {
    const n = Math.floor(i / 5);
    return machine.gossip(sink(n, { port: 2000 + n }), { want: true });
  });
  assertWithinLimits(traffic(effects, (host) => host === SINK), unprovenDialsPerMinute);
});

Deno.test("host names that all lead to a victim cost no more dials than all unproven addresses may have", () => {
  const machine = busyMachine(10);
  const effects = flood(machine, 1000, (i) => machine.gossip(sink(i, { host: `n${i}.example` })));
  assertWithinLimits(traffic(effects, (host) => host.endsWith(".example")), unprovenDialsPerMinute);
});

Deno.test("a victim's address in a live peer's gossip is dialed within the rate limit, at little cost", () => {
  const machine = busyMachine();
  const walked = countWalks(machine);
  const effects = flood(machine, 1000, (i) => {
    if (i % 100 === 0) machine.gossip(oldPeer("b", 2));
    const host = SPELLINGS[i % SPELLINGS.length]!;
    return machine.gossip(sink(0, { peerId: "b", host }), { want: true });
  });
  assertWithinLimits(traffic(effects, (host) => SPELLINGS.includes(host)), repliesPerMinute);
  const probes = sent(effects, "GOSSIP").filter(({ to }) => to.host === "10.0.0.2");
  ok(probes.length <= 40, `the peer itself is probed ${probes.length} times`);
  strictEqual(machine.membership.get("b")!.address.host, "10.0.0.2");
  ok(walked.entries <= 50_000, `${walked.entries} entries walked for 1,000 forged gossips`);
});

Deno.test("naming a bootstrap's address does not bypass the rate limit", () => {
  const machine = busyMachine();
  const effects = flood(
    machine,
    1000,
    (i) => machine.gossip(sink(i, { host: "10.0.0.1" }), { want: true }),
  );
  // The bootstrap itself is proven and may be forwarded to; invented peers must not add to that indefinitely.
  const own = only(effects, "send").filter(({ peerId, to }) =>
    to.host === "10.0.0.1" && peerId !== undefined && peerId !== "boot"
  );
  ok(
    own.length <= repliesPerMinute,
    `${own.length} messages for invented peers at the bootstrap's address`,
  );
});

Deno.test("fetching from unproven holders stays within the rate limit for dials", () => {
  const machine = busyMachine();
  const effects = flood(machine, 1000, (i) => {
    const effects = machine.reply(sink(i % 10), [fileOfNumber(100_000 + i)]);
    // The victim refuses each dial at once.
    const failed = only(effects, "fetch").flatMap(({ file, source }) =>
      machine.failFetch(file.fileId, source, "unreachable")
    );
    return [...effects, ...failed];
  });
  assertWithinLimits(traffic(effects, (host) => host === SINK), unprovenDialsPerMinute);
});
