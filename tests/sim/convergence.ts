// Scenarios of growing together: a large network, a lossy one, a first message that is lost, one seed.
// The bound on messages comes from the protocol: a gossip id leaves its originator for at most 5 peers of
// the round and 5 that fade, each receiver hands it on to at most 3 and answers it once; an originator is
// answered and forwarded 5 times at once, then once in 10 s.

import assert from "node:assert/strict";
import { LEGACY_PART_BYTES } from "../../protocol/limits.ts";
import { addMember, buildLab, type Lab, rounds, roundsToOneView, startAll } from "./lab.ts";
import { Network, ROUND_MS } from "./network.ts";
import { largeNetwork, type Scenario } from "./seeds.ts";
import { gaps, lacking, lackingFile, lackingPeer } from "./views.ts";

/** The protocol's numbers: own gossips per round, forwards and the answer of each receiver. */
const FANOUT = 5;
const PER_RECEIVER = 3 + 1;
/** Gossips of one originator that are answered and forwarded at once, and in 30 s. */
const PER_ORIGINATOR = 5 + 3;
/** Rounds have a jitter of a tenth, so that up to 30 / 27 of them fall into 30 s. */
const ROUNDS_IN_30_S = 1 / 0.9;
/** Peers of the round, peers that fade, peers whose list is missing, and a missing bootstrap. */
const OWN_SENDS = 3 * FANOUT + 1;

/** Messages that a peer of a settled network of `peers` may send in 30 s, on average. */
export function settledBound(peers: number): number {
  return Math.ceil(ROUNDS_IN_30_S * (OWN_SENDS + (peers - 1) * PER_RECEIVER));
}

/** The same while `peers` of them get to know each other: the limits per originator are what holds. */
export function joiningBound(peers: number): number {
  // Each one that was not known before is gossiped to at once.
  return Math.ceil((peers - 1) * (PER_ORIGINATOR * PER_RECEIVER + 1) + ROUNDS_IN_30_S * OWN_SENDS);
}

function messagesPerPeer({ network }: Lab, fromRound: number, toRound: number): number {
  const { messages } = network.meter.between(fromRound, toRound);
  return Math.round(messages / network.hosts.length / (toRound - fromRound));
}

/** To the next beginning of a round of the meter. */
function finishRound(network: Network): number {
  network.run(ROUND_MS - (network.nowMs % ROUND_MS));
  return network.nowMs / ROUND_MS;
}

/** Growing together at full size; what it costs a peer grows with `peers`, what it costs us with its square. */
export const large = (peers: number): Scenario => ({
  name: `${peers} peers with one to three bootstraps each become one network and stay it`,
  run(seed) {
    const lab = buildLab(seed, peers);
    const { network } = lab;
    startAll(lab);
    const toOneView = roundsToOneView(network, 4);
    const settled = finishRound(network);
    for (let round = 0; round < settled; round++) {
      const perPeer = messagesPerPeer(lab, round, round + 1);
      assert(perPeer <= joiningBound(peers), `${perPeer} messages per peer in round ${round}`);
    }
    const news = network.random.sample(network.hosts, 5);
    for (const host of news) host.publish(`news-${host.index}`, `news of ${host.index}`);
    network.run(2_000);
    assert.equal(lackingFile(network, network.live), undefined, "an announced file is not known");
    const left = network.meter.events.get("peer-left") ?? 0;
    finishRound(network);
    assert.equal(lacking(network), undefined, "the network did not stay one");
    assert.equal(network.meter.events.get("peer-left") ?? 0, left, "live peers were dropped");
    network.invariants.scanAll();
    const perPeer = messagesPerPeer(lab, settled, settled + 1);
    assert(perPeer <= settledBound(peers), `${perPeer} messages per peer and round`);
    const { bytes } = network.meter.between(settled, settled + 1);
    return {
      "rounds to one view": toOneView,
      "messages per peer in the first round": messagesPerPeer(lab, 0, 1),
      "per peer and settled round": perPeer,
      "bound": settledBound(peers),
      "KiB per peer and settled round": Math.round(bytes / peers / 1024),
    };
  },
});

