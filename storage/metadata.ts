// The format of metadata.json: ours, which older peers can read, and those of other implementations. PURE.
// Written: a JSON object keyed by file_id. Each entry has the common fields first, then some of our own.
// Read: that, and objects or lists with `has_copy`/`hasCopy` as "yes"/"no" or booleans, and with `peers_with_file`
// or `peers`. Timestamps keep their source text in both directions.

import { isFileId } from "../protocol/wire/fileid.ts";
import { fileOf, type FileRecord, parseJson } from "../protocol/wire/message.ts";
import { asciiJson, NumberText } from "../protocol/wire/text.ts";

export type { Timestamp } from "../protocol/wire/fileid.ts";
export type { FileRecord } from "../protocol/wire/message.ts";

/** Where the content of a held file is stored, and how it looked when it was hashed. */
export interface Placement {
  /** Name in the folder. */
  readonly diskName: string;
  /** Size in bytes. */
  readonly sizeBytes: number;
  /** Hex SHA-256 of the content alone. */
  readonly sha256: string;
  /** Modification time when it was hashed, Unix milliseconds. */
  readonly mtimeMs: number;
  /**
   * Inode change time when it was hashed, Unix milliseconds (Deno reports whole seconds); `undefined` if not
   * recorded.
   */
  readonly ctimeMs?: number;
  /** Inode number when it was hashed; `undefined` if the file system has none or it was not recorded. */
  readonly inode?: number;
}

/** One entry of metadata.json or the journal. */
export interface MetadataEntry {
  /** What the network knows of the file. */
  readonly file: FileRecord;
  /** Whether this peer held it. */
  readonly held: boolean;
  /** Ids of peers that held it. */
  readonly peers: readonly string[];
  /** Where it is stored, if this peer held it. */
  readonly placement?: Placement;
  /** Whether it arrived in a push that this peer did not ask for. */
  readonly pushed?: boolean;
  /** When its last holder disappeared, Unix seconds; `undefined` while somebody holds it. */
  readonly holderlessSince?: number;
  /** Whether it must not be fetched automatically because a person removed or edited it here. */
  readonly unwanted?: boolean;
  /** When this peer first learned of it, Unix seconds. */
  readonly knownSince?: number;
}

/** The result of reading a metadata file. Unreadable entries are skipped and counted. */
export interface ParsedMetadata {
  /** The readable entries. */
  readonly entries: MetadataEntry[];
  /** Number of entries that describe no file. */
  readonly skipped: number;
}

/** Parses a metadata file of any implementation. Throws `SyntaxError` if the text is not one. */
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

const SOURCE_TIMESTAMP = /"file_timestamp":(-?[\d.eE+-]+)[,}]/;

/**
 * Returns the entry in a text written by `entryText`, or `undefined` if it describes no file. Several times as fast as
 * `parseJson` and `entryOf`: a start reads a hundred thousand of these. Throws `SyntaxError`.
 */
export function entryOfText(text: string): MetadataEntry | undefined {
  const fields = JSON.parse(text);
  if (typeof fields !== "object" || fields === null) return undefined;
  if (typeof fields.file_timestamp === "number") {
    // Inside a JSON string, the quotes around the key would be escaped, so this finds only the field.
    const source = SOURCE_TIMESTAMP.exec(text)?.[1];
    if (source === undefined) return entryOf(parseJson(text));
    // A part of a longer string would keep all of it in memory.
    fields.file_timestamp = new NumberText(JSON.parse(`"${source}"`));
  }
  return entryOf(fields);
}

/** Returns the entry that a parsed JSON value describes, or `undefined` if it describes no file. */
export function entryOf(value: unknown): MetadataEntry | undefined {
  const fields = value as Record<string, unknown>;
  const file = fileOf(value, fields?.sha256);
  if (!file) return undefined;
  const placement = placementOf(fields, file.name);
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

/** Most files are stored under their own `name`: one text for both takes less memory. */
function placementOf(fields: Record<string, unknown>, name: string): Placement | undefined {
  const { disk_name: diskName, size_bytes: sizeBytes, sha256, disk_mtime_ms: mtimeMs } = fields;
  const { disk_ctime_ms: ctimeMs, disk_inode: inode } = fields;
  if (
    typeof diskName !== "string" || !isFileId(sha256) ||
    !Number.isSafeInteger(sizeBytes) || typeof mtimeMs !== "number"
  ) return undefined;
  const bytes = sizeBytes as number;
  const onDisk = diskName === name ? name : diskName;
  // Written out: this is called for each file at each start, and an object made of parts takes more memory.
  if (typeof ctimeMs === "number" && typeof inode === "number") {
    return { diskName: onDisk, sizeBytes: bytes, sha256, mtimeMs, ctimeMs, inode };
  }
  return {
    diskName: onDisk,
    sizeBytes: bytes,
    sha256,
    mtimeMs,
    ...(typeof ctimeMs === "number" ? { ctimeMs } : {}),
    ...(typeof inode === "number" ? { inode } : {}),
  };
}

/** Returns an entry as JSON text, on one line. */
export function entryText(entry: MetadataEntry): string {
  const { file, held, peers, placement, pushed, holderlessSince, unwanted, knownSince } = entry;
  const { name, size, fileId, owner, timestamp } = file;
  // Written field by field: this is called for each file again and again, and a loop over fields takes four times as
  // long.
  const sizeBytes = placement?.sizeBytes ?? file.sizeBytes;
  const mib = file.sizeBytes === undefined ? size : file.sizeBytes / BYTES_PER_MIB;
  let text = `{"file_name":${asciiJson(name)},"file_size":${mib},"file_id":"${fileId}",` +
    `"file_owner":${asciiJson(owner)},` +
    `"file_timestamp":${timestamp.quoted ? asciiJson(timestamp.text) : timestamp.text}` +
    (sizeBytes === undefined ? "" : `,"size_bytes":${sizeBytes}`) +
    `,"peers_with_file":${peers.length === 0 ? "[]" : asciiJson(peers)}` +
    `,"hasCopy":"${held ? "yes" : "no"}"`;
  if (placement) {
    const { sha256, diskName, mtimeMs, ctimeMs, inode } = placement;
    text += `,"sha256":"${sha256}","disk_name":${asciiJson(diskName)},"disk_mtime_ms":${mtimeMs}`;
    if (ctimeMs !== undefined) text += `,"disk_ctime_ms":${ctimeMs}`;
    if (inode !== undefined) text += `,"disk_inode":${inode}`;
  } else if (file.sha256 !== undefined) text += `,"sha256":"${file.sha256}"`;
  if (pushed !== undefined) text += `,"pushed":${pushed}`;
  if (holderlessSince !== undefined) text += `,"holderless_since":${holderlessSince}`;
  if (unwanted !== undefined) text += `,"unwanted":${unwanted}`;
  if (knownSince !== undefined) text += `,"known_since":${knownSince}`;
  return text + "}";
}

const BYTES_PER_MIB = 1024 * 1024;
