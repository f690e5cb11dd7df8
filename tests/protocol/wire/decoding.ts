// Messages as text, field by field, and how the decoder reads them.

import { strictEqual } from "node:assert/strict";
import {
  type Decoded,
  decodeMessage,
  type FileRecord,
  type Message,
} from "../../../protocol/wire/message.ts";
import { bytesOf, FILE_ID } from "./stream.ts";

type Type = Message["type"];
type OfType<T extends Type> = Extract<Message, { type: T }>;

export const decode = (text: string, streamed = false): Decoded =>
  decodeMessage(bytesOf(text), streamed);

export function decodeAs<T extends Type>(type: T, text: string, streamed = false): OfType<T> {
  const { message } = decode(text, streamed);
  strictEqual(message.type, type);
  return message as OfType<T>;
}

export const gossip = (over: Record<string, unknown> = {}): string =>
  JSON.stringify({ type: "GOSSIP", host: "h", port: 1, id: "i", peerId: "p", ...over });

/** Returns an ANNOUNCE of a file whose fields are JSON text. */
export function announce(over: Record<string, string> = {}): string {
  const fields = {
    type: '"ANNOUNCE"',
    from: '"a"',
    file_name: '"n"',
    file_size: "1",
    file_id: `"${FILE_ID}"`,
    file_owner: '"o"',
    file_timestamp: "1744169352.0",
    ...over,
  };
  return `{${Object.entries(fields).map(([key, value]) => `"${key}":${value}`).join(",")}}`;
}

/** Returns the file in such an ANNOUNCE. */
export const announced = (over?: Record<string, string>): FileRecord =>
  decodeAs("ANNOUNCE", announce(over)).file;