const LOSSY = 40;
/** Part of all pairs that may be unknown at one moment while connections fail. */
const MISSING = 1 / 500;

/** Pairs of peers of which one does not track the other, or does not know its file, as a part of all. */
function missing(network: Network): { peers: number; files: number } {
  const { peers, files } = gaps(network);
  const pairs = network.live.length * (network.live.length - 1);
  return { peers: peers / pairs, files: files / pairs };
}

export const lossy: Scenario = {
  name: `${LOSSY} peers become one network while one connection in ten fails and some are reset`,
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
    assert(percent <= 2 * MISSING * 100, `${percent} % of all peers are not tracked`);
    network.connectFailureRate = 0;
    const healed = roundsToOneView(network, 3);
    network.invariants.scanAll();
    return {
      "rounds until 499 of 500 pairs are known": rounds(tookMs),
      "% of peers not tracked in the next three": percent,
      "rounds to one view without faults": healed,
      "live peers dropped": network.meter.events.get("peer-left") ?? 0,
      "messages per peer and round": messagesPerPeer(lab, 1, Math.floor(network.nowMs / ROUND_MS)),
    };
  },
};

export const lateJoin: Scenario = {
  name: "A peer whose first join message is refused, unanswered or lost joins by trying again",
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
      assert(lackingPeer([bootstrap, peer]), "the first message was not lost");
      if (fault === "refused") bootstrap.start();
      network.heal();
      network.resetRate = 0;
      const tookMs = network.runUntil(() => !lacking(network), ROUND_MS);
      assert(tookMs !== undefined, `${fault}: not joined a round later: ${lacking(network)}`);
      figures[`seconds after ${fault}`] = tookMs / 1000;
    }
    return figures;
  },
};

const CROWD = 20;
const FILES_EACH = 100;
/** A file in a list: an id of 64 digits, a name, an owner, a timestamp, the names of the fields. */
const ENTRY_BYTES = 320;

export const newcomer: Scenario = {
  name: "A newcomer gets everybody's list, and nobody else gets all of them again",
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
    // Each list once for the newcomer; the rest is empty replies, and a list or two that were lost.
    assert(lists <= 2 * CROWD, `${lists} whole lists were sent for one newcomer`);
    return { "rounds to one view": toOneView, "whole lists sent": lists };
  },
};

/** Two pieces for an old peer. */
const MANY_FILES = 120;

export const mixed: Scenario = {
  name: "Old peers among new ones get and give whole lists in pieces that they can digest",
  run(seed) {
    const lab = buildLab(seed, 12);
    const { network, bootstraps } = lab;
    for (let i = 0; i < 6; i++) {
      const old = addMember(network, bootstraps, { isLegacy: true });
      old.publish(`file-${old.index}`, `content ${old.index}`);
    }
    // Only new peers have many: those who split a list and do not say so are not in the field.
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
    assert.equal(lacking(network), undefined, "a later list took something away");
    assert(longest <= LEGACY_PART_BYTES, `an old peer got a message of ${longest} bytes`);
    network.invariants.scanAll();
    return { "rounds to one view": toOneView, "longest message to an old peer": longest };
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
  name: "One seed gives one trace, another seed another",
  run(seed) {
    const trace = traceOf(seed);
    assert.equal(traceOf(seed), trace);
    assert.notEqual(traceOf(seed + 1), trace);
    return { trace: trace.slice(0, 16) };
  },
};

/** All of them; `peers` is the size of the large network. */
export const scenarios = (peers: number): readonly Scenario[] => [
  large(largeNetwork(peers)),
  lossy,
  newcomer,
  mixed,
  lateJoin,
  replay,
];
