// Convergence scenarios: a large network, a lossy one, a lost first message, and reproducibility from a seed.
// The bound on messages follows from the protocol. An originator sends each gossip id to at most 5 peers of the
// round and 5 that are close to timing out. Each receiver forwards it to at most 3 peers and answers it once.
// Per originator, 5 gossips are answered and forwarded immediately, then one every 10 s.

import assert from "node:assert/strict";
import { LEGACY_PART_BYTES } from "../../protocol/limits.ts";
import { addMember, buildLab, type Lab, rounds, roundsToOneView, startAll } from "./lab.ts";
import { Network, ROUND_MS } from "./network.ts";
import { largeNetwork, type Scenario } from "./seeds.ts";
import { gaps, lacking, lackingFile, lackingPeer } from "./views.ts";

/** Protocol constants: gossips sent per round, and per receiver its forwards plus its answer. */
const FANOUT = 5;
const PER_RECEIVER = 3 + 1;
/** Gossips of one originator that are answered and forwarded immediately, plus those within 30 s. */
const PER_ORIGINATOR = 5 + 3;
/** Rounds have 10 % jitter, so up to 30 / 27 of them fall into 30 s. */
const ROUNDS_IN_30_S = 1 / 0.9;
/** Messages that a peer originates: to peers of the round, fading peers, those with a missing list, one bootstrap. */
const OWN_SENDS = 3 * FANOUT + 1;

/** Returns how many messages a peer may send in 30 s on average, in a settled network of `peers`. */
export function settledBound(peers: number): number {
  return Math.ceil(ROUNDS_IN_30_S * (OWN_SENDS + (peers - 1) * PER_RECEIVER));
}

/** Returns the same bound while `peers` discover each other. The limits per originator determine it. */
export function joiningBound(peers: number): number {
  // A newly discovered peer is gossiped to immediately.
  return Math.ceil((peers - 1) * (PER_ORIGINATOR * PER_RECEIVER + 1) + ROUNDS_IN_30_S * OWN_SENDS);
}

function messagesPerPeer({ network }: Lab, fromRound: number, toRound: number): number {
  const { messages } = network.meter.between(fromRound, toRound);
  return Math.round(messages / network.hosts.length / (toRound - fromRound));
}

/** Runs to the start of the meter's next round, and returns its number. */
function finishRound(network: Network): number {
  network.run(ROUND_MS - (network.nowMs % ROUND_MS));
  return network.nowMs / ROUND_MS;
}

/** Convergence at full size. The cost for a peer is linear in `peers`; the cost of simulating it is quadratic. */
export const large = (peers: number): Scenario => ({
  name: `${peers} peers with one to three bootstraps each form one network and stay connected`,
  run(seed) {
    const lab = buildLab(seed, peers);
    const { network } = lab;
    startAll(lab);
    const toOneView = roundsToOneView(network, 4);
    const settled = finishRound(network);
    for (let round = 0; round < settled; round++) {
      const perPeer = messagesPerPeer(lab, round, round + 1);
      assert(
        perPeer <= joiningBound(peers),
        `Too many messages: ${perPeer} per peer in round ${round}`,
      );
    }
    const news = network.random.sample(network.hosts, 5);
    for (const host of news) host.publish(`news-${host.index}`, `news of ${host.index}`);
    network.run(2_000);
    assert.equal(
      lackingFile(network, network.live),
      undefined,
      "An announced file is unknown to a peer",
    );
    const left = network.meter.events.get("peer-left") ?? 0;
    finishRound(network);
    assert.equal(lacking(network), undefined, "The network did not stay converged");
    assert.equal(network.meter.events.get("peer-left") ?? 0, left, "Live peers were dropped");
    network.invariants.scanAll();
    const perPeer = messagesPerPeer(lab, settled, settled + 1);
    assert(perPeer <= settledBound(peers), `Too many messages: ${perPeer} per peer and round`);
    const { bytes } = network.meter.between(settled, settled + 1);
    return {
      "rounds to one view": toOneView,
      "messages per peer in the first round": messagesPerPeer(lab, 0, 1),
      "messages per peer and settled round": perPeer,
      "allowed": settledBound(peers),
      "KiB per peer and settled round": Math.round(bytes / peers / 1024),
    };
  },
});

const LOSSY = 40;
/** Fraction of all pairs that may be unknown at any moment while connections fail. */
const MISSING = 1 / 500;

/** Returns the fraction of pairs of peers in which one does not track the other, or does not know its file. */
function missing(network: Network): { peers: number; files: number } {
  const { peers, files } = gaps(network);
  const pairs = network.live.length * (network.live.length - 1);
  return { peers: peers / pairs, files: files / pairs };
}

export const lossy: Scenario = {
  name: `${LOSSY} peers form one network while one connection in ten fails and some are reset`,
  seeds: 10,
  run(seed) {
    const lab = buildLab(seed, LOSSY);
    const { network } = lab;
    network.connectFailureRate = 0.1;
    network.resetRate = 0.01;
    startAll(lab);
    const isNearlyOne = () => {
      const { peers, files } = missing(network);
      return peers <= MISSING && files <= MISSING;
    };
    const tookMs = network.runUntil(isNearlyOne, 6 * ROUND_MS);
    assert(tookMs !== undefined, `${JSON.stringify(gaps(network))} missing, ${lacking(network)}`);
    for (const host of network.random.sample(network.hosts, 10)) {
      host.publish(`news-${host.index}`, `news of ${host.index}`);
    }
    let sum = 0;
    for (let second = 0; second < 90; second++) {
      network.run(1_000);
      sum += missing(network).peers;
    }
    const percent = Math.round(sum / 90 * 10_000) / 100;
    assert(percent <= 2 * MISSING * 100, `Too many untracked peers: ${percent} %`);
    network.connectFailureRate = 0;
    const healed = roundsToOneView(network, 3);
    network.invariants.scanAll();
    return {
      "rounds until 499 of 500 pairs know each other": rounds(tookMs),
      "% of peers untracked in the next three rounds": percent,
      "rounds to one view after faults end": healed,
      "live peers dropped": network.meter.events.get("peer-left") ?? 0,
      "messages per peer and round": messagesPerPeer(lab, 1, Math.floor(network.nowMs / ROUND_MS)),
    };
  },
};

