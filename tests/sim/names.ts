// Name and address scenarios: a peer that returns at another address, and strangers that use a peer's name, name
// addresses that must not be dialed, or answer each gossip with new ones.

import assert from "node:assert/strict";
import { type Address, addressText } from "../../protocol/wire/address.ts";
import { sameAddress } from "../../protocol/members/membership.ts";
import type { Host } from "./host.ts";
import { roundsToOneView, settledLab } from "./lab.ts";
import { Network, ROUND_MS } from "./network.ts";
import type { Figures, Scenario } from "./seeds.ts";
import { Stranger } from "./stranger.ts";

/** Returns the hosts that track the peer at this address. */
function routing(hosts: readonly Host[], peer: Host, address: Address): Host[] {
  return hosts.filter((host) => {
    const record = host.peer.membership.get(peer.peerId);
    return record !== undefined && sameAddress(record.address, address);
  });
}

/** Restarts a peer on another port, and measures how many others can reach it two seconds later. */
function comeBack(seed: number, newKey: boolean, peers: number): Figures {
  const { network, hosts } = settledLab(seed, peers);
  const peer = hosts[peers / 2]!;
  const others = hosts.filter((host) => host !== peer);
  peer.restart({ newPort: 9_000, newKey });
  network.run(2_000);
  const early = routing(others, peer, peer.address).length;
  // Its first gossip is forwarded from peer to peer and reaches most of them (19 of 20 with 3 forwards).
  // With a new key, only peers that found the old port closed forward it.
  const atOnce = newKey ? 3 : Math.floor(0.75 * others.length);
  assert(early >= atOnce, `Only ${early} of ${others.length} peers can reach it after 2 s`);
  const toOneView = roundsToOneView(network, 3);
  network.invariants.scanAll();
  return {
    "can reach it after 2 s": `${early} of ${others.length}`,
    "rounds to one view": toOneView,
  };
}

export const otherPort = (peers: number): Scenario => ({
  name: `One of ${peers} peers that restarts on another port is immediately reachable there`,
  run: (seed) => comeBack(seed, false, peers),
});

export const otherKey = (peers: number): Scenario => ({
  name:
    `One of ${peers} peers that restarts on another port without its key is reachable, as its old port refuses`,
  run: (seed) => comeBack(seed, true, peers),
});

export const impostor = (peers: number): Scenario => ({
  name: `A stranger that uses the name of one of ${peers} live peers cannot redirect its traffic`,
  run(seed): Figures {
    const { network, hosts } = settledLab(seed, peers);
    const victim = hosts[peers / 2]!;
    const stranger = new Stranger(network);
    const key = network.random.token(43);
    const others = hosts.filter((host) => host !== victim);
    for (let second = 0; second < 120; second++) {
      const host = network.random.pick(others);
      stranger.send(host.address, stranger.gossip(victim.peerId, key));
      network.run(1_000);
      const misled = routing(others, victim, stranger.address);
      assert.equal(misled.length, 0, `${misled[0]?.peerId} mistook the impostor for the peer`);
    }
    const answers = stranger.received.filter(({ type }) => type === "GOSSIP_REPLY").length;
    assert(answers > 0, "The impostor's gossip was not answered");
    assert.equal(routing(others, victim, victim.address).length, others.length);
    return { "answers to the impostor": answers };
  },
});

const FORBIDDEN: readonly Address[] = [
  { host: "127.0.0.1", port: 22_222 },
  { host: "127.1", port: 8080 },
  { host: "2130706433", port: 8080 },
  { host: "0x7f.1", port: 8080 },
  { host: "0.0.0.0", port: 8080 },
  { host: "::1", port: 8080 },
  { host: "::ffff:127.0.0.1", port: 8080 },
  { host: "localhost", port: 8080 },
  { host: "169.254.169.254", port: 8080 },
  { host: "224.0.0.1", port: 8080 },
  { host: "255.255.255.255", port: 8080 },
  { host: "10.77.0.1", port: 22 },
];

export const forbidden: Scenario = {
  name: "No peer dials loopback, link-local, multicast, or privileged ports on a stranger's word",
  run(seed): Figures {
    const { network, hosts } = settledLab(seed, 12);
    const stranger = new Stranger(network);
    let named = 0;
    for (const host of hosts) {
      for (const address of [...FORBIDDEN, host.address]) {
        const name = `named-${++named}`;
        stranger.send(host.address, stranger.gossip(name, network.random.token(43), address));
        stranger.send(host.address, {
          type: "GOSSIP_REPLY",
          peerId: `replied-${named}`,
          ...address,
          files: [],
        });
      }
    }
    // Dialing one of them ends the run (`Invariants.onDial`).
    network.run(2 * ROUND_MS);
    for (const host of hosts) {
      for (const { peerId, address } of host.peer.membership.all()) {
        const isTracked = /^(named|replied)-/.test(peerId) &&
          FORBIDDEN.some((bad) => addressText(bad) === addressText(address));
        assert(!isTracked, `${host.peerId} tracks ${addressText(address)}`);
      }
    }
    return { "addresses named": named };
  },
};

/** Creates a stranger that answers each gossip with two new ones of its own. */
function stormMaker(network: Network, name: string, key: string): Stranger {
  const stranger = new Stranger(network);
  stranger.onMessage = (message, ip) => {
    if (message.type !== "GOSSIP") return;
    for (let i = 0; i < 2; i++) {
      stranger.send({ host: ip, port: stranger.port }, stranger.gossip(name, key));
    }
  };
  return stranger;
}

export const storm: Scenario = {
  name: "Two peers that answer each gossip with two new ones get at most two messages per second",
  run(seed): Figures {
    const network = new Network(seed);
    const first = network.addHost();
    const hosts = [first, ...network.addHosts(4, { bootstraps: [first] })];
    for (const host of hosts) host.start();
    for (const name of ["storm-a", "storm-b"]) {
      const key = network.random.token(43);
      const maker = stormMaker(network, name, key);
      maker.send(first.address, maker.gossip(name, key));
    }
    network.run(ROUND_MS);
    const sent = () => {
      let sum = 0;
      for (const { byHost } of network.meter.rounds) {
        for (const { index } of hosts) sum += byHost.get(index) ?? 0;
      }
      return sum;
    };
    const before = sent();
    network.run(4 * ROUND_MS);
    const perSecond = (sent() - before) / (4 * ROUND_MS / 1000) / hosts.length;
    network.invariants.scanAll();
    assert(perSecond <= 2, `Each peer sends ${perSecond.toFixed(1)} messages per second`);
    return { "messages per second and peer": Math.round(perSecond * 100) / 100 };
  },
};

export const scenarios: readonly Scenario[] = [
  otherPort(40),
  otherKey(40),
  impostor(30),
  forbidden,
  storm,
];
