// The six messages of the lab protocol, and two between peers with extensions, as typed values: lenient decode, strict encode. PURE.
// Decoding accepts what real peers send and returns a `Message`, or throws a `ProtocolError`; code beyond this point
// trusts the types. Only known fields are copied, into fresh objects. docs/PROTOCOL.md says what each field may contain
// and why.

import { ProtocolError } from "./errors.ts";
import { type Ext, extFields, extOf } from "./ext.ts";
import { isFileId, type Timestamp, timestampOf } from "./fileid.ts";
import { MAX_GOSSIP_ID_CHARS, MAX_HOST_CHARS, MAX_LABEL_CHARS, MAX_NAME_CHARS } from "../limits.ts";
import { asciiJson, avoidBraceAtReadEdge, isCleanName, type Json, NumberText } from "./text.ts";

/** A FILE entry: what peers say about a file. Only `fileId` and `timestamp` can be verified, against the content. */
export interface FileRecord {
  /** SHA-256 of content and timestamp, 64 lowercase hex digits. */
  readonly fileId: string;
  /** A label, never a path. Real peers send the same name under many ids and owners. */
  readonly name: string;
  /** The peer id of the owner: free text of at most `MAX_NAME_CHARS`. */
  readonly owner: string;
  /** The timestamp as received, because it is part of the id. */
  readonly timestamp: Timestamp;
  /** MiB from most peers, bytes from some, nonsense from others. Advisory: never used for allocation or checks. */
  readonly size: number;
  /** Exact size in bytes, from peers with extensions. Advisory. */
  readonly sizeBytes?: number;
  /** SHA-256 of the content alone, 64 lowercase hex digits, from peers with extensions. Advisory until verified. */
  readonly sha256?: string;
}

/** GOSSIP: the originator introduces itself and asks for lists. Forwarded with the same fields. */
export interface Gossip {
  /** Message type. */
  readonly type: "GOSSIP";
  /** Name of the originator: free text of at most `MAX_NAME_CHARS`. */
  readonly peerId: string;
  /** Host where the originator listens. Empty: the address that the connection came from. */
  readonly host: string;
  /** TCP port where the originator listens. */
  readonly port: number;
  /** Id of this gossip. Each id is handled only once. */
  readonly id: string;
  /** Extensions of the originator. */
  readonly ext?: Ext;
  /** `ext` as received, so that it is forwarded unchanged. */
  readonly extText?: string;
}

/** GOSSIP_REPLY: the files that the replier itself holds, sent on a new connection to the originator. */
export interface GossipReply {
  /** Message type. */
  readonly type: "GOSSIP_REPLY";
  /** Name of the replier. */
  readonly peerId: string;
  /** Host where the replier listens. Empty: the address that the connection came from. */
  readonly host: string;
  /** TCP port where the replier listens. */
  readonly port: number;
  /** Files that the replier holds; see `Ext.part` and `Ext.rev` for incomplete lists. */
  readonly files: readonly FileRecord[];
  /** Extensions of the replier. */
  readonly ext?: Ext;
}

/** GET_FILE: a request for a file, answered with FILE_DATA on the same connection. */
export interface GetFile {
  /** Message type. */
  readonly type: "GET_FILE";
  /** Id of the requested file. */
  readonly fileId: string;
  /** Extensions of the requester. */
  readonly ext?: Ext;
}

/** FILE_DATA: the answer to a GET_FILE, or, on a new connection, a push that asks the receiver to keep a copy. */
export interface FileData {
  /** Message type. */
  readonly type: "FILE_DATA";
  /** Undefined if the message does not fully describe a file: "I don't have it", or nonsense. */
  readonly file?: FileRecord;
  /** Whether content came with it. The content itself is streamed and never part of the message. */
  readonly hasContent: boolean;
  /** Extensions of the sender. */
  readonly ext?: Ext;
}

/** ANNOUNCE: `from` now holds the file. */
export interface Announce {
  /** Message type. */
  readonly type: "ANNOUNCE";
  /** Name of the new holder. Some peers put the owner's name here. */
  readonly from: string;
  /** The file that it holds. */
  readonly file: FileRecord;
  /** Extensions of the sender. */
  readonly ext?: Ext;
}

/** DELETE: the owner deletes a file everywhere. Counts only if `from` is the owner. */
export interface Delete {
  /** Message type. */
  readonly type: "DELETE";
  /** Name of the peer that deletes the file. */
  readonly from: string;
  /** Id of the deleted file. */
  readonly fileId: string;
  /** Extensions of the sender. */
  readonly ext?: Ext;
}

