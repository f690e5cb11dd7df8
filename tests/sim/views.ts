// What every peer should know, and what is still missing. Peers share one view when every live peer tracks every
// other at its real address and lists the publisher of every file as a holder.

import { sameAddress } from "../../protocol/members/membership.ts";
import type { Host } from "./host.ts";
import type { Network } from "./network.ts";

/** Describes the first thing that a host is missing. Returns undefined if all hosts share one view. */
export function lacking(
  network: Network,
  hosts: readonly Host[] = network.live,
): string | undefined {
  return lackingPeer(hosts) ?? lackingFile(network, hosts);
}

/** Like `lacking`, but only for peers. */
export function lackingPeer(hosts: readonly Host[]): string | undefined {
  for (const host of hosts) {
    const { membership } = host.peer;
    if (membership.size !== hosts.length - 1) {
      return `${host.peerId} tracks ${membership.size} peers instead of ${hosts.length - 1}`;
    }
    for (const other of hosts) {
      if (other === host) continue;
      const record = membership.get(other.peerId);
      if (!record) return `${host.peerId} does not track ${other.peerId}`;
      if (!sameAddress(record.address, other.address)) {
        return `${host.peerId} tracks ${other.peerId} at the wrong address`;
      }
    }
  }
  return undefined;
}

/** Like `lacking`, but only for files and their publishers. */
export function lackingFile(network: Network, hosts: readonly Host[]): string | undefined {
  const there = new Set(hosts);
  for (const host of hosts) {
    const { catalogue } = host.peer;
    for (const { file, host: publisher } of network.published.values()) {
      if (!there.has(publisher)) continue;
      const entry = catalogue.get(file.fileId);
      if (!entry) return `${host.peerId} does not know ${file.name}`;
      if (publisher !== host && !entry.holders.has(publisher.peerId)) {
        return `${host.peerId} does not know that ${publisher.peerId} holds ${file.name}`;
      }
    }
  }
  return undefined;
}

/** Counts pairs of peers in which one does not track the other, and pairs of a peer and a file unknown to it. */
export function gaps(network: Network, hosts: readonly Host[] = network.live) {
  let peers = 0;
  let files = 0;
  const there = new Set(hosts);
  for (const host of hosts) {
    const { membership, catalogue } = host.peer;
    for (const other of hosts) if (other !== host && !membership.get(other.peerId)) peers++;
    for (const { file, host: publisher } of network.published.values()) {
      if (publisher === host || !there.has(publisher)) continue;
      if (!catalogue.get(file.fileId)?.holders.has(publisher.peerId)) files++;
    }
  }
  return { peers, files };
}

/** Describes the first trace of a dead peer, as a peer or as a holder. Returns undefined if there is none. */
export function traceOf(gone: Host, hosts: readonly Host[]): string | undefined {
  for (const host of hosts) {
    const { membership, catalogue } = host.peer;
    if (membership.get(gone.peerId)) return `${host.peerId} still tracks ${gone.peerId}`;
    if (catalogue.holdingsOf(gone.peerId) > 0) {
      return `${host.peerId} still has files listed for ${gone.peerId}`;
    }
    for (const { file, holders } of catalogue.all()) {
      if (holders.has(gone.peerId)) {
        return `${host.peerId} still lists ${gone.peerId} as a holder of ${file.name}`;
      }
    }
  }
  return undefined;
}
