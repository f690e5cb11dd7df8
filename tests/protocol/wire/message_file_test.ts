// FILE entries and "data": read leniently, never trusted.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { labelOf, peekEnvelope } from "../../../protocol/wire/message.ts";
import { announce, announced, decode, decodeAs, gossip } from "./decoding.ts";
import { bytesOf, FILE_ID, verdictOn } from "./stream.ts";

Deno.test("a lone surrogate in a name costs its entry, but a label may contain anything else, even NUL", () => {
  for (const name of ["\\ud800", "a\\udc00b"]) {
    strictEqual(verdictOn(announce({ file_name: `"${name}"` })), "announced-nothing");
  }
  strictEqual(announced({ file_name: '"a\\u0000\\u202eb"' }).name, "a\0\u202eb");
  strictEqual(announced({ file_name: '""' }).name, "");
});

Deno.test("a label is the part after the last slash of either kind, at most 255 characters", () => {
  const table = [
    ["/etc/passwd", "passwd"],
    ["../../x", "x"],
    ["C:\\dir\\x.txt", "x.txt"],
    ["a/../..\\b/", ""],
    ["..", ".."],
    ["plain", "plain"],
  ] as const;
  for (const [name, label] of table) {
    strictEqual(labelOf(name), label);
    strictEqual(announced({ file_name: JSON.stringify(name) }).name, label);
  }
  strictEqual(labelOf("x".repeat(10_000)).length, 255);
  ok(labelOf(`${"x".repeat(254)}🧀`).isWellFormed());
});

Deno.test("a list keeps its good entries and counts the others", () => {
  const good = announce();
  const bad = [
    "null",
    "1",
    '"x"',
    "[]",
    "{}",
    announce({ file_id: '"A"' }),
    announce({ file_timestamp: "null" }),
  ];
  const { message, droppedEntries } = decode(
    `{"type":"GOSSIP_REPLY","host":"h","port":1,"peerId":"p","files":[${
      [good, ...bad, good].join(",")
    }]}`,
  );
  strictEqual(droppedEntries, bad.length);
  strictEqual(message.type === "GOSSIP_REPLY" && message.files.length, 2);
  for (const files of ["{}", "null", '"x"', "1", `{"0":${good}}`]) {
    strictEqual(
      verdictOn(`{"type":"GOSSIP_REPLY","host":"h","port":1,"peerId":"p","files":${files}}`),
      "bad-field",
    );
  }
});

Deno.test("a size is advisory: no value of it costs the entry", () => {
  const sizes = [["123.0", 123], ["null", 0], ['"12"', 0], ["1e999", 0], ["-0", -0], [
    "2.8e-05",
    2.8e-5,
  ]] as const;
  for (const [text, size] of sizes) strictEqual(announced({ file_size: text }).size, size, text);
  const exact = [["12", 12], ["-1", undefined], ["1.5", undefined], ["1e16", undefined], [
    '"1"',
    undefined,
  ]] as const;
  for (const [text, size] of exact) {
    strictEqual(announced({ size_bytes: text }).sizeBytes, size, text);
  }
});

Deno.test("only streamed data is content", () => {
  const base = `{"type":"FILE_DATA","file_id":"${FILE_ID}"`;
  strictEqual(decodeAs("FILE_DATA", `${base},"data":""}`, true).hasContent, true);
  strictEqual(decodeAs("FILE_DATA", `${base},"data":null}`).hasContent, false);
  strictEqual(
    verdictOn(`${base},"d\\u0061ta":"00ff"}`),
    "bad-field",
    "an escaped key does not bypass the scanner",
  );
});

Deno.test('a later value under "data" revokes streamed content', () => {
  const base = `{"type":"FILE_DATA","file_id":"${FILE_ID}"`;
  strictEqual(verdictOn(`${base},"data":"","d\\u0061ta":"00ff"}`, true), "bad-field");
  strictEqual(decodeAs("FILE_DATA", `${base},"data":"","data":null}`, true).hasContent, false);
});

Deno.test("what is known before the content is read from the fields of the message, not from inside their values", () => {
  const peek = (text: string) => peekEnvelope(bytesOf(text));
  deepStrictEqual(peek(`{"type": "FILE_DATA" ,"file_id" : "${FILE_ID}","data":"`), {
    type: "FILE_DATA",
    fileId: FILE_ID,
  });
  deepStrictEqual(peek('{"data":"'), {});
  deepStrictEqual(peek('{"file_name":"\\"type\\":\\"GOSSIP\\"","data":"'), {});
  deepStrictEqual(peek('{"ext":{"v":1,"type":"zip"},"type":"FILE_DATA","data":"'), {
    type: "FILE_DATA",
  });
});
Deno.test("a name is free text without control characters, at most 128 characters", () => {
  for (const name of ["prokopie", "TEST8!!!", "a b", "123", "ü🧀", "x".repeat(128), "__proto__"]) {
    strictEqual(decodeAs("GOSSIP", gossip({ peerId: name })).peerId, name);
    strictEqual(announced({ file_owner: JSON.stringify(name) }).owner, name);
    strictEqual(decodeAs("ANNOUNCE", announce({ from: JSON.stringify(name) })).from, name);
  }
  for (
    const name of [
      "",
      "x".repeat(129),
      "a\u0000",
      "\u001b[31m",
      "a\nb",
      "\u0085",
      "\ud800",
      7,
      null,
      [],
      {},
    ]
  ) {
    strictEqual(verdictOn(gossip({ peerId: name })), "bad-field");
    const text = JSON.stringify(name);
    strictEqual(verdictOn(announce({ file_owner: text })), "announced-nothing", text);
    strictEqual(verdictOn(announce({ from: text })), "bad-field", text);
    strictEqual(verdictOn(`{"type":"DELETE","from":${text},"file_id":"${FILE_ID}"}`), "bad-field");
  }
});
