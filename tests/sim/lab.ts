// The starting network of most scenarios: three bootstraps, other peers that each know one to three of them, and
// one file published by each peer.

import assert from "node:assert/strict";
import type { Host, HostOptions } from "./host.ts";
import { Network, ROUND_MS } from "./network.ts";
import { lacking } from "./views.ts";

export interface Lab {
  readonly network: Network;
  readonly bootstraps: readonly Host[];
  readonly hosts: readonly Host[];
}

const BOOTSTRAPS = 3;

/** Builds the lab without starting any peer. */
export function buildLab(seed: number, peers: number, options: HostOptions = {}): Lab {
  const network = new Network(seed);
  const first = network.addHost(options);
  const bootstraps = [first];
  for (let i = 1; i < BOOTSTRAPS; i++) {
    bootstraps.push(network.addHost({ ...options, bootstraps: [first] }));
  }
  while (network.hosts.length < peers) addMember(network, bootstraps, options);
  for (const host of network.hosts) host.publish(`file-${host.index}`, `content ${host.index}`);
  return { network, bootstraps, hosts: network.hosts };
}

/** Adds a host that knows one to three of the bootstraps. */
export function addMember(
  network: Network,
  bootstraps: readonly Host[],
  options: HostOptions = {},
): Host {
  const known = network.random.sample(bootstraps, 1 + network.random.below(BOOTSTRAPS));
  return network.addHost({ ...options, bootstraps: known });
}

/** Starts every peer at a random time within `withinMs`, and runs until the last has started. */
export function startAll({ network }: Lab, withinMs = 5_000): void {
  for (const host of network.hosts) {
    network.clock.after(network.random.between(0, withinMs), () => host.start());
  }
  network.run(withinMs);
}

/** Returns the rounds until all live hosts share one view. Fails if that takes more than `maxRounds`. */
export function roundsToOneView(
  network: Network,
  maxRounds: number,
  hosts?: readonly Host[],
): number {
  const tookMs = network.runUntil(() => !lacking(network, hosts), maxRounds * ROUND_MS);
  assert(tookMs !== undefined, `No one view after ${maxRounds} rounds: ${lacking(network, hosts)}`);
  return rounds(tookMs);
}

/** Converts milliseconds to rounds, with one decimal. */
export function rounds(ms: number): number {
  return Math.round(ms / ROUND_MS * 10) / 10;
}

/** Returns a lab whose peers all know each other and every file. */
export function settledLab(seed: number, peers: number, options: HostOptions = {}): Lab {
  const lab = buildLab(seed, peers, options);
  startAll(lab);
  roundsToOneView(lab.network, 5);
  return lab;
}
