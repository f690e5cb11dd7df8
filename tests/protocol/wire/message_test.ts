// Decoding: what real peers send becomes a typed value or a ProtocolError with its reason, nothing else.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { ProtocolError } from "../../../protocol/wire/errors.ts";
import { decodeMessage } from "../../../protocol/wire/message.ts";
import { announce, decode, decodeAs, gossip } from "./decoding.ts";
import { bytesOf, FILE_ID, SAMPLES, verdictOn } from "./stream.ts";

Deno.test("a port is a whole number from 1 to 65535, or a string with one", () => {
  for (const port of [1, 65535, 8001, "8001", "65535"]) {
    strictEqual(decodeAs("GOSSIP", gossip({ port })).port, Number(port));
  }
  for (
    const port of [
      0,
      65536,
      -1,
      1.5,
      1e99,
      "0",
      "65536",
      "123456",
      "",
      " 80",
      "80 ",
      "0x50",
      "8e3",
      "-1",
      true,
      null,
      [80],
      {},
    ]
  ) {
    strictEqual(verdictOn(gossip({ port })), "bad-field", JSON.stringify(port));
  }
});

Deno.test("a host is a name, an address or empty", () => {
  for (
    const host of [
      "",
      "eagle",
      "a-b.example",
      "10.0.0.1",
      "2001:db8::1",
      "fe80::1%eth0",
      "x".repeat(253),
    ]
  ) {
    strictEqual(decodeAs("GOSSIP", gossip({ host })).host, host);
  }
  for (
    const host of [
      "x".repeat(254),
      "a b",
      "a/b",
      "a@b",
      "a\n",
      "ä",
      "a\0",
      "[::1]",
      "127。0。0。1",
      null,
      1,
      ["h"],
      {},
    ]
  ) {
    strictEqual(verdictOn(gossip({ host })), "bad-field", JSON.stringify(host));
  }
});

Deno.test("missing and mistyped fields cost only the message", () => {
  const odd = [
    "null",
    "0",
    "-1.5",
    "true",
    '""',
    '"x"',
    "[]",
    "[1]",
    "{}",
    '{"text":""}',
    '"\\ud800"',
  ];
  for (const [name, text] of Object.entries(SAMPLES)) {
    const fields = Object.entries(JSON.parse(text) as Record<string, unknown>);
    for (const [key] of fields) {
      for (const other of [undefined, ...odd]) {
        const kept = fields.flatMap(([k, v]) => {
          if (k !== key) return [`${JSON.stringify(k)}:${JSON.stringify(v)}`];
          return other === undefined ? [] : [`${JSON.stringify(k)}:${other}`];
        });
        for (const streamed of [false, true]) {
          const verdict = verdictOn(`{${kept.join(",")}}`, streamed);
          ok(
            ["accepted", "bad-field", "unknown-type", "announced-nothing"].includes(verdict),
            `${name}.${key} = ${other}: ${verdict}`,
          );
        }
      }
    }
  }
});

Deno.test("an unknown type is refused, whatever it is", () => {
  for (
    const type of ["PING", "gossip", "GOSSIP ", "", "__proto__", "constructor", null, 1, [], [
      "GOSSIP",
    ]]
  ) {
    strictEqual(verdictOn(JSON.stringify({ type })), "unknown-type", JSON.stringify(type));
  }
  strictEqual(verdictOn("{}"), "unknown-type");
  strictEqual(verdictOn("[]"), "not-an-object");
  for (
    const text of [
      "{",
      "{}}",
      "{'a':1}",
      '{"a":01}',
      '{"a":1,}',
      '{"a":"\n"}',
      '{"a":NaN}',
      '{"a":"\\x"}',
    ]
  ) {
    strictEqual(verdictOn(text), "not-json", text);
  }
});

Deno.test("text that is not UTF-8 is refused, and so is a byte order mark", () => {
  const torn: Record<string, number[]> = {
    "lone continuation": [0x80],
    "cut short": [0xc3],
    "cut short, of four": [0xf0, 0x9f, 0xa7],
    overlong: [0xc0, 0xaf],
    "overlong NUL": [0xc0, 0x80],
    surrogate: [0xed, 0xa0, 0x80],
    "surrogate pair (CESU-8)": [0xed, 0xa0, 0xbe, 0xed, 0xb7, 0x80],
    "beyond Unicode": [0xf4, 0x90, 0x80, 0x80],
    "never in UTF-8": [0xff],
  };
  for (const [name, bytes] of Object.entries(torn)) {
    for (const key of ['{"type":"GET_FILE","x":"', '{"type":"GET_FILE","']) {
      const message = new Uint8Array([...bytesOf(key), ...bytes, ...bytesOf('":""}')]);
      strictEqual(verdictOn(message), "not-utf8", name);
    }
  }
  strictEqual(verdictOn(`\ufeff${SAMPLES.GET_FILE}`), "not-json");
  strictEqual(verdictOn(`{"type":"GET_FILE","file_id":"${FILE_ID}","x":"\0"}`), "not-json");
});

