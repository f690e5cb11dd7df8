// Scenarios with hostile strangers, in networks so small that hundreds of seeds run in a minute. All invariants are
// checked after each step of each peer (invariants.ts, causes.ts).

import assert from "node:assert/strict";
import { DEFAULT_LIMITS } from "../../protocol/limits.ts";
import type { FileRecord, GossipReply } from "../../protocol/wire/message.ts";
import type { Host } from "./host.ts";
import { addMember, roundsToOneView, settledLab } from "./lab.ts";
import { Network, ROUND_MS } from "./network.ts";
import type { Figures, Scenario } from "./seeds.ts";
import { Stranger } from "./stranger.ts";
import { joiningBound, settledBound } from "./convergence.ts";
import { isWhole } from "./content.ts";
import { deleted } from "./files.ts";
import { impostor, otherKey, otherPort } from "./names.ts";
import { asleep, partitioned } from "./trouble.ts";

const PEERS = 6;

/** Creates a stranger that the others take for an ordinary peer. */
function member(network: Network, hosts: readonly Host[]): Stranger {
  const stranger = new Stranger(network);
  const key = network.random.token(43);
  const name = `stranger-${stranger.index}`;
  stranger.name = name;
  stranger.onMessage = (message, ip) => {
    if (message.type !== "GOSSIP") return;
    stranger.send({ host: ip, port: stranger.port }, stranger.reply(name, []));
  };
  for (const { address } of hosts) stranger.send(address, stranger.gossip(name, key));
  return stranger;
}

function messagesOf(network: Network, hosts: readonly Host[], from: number, to: number): number {
  let sum = 0;
  for (const { byHost } of network.meter.rounds.slice(from, to)) {
    for (const { index } of hosts) sum += byHost.get(index) ?? 0;
  }
  return sum / hosts.length / (to - from);
}

/** Runs to the start of the meter's next round, and returns its number. */
function nextRound(network: Network): number {
  network.run(ROUND_MS - network.nowMs % ROUND_MS);
  return Math.round(network.nowMs / ROUND_MS);
}

export const jumps: Scenario = {
  name: "Clocks that jump ahead by minutes or hours cost only a round or two",
  run(seed): Figures {
    const { network, hosts } = settledLab(seed, PEERS);
    for (let i = 0; i < 3; i++) {
      const jumper = network.random.pick(hosts);
      jumper.jump(network.random.pick([61_000, 600_000, 7_200_000]));
      network.run(network.random.between(1_000, ROUND_MS));
    }
    return { "rounds to one view": roundsToOneView(network, 3) };
  },
};

export const replays: Scenario = {
  name:
    "Replayed, looping, and old gossip is handled once, and its traffic stops within two rounds",
  run(seed): Figures {
    const { network, hosts } = settledLab(seed, PEERS);
    const stranger = member(network, hosts);
    const heard: Parameters<Stranger["send"]>[1][] = [];
    let replayed = 0;
    stranger.onMessage = (message) => {
      if (message.type === "GOSSIP") heard.push(message);
    };
    const from = nextRound(network);
    for (let second = 0; second < 60; second++) {
      for (let i = 0; i < 10 && heard.length > 0; i++) {
        stranger.send(network.random.pick(hosts).address, network.random.pick(heard));
        replayed++;
      }
      network.run(1_000);
    }
    const during = nextRound(network);
    const perRound = messagesOf(network, hosts, from, during);
    // Each id is handled once, so replays add nothing to what a network of this size may send.
    assert(
      perRound <= joiningBound(PEERS + 1),
      `Too many messages: ${perRound} per peer and round`,
    );
    const quiet = nextRound(network) + 1;
    network.run(ROUND_MS);
    const after = messagesOf(network, hosts, quiet - 1, quiet);
    assert(
      after <= settledBound(PEERS + 1),
      `Too many messages after the replays ended: ${after} per peer`,
    );
    return { "gossips replayed": replayed, "messages per peer and round": Math.round(perRound) };
  },
};

