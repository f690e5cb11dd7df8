// File scenarios: holders that lie, owners that delete while others fetch, pushes, and copies.

import assert from "node:assert/strict";
import type { FileRecord, GossipReply } from "../../protocol/wire/message.ts";
import type { Host, Lie } from "./host.ts";
import { isWhole } from "./content.ts";
import { addMember, buildLab, roundsToOneView, settledLab, startAll } from "./lab.ts";
import { type Network, ROUND_MS, TIMEOUT_MS } from "./network.ts";
import { rounds } from "./lab.ts";
import type { Figures, Scenario } from "./seeds.ts";

const LIES: readonly Lie[] = ["wrong", "absent", "cut", "silent"];

/** Describes the first file that one of the hosts should hold but does not. */
function lackingContent(network: Network, hosts: readonly Host[]): string | undefined {
  for (const host of hosts) {
    for (const { file } of network.published.values()) {
      if (!host.peer.catalogue.get(file.fileId)?.held || !isWhole(host.disk, file)) {
        return `${host.peerId} lacks ${file.name}`;
      }
    }
  }
  return undefined;
}

export const liars: Scenario = {
  name:
    "Peers that serve wrong, missing, truncated, or no content keep no peer from the right content",
  run(seed): Figures {
    const lab = buildLab(seed, 24, { autoFetch: Infinity });
    const { network, bootstraps } = lab;
    const honest = [...lab.hosts];
    const files = [...network.published.values()].map(({ file }) => file);
    // Every peer asks a lying bootstrap first.
    const liars = [bootstraps[2]!, ...LIES.map(() => addMember(network, bootstraps))];
    honest.splice(honest.indexOf(bootstraps[2]!), 1);
    liars.forEach((liar, i) => {
      const others = files.filter(({ owner }) => owner !== liar.peerId);
      for (const file of network.random.sample(others, 10)) {
        liar.pretend(file, LIES[i % LIES.length]!);
      }
    });
    startAll(lab);
    const tookMs = network.runUntil(() => !lackingContent(network, honest), 20 * ROUND_MS);
    assert(
      tookMs !== undefined,
      `Not every peer has every file: ${lackingContent(network, honest)}`,
    );
    network.invariants.scanAll();
    return {
      "rounds until every peer has every file": rounds(tookMs),
      "failed attempts": network.meter.events.get("attempt-failed") ?? 0,
      "downloads": network.meter.events.get("downloaded") ?? 0,
    };
  },
};

export const asked: Scenario = {
  name: "A get tries one holder after another until the content is right",
  run(seed): Figures {
    const { network, hosts } = settledLab(seed, 16);
    const file = hosts[3]!.publish("wanted", "content that some pretend to hold");
    const liars = hosts.slice(4, 4 + 2 * LIES.length);
    liars.forEach((liar, i) => {
      if (!liar.disk.has(file.fileId)) liar.pretend(file, LIES[i % LIES.length]!);
    });
    network.run(2_000);
    const asking = hosts.slice(12).filter(({ disk }) => !disk.has(file.fileId));
    for (const host of asking) host.take({ kind: "want", fileId: file.fileId });
    const isEverywhere = () => asking.every(({ disk }) => isWhole(disk, file));
    // There are two liars of each kind. Each silent one may cost half a minute. A simulated file comes from one source alone, so that
    // holders that were further sources of a liar are asked again only after a while.
    const tookMs = network.runUntil(isEverywhere, 4 * 60_000);
    assert(tookMs !== undefined, "A get did not deliver the content");
    const attempts = network.meter.events.get("attempt-failed") ?? 0;
    assert(attempts <= asking.length * liars.length, `Too many failed attempts: ${attempts}`);
    network.invariants.scanAll();
    return { "gets": asking.length, "failed attempts": attempts, "seconds": tookMs / 1000 };
  },
};

/** Describes the first host that still lists or holds a file. */
function remains(hosts: readonly Host[], fileId: string): string | undefined {
  for (const host of hosts) {
    if (host.peer.catalogue.get(fileId)) return `${host.peerId} still lists it`;
    if (host.disk.has(fileId)) return `${host.peerId} still has its content`;
  }
  return undefined;
}

export const deleted = (peers: number): Scenario => ({
  name:
    `A file that one of ${peers} peers deletes while others fetch it disappears everywhere for good`,
  run(seed): Figures {
    const { network } = settledLab(seed, peers, { autoFetch: Infinity });
    network.run(2 * ROUND_MS);
    const gone: string[] = [];
    let held = 0;
    for (let i = 0; i < 20; i++) {
      const owner = network.random.pick(network.live);
      const { fileId } = owner.publish(`short-lived-${i}`, `content for a moment ${i}`);
      network.run(network.random.between(20, 200));
      held += network.live.filter(({ disk }) => disk.has(fileId)).length;
      owner.delete(fileId);
      gone.push(fileId);
      network.run(1_000);
    }
    network.run(2 * TIMEOUT_MS);
    for (const fileId of gone) {
      assert.equal(
        remains(network.live, fileId),
        undefined,
        `${gone.indexOf(fileId)} came back after its deletion`,
      );
    }
    network.invariants.scanAll();
    return { "deleted": gone.length, "copies when deleted": held };
  },
});