Deno.test("names of prototype properties are ordinary names and touch no prototype", () => {
  for (const name of ["__proto__", "constructor", "toString", "hasOwnProperty", "valueOf"]) {
    const poison = `"${name}":{"x":1,"type":"GOSSIP","v":1},`;
    for (const [sample, sent] of Object.entries(SAMPLES)) {
      const streamed = sample.startsWith("FILE_DATA");
      // The scanner keeps nothing of the content.
      const text = streamed ? sent.replace(/("data" ?: ?)"[^"]*"/, '$1""') : sent;
      const plain = JSON.parse(JSON.stringify(decode(text, streamed)));
      const poisoned = decode(text.replace("{", `{${poison}`), streamed);
      deepStrictEqual(JSON.parse(JSON.stringify(poisoned)), plain, `${name} in ${sample}`);
      strictEqual(Object.getPrototypeOf(poisoned.message), Object.prototype);
    }
    strictEqual(verdictOn(`{${poison}"a":1}`), "unknown-type", "nothing is inherited");
    const reply = decodeAs(
      "GOSSIP_REPLY",
      `{"type":"GOSSIP_REPLY","host":"h","port":1,"peerId":"${name}","files":` +
        `[{${poison}${announce({ file_owner: `"${name}"`, file_name: `"${name}"` }).slice(1)}],` +
        `"ext":{"v":1,${poison}"part":[1,1,"${name}"]}}`,
    );
    deepStrictEqual([reply.peerId, reply.files[0]?.owner, reply.files[0]?.name], [
      name,
      name,
      name,
    ]);
    deepStrictEqual(reply.ext, { v: 1, part: [1, 1, name] });
    strictEqual(verdictOn(`{"type":"GET_FILE","file_id":"${name}"}`), "bad-field");
  }
  strictEqual(({} as Record<string, unknown>).x, undefined);
});

Deno.test("if a key occurs twice, the last one counts", () => {
  const twice = decodeAs(
    "GOSSIP",
    '{"type":"DELETE","port":9,"type":"GOSSIP","host":"a","host":"b","port":7,"id":"i","peerId":"x","peerId":"y"}',
  );
  deepStrictEqual([twice.host, twice.port, twice.peerId], ["b", 7, "y"]);
});

Deno.test("unknown extensions are ignored, and so are invalid values of known ones", () => {
  const ext = (value: unknown) => decodeAs("GOSSIP", gossip({ ext: value })).ext;
  const node = "n".repeat(43);
  deepStrictEqual(ext({ v: 1, node, boot: "b", want: ["ann", "bob"], new: [1], type: "DELETE" }), {
    v: 1,
    node,
    boot: "b",
    want: ["ann", "bob"],
  });
  for (const value of [null, 1, "x", [], {}, { v: "1" }, { v: 0 }, { v: 1.5 }]) {
    strictEqual(ext(value), undefined);
  }
  const odd = { v: 2, node: `${node}=`, boot: "", want: "all", part: [0, 1, "r"] };
  deepStrictEqual(ext(odd), { v: 2 });
  const crowd = Array.from({ length: 17 }, (_, i) => `p${i}`);
  for (const want of [[], crowd, ["a", 1], [""], ["a\u0000"], ["x".repeat(129)], { 0: "a" }]) {
    deepStrictEqual(ext({ v: 1, want }), { v: 1 });
  }
  for (const rev of [[1], [2, 1], [-1, 1], [0, 1.5], ["0", "1"], [0, 2 ** 53], {}, [0, 1, 2]]) {
    deepStrictEqual(ext({ v: 1, rev }), { v: 1 });
  }
  deepStrictEqual(ext({ v: 1, rev: [0, 7] })?.rev, [0, 7]);
  strictEqual(ext({ v: 1, want: crowd.slice(1) })?.want?.length, 16);
  for (
    const part of [
      [1, 2],
      [2, 1, "r"],
      [1, 1, ""],
      [1, 1, 7],
      [1.5, 2, "r"],
      [1, 65_537, "r"],
      "x",
      [1, 1, "r", 1],
    ]
  ) {
    strictEqual(ext({ v: 1, part })?.part, undefined, JSON.stringify(part));
  }
});

Deno.test("no bytes make the decoder throw anything but a ProtocolError", () => {
  const soup = fc.array(
    fc.constantFrom(
      '"type"',
      ":",
      ",",
      "{",
      "}",
      "[",
      "]",
      '"GOSSIP"',
      '"ext"',
      '"file_timestamp"',
      "1e999",
      "null",
      '"\\u',
    ),
  ).map((parts) => bytesOf(parts.join("")));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array(), soup), fc.boolean(), (bytes, streamed) => {
      try {
        decodeMessage(bytes, streamed);
      } catch (error) {
        ok(error instanceof ProtocolError);
      }
    }),
    { numRuns: 500 },
  );
});

Deno.test("capabilities and further ids count as far as they are valid, and never more than may be named", () => {
  const id = (n: number) => n.toString(16).padStart(64, "0");
  const extOf = (ext: object) =>
    decodeMessage(
      new TextEncoder().encode(
        JSON.stringify({ type: "DELETE", from: "a", file_id: id(0), ext: { v: 1, ...ext } }),
      ),
    );
  const many = Array.from({ length: 2_000 }, (_, n) => id(n));
  const cases: [object, object, number][] = [
    [{ can: ["batch-delete"], more: [id(1)] }, { can: ["batch-delete"], more: [id(1)] }, 0],
    [{ can: [], more: [] }, {}, 0],
    [{ can: "batch-delete", more: id(1) }, {}, 0],
    [{ can: ["a b"], more: [1, null, id(1), "x", id(2)] }, { more: [id(1), id(2)] }, 3],
    [{ can: new Array(17).fill("a"), more: many }, { more: many.slice(0, 899) }, 1_101],
    [{ can: ["x".repeat(33)], more: { length: 5 } }, {}, 0],
  ];
  for (const [ext, expected, dropped] of cases) {
    const { message, droppedEntries } = extOf(ext);
    deepStrictEqual([message.ext, droppedEntries], [{ v: 1, ...expected }, dropped]);
  }
});
