// Encoding: ASCII, shaped for real readers, and timestamps byte for byte as they arrived.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import type { Ext } from "../../../protocol/wire/ext.ts";
import {
  decodeMessage,
  encodeMessage,
  fileDataEdges,
  type FileRecord,
  type Message,
  messageText,
} from "../../../protocol/wire/message.ts";
import { bytesOf, cutAt, FILE_ID, scan, verdictOn } from "./stream.ts";

const decode = (text: string): Message => decodeMessage(bytesOf(text)).message;
const sha = fc.string({
  unit: fc.constantFrom(..."0123456789abcdef"),
  minLength: 64,
  maxLength: 64,
});
const cleanUnit = fc.constantFrom(
  ..."aZ09 .:!'\"\\/{}[]<>&ü漢",
  "\u007e",
  "\u2028",
  "\u202e",
  "🧀",
);
const clean = (maxLength: number) =>
  fc.string({ unit: cleanUnit, minLength: 1, maxLength }).filter((text) =>
    text.length <= maxLength
  );
const timestamp = fc.oneof(
  fc.constantFrom(
    "1744170562",
    "1743970142.6140459",
    "1744169352.0",
    "-0",
    "1E5",
    "9007199254740993",
    "0.10",
  )
    .map((text) => ({ text, quoted: false })),
  fc.oneof(fc.constant("Sun Jun 15 21:36:41 2025"), clean(64)).map((text) => ({
    text,
    quoted: true,
  })),
);
const file: fc.Arbitrary<FileRecord> = fc.record({
  fileId: sha,
  name: clean(255).map((text) => text.replace(/[/\\]/g, "")),
  owner: clean(128),
  timestamp,
  size: fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) => n + 0),
}, { noNullPrototype: true });
const ext: fc.Arbitrary<Ext> = fc.record({
  v: fc.integer({ min: 1, max: 9 }),
  node: fc.constant("n".repeat(43)),
  boot: fc.constant("b"),
  can: fc.constant(["batch-delete", "x_1"]),
  more: fc.array(sha, { minLength: 1, maxLength: 5 }),
}, { requiredKeys: ["v"], noNullPrototype: true });
const place = {
  peerId: clean(128),
  host: fc.constantFrom("", "eagle", "::1"),
  port: fc.integer({ min: 1, max: 65535 }),
};
const withExt = <T extends object>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.tuple(fc.record(model, { noNullPrototype: true }), fc.option(ext, { nil: undefined }))
    .map(([fields, ext]) => ext ? { ...fields, ext } : fields);

const anyMessage = fc.oneof(
  withExt({ type: fc.constant("GOSSIP"), id: clean(128), ...place }),
  withExt({
    type: fc.constant("GOSSIP_REPLY"),
    files: fc.array(file, { maxLength: 20 }),
    ...place,
  }),
  withExt({ type: fc.constant("GET_FILE"), fileId: sha }),
  withExt({ type: fc.constant("FILE_DATA"), hasContent: fc.constant(false) }),
  withExt({ type: fc.constant("ANNOUNCE"), from: clean(128), file }),
  withExt({ type: fc.constant("DELETE"), from: clean(128), fileId: sha }),
) as fc.Arbitrary<Message>;

Deno.test("every message is read back as the same value, and is printable ASCII in one piece", () => {
  fc.assert(
    fc.property(anyMessage, (message) => {
      const text = messageText(message);
      match(text, /^[\x20-\x7e]+$/);
      deepStrictEqual(scan([encodeMessage(message)]).log, [text]);
      const { extText: _, ...back } = { extText: "", ...decode(text) };
      deepStrictEqual(back, message);
    }),
  );
});

Deno.test("in a long list, only the last closing brace is at the end of a read", () => {
  fc.assert(
    fc.property(fc.array(file, { minLength: 40, maxLength: 120 }), fc.nat(300), (files, pad) => {
      const head = { host: "h".repeat(1 + pad % 250), port: 1, peerId: "p" } as const;
      const text = messageText({ type: "GOSSIP_REPLY", ...head, files, ext: { v: 1 } });
      for (let edge = 4096; edge < text.length; edge += 4096) ok(text[edge - 1] !== "}", `${edge}`);
      const read = decode(text);
      strictEqual(read.type === "GOSSIP_REPLY" && read.files.length, files.length);
    }),
    { numRuns: 30 },
  );
});

/** The file_timestamp of an ANNOUNCE, read and written again; undefined if it is refused. */
function handOn(timestampText: string): string | undefined {
  const text =
    `{"type":"ANNOUNCE","from":"a","file_name":"n","file_size":1,"file_id":"${FILE_ID}",` +
    `"file_owner":"o","file_timestamp":${timestampText}}`;
  if (verdictOn(text) !== "accepted") return undefined;
  return /"file_timestamp":(.*?)\}$/.exec(messageText(decode(text)))![1];
}