export const absentOwner: Scenario = {
  name: "A peer that was offline when a file was deleted does not reintroduce it",
  run(seed): Figures {
    const { network, hosts } = settledLab(seed, 24, { autoFetch: Infinity });
    const [owner, holder] = [hosts[10]!, hosts[20]!];
    const { fileId } = owner.publish("passed on", "content that somebody keeps");
    const tookMs = network.runUntil(() => holder.disk.has(fileId), ROUND_MS);
    assert(tookMs !== undefined, "No peer fetched the file");
    holder.kill();
    network.run(1_000);
    owner.delete(fileId);
    network.run(10_000);
    holder.restart();
    network.run(3 * ROUND_MS);
    const others = network.live.filter((host) => host !== holder);
    assert.equal(remains(others, fileId), undefined);
    network.invariants.scanAll();
    return { "seconds until it was held": tookMs / 1000 };
  },
};

/** Lets a host learn of files without the minutes that a long list takes. */
function learn(host: Host, owner: Host, files: readonly FileRecord[]): void {
  const { peerId, address, ip } = owner;
  for (let at = 0; at < files.length; at += 1_000) {
    const message: GossipReply = {
      type: "GOSSIP_REPLY",
      peerId,
      ...address,
      files: files.slice(at, at + 1_000),
      ext: owner.peer.ext,
    };
    host.take({ kind: "message", message, ip, connection: host.network.newConnection() });
  }
}

/** Seconds within which peers that take many files per DELETE hear of a data set. */
const DATA_SET_SECONDS = 10;

export const dataSet = (count: number): Scenario => ({
  name:
    `New peers hear of ${count} deletions within ${DATA_SET_SECONDS} s, those that were away once they are back, old ones at their pace`,
  run(seed): Figures {
    const lab = buildLab(seed, 8);
    const { network, bootstraps: [owner] } = lab;
    const old = addMember(network, lab.bootstraps, { isLegacy: true });
    startAll(lab);
    roundsToOneView(network, 5);
    const files = owner!.publishMany(count);
    const [away, ...others] = network.live.filter((host) => host !== owner && host !== old);
    for (const host of [away!, ...others, old]) learn(host, owner!, files);
    const lacking = () => others.find((host) => host.peer.catalogue.tombstones.size < count);
    away!.kill();
    for (const { fileId } of files) owner!.delete(fileId);
    const tookMs = network.runUntil(() => !lacking(), DATA_SET_SECONDS * 1_000);
    assert(tookMs !== undefined, `${lacking()?.peerId} has not heard of all deletions`);
    for (const { peer } of others) {
      assert(!files.some(({ fileId }) => peer.catalogue.get(fileId)), "A deleted file is known");
    }
    const told = old.peer.catalogue.tombstones.size;
    assert(told > 0 && told <= 60, `The old peer was told of ${told} deletions at once`);
    network.run(3 * 60_000);
    const paced = old.peer.catalogue.tombstones.size;
    assert(paced > told && paced <= told + 4 * 60, `${paced} deletions reached the old peer`);
    // Whoever was away lists what it still has, and hears of it.
    away!.restart();
    away!.keepAll(files.slice(0, 3_000));
    const backMs = network.runUntil(
      () => !files.slice(0, 3_000).some(({ fileId }) => away!.peer.catalogue.get(fileId)?.held),
      4 * ROUND_MS,
    );
    assert(backMs !== undefined, "The peer that was away keeps deleted files");
    assert.equal(owner!.peer.catalogue.tombstones.size, count);
    network.invariants.scanAll();
    return { "seconds until all new peers knew": tookMs / 1000, "old peer after 3 min": paced };
  },
});

export const copies: Scenario = {
  name: "A published file gets a copy at one other peer, even if some peers do not answer",
  run(seed): Figures {
    const { network, hosts } = settledLab(seed, 30);
    for (const host of network.random.sample(hosts.slice(3), 6)) host.kill("silent");
    const files = network.live.map((host) =>
      host.publish(`copied-${host.index}`, `for ${host.index}`)
    );
    network.run(15_000);
    let copies = 0;
    for (const { fileId, owner } of files) {
      const holders = network.live.filter((host) => host.disk.has(fileId));
      assert(holders.some(({ peerId }) => peerId === owner), "The owner lost its file");
      copies += holders.length - 1;
    }
    // Up to three peers are tried for each file, and one in five is silent.
    assert(
      copies >= 0.9 * files.length,
      `Expected about one copy per file, found ${copies} for ${files.length} files`,
    );
    assert(
      copies <= files.length,
      `Expected about one copy per file, found ${copies} for ${files.length} files`,
    );
    roundsToOneView(network, 4);
    network.invariants.scanAll();
    return { "files": files.length, "copies": copies };
  },
};

export const scenarios: readonly Scenario[] = [
  liars,
  asked,
  deleted(24),
  absentOwner,
  copies,
  dataSet(20_000),
];
