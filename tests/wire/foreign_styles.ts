// How four real (Python) peers of the lab network read, write and wait: the quirks of PROTOCOL.md, "as peers in the
// field really speak it", as one table of manners that ForeignPeer follows.
// A reader is handed each read of at most 4096 bytes as it arrives, and says where a message ends, or throws with
// the reason why the message is lost, as the real peer would lose it.
// Nothing here opens a connection. Do not improve anything here to understand more than the real peers do: what
// they cannot read is what the tests are for.

export type ForeignStyle = "keeps-open" | "closes-at-once" | "same-connection" | "reparses";

export type Message = Record<string, unknown>;

/** Splits one connection into messages. */
export interface Reader {
  /** The message that this read completed, or undefined; throws when the message is lost. */
  take(read: Uint8Array): Message | undefined;
  /** The message that the other side's close completed; throws when something was cut short. */
  close(): Message | undefined;
  /** Whether part of a message is waiting for the rest. */
  pending(): boolean;
}

export interface Manner {
  /** For connections on which messages arrive unasked. */
  reader(): Reader;
  /** For the answer to its own GET_FILE. */
  answerReader(): Reader;
  terminator: "" | "\n";
  portAsText: boolean;
  sizeInBytes: boolean;
  /** Passes all numbers from other peers through `float()`. */
  floatsTimestamps: boolean;
  /** Drops the rest of a list in which a known id changes between number and string. */
  fixesTimestampType: boolean;
  repliesOnSameConnection: boolean;
  announcesFetched: boolean;
  oneConnectionAtATime: boolean;
  severalMessagesPerConnection: boolean;
  /** What happens to a connection that it opened, after it has sent its message. */
  afterSending: "leaves open" | "half-closes" | "closes";
  /** Its answer for a file that it does not hold; `undefined` means silence on an open connection. */
  missing(fileId: string): Message | undefined;
  /** How long it waits for the next bytes of an inbound message, begun or not. */
  inboundMs: number;
  /** How long it waits for an answer on a connection on which it sent a message. */
  lingerMs: number;
  /** How long it waits for the first byte of an answer to GET_FILE, and then for each further read. */
  firstByteMs: number;
  idleMs: number;
}

const NOT_HERE = {
  type: "FILE_DATA",
  file_name: null,
  file_size: null,
  file_id: null,
  file_owner: null,
  file_timestamp: null,
  data: null,
};

/** What most of the four do; each style below lists only its differences. */
const COMMON: Omit<Manner, "reader" | "answerReader" | "afterSending" | "missing"> = {
  terminator: "",
  portAsText: false,
  sizeInBytes: false,
  floatsTimestamps: false,
  fixesTimestampType: false,
  repliesOnSameConnection: false,
  announcesFetched: false,
  oneConnectionAtATime: false,
  severalMessagesPerConnection: false,
  inboundMs: 10_000,
  lingerMs: 10_000,
  firstByteMs: 10_000,
  idleMs: 10_000,
};

export const MANNERS: Record<ForeignStyle, Manner> = {
  "keeps-open": {
    ...COMMON,
    reader: wholeTextReader,
    answerReader: wholeTextReader,
    floatsTimestamps: true,
    fixesTimestampType: true,
    announcesFetched: true,
    severalMessagesPerConnection: true,
    afterSending: "leaves open",
    missing: (fileId) => ({ ...NOT_HERE, file_id: fileId }),
  },
  "closes-at-once": {
    ...COMMON,
    reader: braceReader,
    answerReader: untilCloseReader,
    portAsText: true,
    afterSending: "closes",
    missing: () => NOT_HERE,
    firstByteMs: 5_000,
    idleMs: 30_000,
  },
  "same-connection": {
    ...COMMON,
    reader: firstObjectReader,
    answerReader: firstObjectReader,
    terminator: "\n",
    sizeInBytes: true,
    repliesOnSameConnection: true,
    afterSending: "half-closes",
    missing: () => undefined,
  },
  "reparses": {
    ...COMMON,
    reader: reparsingReader,
    answerReader: reparsingReader,
    fixesTimestampType: true,
    oneConnectionAtATime: true,
    afterSending: "leaves open",
    missing: () =>
      Object.fromEntries(
        Object.entries(NOT_HERE).map(([field, value]) => [field, value ?? "null"]),
      ),
    lingerMs: 2_000,
    firstByteMs: 30_000,
    idleMs: 30_000,
  },
};