Deno.test("timestamps are passed on byte for byte, with the type they had", () => {
  const numbers = [
    "1744170562",
    "1744169352.0",
    "1743970142.6140459",
    "1744169352.000000",
    "-0",
    "-0.0",
    "0",
  ];
  numbers.push(
    "9007199254740993",
    "1e9",
    "1E+9",
    "1.744169352e9",
    "12345678901234567890.5",
    "1".repeat(32),
  );
  const strings = ['"Sun Jun 15 21:36:41 2025"', '"1744169352.0"', '""', '"now"'];
  for (const text of [...numbers, ...strings]) strictEqual(handOn(text), text);
  for (
    const text of [
      "1e999",
      "-1e999",
      "1".repeat(400),
      "0." + "1".repeat(31),
      "null",
      "true",
      "[]",
      "{}",
    ]
  ) {
    strictEqual(handOn(text), undefined, text);
  }
});

Deno.test("what is passed on is always JSON, whatever was in place of a timestamp", () => {
  const odd = [
    '""',
    '" "',
    '"0x10"',
    '"+1"',
    '".5"',
    '"1."',
    '"1744169352"',
    '"\\n1"',
    "1",
    "null",
  ];
  for (const text of odd) {
    const written = handOn(`{"text":${text},"quoted":false}`);
    strictEqual(written, undefined, `an object became ${written}`);
  }
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value);
      const written = handOn(text);
      // What JSON cannot express (-0) was lost before it was passed on.
      if (written !== undefined) deepStrictEqual(JSON.parse(written), JSON.parse(text));
    }),
  );
});

Deno.test("sizes are sent as numbers, exact if the exact size is known", () => {
  const sizeOf = (over: Partial<FileRecord>) => {
    const file = {
      fileId: FILE_ID,
      name: "n",
      owner: "o",
      timestamp: { text: "1", quoted: false },
      size: 2.5,
      ...over,
    };
    const { file_size, size_bytes } = JSON.parse(
      messageText({ type: "ANNOUNCE", from: "a", file }),
    );
    return [file_size, size_bytes];
  };
  deepStrictEqual(sizeOf({}), [2.5, undefined]);
  deepStrictEqual(sizeOf({ sizeBytes: 1048576 * 3 }), [3, 1048576 * 3]);
  deepStrictEqual(sizeOf({ sizeBytes: 0 }), [0, 0]);
});

Deno.test('"I don\'t have it" is all fields null and a size of 0', () => {
  strictEqual(
    messageText({ type: "FILE_DATA", hasContent: false }),
    '{"type":"FILE_DATA","file_name":null,"file_size":0,"file_id":null,"file_owner":null,' +
      '"file_timestamp":null,"data":null}',
  );
});

Deno.test("a gossip is forwarded with the extensions it arrived with, known or not", () => {
  const ext =
    '{"v":3,"node":"short","new":{"a":[1,{"b":null}]},"__proto__":{"x":1},"text":"\\u00e4\\u007d"}';
  const text = `{"type":"GOSSIP","host":"h","port":1,"id":"i","peerId":"p","ext":${ext}}`;
  strictEqual(messageText(decode(text)), text);
  strictEqual(messageText(decode(messageText(decode(text)))), text);
  // Without bounds, a stranger's extension would travel through the whole network in every gossip.
  const long = text.replace('"short"', `"${"x".repeat(2000)}"`);
  strictEqual(messageText(decode(long)), text.replace(/"ext":.*/, '"ext":{"v":3}}'));
  const none = text.replace(/,"ext".*/, ',"ext":[1]}');
  strictEqual(messageText(decode(none)), text.replace(/,"ext".*/, "}"));
});

Deno.test("FILE_DATA begins with everything that is known, and its edges make a valid message around any content", () => {
  fc.assert(
    fc.property(file, fc.uint8Array(), fc.array(fc.nat()), (file, content, cuts) => {
      const { before, after } = fileDataEdges(file, { v: 1, part: [1, 1, "r"] });
      const bytes = new Uint8Array([...before, ...bytesOf(content.toHex()), ...after]);
      const { log } = scan(cutAt(bytes, cuts));
      strictEqual(log[1], `data ${content.toHex()}`);
      const { message } = decodeMessage(bytesOf(log[2]!.replace("streamed ", "")), true);
      deepStrictEqual(message.type === "FILE_DATA" && message.file, file);
      ok(before.every((byte) => byte >= 0x20 && byte < 0x7f));
    }),
  );
});
