// Trouble scenarios: network partitions, machines that sleep, and peers that die and join.

import assert from "node:assert/strict";
import type { Host } from "./host.ts";
import { addMember, roundsToOneView, settledLab } from "./lab.ts";
import { ROUND_MS, TIMEOUT_MS } from "./network.ts";
import type { Figures, Scenario } from "./seeds.ts";
import { lackingPeer, traceOf } from "./views.ts";

const PARTITION_MS = 180_000;
const SUSPENDED_MS = 300_000;
/** Time until the next tick notices an expired timeout, in milliseconds. */
const TICK_MS = 1_000;

/** Partitions the network into halves for three minutes, heals it, and returns the rounds to one view. */
function partition(seed: number, where: "in one half" | "in both halves", peers: number): number {
  const { network, bootstraps, hosts } = settledLab(seed, peers);
  const others = network.random.sample(hosts.filter((host) => !bootstraps.includes(host)), peers);
  const inFirst = where === "in one half" ? bootstraps : bootstraps.slice(1);
  const first = [...inFirst, ...others.slice(0, peers / 2 - inFirst.length)];
  const second = hosts.filter((host) => !first.includes(host));
  network.partition(first, second);
  network.run(PARTITION_MS);
  for (const half of [first, second]) {
    assert.equal(lackingPeer(half), undefined, "A half did not stay one network");
    network.random.pick(half).publish(`meanwhile-${half.length}-${half[0]!.index}`, "of a half");
  }
  network.run(ROUND_MS);
  network.heal();
  const toOneView = roundsToOneView(network, 3);
  network.invariants.scanAll();
  return toOneView;
}

export const partitioned = (peers: number): Scenario => ({
  name:
    `${peers} peers partitioned into halves for three minutes share one view within three rounds of healing`,
  run(seed): Figures {
    return {
      "rounds with bootstraps in one half": partition(seed, "in one half", peers),
      "rounds with bootstraps in both": partition(seed, "in both halves", peers),
    };
  },
});

export const asleep = (peers: number): Scenario => ({
  name:
    `Three of ${peers} machines that slept or were stopped for five minutes rejoin within three rounds`,
  run(seed): Figures {
    const { network, hosts } = settledLab(seed, peers);
    const [sleeper, stopped, bootstrap] = [hosts[peers - 1]!, hosts[peers - 2]!, hosts[0]!];
    sleeper.suspend(SUSPENDED_MS, "asleep");
    stopped.suspend(SUSPENDED_MS, "stopped");
    bootstrap.suspend(SUSPENDED_MS, "asleep");
    network.run(SUSPENDED_MS - 1);
    const awake = hosts.filter((host) => ![sleeper, stopped, bootstrap].includes(host));
    assert.equal(lackingPeer(awake), undefined, "The peers that were awake are not one network");
    network.run(1);
    return { "rounds to one view": roundsToOneView(network, 3) };
  },
});

export const churn: Scenario = {
  name:
    "Dead peers disappear everywhere within the timeout plus one round while others come and go",
  run(seed): Figures {
    const { network, bootstraps } = settledLab(seed, 40);
    const died: { readonly host: Host; readonly atMs: number }[] = [];
    for (let step = 0; step < 36; step++) {
      const mortal = network.live.filter((host) => !bootstraps.includes(host));
      const host = network.random.pick(mortal);
      host.kill(network.random.chance(0.5) ? "down" : "silent");
      died.push({ host, atMs: network.nowMs });
      const newcomer = addMember(network, bootstraps);
      newcomer.publish(`file-${newcomer.index}`, `content ${newcomer.index}`);
      newcomer.start();
      network.run(5_000);
      for (const { host, atMs } of died) {
        if (network.nowMs - atMs < TIMEOUT_MS + ROUND_MS + TICK_MS) continue;
        assert.equal(traceOf(host, network.live), undefined);
      }
    }
    const toOneView = roundsToOneView(network, 4);
    network.invariants.scanAll();
    return { "died": died.length, "rounds to one view afterward": toOneView };
  },
};

export const goneBootstrap: Scenario = {
  name: "A network survives the loss of its bootstraps, and they can rejoin",
  run(seed): Figures {
    const { network, bootstraps } = settledLab(seed, 30);
    for (const bootstrap of bootstraps) bootstrap.kill("silent");
    network.run(2 * TIMEOUT_MS);
    for (const bootstrap of bootstraps) {
      assert.equal(traceOf(bootstrap, network.live), undefined);
    }
    assert.equal(lackingPeer(network.live), undefined, "The other peers lost each other");
    for (const bootstrap of bootstraps) bootstrap.restart({ forgets: true });
    return { "rounds to one view": roundsToOneView(network, 3) };
  },
};

export const scenarios: readonly Scenario[] = [
  partitioned(40),
  asleep(30),
  churn,
  goneBootstrap,
];
