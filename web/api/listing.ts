// The API's lists: searched, sorted, split into pages, and converted to JSON with the field names of the wire protocol.

import type * as v from "valibot";
import { timestampSeconds } from "../../protocol/wire/fileid.ts";
import { fileFields } from "../../protocol/wire/message.ts";
import type { Json } from "../../protocol/wire/text.ts";
import { isFound, nameKey, searchText, searchWords } from "../shared/filelist.js";
import { isAtRisk } from "../shared/safety.js";
import { DEFAULT_LIMIT, type FilesQuery } from "./schemas.ts";
import { type Order, selection } from "./selection.ts";
import type { ViewedFile, ViewedPeer, ViewedStatus, ViewedTransfer } from "../view.ts";

export type Query = v.InferOutput<typeof FilesQuery>;

/** Returns one page of the files that match the query. */
export function pageOf(
  files: Iterable<ViewedFile>,
  query: Query,
  owner: string,
): { files: readonly ViewedFile[]; total: number; next: number | null } {
  const from = Number(query.start ?? 0);
  const limit = Number(query.limit ?? DEFAULT_LIMIT);
  const page = selection(files, filterOf(query, owner), { from, limit }, orderOf(query.sort));
  const next = from + page.items.length;
  return {
    files: page.items,
    total: page.total,
    next: page.items.length > 0 && next < page.total ? next : null,
  };
}

function filterOf({ q, where }: Query, owner: string): (file: ViewedFile) => boolean {
  const words = searchWords(q ?? "");
  const isThere = (viewed: ViewedFile) => {
    const { file, held } = viewed;
    if (where === undefined) return true;
    if (where === "risk") return isAtRisk({ peers_with_file: viewed.holders });
    return where === "mine" ? file.owner === owner : held === (where === "here");
  };
  return (viewed) => {
    if (!isThere(viewed)) return false;
    if (words.length === 0) return true;
    const { fileId, name, owner: of } = viewed.file;
    return isFound(words, searchText(`${name}\n${of}`), fileId);
  };
}

function orderOf(sort: Query["sort"]): Order<ViewedFile> | undefined {
  if (sort === undefined) return undefined;
  const sign = sort.startsWith("-") ? -1 : 1;
  // Files learned of at the same moment, or at an unknown time, stay in their order of arrival.
  return { keyOf: KEYS[sort.replace(/^-/, "")]!, sign, turnsTies: sort === "-known" };
}

const KEYS: Readonly<Record<string, (file: ViewedFile) => string | number>> = {
  name: ({ file }) => nameKey(file.name),
  size: (file) => bytesOf(file),
  owner: ({ file }) => nameKey(file.owner),
  time: ({ file }) => timestampSeconds(file.timestamp) ?? 0,
  holders: ({ holders }) => holders.length,
  known: ({ knownSince }) => knownSince ?? 0,
};

const bytesOf = ({ file }: ViewedFile) => file.sizeBytes ?? file.size * 1024 ** 2;

export function fileJson(
  { file, held, holders, lastHolders, knownSince }: ViewedFile,
): { readonly [field: string]: Json | undefined } {
  return {
    ...fileFields(file),
    modified_at: timestampSeconds(file.timestamp) ?? null,
    known_at: knownSince ?? null,
    has_copy: held,
    peers_with_file: holders,
    last_holders: holders.length === 0 ? lastHolders ?? [] : [],
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
    peer_timeout_seconds: status.peerTimeoutSeconds,
    peers: status.peers,
    name_taken_by: status.nameTakenBy ?? null,
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
    trash: status.trash,
    memory_bytes: status.memoryBytes,
    work: status.work,
  };
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
    total_bytes: transfer.totalBytes ?? null,
    state: transfer.state,
    seconds: Math.round(transfer.seconds * 10) / 10,
    ended_at: transfer.endedAt ?? null,
    why: transfer.why ?? null,
  };
}
