// What the scanner and the decoder make of bytes in pieces, as plain text, so that two ways of splitting the
// same bytes can be compared. Also: one message of every type.

import { ProtocolError } from "../../../protocol/wire/errors.ts";
import { FrameScanner } from "../../../protocol/wire/frame.ts";
import { DEFAULT_LIMITS, type Limits } from "../../../protocol/limits.ts";
import { decodeMessage } from "../../../protocol/wire/message.ts";

const utf8 = new TextEncoder();
const latin1 = new TextDecoder("latin1");
export const bytesOf = (text: string): Uint8Array<ArrayBuffer> => utf8.encode(text);
/** Returns bytes as text of the same length, whatever they are. */
export const textOf = (bytes: Uint8Array): string => latin1.decode(bytes);

export const FILE_ID = "602c86cb810c29d0a962cf252825c252a05bf4de5ec6d3ce825b240465ae138c";

const FIELDS = `"file_name":"Käse \\"1\\".txt","file_size":123.0,"file_id":"${FILE_ID}",` +
  `"file_owner":"prokopie \u{1f9c0}","file_timestamp":1744169352.0`;

/** One message of every type as real peers send them: raw UTF-8, escapes, white space, extensions. */
export const SAMPLES: Readonly<Record<string, string>> = {
  GOSSIP:
    '{"type": "GOSSIP", "host": "eagle", "port": "8001", "id": "7b\\u0065", "peerId": "TEST8!!!"}',
  "GOSSIP with ext":
    '{"type":"GOSSIP","host":"","port":8001,"id":"x","peerId":"\\ud83e\\uddc0 ü","ext":{"v":1,' +
    `"node":"${"n".repeat(43)}","boot":"b-1","want":"list","new":[{"a":[]}]}}`,
  GOSSIP_REPLY:
    `{"type":"GOSSIP_REPLY","host":"10.0.0.7","port":8001,"peerId":"a","files":[ {${FIELDS}},` +
    `{${FIELDS},"data":"deep","hasCopy":"yes","peers":["a","b"]}, {"file_id":null} ]}`,
  "GOSSIP_REPLY, empty": '{"files":[],"type":"GOSSIP_REPLY","host":"h","port":1,"peerId":"a"}',
  GET_FILE: `{"type":"GET_FILE","file_id":"${FILE_ID}"}`,
  FILE_DATA: `{"type":"FILE_DATA",${FIELDS},"data":"00ff7B7d225c0a"}`,
  "FILE_DATA, data first": `{"data" : "00ff22","type":"FILE_DATA",${FIELDS}}`,
  "FILE_DATA, nulls":
    '{"type":"FILE_DATA","file_name":null,"file_size":null,"file_id":null,"file_owner":null,' +
    '"file_timestamp":null,"data":null}',
  'FILE_DATA, "null"': `{"type":"FILE_DATA","file_id":"${FILE_ID}","data":"null"}`,
  ANNOUNCE: `{"type":"ANNOUNCE","from":"b",${FIELDS}}`,
  DELETE: `{"type":"DELETE","from":"b\\\\","file_id":"${FILE_ID}"}`,
};

/** What happened while the pieces were fed; the same for the same bytes, however they are split. */
export interface Scanned {
  /** Each message as JSON, "data" with its content, and how it ended. */
  readonly log: readonly string[];
  readonly steps: number;
  readonly idle: boolean;
}

type ScanLimits = Partial<Pick<Limits, "maxMessageBytes" | "maxListBytes" | "maxListFiles">>;

/** Feeds pieces to the scanner. Only a `ProtocolError` may end it early. */
export function scan(pieces: Iterable<Uint8Array>, limits: ScanLimits = {}): Scanned {
  const log: string[] = [];
  let data = "";
  const scanner = new FrameScanner({
    message: (bytes, streamed) => void log.push(`${streamed ? "streamed " : ""}${textOf(bytes)}`),
    dataStart: (envelope) => void log.push(`data after ${textOf(envelope)}`),
    data: (piece) => void (data += piece),
    dataEnd: () => {
      log.push(`data ${data}`);
      data = "";
    },
  }, { ...DEFAULT_LIMITS, ...limits });
  try {
    for (const piece of pieces) {
      const buffer = piece.slice();
      scanner.feed(buffer);
      buffer.fill(0x7b); // the edge reads into the same buffer every time
    }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    log.push(`refused: ${error.reason}`);
  }
  return { log, steps: scanner.steps, idle: scanner.idle };
}

/** Returns the complete messages among the bytes, decoded, as JSON. */
export function decodeAll(pieces: Iterable<Uint8Array>): string[] {
  const log: string[] = [];
  const scanner = new FrameScanner({
    message: (bytes, streamed) => void log.push(JSON.stringify(decodeMessage(bytes, streamed))),
    dataStart: () => {},
    data: () => {},
    dataEnd: () => {},
  }, DEFAULT_LIMITS);
  try {
    for (const piece of pieces) scanner.feed(piece);
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    log.push(`refused: ${error.reason}`);
  }
  return log;
}

/** Returns each byte separately. */
export function* oneByOne(bytes: Uint8Array): Generator<Uint8Array> {
  for (let i = 0; i < bytes.length; i++) yield bytes.subarray(i, i + 1);
}

/** Returns the bytes split at these places, in any order, with empty pieces among them. */
export function cutAt(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const edges = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b)];
  return edges.map((from, i) => bytes.subarray(from, edges[i + 1] ?? bytes.length));
}

/** Returns the reason why the decoder refuses this text, or "accepted". */
export function verdictOn(text: string | Uint8Array, streamed = false): string {
  try {
    decodeMessage(typeof text === "string" ? bytesOf(text) : text, streamed);
    return "accepted";
  } catch (error) {
    if (error instanceof ProtocolError) return error.reason;
    throw error;
  }
}