/** "keeps-open": parses everything it has after each read, and can read a second write afterwards. */
function wholeTextReader(): Reader {
  let text = "";
  const pending = () => text.trim() !== "";
  return {
    take(read) {
      const piece = decodeAlone(read);
      text += piece;
      // Only text that ends in `}` can parse as an object, so the outcome is the same as parsing each time, without
      // the cost, which is the trait of "reparses" alone.
      const message = piece.trimEnd().endsWith("}") ? tryObject(text) : undefined;
      if (message !== undefined) text = "";
      return message;
    },
    close: () => pending() ? cutShort(text) : undefined,
    pending,
  };
}

/** "closes-at-once": takes the first read whose last byte is `}` for the end. */
function braceReader(): Reader {
  let text = "";
  const pending = () => text.trim() !== "";
  return {
    take(read) {
      text += decodeAlone(read);
      if (read.at(-1) !== 0x7d) return undefined;
      const message = tryObject(text);
      if (message === undefined) {
        throw new Error(`A read ended in "}" after ${text.length} characters that do not parse`);
      }
      text = "";
      return message;
    },
    close: () => pending() ? tryObject(text) ?? cutShort(text) : undefined,
    pending,
  };
}

/** "closes-at-once" as requester: an answer is complete when the other side has closed. */
function untilCloseReader(): Reader {
  const decoder = strictDecoder();
  let text = "";
  const pending = () => text.trim() !== "";
  return {
    take(read) {
      text += decode(read, () => decoder.decode(read, { stream: true }));
      return undefined;
    },
    close: () => pending() ? tryObject(text) ?? cutShort(text) : undefined,
    pending,
  };
}

/** "same-connection": reads the first object, by its braces; whatever follows it is ignored. */
function firstObjectReader(): Reader {
  const reads: Uint8Array[] = [];
  let depth = 0;
  let inString = false;
  let escaped = false;
  const pending = () => depth > 0;
  return {
    take(read) {
      for (const [at, byte] of read.entries()) {
        if (inString) {
          if (escaped) escaped = false;
          else if (byte === 0x5c) escaped = true;
          else if (byte === 0x22) inString = false;
        } else if (byte === 0x22 && depth > 0) inString = true;
        else if (byte === 0x7b || (byte === 0x5b && depth > 0)) depth++;
        else if (depth === 0 && byte > 0x20) {
          throw new Error(`Expected an object, received byte ${byte} before its first brace`);
        } else if ((byte === 0x7d || byte === 0x5d) && --depth === 0) {
          const text = decodeAlone(joined([...reads, read.subarray(0, at + 1)]));
          const message = tryObject(text);
          if (message !== undefined) return message;
          throw new Error(`The first object of ${text.length} characters does not parse`);
        }
      }
      reads.push(read);
      return undefined;
    },
    close: () => pending() ? cutShort(new TextDecoder().decode(joined(reads))) : undefined,
    pending,
  };
}

/** "reparses": parses everything so far again on each read. The quadratic cost is the point. */
function reparsingReader(): Reader {
  let text = "";
  const pending = () => text.trim() !== "";
  return {
    take(read) {
      text += decodeAlone(read);
      const message = tryObject(text);
      if (message !== undefined) text = "";
      return message;
    },
    close: () => pending() ? cutShort(text) : undefined,
    pending,
  };
}

function cutShort(text: string): never {
  const start = JSON.stringify(text.slice(0, 60));
  throw new Error(`Connection ended before a message was whole, after ${text.length}: ${start}`);
}

function joined(reads: Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(reads.reduce((sum, read) => sum + read.length, 0));
  let at = 0;
  for (const read of reads) {
    bytes.set(read, at);
    at += read.length;
  }
  return bytes;
}

// Python keeps a byte order mark, which then does not parse.
function strictDecoder(): TextDecoder {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
}

function decodeAlone(read: Uint8Array): string {
  return decode(read, () => strictDecoder().decode(read));
}

function decode(read: Uint8Array, work: () => string): string {
  try {
    return work();
  } catch (cause) {
    throw new Error(`A read of ${read.length} bytes is not UTF-8 by itself`, { cause });
  }
}

// Returns what a peer of any style fails on after parsing, or `undefined` if there is nothing.

export function complaintAbout(message: Message): string | undefined {
  const need = (...fields: string[]) => {
    const field = fields.find((field) => typeof message[field] !== "string");
    return field &&
      `${message.type} needs text in "${field}", received ${JSON.stringify(message[field])}`;
  };
  switch (message.type) {
    case "GOSSIP":
      return need("peerId", "host", "id") ?? complaintAboutPort(message);
    case "GOSSIP_REPLY":
      if (!Array.isArray(message.files)) return `GOSSIP_REPLY needs a list in "files"`;
      return need("peerId", "host") ?? complaintAboutPort(message);
    case "GET_FILE":
      return need("file_id");
    case "FILE_DATA":
      return message.data === null ? undefined : need("data");
    case "ANNOUNCE":
      return need("from") ?? complaintAboutEntry(message);
    case "DELETE":
      return need("from", "file_id");
    default:
      return `Unknown type ${JSON.stringify(message.type)}`;
  }
}

