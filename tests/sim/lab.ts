// The lab that most scenarios begin with: three bootstraps, everybody else knows one to three of them,
// and each peer has a file of its own.

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

/** Builds the lab; nobody runs yet. */
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

/** One more host that knows one to three of the bootstraps. */
export function addMember(
  network: Network,
  bootstraps: readonly Host[],
  options: HostOptions = {},
): Host {
  const known = network.random.sample(bootstraps, 1 + network.random.below(BOOTSTRAPS));
  return network.addHost({ ...options, bootstraps: known });
}

/** Starts everybody at random moments of the next `withinMs`, and waits for the last one. */
export function startAll({ network }: Lab, withinMs = 5_000): void {
  for (const host of network.hosts) {
    network.clock.after(network.random.between(0, withinMs), () => host.start());
  }
  network.run(withinMs);
}

/** Rounds until all live hosts share one view; fails when that takes more than `maxRounds`. */
export function roundsToOneView(
  network: Network,
  maxRounds: number,
  hosts?: readonly Host[],
): number {
  const tookMs = network.runUntil(() => !lacking(network, hosts), maxRounds * ROUND_MS);
  assert(tookMs !== undefined, `No one view after ${maxRounds} rounds: ${lacking(network, hosts)}`);
  return rounds(tookMs);
}

/** Milliseconds as rounds, to one digit. */
export function rounds(ms: number): number {
  return Math.round(ms / ROUND_MS * 10) / 10;
}

/** A lab whose peers all know each other and every file. */
export function settledLab(seed: number, peers: number, options: HostOptions = {}): Lab {
  const lab = buildLab(seed, peers, options);
  startAll(lab);
  roundsToOneView(lab.network, 5);
  return lab;
}