/**
 * LINK: asks to keep this connection open; repeated as a sign of life, and answered with a LINK. Both sides send messages on
 * it. Only between peers that can `LINKS`.
 */
export interface Link {
  /** Message type. */
  readonly type: "LINK";
  /** Name of the sender. */
  readonly peerId: string;
  /** Host where the sender listens. Empty: the address that the connection came from. */
  readonly host: string;
  /** TCP port where the sender listens. */
  readonly port: number;
  /** Extensions of the sender. */
  readonly ext?: Ext;
}

/**
 * CONNECT: asks for a connection. With `to`, on a connection to a peer that can `RELAY`: to that peer; answered with the same
 * once what follows goes to it and comes from it. With `token`, on a LINK: the receiver opens a connection, begins it with the same
 * message, and then serves it as if it had accepted it.
 */
export interface Connect {
  /** Message type. */
  readonly type: "CONNECT";
  /** Name of the peer that is wanted. */
  readonly to?: string;
  /** Text that only the two sides of the LINK know. */
  readonly token?: string;
  /** On a LINK: the connection is for another peer than the one that asks for it. */
  readonly isRelayed?: true;
  /** Extensions of the sender. */
  readonly ext?: Ext;
}

/** One of the six messages of the protocol, or of the two that only peers with extensions send to each other. */
export type Message =
  | Gossip
  | GossipReply
  | GetFile
  | FileData
  | Announce
  | Delete
  | Link
  | Connect;

/** The result of decoding one message. */
export interface Decoded {
  /** The message, with valid fields only. */
  readonly message: Message;
  /** Number of invalid entries dropped from its list. */
  readonly droppedEntries: number;
}

/** Returns the text of a packed list (`Ext.packed`). Throws if it is none, or too long. */
export type Unpack = (packed: string) => string;

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const utf8 = new TextEncoder();

/** Maximum length of the `ext` of a GOSSIP that is forwarded as it came, in characters. (A guess.) */
const MAX_EXT_CHARS = 1024;

type Fields = Record<string, unknown>;

/**
 * Decodes the bytes of one message from `FrameScanner`. `streamed`: the scanner passed on its "data". Throws
 * `ProtocolError` if it is not a valid message. An invalid entry in a list is dropped, and the rest of the list counts.
 * Without `unpack`, packed entries are left out.
 */
export function decodeMessage(bytes: Uint8Array, streamed = false, unpack?: Unpack): Decoded {
  const fields = parseObject(bytes);
  const { type } = fields;
  if (typeof type !== "string" || !Object.hasOwn(DECODERS, type)) {
    const types = Object.keys(DECODERS).join(", ");
    throw new ProtocolError(
      "unknown-type",
      `Message type must be one of ${types}, got ${show(type)}`,
    );
  }
  const ext = extOf(fields.ext);
  return DECODERS[type as Message["type"]](fields, ext ? { ext } : {}, streamed, unpack);
}

