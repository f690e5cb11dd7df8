// Many messages from who means no good: storms, invented peers, other people's addresses. What is asserted is
// work: messages and bytes that leave, and places that are taken.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Effect } from "../../protocol/effects.ts";
import { DEFAULT_LIMITS } from "../../protocol/limits.ts";
import { fileOfNumber, files, Machine, newPeer, oldPeer, only, sent, type Who } from "./machine.ts";

const ATTACKER = "10.66.66.66";
const SINK = "10.50.50.50";
const SPELLINGS = [
  ...[SINK, "::ffff:10.50.50.50", "0x0a323232", "10.50.12850", "171061810", "10.50.50.50."],
  ...["012.50.50.50", "10.0x32.50.50", "::ffff:a32:3232", "0xa.0x32.0x32.0x32"],
];
const MINUTE = 60_000;

/** Dials to a host, and bytes of the replies that went there. */
function traffic(effects: readonly Effect[], isThere: (host: string) => boolean) {
  const sends = only(effects, "send").filter(({ to }) => isThere(to.host));
  const fetches = only(effects, "fetch").filter(({ from }) => isThere(from.host));
  const copies = only(effects, "copy").filter(({ to }) => isThere(to.host));
  const replies = sends.filter(({ what }) => what === "GOSSIP_REPLY");
  return {
    dials: sends.length + fetches.length + copies.length,
    bytes: replies.reduce((sum, { bytes }) => sum + bytes.length, 0),
  };
}

/** Sends messages over half a minute and returns what leaves within the minute. */
function flood(machine: Machine, count: number, send: (i: number) => Effect[]): Effect[] {
  const all: Effect[] = [];
  const endMs = machine.nowMs + MINUTE - 1;
  for (let i = 0; i < count; i++) {
    if (i % (count / 50) === 0) all.push(...machine.wait(MINUTE / 100, MINUTE / 100));
    all.push(...send(i));
  }
  all.push(...machine.wait(endMs - machine.nowMs));
  return all;
}

/** Counts the entries of our own list that are looked at. */
function countWalks({ catalogue }: Machine): { entries: number } {
  const walked = { entries: 0 };
  const held = catalogue.held.bind(catalogue);
  catalogue.held = function* () {
    for (const entry of held()) {
      walked.entries++;
      yield entry;
    }
  };
  return walked;
}

/** A peer that lives in a network of three and holds many files. */
function busyMachine(fileCount = 2_000): Machine {
  const machine = new Machine({
    bootstraps: [{ host: "10.0.0.1", port: 6000 }],
    autoFetch: Infinity,
  });
  machine.hold(files(fileCount));
  machine.start();
  machine.meet(oldPeer("boot", 1), oldPeer("b", 2), oldPeer("c", 3));
  machine.reply(oldPeer("boot", 1), []);
  machine.wait(1_000, 250);
  return machine;
}

const sink = (i: number, over: Partial<Who> = {}): Who => ({
  ...newPeer(`fake ${i}`, 0),
  host: SINK,
  ip: ATTACKER,
  ...over,
});

const assertWithinBudget = (
  { dials, bytes }: { dials: number; bytes: number },
  maxDials: number,
) => {
  ok(dials > 0, "the test reaches the sink at all");
  ok(dials <= maxDials, `${dials} dials`);
  ok(bytes <= DEFAULT_LIMITS.replyBytesPerMinute, `${bytes} bytes`);
};
const { repliesPerMinute, unprovenDialsPerMinute } = DEFAULT_LIMITS;

Deno.test("a thousand gossips that name a sink bring it no more than the budget of one destination", () => {
  const machine = busyMachine();
  const effects = flood(machine, 1000, (i) => machine.gossip(sink(i), { want: true }));
  assertWithinBudget(traffic(effects, (host) => host === SINK), repliesPerMinute);
  for (const honest of [newPeer("honest", 77), { ...newPeer("named", 78), host: "eagle" }]) {
    const replies = sent(machine.gossip(honest, { want: true }), "GOSSIP_REPLY");
    ok(replies.some(({ peerId }) => peerId === honest.peerId), `${honest.peerId} is answered`);
  }
});

