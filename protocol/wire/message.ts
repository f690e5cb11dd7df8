// The six messages of the lab protocol as typed values: lenient decode, strict encode. PURE.
// Decode accepts whatever is seen in the field and turns it into a `Message` or throws a `ProtocolError`;
// behind it types are trusted. Only known fields are copied, into fresh objects. What each field may
// hold and why is told in docs/PROTOCOL.md.

import { ProtocolError } from "./errors.ts";
import { isFileId, type Timestamp, timestampOf } from "./fileid.ts";
import {
  MAX_GOSSIP_ID_CHARS,
  MAX_HOST_CHARS,
  MAX_LABEL_CHARS,
  MAX_NAME_CHARS,
  MAX_WANTED_LISTS,
} from "../limits.ts";
import { asciiJson, avoidBraceAtReadEdge, isCleanName, type Json, NumberText } from "./text.ts";

/** What peers tell about a file. Only `fileId` and `timestamp` can be checked, against content. */
export interface FileRecord {
  readonly fileId: string;
  /** A label, never a path. */
  readonly name: string;
  readonly owner: string;
  readonly timestamp: Timestamp;
  /** MiB in most of the field, bytes in some of it, nonsense in the rest: advisory. */
  readonly size: number;
  /** Exact size, from peers with extensions. Advisory. */
  readonly sizeBytes?: number;
}

/** What travels under the key `ext`; absent from peers without extensions. */
export interface Ext {
  readonly v: number;
  /** Public key of the peer, base64url. A hint, proves nothing until messages are signed. */
  readonly node?: string;
  /** New at each start of the peer, which remembers between two starts what it was told. */
  readonly boot?: string;
  /** Names of peers whose whole list the originator of this gossip is missing. */
  readonly want?: readonly string[];
  /** On a reply: it tells what changed in the sender's list from the first to the second revision. */
  readonly rev?: readonly [number, number];
  /** Piece k of n (from 1) of one round of a list. */
  readonly part?: readonly [number, number, string];
  /** On a reply to somebody whose name belongs to another peer: where that one is. */
  readonly taken?: { readonly host: string; readonly port: number };
}

export interface Gossip {
  readonly type: "GOSSIP";
  readonly peerId: string;
  /** Empty: the address that the connection came from. */
  readonly host: string;
  readonly port: number;
  readonly id: string;
  readonly ext?: Ext;
  /** `ext` as it came, for handing on unchanged. */
  readonly extText?: string;
}

export interface GossipReply {
  readonly type: "GOSSIP_REPLY";
  readonly peerId: string;
  readonly host: string;
  readonly port: number;
  readonly files: readonly FileRecord[];
  readonly ext?: Ext;
}

export interface GetFile {
  readonly type: "GET_FILE";
  readonly fileId: string;
  readonly ext?: Ext;
}

export interface FileData {
  readonly type: "FILE_DATA";
  /** Undefined where the message does not describe a file fully ("I don't have it", or rubbish). */
  readonly file?: FileRecord;
  /** Whether content came with it; it never stands in the message itself. */
  readonly hasContent: boolean;
  readonly ext?: Ext;
}

export interface Announce {
  readonly type: "ANNOUNCE";
  readonly from: string;
  readonly file: FileRecord;
  readonly ext?: Ext;
}

export interface Delete {
  readonly type: "DELETE";
  readonly from: string;
  readonly fileId: string;
  readonly ext?: Ext;
}

export type Message = Gossip | GossipReply | GetFile | FileData | Announce | Delete;

