// The state of the running peer as rows and figures to display. This only translates; it decides nothing.

import { VERSION } from "../cli/version.ts";
import { bootstrapHint } from "../cli/bootstrap_text.ts";
import { isInbound, type Transfer } from "../node/transfer_log.ts";
import { addressText } from "../protocol/wire/address.ts";
import type { PeerRecord } from "../protocol/members/membership.ts";
import { OTHERS } from "../protocol/bounds/refusals.ts";
import { overloadOption, overloadText } from "../protocol/overloads.ts";
import type { CatalogueView, EntryView } from "../protocol/state.ts";
import type { AwayPeer } from "./away_peers.ts";
import type { Shared } from "./operations.ts";
import type { Service } from "./service.ts";
import type {
  SharedFile,
  ViewedAway,
  ViewedFile,
  ViewedPeer,
  ViewedStatus,
  ViewedTransfer,
} from "../web/view.ts";

/** How long the pages warn after another peer used our name, in milliseconds: peers gossip every half minute. */
const NAME_TAKEN_MS = 120_000;

/** Returns the figures for the pages and for `stats`. */
export function statusOf(
  { node, store, options, work, indexing, longestBlockMs, reach }: Service,
): ViewedStatus {
  const { membership, catalogue } = node.peer;
  return {
    peerId: options.peerId,
    ...node.address,
    version: VERSION,
    now: Date.now() / 1000,
    uptimeSeconds: (performance.now() - node.startedMs) / 1000,
    synchronized: node.peer.synchronized,
    bootstraps: node.peer.bootstraps.map(addressText),
    bootstrapTroubles: [...node.peer.bootstrapTroubles].map(({ address, text }) => ({
      address: addressText(address),
      text,
      hint: bootstrapHint(text),
    })),
    peerTimeoutSeconds: node.peer.config.peerTimeoutMs / 1000,
    peers: membership.size,
    nameTakenBy: nameTakenBy(node),
    reach,
    files: {
      known: catalogue.size,
      held: catalogue.heldCount,
      heldBytes: catalogue.heldBytes,
    },
    bytes: { in: node.transferLog.bytesIn, out: node.transferLog.bytesOut },
    freeBytes: store.freeBytes(),
    received: Object.fromEntries(node.counters.received),
    sent: Object.fromEntries(node.counters.sent),
    unsent: Object.fromEntries(node.counters.unsent),
    refused: Object.fromEntries(node.counters.refused.byReason),
    overloads: overloadsOf(node),
    refusedByPeer: node.counters.refused.byPeer().map(({ who, counts }) => ({
      peer: who === OTHERS ? "(others)" : who,
      reasons: Object.fromEntries(counts),
    })),
    indexing,
    longestBlockMs,
    trash: store.removals.size,
    memoryBytes: Deno.memoryUsage().rss,
    work,
  };
}

/** Returns which limits were reached since the start, the most often first. */
function overloadsOf({ counters }: Service["node"]): ViewedStatus["overloads"] {
  return [...counters.overloads].sort(([, a], [, b]) => b - a).map(([reason, times]) => {
    const option = overloadOption(reason);
    return {
      reason,
      times,
      what: overloadText(reason),
      ...(option === undefined ? {} : { option: `--${option}` }),
    };
  });
}

/** Returns the address of another peer that used our name recently. */
function nameTakenBy({ nameTaken }: Service["node"]): string | undefined {
  const isRecent = nameTaken && performance.now() - nameTaken.heardMs < NAME_TAKEN_MS;
  return isRecent ? addressText(nameTaken.other) : undefined;
}

/** Returns for how long a peer is avoided because it sent bad data, and why. Undefined if it is not. */
export function backedOff({ node }: Service, record: PeerRecord) {
  const pause = node.peer.backoffOf(record, performance.now());
  return pause && { seconds: Math.ceil(pause.leftMs / 1000), why: pause.text };
}