Deno.test("a sink under many spellings is one destination", () => {
  const machine = busyMachine(20_000);
  const effects = flood(machine, 100, (i) => {
    const n = Math.floor(i / 5) % 10;
    return machine.gossip(sink(n, { host: SPELLINGS[n]! }), { want: true });
  });
  assertWithinBudget(traffic(effects, (host) => SPELLINGS.includes(host)), repliesPerMinute);
});

Deno.test("a sink's many ports get no more dials than unproven addresses may, nor more bytes than one", () => {
  const machine = busyMachine(20_000);
  const effects = flood(machine, 200, (i) => {
    const n = Math.floor(i / 5);
    return machine.gossip(sink(n, { port: 2000 + n }), { want: true });
  });
  assertWithinBudget(traffic(effects, (host) => host === SINK), unprovenDialsPerMinute);
});

Deno.test("names that all lead to a sink cost no more than all unproven addresses may", () => {
  const machine = busyMachine(10);
  const effects = flood(machine, 1000, (i) => machine.gossip(sink(i, { host: `n${i}.example` })));
  assertWithinBudget(traffic(effects, (host) => host.endsWith(".example")), unprovenDialsPerMinute);
});

Deno.test("a sink named in a live peer's name is dialled within the budget, at little cost", () => {
  const machine = busyMachine();
  const walked = countWalks(machine);
  const effects = flood(machine, 1000, (i) => {
    if (i % 100 === 0) machine.gossip(oldPeer("b", 2));
    const host = SPELLINGS[i % SPELLINGS.length]!;
    return machine.gossip(sink(0, { peerId: "b", host }), { want: true });
  });
  assertWithinBudget(traffic(effects, (host) => SPELLINGS.includes(host)), repliesPerMinute);
  const probes = sent(effects, "GOSSIP").filter(({ to }) => to.host === "10.0.0.2");
  ok(probes.length <= 40, `the peer itself is asked ${probes.length} times`);
  strictEqual(machine.membership.get("b")!.address.host, "10.0.0.2");
  ok(walked.entries <= 50_000, `${walked.entries} entries walked for 1,000 forged gossips`);
});

Deno.test("a bootstrap is no sink: naming its address gives no way around the budget", () => {
  const machine = busyMachine();
  const effects = flood(
    machine,
    1000,
    (i) => machine.gossip(sink(i, { host: "10.0.0.1" }), { want: true }),
  );
  // The bootstrap itself is proven and may be forwarded to; invented peers must not add to that without end.
  const own = only(effects, "send").filter(({ peerId, to }) =>
    to.host === "10.0.0.1" && peerId !== undefined && peerId !== "boot"
  );
  ok(
    own.length <= repliesPerMinute,
    `${own.length} messages for invented peers at the bootstrap's address`,
  );
});

Deno.test("fetching from holders that never proved themselves is within the budget of dials", () => {
  const machine = busyMachine();
  const effects = flood(machine, 1000, (i) => {
    const effects = machine.reply(sink(i % 10), [fileOfNumber(100_000 + i)]);
    // The sink refuses each dial at once.
    const failed = only(effects, "fetch").flatMap(({ file, source }) =>
      machine.do({
        kind: "fetch-failed",
        fileId: file.fileId,
        source,
        failure: "unreachable",
        text: "refused",
      })
    );
    return [...effects, ...failed];
  });
  assertWithinBudget(traffic(effects, (host) => host === SINK), unprovenDialsPerMinute);
});

Deno.test("a list that does not change is not walked and kept anew for each invented peer", () => {
  const machine = busyMachine();
  const walked = countWalks(machine);
  for (let i = 0; i < 1000; i++) machine.gossip(sink(i, { host: `10.77.${i >> 8}.${i & 255}` }));
  // Measured: 1,024 such peers and a list of 200,000 files take 2 GiB and 190 ms for each gossip.
  ok(walked.entries <= 20 * 2_000, `${walked.entries / 2_000} walks through the whole list`);
});

