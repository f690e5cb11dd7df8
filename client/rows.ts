// Rows of the API's lists, and the same as the prompt's listings need them.

import type { DeletedRow, FileRow, PeerRow, TransferRow } from "../cli/listings.ts";
import type { StatusFigures } from "../cli/status_text.ts";
import { durationText } from "../cli/units.ts";
import { addressText } from "../protocol/wire/address.ts";
import type { FileRecord } from "../protocol/wire/message.ts";

/** A file. */
export interface ApiFile {
  readonly file_id: string;
  readonly file_name: string;
  readonly file_owner: string;
  /** In MiB. */
  readonly file_size: number;
  readonly size_bytes?: number;
  readonly file_timestamp: number | string;
  readonly sha256: string | null;
  readonly has_copy: boolean;
  readonly peers_with_file: readonly string[];
}

/** A deleted file. */
export interface ApiDeleted {
  readonly file_id: string;
  readonly file_name: string;
  readonly file_owner: string;
  readonly size_bytes: number;
  readonly deleted_at: number;
}

/** A live peer. */
export interface ApiPeer {
  readonly peerId: string;
  readonly host: string;
  readonly port: number;
  readonly last_seen: number;
  readonly bootstrap: boolean;
  readonly extended: boolean;
  readonly files: number;
  readonly refused: number;
  readonly backed_off: { readonly seconds: number; readonly why: string } | null;
}

/** A transfer. */
export interface ApiTransfer {
  readonly id: number;
  readonly kind: string;
  readonly direction: "in" | "out";
  readonly file_id: string;
  readonly file_name: string;
  readonly peer: string;
  readonly done_bytes: number;
  readonly resumed_bytes: number;
  readonly total_bytes: number | null;
  readonly state: string;
  readonly seconds: number;
  readonly slow_because: "limit" | "disk" | "sources" | "link" | null;
  readonly sources: readonly { readonly bytes_per_second: number }[];
  readonly why: string | null;
}

/** The status, as far as it is shown. */
export interface ApiStatus {
  readonly peerId: string;
  readonly now: number;
  readonly uptime_seconds: number;
  readonly peers: number;
  readonly unreachable: { readonly text: string } | null;
  readonly files: { readonly known: number; readonly held: number; readonly held_bytes: number };
  readonly bytes: { readonly in: number; readonly out: number };
  readonly free_bytes: number;
  readonly received: Readonly<Record<string, number>>;
  readonly sent: Readonly<Record<string, number>>;
  readonly refused: Readonly<Record<string, number>>;
  readonly refused_by_peer: StatusFigures["refusedByPeer"];
  readonly overload: readonly { times: number; what: string; option: string | null }[];
  readonly indexing:
    | { files_done: number; files_total: number; bytes_done: number; bytes_total: number }
    | null;
  readonly trash: { readonly files: number; readonly bytes: number };
  readonly memory_bytes: number;
}

/** Returns a file as the core knows it. */
export function recordOf(
  { file_id, file_name, file_owner, file_size, size_bytes, file_timestamp, sha256 }: ApiFile,
): FileRecord {
  return {
    fileId: file_id,
    name: file_name,
    owner: file_owner,
    size: file_size,
    timestamp: { text: `${file_timestamp}`, quoted: typeof file_timestamp === "string" },
    ...(size_bytes === undefined ? {} : { sizeBytes: size_bytes }),
    ...(sha256 === null ? {} : { sha256 }),
  };
}

/** Returns a row of `list`. */
export const fileRow = (file: ApiFile): FileRow => ({
  file: recordOf(file),
  held: file.has_copy,
  holders: file.peers_with_file,
});

/** Returns a row of `restore`. `now` is the peer's clock, in Unix seconds. */
export function deletedRow(deleted: ApiDeleted, now: number): DeletedRow {
  const { size_bytes, deleted_at } = deleted;
  const file = recordOf({
    ...deleted,
    file_size: size_bytes / 1024 ** 2,
    file_timestamp: 0,
    sha256: null,
    has_copy: false,
    peers_with_file: [],
  });
  return { file, sizeBytes: size_bytes, secondsAgo: Math.max(0, now - deleted_at) };
}

/** Returns a row of `peers`. */
export function peerRow(peer: ApiPeer, now: number): PeerRow {
  const { refused, backed_off: pause } = peer;
  const notes = [
    ...(refused > 0 ? [`${refused} refused from its address`] : []),
    ...(pause ? [`avoided for ${durationText(pause.seconds)}: it ${pause.why}`] : []),
  ];
  return {
    peerId: peer.peerId,
    address: addressText(peer),
    silentSeconds: Math.max(0, now - peer.last_seen),
    bootstrap: peer.bootstrap,
    extended: peer.extended,
    files: peer.files,
    note: notes.join(", "),
  };
}

/** Returns a row of `transfers`. */
export const transferRow = (transfer: ApiTransfer): TransferRow => ({
  ...transfer,
  name: transfer.file_name,
  doneBytes: transfer.done_bytes,
  resumedBytes: transfer.resumed_bytes,
  totalBytes: transfer.total_bytes ?? undefined,
  why: transfer.why ?? undefined,
});

/** Returns what `status` shows. */
export function figuresOf(status: ApiStatus): StatusFigures {
  const { unreachable, files, overload, indexing } = status;
  return {
    ...status,
    uptimeSeconds: status.uptime_seconds,
    reach: unreachable ?? undefined,
    files: { ...files, heldBytes: files.held_bytes },
    indexing: indexing
      ? {
        files: indexing.files_done,
        totalFiles: indexing.files_total,
        bytes: indexing.bytes_done,
        totalBytes: indexing.bytes_total,
      }
      : undefined,
    refusedByPeer: status.refused_by_peer,
    overloads: overload.map(({ option, ...each }) => ({ ...each, option: option ?? undefined })),
    freeBytes: status.free_bytes,
    memoryBytes: status.memory_bytes,
  };
}