export const ring = (peers: number): Scenario => ({
  name: `A gossip sent repeatedly to ${peers} peers in a ring dies out within two rounds`,
  run(seed): Figures {
    const network = new Network(seed);
    // Each knows only its predecessor until gossip introduces the others.
    const hosts: Host[] = [network.addHost()];
    while (hosts.length < peers) hosts.push(network.addHost({ bootstraps: [hosts.at(-1)!] }));
    for (const host of hosts) host.start();
    roundsToOneView(network, 6);
    const stranger = new Stranger(network);
    const gossip = stranger.gossip("looping", network.random.token(43));
    const lastHeardMs = new Map<Host, number>();
    let heard = 0;
    for (const host of hosts) {
      const receive = host.receive.bind(host);
      host.receive = (pieces, ...rest) => {
        const text = pieces.map((piece) => String.fromCharCode(...piece)).join("");
        if (text.includes(`"${gossip.id}"`)) {
          heard++;
          lastHeardMs.set(host, network.nowMs);
        }
        return receive(pieces, ...rest);
      };
    }
    const beganMs = network.nowMs;
    const DUPLICATES = 10;
    for (let i = 0; i < DUPLICATES; i++) {
      for (const { address } of hosts) stranger.send(address, gossip);
      network.run(500);
    }
    network.run(4 * ROUND_MS);
    const tookMs = Math.max(...lastHeardMs.values()) - beganMs;
    assert(tookMs <= 2 * ROUND_MS, `The gossip circulated for ${tookMs / 1000} s`);
    // Apart from the stranger's messages, each peer forwards it once, to at most three others.
    const handedOn = heard - DUPLICATES * peers;
    assert(handedOn <= 3 * peers, `The gossip was forwarded ${handedOn} times`);
    return { "times forwarded": handedOn, "seconds": tookMs / 1000 };
  },
});

const FEW = { ...DEFAULT_LIMITS, maxPeers: 24, maxPeersPerAddress: 10, maxCatalogueEntries: 60 };

export const invented = (count: number, limits = FEW): Scenario => ({
  name: `${count} invented peers from three machines displace no honest peer`,
  run(seed): Figures {
    const { network, hosts } = settledLab(seed, PEERS, { limits });
    const strangers = Array.from({ length: 3 }, () => new Stranger(network));
    const [victim, ...others] = network.random.sample(hosts, PEERS);
    const targets = count > 1_000 ? [victim!] : [victim!, others[0]!];
    for (let i = 0; i < count; i++) {
      const stranger = network.random.pick(strangers);
      const isNamedElsewhere = network.random.chance(0.5);
      const host = isNamedElsewhere ? `10.99.${i >> 8}.${i & 255}` : stranger.ip;
      const port = 10_000 + i % 50_000;
      const address = { host, port };
      const key = network.random.token(43);
      const gossip = stranger.gossip(`invented-${i}`, key, address);
      for (const target of targets) stranger.send(target.address, gossip);
      if (i % 20 === 0) network.run(ROUND_MS / 20);
    }
    network.run(ROUND_MS);
    const sizes = targets.map((target) => target.peer.membership.size);
    for (const size of sizes) assert(size <= limits.maxPeers, `Too many peers tracked: ${size}`);
    // The invented peers go silent and are dropped. The honest ones must all still be tracked.
    for (const target of targets) {
      for (const other of hosts) {
        if (other === target) continue;
        const record = target.peer.membership.get(other.peerId);
        assert(record, `${target.peerId} lost ${other.peerId}`);
      }
    }
    return { "peers tracked": Math.max(...sizes) };
  },
});

/** Returns a falsified record of the file, with another owner, time, name, or size. */
function contradicted(network: Network, file: FileRecord): FileRecord {
  const { random } = network;
  const timestamp = { text: String(1_600_000_000 + random.below(1e6)), quoted: false };
  return {
    ...file,
    ...(random.chance(0.7) ? { owner: random.pick(["mallory", "peer-0", "peer-1"]) } : {}),
    ...(random.chance(0.5) ? { timestamp } : {}),
    ...(random.chance(0.5) ? { name: `other ${random.below(5)}` } : {}),
    ...(random.chance(0.5) ? { sizeBytes: random.below(1e9) } : {}),
  };
}

export const contradictions: Scenario = {
  name: "Lists that contradict each other and known facts change nothing that was verified",
  run(seed): Figures {
    const { network, hosts, bootstraps } = settledLab(seed, PEERS, { autoFetch: 0 });
    const liars = [member(network, hosts), member(network, hosts)];
    network.run(1_000);
    const files = [...network.published.values()].map(({ file }) => file);
    for (let step = 0; step < 40; step++) {
      const liar = network.random.pick(liars);
      const listed = network.random.sample(files, network.random.below(files.length))
        .map((file) => contradicted(network, file));
      const place: Partial<NonNullable<GossipReply["ext"]>> = network.random.chance(0.5)
        ? { part: [1 + network.random.below(3), 3, network.random.pick(["a", "b"])] }
        : { rev: [network.random.below(9), 9 + network.random.below(9)] };
      const host = network.random.pick(hosts);
      liar.send(host.address, liar.reply(liar.name, listed, place));
      network.run(500);
    }
    // A peer that joins now hears from the liars first, and still gets every file as its owner published it.
    const late = addMember(network, bootstraps, { autoFetch: Infinity });
    late.start();
    for (const liar of liars) {
      const listed = files.map((file) => contradicted(network, file));
      liar.send(late.address, liar.reply(liar.name, listed));
    }
    const hasAll = () => files.every((file) => isWhole(late.disk, file));
    const tookMs = network.runUntil(hasAll, 6 * ROUND_MS);
    assert(tookMs !== undefined, "The late peer did not get every file");
    for (const { file, host } of network.published.values()) {
      const entry = host.peer.catalogue.get(file.fileId)!;
      assert.equal(entry.file.owner, file.owner, "A file has a different owner at its own owner");
      assert.deepEqual(entry.file.timestamp, file.timestamp);
    }
    return { "seconds until the late peer has every file": tookMs / 1000 };
  },
};