/** How each type of message is decoded. Throws `ProtocolError`. */
const DECODERS: {
  readonly [Type in Message["type"]]: (
    fields: Fields,
    base: { readonly ext?: Ext },
    streamed: boolean,
    unpack: Unpack | undefined,
  ) => Decoded;
} = {
  GOSSIP: (fields, base) => {
    const { id } = fields;
    if (typeof id !== "string" || !isCleanName(id, MAX_GOSSIP_ID_CHARS)) throw badField("id", id);
    // Whoever is sent it by others must not answer on their connections.
    const { here: _, ...forwarded } = base.ext ? fields.ext as Fields : {};
    const extText = base.ext ? asciiJson(forwarded as Json) : "";
    return whole({
      type: "GOSSIP",
      ...sender(fields),
      id,
      ...base,
      ...(base.ext && extText.length <= MAX_EXT_CHARS ? { extText } : {}),
    });
  },
  GOSSIP_REPLY: (fields, base, _streamed, unpack) => {
    if (!Array.isArray(fields.files)) throw badField("files", fields.files);
    const entries = [...fields.files, ...packedEntries(fields, unpack)];
    const files: FileRecord[] = [];
    for (const entry of entries) {
      const file = fileOf(entry);
      if (file) files.push(file);
    }
    return {
      message: { type: "GOSSIP_REPLY", ...sender(fields), files, ...base },
      droppedEntries: entries.length - files.length,
    };
  },
  GET_FILE: (fields, base) => whole({ type: "GET_FILE", fileId: fileIdOf(fields), ...base }),
  FILE_DATA: (fields, base, streamed) => {
    // A "data" key written with escapes gets past the scanner. Only streamed content counts, and that is "" here; any
    // other value means that a later "data" field replaced it.
    const hasContent = streamed && fields.data === "";
    if (typeof fields.data === "string" && !hasContent) throw badField("data", fields.data);
    const file = fileOf(fields);
    return whole({ type: "FILE_DATA", hasContent, ...(file ? { file } : {}), ...base });
  },
  ANNOUNCE: (fields, base) => {
    const file = fileOf(fields);
    if (!file) throw new ProtocolError("announced-nothing", "ANNOUNCE does not describe a file");
    return whole({ type: "ANNOUNCE", from: nameOf("from", fields.from), file, ...base });
  },
  DELETE: (fields, base) => {
    const named = (fields.ext as Fields | undefined)?.more;
    return {
      message: {
        type: "DELETE",
        from: nameOf("from", fields.from),
        fileId: fileIdOf(fields),
        ...base,
      },
      droppedEntries: base.ext && Array.isArray(named)
        ? named.length - (base.ext.more?.length ?? 0)
        : 0,
    };
  },
  LINK: (fields, base) => whole({ type: "LINK", ...sender(fields), ...base }),
  CONNECT: (fields, base) => {
    const { to, token, relayed } = fields;
    const isToken = typeof token === "string" && /^[\w-]{16,64}$/.test(token);
    if (to === undefined && !isToken) throw badField("token", token);
    return whole({
      type: "CONNECT",
      ...(to === undefined ? { token: token as string } : { to: nameOf("to", to) }),
      ...(relayed === true ? { isRelayed: true } : {}),
      ...base,
    });
  },
};

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

/** Parses JSON, keeping the source text of timestamps as `NumberText`. Throws `SyntaxError`. */
export function parseJson(text: string): unknown {
  // The reviver takes as long as the parsing itself, so messages without timestamps skip it.
  return text.includes('"file_timestamp"')
    ? JSON.parse(text, keepTimestampText as (key: string, value: unknown) => unknown)
    : JSON.parse(text);
}

/** Reviver for timestamps: the protocol hashes the source text of the number, so it must survive parsing. */
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

/**
 * Returns the FILE entry in a value parsed by `parseJson`, or `undefined` if it is not valid. Also reads the entries of
 * metadata files, which have the same fields, except that ours have the SHA-256 of the content elsewhere: `knownSha256`.
 */
export function fileOf(value: unknown, knownSha256?: unknown): FileRecord | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const fields = value as Fields;
  const timestamp = timestampOf(fields.file_timestamp);
  const { file_id: fileId, file_name: name, file_owner: owner } = fields;
  if (!isFileId(fileId) || typeof name !== "string" || !name.isWellFormed() || !timestamp) {
    return undefined;
  }
  if (typeof owner !== "string" || !isCleanName(owner, MAX_NAME_CHARS)) return undefined;
  const sizeBytes = fields.size_bytes;
  const sha256 = knownSha256 ?? (fields.file_ext as Fields | null | undefined)?.sha256;
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
    ...(isFileId(sha256) ? { sha256 } : {}),
  };
}

/**
 * Returns the label in a name: the part after the last `/` or `\`, cut to `MAX_LABEL_CHARS`. Honest peers may push the
 * absolute path that their user typed.
 */
export function labelOf(name: string): string {
  const label = name.slice(Math.max(name.lastIndexOf("/"), name.lastIndexOf("\\")) + 1);
  return label.length <= MAX_LABEL_CHARS ? label : label.slice(0, MAX_LABEL_CHARS).toWellFormed();
}

/** Returns the entries that a list has in packed form. */
function packedEntries({ ext }: Fields, unpack: Unpack | undefined): readonly unknown[] {
  const { packed } = (ext ?? {}) as Fields;
  if (typeof packed !== "string" || !unpack) return [];
  let entries: unknown;
  try {
    entries = parseJson(unpack(packed));
  } catch (cause) {
    throw new ProtocolError("bad-field", "The packed list cannot be unpacked", { cause });
  }
  if (!Array.isArray(entries)) throw badField("packed", entries);
  return entries;
}

function badField(field: string, value: unknown): ProtocolError {
  return new ProtocolError("bad-field", `Field "${field}" is not valid, got ${show(value)}`);
}

