// The shape of metadata.json: ours, which older peers can read, and that of its older relatives. PURE.
// Written: a JSON object keyed by file_id with the fields of the field, and some of our own behind them.
// Read: that, and objects or lists with `has_copy`/`hasCopy` as "yes"/"no" or booleans, `peers_with_file`
// or `peers`. Timestamps keep their source text both ways.

import { isFileId } from "../protocol/wire/fileid.ts";
import { fileFields, fileOf, type FileRecord, parseJson } from "../protocol/wire/message.ts";
import { asciiJson } from "../protocol/wire/text.ts";

/** Where the content of a held file lies, and how it looked when it was hashed. */
export interface Placement {
  readonly diskName: string;
  readonly sizeBytes: number;
  /** Hex SHA-256 of the content alone. */
  readonly sha256: string;
  /** Modification time at the time of hashing, milliseconds since 1970. */
  readonly mtimeMs: number;
  /** Change time of the inode then (Deno gives whole seconds), milliseconds; undefined where it was not noted. */
  readonly ctimeMs?: number;
  /** Number of the inode then; undefined where the disk has none or it was not noted. */
  readonly inode?: number;
}

export interface MetadataEntry {
  readonly file: FileRecord;
  readonly held: boolean;
  readonly peers: readonly string[];
  readonly placement?: Placement;
  /** It came by a push that nobody asked for. */
  readonly pushed?: boolean;
  /** Unix seconds since when nobody holds it. */
  readonly holderlessSince?: number;
  /** Not to be fetched automatically: a person removed or edited it here. */
  readonly unwanted?: boolean;
  /** Unix seconds when this peer first knew of it. */
  readonly knownSince?: number;
}

/** A peer that wrote unreadable entries loses those; so many were left out. */
export interface ParsedMetadata {
  readonly entries: MetadataEntry[];
  readonly skipped: number;
}

/** Reads any metadata file of the field. Throws `SyntaxError` when it is none. */
export function parseMetadata(text: string): ParsedMetadata {
  const value = parseJson(text);
  if (typeof value !== "object" || value === null) {
    throw new SyntaxError("Metadata must be a JSON object or list");
  }
  const entries: MetadataEntry[] = [];
  let skipped = 0;
  const candidates = Array.isArray(value)
    ? value
    : Object.entries(value).map(([key, entry]) => withKey(key, entry));
  for (const candidate of candidates) {
    const entry = entryOf(candidate);
    if (entry) entries.push(entry);
    else skipped++;
  }
  return { entries, skipped };
}

function withKey(key: string, entry: unknown): unknown {
  if (typeof entry !== "object" || entry === null || !isFileId(key)) return entry;
  return "file_id" in entry ? entry : { ...entry, file_id: key };
}

/** One entry from any parsed value; undefined when it describes no file. */
export function entryOf(value: unknown): MetadataEntry | undefined {
  const file = fileOf(value);
  if (!file) return undefined;
  const fields = value as Record<string, unknown>;
  const placement = placementOf(fields);
  const peers = fields.peers_with_file ?? fields.peers;
  const { holderless_since: since, known_since: knownSince } = fields;
  return {
    file,
    held: isYes(fields.hasCopy ?? fields.has_copy),
    peers: Array.isArray(peers) ? peers.filter((peer) => typeof peer === "string") : [],
    ...(placement ? { placement } : {}),
    ...(fields.pushed === true ? { pushed: true } : {}),
    ...(typeof since === "number" && Number.isFinite(since) ? { holderlessSince: since } : {}),
    ...(fields.unwanted === true ? { unwanted: true } : {}),
    ...(typeof knownSince === "number" && Number.isFinite(knownSince) ? { knownSince } : {}),
  };
}

const isYes = (value: unknown) =>
  value === true || (typeof value === "string" && /^(yes|true)$/i.test(value));

function placementOf(fields: Record<string, unknown>): Placement | undefined {
  const { disk_name: diskName, size_bytes: sizeBytes, sha256, disk_mtime_ms: mtimeMs } = fields;
  const { disk_ctime_ms: ctimeMs, disk_inode: inode } = fields;
  if (
    typeof diskName !== "string" || !isFileId(sha256) ||
    !Number.isSafeInteger(sizeBytes) || typeof mtimeMs !== "number"
  ) return undefined;
  return {
    diskName,
    sizeBytes: sizeBytes as number,
    sha256,
    mtimeMs,
    ...(typeof ctimeMs === "number" ? { ctimeMs } : {}),
    ...(typeof inode === "number" ? { inode } : {}),
  };
}

/** One entry as JSON text, on one line. */
export function entryText(entry: MetadataEntry): string {
  const { file, held, peers, placement, pushed, holderlessSince, unwanted, knownSince } = entry;
  return asciiJson({
    ...fileFields(file),
    peers_with_file: peers,
    hasCopy: held ? "yes" : "no",
    size_bytes: placement?.sizeBytes ?? file.sizeBytes,
    sha256: placement?.sha256,
    disk_name: placement?.diskName,
    disk_mtime_ms: placement?.mtimeMs,
    disk_ctime_ms: placement?.ctimeMs,
    disk_inode: placement?.inode,
    pushed,
    holderless_since: holderlessSince,
    unwanted,
    known_since: knownSince,
  });
}