Deno.test("five thousand invented peers take the places that there are, and honest ones keep theirs", () => {
  for (
    const host of [
      (_: number) => SINK,
      (i: number) => `10.77.${i >> 8}.${i & 255}`,
      (i: number) => `n${i}.example`,
    ]
  ) {
    const machine = busyMachine(10);
    const honest = [oldPeer("boot", 1), oldPeer("b", 2), oldPeer("c", 3)];
    let sentBytes = 0;
    for (let i = 0; i < 5000; i++) {
      if (i % 50 === 0) {
        for (const effect of only(machine.wait(1000), "send")) sentBytes += effect.bytes.length;
      }
      if (i % 500 === 0) { for (const who of honest) machine.gossip(who); }
      machine.gossip(sink(i, { host: host(i) }));
      ok(machine.membership.size <= DEFAULT_LIMITS.maxPeers);
    }
    deepStrictEqual(honest.map(({ peerId }) => machine.membership.get(peerId) !== undefined), [
      true,
      true,
      true,
    ]);
    const there = [...machine.membership.all()].filter(({ ip }) => ip === SINK).length;
    ok(there <= DEFAULT_LIMITS.maxPeersPerAddress, `${there} at one address`);
    machine.gossip(oldPeer("late", 4));
    ok(machine.membership.get("late"), "who proves its address finds a place");
    ok(sentBytes < 50_000_000);
  }
});

Deno.test("invented peers at a bootstrap's address drive nobody out", () => {
  const machine = busyMachine(10);
  for (let i = 0; i < 5000; i++) machine.gossip(sink(i, { host: "10.0.0.1" }));
  deepStrictEqual(["boot", "b", "c"].map((peerId) => machine.membership.get(peerId)?.peerId), [
    "boot",
    "b",
    "c",
  ]);
  const there = [...machine.membership.all()].filter(({ ip }) => ip === "10.0.0.1").length;
  ok(there <= DEFAULT_LIMITS.maxPeersPerAddress + 1, `${there} peers at the bootstrap's address`);
});

Deno.test("who loses its place leaves nothing behind: not as a holder, and not unsaid", () => {
  const machine = new Machine({ limits: { maxPeers: 4, maxCatalogueEntries: 8 } });
  const left: string[] = [];
  for (let i = 0; i < 40; i++) {
    machine.reply(sink(i, { host: `10.78.0.${i}` }), [fileOfNumber(i)]);
    const effects = machine.gossip(oldPeer(`honest ${i % 4}`, i % 4));
    left.push(
      ...only(effects, "event").flatMap(({ event }) =>
        event.name === "peer-left" ? [event.peerId] : []
      ),
    );
    machine.wait(30_000);
  }
  for (const { file, holders } of machine.catalogue.all()) {
    for (const peerId of holders) {
      ok(machine.membership.get(peerId), `${peerId} holds ${file.name} and is gone`);
    }
  }
  ok(left.every((peerId) => machine.membership.get(peerId) === undefined));
});

Deno.test("files that are rotated for ever fill the catalogue to its bound and drive out nothing held", () => {
  const machine = new Machine({ limits: { maxCatalogueEntries: 100 } });
  machine.hold(files(10));
  const peer = newPeer("a", 1);
  for (let i = 0; i < 300; i++) {
    machine.reply(peer, files(50, 1000 + 50 * i), [1, 1, `r${i}`]);
    for (const file of files(5, 50_000 + 5 * i)) {
      machine.announce({ ...peer, peerId: "nobody" }, file);
    }
    ok(machine.catalogue.size <= 100, `${machine.catalogue.size} entries`);
  }
  strictEqual(machine.catalogue.heldCount, 10);
  ok(machine.catalogue.holdingsOf("a") <= 90);
});

Deno.test("two peers that answer each gossip with two new ones get less than two messages a second", () => {
  const storms = [newPeer("storm a", 1), oldPeer("storm b", 2)];
  const machine = new Machine();
  machine.hold(files(20));
  machine.start();
  machine.meet(...storms, oldPeer("calm", 3));
  let left = 0;
  let pending = 4;
  for (let second = 0; second < 900; second++) {
    machine.nowMs += 1000;
    const effects = machine.do({ kind: "tick" });
    // The two also set each other off, so that there is always more than is sent here.
    const count = Math.min(200, pending + 20);
    pending = 0;
    for (let i = 0; i < count; i++) effects.push(...machine.gossip(storms[i % 2]!));
    if (second % 30 === 0) machine.gossip(oldPeer("calm", 3));
    pending += 2 *
      sent(effects, "GOSSIP").filter(({ peerId }) => peerId?.startsWith("storm")).length;
    if (second >= 300) left += only(effects, "send").length;
  }
  ok(left / 600 <= 2, `${left / 600} messages a second`);
  ok(left / 600 > 0.1, "they are still answered now and then");
  ok(machine.membership.get("calm"));
});