/** A decoded message, and how many entries of its list had to be dropped. */
export interface Decoded {
  readonly message: Message;
  readonly droppedEntries: number;
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const utf8 = new TextEncoder();

type Fields = Record<string, unknown>;

/**
 * Decodes the bytes of one message (as `FrameScanner` gives them).
 * Throws `ProtocolError` for what is no message; a bad entry in a list costs that entry only.
 */
export function decodeMessage(bytes: Uint8Array, streamed = false): Decoded {
  const fields = parseObject(bytes);
  const ext = extOf(fields.ext);
  const base = ext ? { ext } : {};
  switch (fields.type) {
    case "GOSSIP": {
      const id = fields.id;
      if (typeof id !== "string" || !isCleanName(id, MAX_GOSSIP_ID_CHARS)) throw badField("id", id);
      const extText = ext ? asciiJson(fields.ext as Json) : "";
      return whole({
        type: "GOSSIP",
        ...sender(fields),
        id,
        ...base,
        ...(ext && extText.length <= 1024 ? { extText } : {}),
      });
    }
    case "GOSSIP_REPLY": {
      if (!Array.isArray(fields.files)) throw badField("files", fields.files);
      const files: FileRecord[] = [];
      for (const entry of fields.files) {
        const file = fileOf(entry);
        if (file) files.push(file);
      }
      return {
        message: { type: "GOSSIP_REPLY", ...sender(fields), files, ...base },
        droppedEntries: fields.files.length - files.length,
      };
    }
    case "GET_FILE":
      return whole({ type: "GET_FILE", fileId: fileIdOf(fields), ...base });
    case "FILE_DATA": {
      // An escaped key would bring "data" past the scanner; content is only what was streamed, and
      // what was streamed stands as "". A later word under "data" takes it back.
      const hasContent = streamed && fields.data === "";
      if (typeof fields.data === "string" && !hasContent) throw badField("data", fields.data);
      const file = fileOf(fields);
      return whole({ type: "FILE_DATA", hasContent, ...(file ? { file } : {}), ...base });
    }
    case "ANNOUNCE": {
      const file = fileOf(fields);
      if (!file) throw new ProtocolError("announced-nothing", "ANNOUNCE does not describe a file");
      return whole({ type: "ANNOUNCE", from: nameOf("from", fields.from), file, ...base });
    }
    case "DELETE":
      return whole({
        type: "DELETE",
        from: nameOf("from", fields.from),
        fileId: fileIdOf(fields),
        ...base,
      });
    default:
      throw new ProtocolError(
        "unknown-type",
        `Message type must be one of the protocol's six, got ${show(fields.type)}`,
      );
  }
}

const whole = (message: Message): Decoded => ({ message, droppedEntries: 0 });

function parseObject(bytes: Uint8Array): Fields {
  let text: string;
  try {
    text = strictUtf8.decode(bytes);
  } catch (cause) {
    throw new ProtocolError("not-utf8", "Message is not UTF-8", { cause });
  }
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (cause) {
    throw new ProtocolError("not-json", "Message is not JSON", { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ProtocolError("not-an-object", "Message must be a JSON object");
  }
  return value as Fields;
}

/** Parses JSON so that timestamps keep their source text (as `NumberText`). Throws `SyntaxError`. */
export function parseJson(text: string): unknown {
  // The reviver costs as much as the parsing; messages without timestamps do without.
  return text.includes('"file_timestamp"')
    ? JSON.parse(text, keepTimestampText as (key: string, value: unknown) => unknown)
    : JSON.parse(text);
}

/** Reviver: the number's own text is what the protocol hashes, so it must survive parsing. */
function keepTimestampText(key: string, value: unknown, context?: { source?: string }): unknown {
  return key === "file_timestamp" && typeof value === "number" && context?.source !== undefined
    ? new NumberText(context.source)
    : value;
}

function sender(fields: Fields): { peerId: string; host: string; port: number } {
  const { host } = fields;
  if (typeof host !== "string" || host.length > MAX_HOST_CHARS || !/^[\w.:%-]*$/.test(host)) {
    throw badField("host", host);
  }
  return { peerId: nameOf("peerId", fields.peerId), host, port: portOf(fields.port) };
}

function portOf(value: unknown): number {
  const port = typeof value === "string" && /^\d{1,5}$/.test(value) ? Number(value) : value;
  if (typeof port !== "number" || !Number.isInteger(port) || port < 1 || port > 65535) {
    throw badField("port", value);
  }
  return port;
}

function nameOf(field: string, value: unknown): string {
  if (typeof value !== "string" || !isCleanName(value, MAX_NAME_CHARS)) {
    throw badField(field, value);
  }
  return value;
}

function fileIdOf(fields: Fields): string {
  if (!isFileId(fields.file_id)) throw badField("file_id", fields.file_id);
  return fields.file_id;
}

/** A FILE from any parsed value, or undefined. Also reads entries of metadata files. */
export function fileOf(value: unknown): FileRecord | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const fields = value as Fields;
  const timestamp = timestampOf(fields.file_timestamp);
  const { file_id: fileId, file_name: name, file_owner: owner } = fields;
  if (!isFileId(fileId) || typeof name !== "string" || !name.isWellFormed() || !timestamp) {
    return undefined;
  }
  if (typeof owner !== "string" || !isCleanName(owner, MAX_NAME_CHARS)) return undefined;
  const sizeBytes = fields.size_bytes;
  return {
    fileId,
    name: labelOf(name),
    owner,
    timestamp,
    size: typeof fields.file_size === "number" && Number.isFinite(fields.file_size)
      ? fields.file_size
      : 0,
    ...(Number.isSafeInteger(sizeBytes) && (sizeBytes as number) >= 0
      ? { sizeBytes: sizeBytes as number }
      : {}),
  };
}

/** The label that a name stands for: what is behind the last `/` or `\`, of bounded length. */
export function labelOf(name: string): string {
  const label = name.slice(Math.max(name.lastIndexOf("/"), name.lastIndexOf("\\")) + 1);
  return label.length <= MAX_LABEL_CHARS ? label : label.slice(0, MAX_LABEL_CHARS).toWellFormed();
}

function extOf(value: unknown): Ext | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const { v, node, boot, want, rev, part, taken } = value as Fields;
  if (typeof v !== "number" || !Number.isInteger(v) || v < 1) return undefined;
  return {
    v,
    ...(typeof node === "string" && /^[\w-]{43}$/.test(node) ? { node } : {}),
    ...(typeof boot === "string" && /^[\w-]{1,32}$/.test(boot) ? { boot } : {}),
    ...(isWanted(want) ? { want } : {}),
    ...(isSpan(rev) ? { rev } : {}),
    ...(isPart(part) ? { part } : {}),
    ...(isTaken(taken) ? { taken: { host: taken[0], port: taken[1] } } : {}),
  };
}

function isTaken(value: unknown): value is [string, number] {
  if (!Array.isArray(value) || value.length !== 2) return false;
  const [host, port] = value;
  return typeof host === "string" && isCleanName(host, MAX_HOST_CHARS) &&
    Number.isInteger(port) && 1 <= port && port <= 65_535;
}

function isWanted(value: unknown): value is string[] {
  return Array.isArray(value) && value.length >= 1 && value.length <= MAX_WANTED_LISTS &&
    value.every((name) => typeof name === "string" && isCleanName(name, MAX_NAME_CHARS));
}

function isSpan(value: unknown): value is [number, number] {
  return Array.isArray(value) && value.length === 2 && value.every(Number.isSafeInteger) &&
    0 <= value[0] && value[0] <= value[1];
}

function isPart(value: unknown): value is [number, number, string] {
  if (!Array.isArray(value) || value.length !== 3) return false;
  const [k, n, round] = value;
  return Number.isInteger(k) && Number.isInteger(n) && 1 <= k && k <= n && n <= 65_536 &&
    typeof round === "string" && isCleanName(round, 64);
}

function badField(field: string, value: unknown): ProtocolError {
  return new ProtocolError("bad-field", `Field "${field}" cannot be used, got ${show(value)}`);
}

function show(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  const text = typeof value === "string" ? value : Array.isArray(value) ? "a list" : typeof value;
  return typeof value === "string" ? asciiJson(text.slice(0, 40).toWellFormed()) : text;
}

const BYTES_PER_MIB = 1024 * 1024;

/** The fields of a FILE as they are sent: `file_size` is always a number, in MiB. */
export function fileFields(file: FileRecord): { [key: string]: Json | undefined } {
  return {
    file_name: file.name,
    file_size: file.sizeBytes === undefined ? file.size : file.sizeBytes / BYTES_PER_MIB,
    file_id: file.fileId,
    file_owner: file.owner,
    file_timestamp: timestampJson(file.timestamp),
    size_bytes: file.sizeBytes,
  };
}

/** A timestamp as it goes out: just as it came in. */
export function timestampJson({ text, quoted }: Timestamp): Json {
  return quoted ? text : new NumberText(text);
}

function extFields(ext: Ext | undefined): Json | undefined {
  if (!ext) return undefined;
  const { v, node, boot, want, rev, part, taken } = ext;
  return { v, node, boot, want, rev, part, taken: taken && [taken.host, taken.port] };
}

/**
 * Text of a message as it goes over the wire: ASCII, no `}` at a multiple of 4,096 but the last.
 * FILE_DATA is written here only when it has no content; see `fileDataEdges` for the other.
 */
export function messageText(message: Message): string {
  return avoidBraceAtReadEdge(plainText(message));
}

/** A message as bytes; one write, one connection. */
export function encodeMessage(message: Message): Uint8Array<ArrayBuffer> {
  return utf8.encode(messageText(message));
}

function plainText(message: Message): string {
  const { type } = message;
  const ext = extFields(message.ext);
  switch (message.type) {
    case "GOSSIP": {
      const { host, port, id, peerId, extText } = message;
      const text = asciiJson({ type, host, port, id, peerId, ext: extText ? undefined : ext });
      return extText ? `${text.slice(0, -1)},"ext":${extText}}` : text;
    }
    case "GOSSIP_REPLY":
      return replyText(message, message.files.map((file) => asciiJson(fileFields(file))));
    case "GET_FILE":
      return asciiJson({ type, file_id: message.fileId, ext });
    case "FILE_DATA":
      return asciiJson({
        type,
        file_name: null,
        file_size: 0, // a null here ends one peer's web server
        file_id: null,
        file_owner: null,
        file_timestamp: null,
        data: null,
        ext,
      });
    case "ANNOUNCE":
      return asciiJson({ type, from: message.from, ...fileFields(message.file), ext });
    case "DELETE":
      return asciiJson({ type, from: message.from, file_id: message.fileId, ext });
    default:
      return message satisfies never;
  }
}

/** GOSSIP_REPLY from entries that are text already: a long list is written many times, made once. */
export function replyText(head: Omit<GossipReply, "files">, entries: readonly string[]): string {
  const { type, host, port, peerId } = head;
  const text = asciiJson({ type, host, port, peerId, ext: extFields(head.ext) });
  return `${text.slice(0, -1)},"files":[${entries.join(",")}]}`;
}

/**
 * What stands before and behind the hex digits of a FILE_DATA with content. `data` comes last, so a reader
 * knows all else before the first digit.
 */
export function fileDataEdges(
  file: FileRecord,
  ext: Ext,
): { before: Uint8Array; after: Uint8Array } {
  const text = asciiJson({ type: "FILE_DATA", ...fileFields(file), ext: extFields(ext) });
  return {
    before: utf8.encode(avoidBraceAtReadEdge(`${text.slice(0, -1)},"data":"`)),
    after: utf8.encode('"}'),
  };
}

/** The type and file_id in an unfinished FILE_DATA, as far as they came before its content. */
export function peekEnvelope(envelope: Uint8Array): { type?: string; fileId?: string } {
  let fields: Fields;
  try {
    // The envelope ends behind the opening quote of the content.
    fields = JSON.parse(`${strictUtf8.decode(envelope)}"}`);
  } catch {
    return {}; // the whole message will be refused
  }
  const { type, file_id: fileId } = fields;
  return {
    ...(typeof type === "string" ? { type } : {}),
    ...(isFileId(fileId) ? { fileId } : {}),
  };
}