function complaintAboutPort({ type, port }: Message): string | undefined {
  const number = typeof port === "string" && /^\d+$/.test(port) ? Number(port) : port;
  if (Number.isInteger(number) && Number(number) >= 1 && Number(number) <= 65535) return undefined;
  return `${type} needs a port, received ${JSON.stringify(port)}`;
}

export function complaintAboutEntry(entry: unknown): string | undefined {
  if (typeof entry !== "object" || entry === null) return `Entry is no object: ${dumps(entry)}`;
  const { file_id, file_name, file_owner, file_timestamp } = entry as Message;
  const isTimestamp = typeof file_timestamp === "number" || typeof file_timestamp === "string";
  if (
    typeof file_id === "string" && /^[0-9a-f]{64}$/.test(file_id) && isTimestamp &&
    typeof file_name === "string" && typeof file_owner === "string"
  ) return undefined;
  return `Entry with missing or mistyped fields: ${dumps(entry).slice(0, 300)}`;
}

// JSON as Python's json module reads and writes it, with the one thing that it cannot preserve: the source text of
// a timestamp.

const timestampSources = new WeakMap<object, string>();

/** Source text of an entry's `file_timestamp` as it arrived; a string keeps its quotes. */
export function timestampSource(entry: object): string | undefined {
  return timestampSources.get(entry);
}

/** Returns a copy of a message with other fields that still knows the source text of its timestamp. */
export function withFields(message: Message, fields: Message): Message {
  const copy = { ...message, ...fields };
  const source = timestampSources.get(message);
  if (source !== undefined) timestampSources.set(copy, source);
  return copy;
}

/** Returns the object that the text is, or `undefined` if it does not parse. Throws for other JSON values. */
function tryObject(text: string): Message | undefined {
  let value: unknown;
  try {
    value = JSON.parse(
      text,
      function (this: object, key: string, value: unknown, context?: { source?: string }) {
        if (key === "file_timestamp" && context?.source !== undefined) {
          timestampSources.set(this, context.source);
        }
        return value;
      },
    );
  } catch {
    return undefined; // incomplete or invalid: the readers decide which
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`Expected an object, received ${text.slice(0, 60)}`);
  }
  return value as Message;
}

/** JSON text that is sent as it is. */
export class Source {
  constructor(readonly text: string) {}
}

/** `json.dumps()`: ASCII, a space after each comma and colon. */
export function dumps(value: unknown): string {
  if (value instanceof Source) return value.text;
  if (Array.isArray(value)) return `[${value.map(dumps).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const source = timestampSource(value);
    const fields = Object.entries(value).map(([key, field]) => {
      const text = key === "file_timestamp" && source !== undefined ? source : dumps(field);
      return `${dumps(key)}: ${text}`;
    });
    return `{${fields.join(", ")}}`;
  }
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Python's `str()` of a JSON value given by its source text. */
export function pythonStr(source: string): string {
  if (source.startsWith('"')) return JSON.parse(source);
  if (/^-?\d+$/.test(source)) return String(BigInt(source));
  return floatText(source);
}

/** Returns a number's source text after Python's `float()`; any other JSON value is unchanged. */
export function floatText(source: string): string {
  const value = Number(source);
  if (source.startsWith('"') || Number.isNaN(value)) return source;
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e16)) {
    return value.toExponential().replace(/e([+-])(\d)$/, (_, sign, digit) => `e${sign}0${digit}`);
  }
  const text = Object.is(value, -0) ? "-0" : String(value);
  return text.includes(".") ? text : `${text}.0`;
}

/** Returns the source text of a timestamp that a peer of this style gives to its own file. */
export function ownTimestamp(style: ForeignStyle, seconds: number): string {
  switch (style) {
    case "keeps-open":
      return `${seconds}.6140459`;
    case "closes-at-once":
    case "same-connection":
      return String(seconds);
    case "reparses": {
      // time.ctime(), in UTC so that tests say the same everywhere: a day below 10 has a space.
      const [week = "", day = "", month, year, time] = new Date(seconds * 1000).toUTCString()
        .split(" ");
      return `"${week.slice(0, 3)} ${month} ${String(Number(day)).padStart(2)} ${time} ${year}"`;
    }
  }
}