export const announces: Scenario = {
  name: "A flood of ANNOUNCE messages does not crowd other peers out of the catalogue",
  run(seed): Figures {
    const { network, hosts } = settledLab(seed, PEERS, { limits: FEW });
    const stranger = member(network, hosts);
    network.run(1_000);
    const names = [stranger.name, "nobody", hosts[1]!.peerId];
    for (let i = 0; i < 400; i++) {
      const file: FileRecord = {
        fileId: network.random.fileId(),
        name: `announced ${i}`,
        owner: "mallory",
        timestamp: { text: "1744170562", quoted: false },
        size: 1,
      };
      const from = network.random.pick(names);
      stranger.send(network.random.pick(hosts).address, { type: "ANNOUNCE", from, file });
      if (i % 50 === 0) network.run(1_000);
    }
    network.run(1_000);
    const news = hosts.slice(2, 4).map((host) =>
      host.publish(`news ${host.index}`, `${host.index}`)
    );
    network.run(2 * ROUND_MS);
    for (const host of hosts) {
      const { catalogue } = host.peer;
      assert(
        catalogue.size <= FEW.maxCatalogueEntries,
        `Too many files in the catalogue: ${catalogue.size}`,
      );
      for (const { fileId, name } of news) {
        assert(catalogue.get(fileId), `${host.peerId} has no space for ${name}`);
      }
    }
    const [file] = news;
    const wanting = hosts[PEERS - 1]!;
    if (!wanting.disk.has(file!.fileId)) wanting.take({ kind: "want", fileId: file!.fileId });
    assert(
      network.runUntil(() => isWhole(wanting.disk, file!), ROUND_MS) !== undefined,
      "The file was not fetched",
    );
    return { "files known": Math.max(...hosts.map(({ peer }) => peer.catalogue.size)) };
  },
};

export const forgeries: Scenario = {
  name: "DELETE messages sent in an owner's name from elsewhere delete nothing",
  run(seed): Figures {
    const { network, hosts } = settledLab(seed, PEERS, { autoFetch: Infinity });
    network.run(ROUND_MS);
    const stranger = member(network, hosts);
    const held = hosts.map(({ disk }) => disk.size);
    for (const { file } of network.published.values()) {
      for (const host of hosts) {
        const from = network.random.pick([file.owner, stranger.name, host.peerId]);
        stranger.send(host.address, { type: "DELETE", from, fileId: file.fileId });
      }
    }
    network.run(10_000);
    assert.deepEqual(hosts.map(({ disk }) => disk.size), held);
    const forged = network.meter.refusals.get("forged-delete") ?? 0;
    assert(forged > 0, "No forged DELETE was counted");
    return { "forged DELETE messages": forged };
  },
};

export const crashes: Scenario = {
  name: "Peers killed at random moments come back with the files they held, and every file arrives",
  run(seed): Figures {
    const { network, hosts } = settledLab(seed, PEERS, { autoFetch: Infinity });
    for (let i = 0; i < 12; i++) {
      const host = network.random.pick(hosts);
      if (host.state !== "up") host.restart();
      else {
        if (network.random.chance(0.5)) host.publish(`file ${i} of ${host.index}`, `content ${i}`);
        network.run(network.random.between(0, 50));
        host.kill();
      }
      network.run(network.random.between(0, 3_000));
    }
    for (const host of hosts) if (host.state !== "up") host.restart();
    const files = [...network.published.values()].map(({ file }) => file);
    const isEverywhere = () =>
      files.every((file) => hosts.every(({ disk }) => isWhole(disk, file)));
    const tookMs = network.runUntil(isEverywhere, 24 * ROUND_MS);
    assert(tookMs !== undefined, "Not every peer has every file");
    return {
      "seconds until every peer has every file": tookMs / 1000,
      "rounds to one view": roundsToOneView(network, 3),
    };
  },
};

export const scenarios: readonly Scenario[] = [
  jumps,
  replays,
  invented(240),
  contradictions,
  announces,
  forgeries,
  crashes,
];

/** These scenarios plus small versions from the other modules, for runs with hundreds of seeds. */
export const small: readonly Scenario[] = [
  ...scenarios,
  partitioned(PEERS),
  asleep(PEERS),
  otherPort(PEERS),
  otherKey(PEERS),
  impostor(PEERS),
  deleted(PEERS),
];