export const viewedFile = ({ options, node }: Service, entry: EntryView): ViewedFile =>
  new CatalogueFile(options.peerId, entry, node.peer.catalogue);

/** Returns a file that somebody just shared. */
export function viewedShared(service: Service, { file: shared, isNew }: Shared): SharedFile {
  const entry = service.node.peer.catalogue.get(shared.fileId);
  // Somebody may have deleted it at the same moment. It was shared all the same.
  const viewed: ViewedFile = entry
    ? viewedFile(service, entry)
    : { file: shared, held: false, holders: [] };
  const { file, held, holders, knownSince, hereAs } = viewed;
  return { file, held, holders, knownSince, hereAs, isNew };
}

/** A file as of when it is read. An index looks at every file and shows few, so nothing is copied before. */
class CatalogueFile implements ViewedFile {
  constructor(
    readonly own: string,
    readonly entry: EntryView,
    readonly catalogue: CatalogueView,
  ) {}

  get file(): ViewedFile["file"] {
    return this.entry.file;
  }

  get held(): boolean {
    return this.entry.held;
  }

  get holders(): readonly string[] {
    const { held, holders } = this.entry;
    return held ? [this.own, ...holders] : [...holders];
  }

  get lastHolders(): readonly string[] {
    const { held, holders, away } = this.entry;
    return held || holders.size > 0 ? [] : away;
  }

  get knownSince(): number {
    return Math.round((Date.now() - (performance.now() - this.entry.sinceMs)) / 1000);
  }

  get hereAs(): string | undefined {
    const { sha256, fileId } = this.entry.file;
    const twin = sha256 === undefined ? undefined : this.catalogue.heldWith(sha256, fileId);
    return twin === undefined ? undefined : this.catalogue.get(twin)?.file.name;
  }
}

export function viewedPeer(service: Service, record: PeerRecord): ViewedPeer {
  return {
    peerId: record.peerId,
    ...record.address,
    lastSeen: unixSeconds(record.lastHeardMs),
    bootstrap: record.bootstrap,
    extended: record.extended,
    files: service.node.peer.catalogue.holdingsOf(record.peerId),
    refused: record.refusals,
    backedOff: backedOff(service, record),
  };
}

/** Returns a peer that left. */
export const viewedAway = ({ peerId, host, port, seenMs }: AwayPeer): ViewedAway => ({
  peerId,
  host,
  port,
  lastSeen: unixSeconds(seenMs),
});

/** Returns a monotonic time in whole Unix seconds. */
const unixSeconds = (ms: number) => Math.round((Date.now() - (performance.now() - ms)) / 1000);

/**
 * Names of peers that were known only by address when their transfer began. A transfer keeps the name when its peer
 * leaves.
 */
const peerNames = new WeakMap<Transfer, string>();

/**
 * Returns the peer at the other end. For a connection opened by others, only the address is known; one tracked peer
 * may be there.
 */
function otherEnd({ node }: Service, transfer: Transfer): string {
  const { kind, peer } = transfer;
  if (kind !== "serve" && kind !== "push") return peer;
  const name = peerNames.get(transfer) ?? node.peer.membership.soleAt(peer)?.peerId;
  if (name === undefined) return peer;
  peerNames.set(transfer, name);
  return name;
}

export function viewedTransfer(service: Service, transfer: Transfer): ViewedTransfer {
  const { id, kind, fileId, name, doneBytes, resumedBytes, totalBytes, state, why, endedMs } =
    transfer;
  const { sources } = transfer;
  const nowMs = performance.now();
  return {
    id,
    kind,
    direction: isInbound(transfer) ? "in" : "out",
    fileId,
    name,
    peer: otherEnd(service, transfer),
    doneBytes,
    resumedBytes,
    sources,
    slow: transfer.slow,
    totalBytes,
    state,
    seconds: ((endedMs ?? nowMs) - transfer.startedMs) / 1000,
    endedAt: endedMs === undefined
      ? undefined
      : Math.round((Date.now() - (nowMs - endedMs)) / 1000),
    why,
  };
}
