// What every peer should know, and what is still missing. A view is one when every live peer tracks every
// other one at the address where it really is, and names the publisher of every file as a holder.

import { sameAddress } from "../../protocol/members/membership.ts";
import type { Host } from "./host.ts";
import type { Network } from "./network.ts";

/** The first thing that one of the hosts lacks, in words; undefined when they all share one view. */
export function lacking(
  network: Network,
  hosts: readonly Host[] = network.live,
): string | undefined {
  return lackingPeer(hosts) ?? lackingFile(network, hosts);
}

/** As `lacking`, for peers only. */
export function lackingPeer(hosts: readonly Host[]): string | undefined {
  for (const host of hosts) {
    const { membership } = host.peer;
    if (membership.size !== hosts.length - 1) {
      return `${host.peerId} tracks ${membership.size} peers of ${hosts.length - 1}`;
    }
    for (const other of hosts) {
      if (other === host) continue;
      const record = membership.get(other.peerId);
      if (!record) return `${host.peerId} does not track ${other.peerId}`;
      if (!sameAddress(record.address, other.address)) {
        return `${host.peerId} has ${other.peerId} at a wrong address`;
      }
    }
  }
  return undefined;
}

/** As `lacking`, for files and their publishers only. */
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

/** Pairs of peers of which one does not track the other, and pairs of peer and file. */
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

/** The first trace of a peer that is gone, as a peer or as a holder; undefined when there is none. */
export function traceOf(gone: Host, hosts: readonly Host[]): string | undefined {
  for (const host of hosts) {
    const { membership, catalogue } = host.peer;
    if (membership.get(gone.peerId)) return `${host.peerId} still tracks ${gone.peerId}`;
    if (catalogue.holdingsOf(gone.peerId) > 0) {
      return `${host.peerId} still has holdings of ${gone.peerId}`;
    }
    for (const { file, holders } of catalogue.all()) {
      if (holders.has(gone.peerId)) {
        return `${host.peerId} still names ${gone.peerId} as a holder of ${file.name}`;
      }
    }
  }
  return undefined;
}