function show(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  const text = typeof value === "string" ? value : Array.isArray(value) ? "a list" : typeof value;
  return typeof value === "string" ? asciiJson(text.slice(0, 40).toWellFormed()) : text;
}

const BYTES_PER_MIB = 1024 * 1024;

/**
 * Returns the fields of a FILE entry as sent. `file_size` is always a number, in MiB if the exact size is known: a
 * `null` crashes one implementation's web server.
 */
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

/**
 * Returns the fields of a FILE entry as sent to a peer with extensions. What the protocol does not know is under one key
 * that no message uses, because ANNOUNCE and FILE_DATA have the fields of their entry next to their own.
 */
export function extendedFileFields(file: FileRecord): { [key: string]: Json | undefined } {
  const { sha256 } = file;
  const fields = fileFields(file);
  return sha256 === undefined ? fields : { ...fields, file_ext: { sha256 } };
}

/**
 * Returns the timestamp as sent: exactly as received. Two implementations drop the rest of a list if a type changes.
 */
export function timestampJson({ text, quoted }: Timestamp): Json {
  return quoted ? text : new NumberText(text);
}

/**
 * Returns the text of a message as sent: ASCII, and no `}` except the last at a multiple of 4,096 bytes. A FILE_DATA is
 * always the answer "I don't have it"; one with content is written by `fileDataEdges`. `toExtended`: the receiver has
 * extensions, so that entries may say more.
 */
export function messageText(message: Message, toExtended = false): string {
  return avoidBraceAtReadEdge(plainText(message, toExtended ? extendedFileFields : fileFields));
}

/** Returns a message as bytes, to be sent in one write on a connection of its own: old peers read only one message. */
export function encodeMessage(message: Message, toExtended = false): Uint8Array<ArrayBuffer> {
  return utf8.encode(messageText(message, toExtended));
}

function plainText(message: Message, fieldsOf: typeof fileFields): string {
  const { type } = message;
  const ext = extFields(message.ext);
  switch (message.type) {
    case "GOSSIP": {
      const { host, port, id, peerId, extText } = message;
      const text = asciiJson({ type, host, port, id, peerId, ext: extText ? undefined : ext });
      return extText ? `${text.slice(0, -1)},"ext":${extText}}` : text;
    }
    case "GOSSIP_REPLY":
      return replyText(message, message.files.map((file) => asciiJson(fieldsOf(file))));
    case "GET_FILE":
      return asciiJson({ type, file_id: message.fileId, ext });
    case "FILE_DATA":
      return asciiJson({
        type,
        file_name: null,
        file_size: 0, // a null here crashes one implementation's web server
        file_id: null,
        file_owner: null,
        file_timestamp: null,
        data: null,
        ext,
      });
    case "ANNOUNCE":
      return asciiJson({ type, from: message.from, ...fieldsOf(message.file), ext });
    case "DELETE":
      return asciiJson({ type, from: message.from, file_id: message.fileId, ext });
    case "LINK": {
      const { host, port, peerId } = message;
      return asciiJson({ type, host, port, peerId, ext });
    }
    case "CONNECT":
      return asciiJson({
        type,
        to: message.to,
        token: message.token,
        relayed: message.isRelayed,
        ext,
      });
    default:
      return message satisfies never;
  }
}

/** Returns the text of a GOSSIP_REPLY whose entries are already encoded: a long list is encoded once and sent often. */
export function replyText(head: Omit<GossipReply, "files">, entries: readonly string[]): string {
  const { type, host, port, peerId } = head;
  const text = asciiJson({ type, host, port, peerId, ext: extFields(head.ext) });
  return `${text.slice(0, -1)},"files":[${entries.join(",")}]}`;
}

/**
 * Returns the bytes before and after the hex digits of a FILE_DATA with content. `data` is the last field, so that the
 * reader knows everything else before the first digit.
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

/** Returns the type and file_id of an unfinished message, if they came before its content. */
export function peekEnvelope(envelope: Uint8Array): { type?: string; fileId?: string } {
  let fields: Fields;
  try {
    // The envelope ends with the opening quote of the content.
    fields = JSON.parse(`${strictUtf8.decode(envelope)}"}`);
  } catch {
    return {}; // the whole message will be refused later
  }
  const { type, file_id: fileId } = fields;
  return {
    ...(typeof type === "string" ? { type } : {}),
    ...(isFileId(fileId) ? { fileId } : {}),
  };
}