export const lateJoin: Scenario = {
  name: "A peer whose first join message is refused, unanswered, or lost joins by retrying",
  run(seed) {
    const figures: Record<string, number> = {};
    for (const fault of ["refused", "unanswered", "lost"] as const) {
      const network = new Network(seed);
      const bootstrap = network.addHost();
      const peer = network.addHost({ bootstraps: [bootstrap] });
      if (fault !== "refused") bootstrap.start();
      if (fault === "unanswered") network.partition([bootstrap], [peer]);
      if (fault === "lost") network.resetRate = 1;
      peer.start();
      network.run(2_500);
      assert(
        lackingPeer([bootstrap, peer]),
        "The peer joined although its first message should have been lost",
      );
      if (fault === "refused") bootstrap.start();
      network.heal();
      network.resetRate = 0;
      const tookMs = network.runUntil(() => !lacking(network), ROUND_MS);
      assert(
        tookMs !== undefined,
        `Not joined one round after the message was ${fault}: ${lacking(network)}`,
      );
      figures[`seconds to join when ${fault}`] = tookMs / 1000;
    }
    return figures;
  },
};

const CROWD = 20;
const FILES_EACH = 100;
/** Approximate size of a listed file, in bytes: a 64-digit id, a name, an owner, a timestamp, and the field names. */
const ENTRY_BYTES = 320;

export const newcomer: Scenario = {
  name: "A newcomer gets every peer's list, and no other peer is sent all of them again",
  seeds: 5,
  run(seed) {
    const lab = buildLab(seed, CROWD);
    const { network, bootstraps } = lab;
    for (const host of network.hosts) {
      for (let i = 1; i < FILES_EACH; i++) host.publish(`${host.index}-${i}`, `${i}`);
    }
    startAll(lab);
    roundsToOneView(network, 5);
    const joinsIn = finishRound(network);
    const late = addMember(network, bootstraps);
    late.start();
    const toOneView = roundsToOneView(network, 2);
    finishRound(network);
    const until = finishRound(network);
    const { bytes } = network.meter.between(joinsIn, until).byType.get("GOSSIP_REPLY")!;
    const lists = Math.round(10 * bytes / (FILES_EACH * ENTRY_BYTES)) / 10;
    // The newcomer gets each list once. All else is empty replies, and a list or two that were lost.
    assert(lists <= 2 * CROWD, `Too many complete lists sent for one newcomer: ${lists}`);
    return { "rounds to one view": toOneView, "complete lists sent": lists };
  },
};

/** Number of files whose list takes two pieces for a legacy peer. */
const MANY_FILES = 120;

export const mixed: Scenario = {
  name: "Legacy peers among new ones exchange complete lists in pieces that they can handle",
  run(seed) {
    const lab = buildLab(seed, 12);
    const { network, bootstraps } = lab;
    for (let i = 0; i < 6; i++) {
      const old = addMember(network, bootstraps, { isLegacy: true });
      old.publish(`file-${old.index}`, `content ${old.index}`);
    }
    // Only new peers have many files: no peer in the field splits a list without saying so.
    for (const host of network.hosts.slice(5, 7)) {
      for (let i = 0; i < MANY_FILES; i++) host.publish(`${host.index}-${i}`, `many ${i}`);
    }
    let longest = 0;
    for (const old of network.hosts.filter(({ options }) => options.isLegacy)) {
      const receive = old.receive.bind(old);
      old.receive = (pieces, ...rest) => {
        longest = Math.max(longest, pieces.reduce((sum, { length }) => sum + length, 0));
        return receive(pieces, ...rest);
      };
    }
    startAll(lab);
    const toOneView = roundsToOneView(network, 4);
    network.run(2 * ROUND_MS);
    assert.equal(lacking(network), undefined, "A later list removed something");
    assert(longest <= LEGACY_PART_BYTES, `A legacy peer was sent a message of ${longest} bytes`);
    network.invariants.scanAll();
    return {
      "rounds to one view": toOneView,
      "longest message to a legacy peer, in bytes": longest,
    };
  },
};

function traceOf(seed: number): string {
  const lab = buildLab(seed, 20, { autoFetch: 3 });
  lab.network.connectFailureRate = 0.05;
  lab.network.resetRate = 0.02;
  startAll(lab);
  lab.network.run(ROUND_MS);
  lab.network.random.pick(lab.hosts).kill();
  lab.network.run(2 * ROUND_MS);
  return lab.network.trace.digest();
}

export const replay: Scenario = {
  name: "The same seed gives the same trace, and another seed a different one",
  run(seed) {
    const trace = traceOf(seed);
    assert.equal(traceOf(seed), trace);
    assert.notEqual(traceOf(seed + 1), trace);
    return { trace: trace.slice(0, 16) };
  },
};

/** Returns all convergence scenarios, with `peers` in the large network. */
export const scenarios = (peers: number): readonly Scenario[] => [
  large(largeNetwork(peers)),
  lossy,
  newcomer,
  mixed,
  lateJoin,
  replay,
];
