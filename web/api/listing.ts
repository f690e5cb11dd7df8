// Rows of the API's lists in JSON, with the field names of the wire protocol.

import type * as v from "valibot";
import { timestampSeconds } from "../../protocol/wire/fileid.ts";
import { fileFields } from "../../protocol/wire/message.ts";
import type { Json } from "../../protocol/wire/text.ts";
import type { FilesQuery } from "./schemas.ts";
import type {
  Indexing,
  ViewedAway,
  ViewedDeleted,
  ViewedFile,
  ViewedPeer,
  ViewedStatus,
  ViewedTransfer,
} from "../view.ts";

export type Query = v.InferOutput<typeof FilesQuery>;

export function fileJson(
  { file, held, holders, lastHolders, knownSince, hereAs }: ViewedFile,
): { readonly [field: string]: Json | undefined } {
  return {
    ...fileFields(file),
    sha256: file.sha256 ?? null,
    here_as: hereAs ?? null,
    modified_at: timestampSeconds(file.timestamp) ?? null,
    known_at: knownSince ?? null,
    has_copy: held,
    peers_with_file: holders,
    last_holders: holders.length === 0 ? lastHolders ?? [] : [],
  };
}

export function deletedJson({ file, sizeBytes, deletedAt }: ViewedDeleted) {
  return {
    file_name: file.name,
    file_id: file.fileId,
    file_owner: file.owner,
    size_bytes: sizeBytes,
    deleted_at: deletedAt,
  };
}

export function peerJson(peer: ViewedPeer) {
  const { peerId, host, port, lastSeen, bootstrap, extended, files, refused, backedOff } = peer;
  return {
    peerId,
    host,
    port,
    last_seen: lastSeen,
    bootstrap,
    extended,
    files,
    refused,
    backed_off: backedOff ?? null,
  };
}

export const awayJson = ({ peerId, host, port, lastSeen }: ViewedAway) => ({
  peerId,
  host,
  port,
  last_seen: lastSeen,
});

export function statusJson(status: ViewedStatus) {
  return {
    peerId: status.peerId,
    host: status.host,
    port: status.port,
    version: status.version,
    now: Math.round(status.now * 10) / 10,
    uptime_seconds: Math.round(status.uptimeSeconds),
    synchronized: status.synchronized,
    bootstraps: [...status.bootstraps],
    bootstrap_troubles: [...status.bootstrapTroubles],
    peer_timeout_seconds: status.peerTimeoutSeconds,
    peers: status.peers,
    name_taken_by: status.nameTakenBy ?? null,
    unreachable: status.reach
      ? { why: status.reach.cause, peers: status.reach.peers, text: status.reach.text }
      : null,
    files: {
      known: status.files.known,
      held: status.files.held,
      held_bytes: status.files.heldBytes,
    },
    bytes: status.bytes,
    free_bytes: status.freeBytes,
    received: status.received,
    sent: status.sent,
    unsent: status.unsent,
    refused: status.refused,
    overload: status.overloads.map(({ reason, times, what, option }) => ({
      reason,
      times,
      what,
      option: option ?? null,
    })),
    refused_by_peer: status.refusedByPeer,
    indexing: indexingJson(status.indexing),
    trash: status.trash,
    memory_bytes: status.memoryBytes,
    work: status.work,
  };
}

export function indexingJson(indexing: Indexing | undefined) {
  return indexing
    ? {
      files_done: indexing.files,
      files_total: indexing.totalFiles,
      bytes_done: indexing.bytes,
      bytes_total: indexing.totalBytes,
    }
    : null;
}

export function transferJson(transfer: ViewedTransfer) {
  return {
    id: transfer.id,
    kind: transfer.kind,
    direction: transfer.direction,
    file_id: transfer.fileId,
    file_name: transfer.name,
    peer: transfer.peer,
    done_bytes: transfer.doneBytes,
    resumed_bytes: transfer.resumedBytes,
    sources: transfer.sources.map(({ peer, bytes, bytesPerSecond }) => ({
      peer,
      bytes,
      bytes_per_second: bytesPerSecond,
    })),
    slow_because: transfer.slow ?? null,
    total_bytes: transfer.totalBytes ?? null,
    state: transfer.state,
    seconds: Math.round(transfer.seconds * 10) / 10,
    ended_at: transfer.endedAt ?? null,
    why: transfer.why ?? null,
  };
}
