// Files in the simulation: short strings, with file ids computed by the protocol's own rule.

import { createHash } from "node:crypto";
import { ownTimestamp, type Timestamp, verifyingTimestamp } from "../../protocol/wire/fileid.ts";
import type { FileRecord } from "../../protocol/wire/message.ts";

const EPOCH_SECONDS = 1_700_000_000;

function digest(content: string, suffix: string): string {
  return createHash("sha256").update(content).update(suffix).digest("hex");
}

/** Returns the SHA-256 of content, in hex. */
export const sha256Of = (content: string): string => digest(content, "");

/** Returns the timestamp with which the content has this id, or undefined if it has none of them. */
export function verify(
  fileId: string,
  timestamps: readonly Timestamp[],
  content: string,
): Timestamp | undefined {
  return verifyingTimestamp(fileId, timestamps, (suffix) => digest(content, suffix));
}

/** Returns the record of a file that its owner publishes at this time. */
export function recordOf(name: string, content: string, owner: string, nowMs: number): FileRecord {
  const timestamp = ownTimestamp(EPOCH_SECONDS + nowMs / 1000);
  const sizeBytes = content.length;
  const fileId = digest(content, timestamp.text);
  const sha256 = sha256Of(content);
  return { fileId, name, owner, timestamp, size: sizeBytes / 2 ** 20, sizeBytes, sha256 };
}

/** Returns whether the disk holds the content that the record describes. */
export function isWhole(disk: ReadonlyMap<string, string>, file: FileRecord): boolean {
  const content = disk.get(file.fileId);
  return content !== undefined && verify(file.fileId, [file.timestamp], content) !== undefined;
}
