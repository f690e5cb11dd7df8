// The listings that the prompt prints: files, deleted files, and peers, one row each.
// Invariant: text that came from a peer is escaped.

import type { FileRecord } from "../protocol/wire/message.ts";
import { visible } from "../protocol/wire/text.ts";
import { count } from "./report.ts";
import { table } from "./table.ts";
import { durationText, sizeText } from "./units.ts";

export interface FileRow {
  readonly file: FileRecord;
  readonly held: boolean;
  readonly holders: readonly string[];
}

export interface DeletedRow {
  readonly file: FileRecord;
  readonly sizeBytes: number;
  readonly secondsAgo: number;
}

export interface PeerRow {
  readonly peerId: string;
  readonly address: string;
  readonly silentSeconds: number;
  readonly bootstrap: boolean;
  readonly extended: boolean;
  readonly files: number;
  readonly note: string;
}

/** Returns the answer to `list`: all files, or those stored here or only elsewhere. */
export function listText(files: readonly FileRow[], which: string | undefined): string {
  if (which !== undefined && which !== "local" && which !== "remote") {
    return "Usage: list [local|remote]";
  }
  const shown = files.filter(({ held }) => which === undefined || held === (which === "local"));
  if (shown.length === 0) {
    if (which === "local") return "No files here yet";
    return files.length > 0 ? "Every known file is stored here" : "No files are known yet";
  }
  const rows = shown.map(({ file, held, holders }) => [
    file.fileId,
    visible(file.name, 40),
    visible(file.owner, 24),
    file.sizeBytes === undefined ? `~${sizeText(file.size * 1024 ** 2)}` : sizeText(file.sizeBytes),
    held ? "here" : "-",
    holders.map((holder) => visible(holder, 24)).join(", ") || "nobody",
  ]);
  return `${table(["id", "name", "owner", "size", "here", "holders"], rows)}\n${
    count(shown.length, "file")
  }`;
}

/** Returns the answer to `restore` without an argument. */
export function deletedText(deleted: readonly DeletedRow[]): string {
  if (deleted.length === 0) return "No files were deleted here in the last 24 hours";
  const rows = deleted.map(({ file, sizeBytes, secondsAgo }) => [
    file.fileId,
    visible(file.name, 40),
    sizeText(sizeBytes),
    `${durationText(secondsAgo)} ago`,
  ]);
  return `${
    table(["file_id", "name", "size", "deleted"], rows)
  }\nTo restore one, type: restore <file_id|prefix|name>`;
}

/** Returns the answer to `peers`. */
export function peersText(peers: readonly PeerRow[]): string {
  if (peers.length === 0) return "No peers yet";
  const rows = peers.map((peer) => [
    visible(peer.peerId, 40),
    visible(peer.address),
    `${durationText(peer.silentSeconds)} ago`,
    String(peer.files),
    [peer.bootstrap ? "bootstrap" : "", peer.extended ? "" : "legacy", peer.note].filter(Boolean)
      .map((
        text,
      ) => visible(text)).join(", "),
  ]);
  return `${table(["peer", "address", "last heard", "files", ""], rows)}\n${
    count(peers.length, "peer")
  }`;
}
