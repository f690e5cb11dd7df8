// Reach scenarios: peers that nobody can dial, because of firewalls and routers, and the peers that others reach them through.

import assert from "node:assert/strict";
import { MAX_LINKS } from "../../protocol/limits.ts";
import type { Host } from "./host.ts";
import { addMember, buildLab, type Lab, roundsToOneView, startAll } from "./lab.ts";
import { type Network, ROUND_MS } from "./network.ts";
import type { Figures, Scenario } from "./seeds.ts";

/** The most connections that a peer may keep for others, and to others, on average over a few seconds. */
const MOST_LINKS = 8;

/** Runs until every host has every file of these. Returns how long that took, in milliseconds. */
function untilAllHold(network: Network, hosts: readonly Host[], maxRounds: number): number {
  const files = [...network.published.values()].map(({ file }) => file);
  const lacks = () => {
    for (const host of hosts) {
      const file = files.find(({ fileId }) => !host.disk.has(fileId));
      if (file) return `${host.peerId} lacks ${file.name}`;
    }
    return undefined;
  };
  const tookMs = network.runUntil(() => lacks() === undefined, maxRounds * ROUND_MS);
  assert(tookMs !== undefined, `After ${maxRounds} rounds, ${lacks()}`);
  return tookMs;
}

/** Returns the most connections that any host keeps now, its own and those of others. */
function mostLinks(hosts: readonly Host[]): number {
  return Math.max(...hosts.map(({ peer: { keptConnections: { own, theirs } } }) => own + theirs));
}

/** Runs for a while. Returns the most connections that any host kept at the end of a second. */
function mostLinksWithin(network: Network, seconds: number): number {
  let most = 0;
  for (let second = 0; second < seconds; second++) {
    network.run(1_000);
    most = Math.max(most, mostLinks(network.live));
  }
  return most;
}

/** A lab of which only the first few can be dialed. */
function walledLab(seed: number, peers: number, open: number): Lab {
  const lab = buildLab(seed, peers, { autoFetch: Infinity });
  for (const host of lab.hosts.slice(open)) host.isClosed = true;
  return lab;
}

const walled = (peers: number, open: number): Scenario => ({
  name: `Of ${peers} peers, ${
    peers - open
  } that nobody can dial: everyone gets every file, over few connections`,
  seeds: 5,
  run(seed): Figures {
    const lab = walledLab(seed, peers, open);
    const { network, hosts } = lab;
    startAll(lab);
    const tookMs = untilAllHold(network, hosts, 4);
    const view = roundsToOneView(network, 4);
    const most = mostLinksWithin(network, 60);
    assert(most <= MOST_LINKS, `A peer keeps ${most} connections`);
    network.invariants.scanAll();
    return {
      "seconds until all hold all": tookMs / 1000,
      "rounds to one view": view,
      "links": most,
    };
  },
});

const lostRelays: Scenario = {
  name: "Peers that nobody can dial are reached again when those that they are reached through die",
  seeds: 5,
  run(seed): Figures {
    const lab = walledLab(seed, 12, 5);
    const { network, hosts } = lab;
    startAll(lab);
    untilAllHold(network, hosts, 4);
    network.run(ROUND_MS); // everybody has met some that can be dialed
    // Two of five die, so that a third of the connections end.
    for (const host of hosts.slice(1, 3)) host.kill(network.random.chance(0.5) ? "down" : "silent");
    network.run(2 * ROUND_MS);
    for (const host of hosts.slice(5)) host.publish(`later ${host.index}`, `later ${host.index}`);
    const tookMs = untilAllHold(network, network.live, 4);
    network.invariants.scanAll();
    return { "seconds until all hold all": tookMs / 1000 };
  },
};

const opened: Scenario = {
  name:
    "A peer that can be dialed again keeps no connections, and one that no longer can begins to",
  seeds: 5,
  run(seed): Figures {
    const lab = walledLab(seed, 10, 5);
    const { network, hosts } = lab;
    startAll(lab);
    untilAllHold(network, hosts, 4);
    const [before, after] = [hosts[5]!, hosts[4]!];
    assert(before.peer.keptConnections.own > 0, "It kept no connection");
    before.isClosed = false;
    const freeMs = network.runUntil(() => before.peer.keptConnections.own === 0, 6 * ROUND_MS);
    assert(freeMs !== undefined, `It still keeps ${before.peer.keptConnections.own}`);
    after.isClosed = true;
    network.run(3 * ROUND_MS);
    after.publish("from behind the wall", "from behind the wall");
    const tookMs = untilAllHold(network, hosts, 4);
    assert(after.peer.keptConnections.own > 0, "It keeps no connection");
    network.invariants.scanAll();
    return { "seconds to close": freeMs / 1000, "seconds until all hold all": tookMs / 1000 };
  },
};

const flapping: Scenario = {
  name:
    "Peers that can be dialed every other while lose no file, and nobody keeps many connections",
  seeds: 5,
  run(seed): Figures {
    const lab = walledLab(seed, 12, 6);
    const { network, hosts } = lab;
    startAll(lab);
    let most = 0;
    for (let i = 0; i < 12; i++) {
      for (const host of hosts.slice(6)) host.isClosed = network.random.chance(0.5);
      most = Math.max(most, mostLinksWithin(network, 5 + network.random.below(20)));
    }
    const tookMs = untilAllHold(network, hosts, 4);
    // A peer that could be dialed a moment ago has those of others, too.
    assert(most <= MOST_LINKS + MAX_LINKS, `A peer kept ${most} connections`);
    network.invariants.scanAll();
    return { "seconds until all hold all": tookMs / 1000, "links": most };
  },
};

const alone: Scenario = {
  name: "Of two peers that nobody can dial, each gets what the other has through the third",
  seeds: 5,
  run(seed): Figures {
    const lab = buildLab(seed, 3, { autoFetch: 0 });
    const { network, bootstraps: [middle], hosts } = lab;
    for (const host of hosts.slice(1)) host.isClosed = true;
    startAll(lab);
    network.run(ROUND_MS);
    for (const host of hosts.slice(1)) {
      for (const { file } of network.published.values()) {
        if (!host.disk.has(file.fileId)) host.take({ kind: "want", fileId: file.fileId });
      }
    }
    const tookMs = untilAllHold(network, hosts.slice(1), 1);
    assert(middle!.disk.size < 3, "The one in the middle has stored what it passed on");
    return { "seconds until both hold all": tookMs / 1000 };
  },
};

const withOld: Scenario = {
  name: "Old peers and a peer that nobody can dial: it gets their files",
  seeds: 5,
  run(seed): Figures {
    const lab = walledLab(seed, 5, 5);
    const { network, bootstraps } = lab;
    const old = addMember(network, bootstraps, { isLegacy: true, autoFetch: Infinity });
    const walled = addMember(network, bootstraps, { isClosed: true, autoFetch: Infinity });
    for (const host of [old, walled]) host.publish(`file-${host.index}`, `content ${host.index}`);
    startAll(lab);
    const tookMs = untilAllHold(network, [walled], 4);
    return { "seconds until it has all": tookMs / 1000 };
  },
};

export const scenarios: readonly Scenario[] = [
  walled(20, 5),
  alone,
  opened,
  lostRelays,
  flapping,
  withOld,
];
