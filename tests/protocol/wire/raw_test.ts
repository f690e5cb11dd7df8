// Raw content on the wire: which range a request gets, and how the beginning of an answer is recognized.

import assert from "node:assert/strict";
import fc from "fast-check";
import { ProtocolError } from "../../../protocol/wire/errors.ts";
import { type Ext, MAX_PEERS_TOLD, MAX_SPANS_TOLD } from "../../../protocol/wire/ext.ts";
import { decodeMessage, encodeMessage, type FileRecord } from "../../../protocol/wire/message.ts";
import {
  MAX_HEADER_BYTES,
  type Opening,
  rawHeader,
  RawOpening,
  requestedRange,
  TO_THE_END,
  type Wanted,
} from "../../../protocol/wire/raw.ts";

const file: FileRecord = {
  fileId: "ab".repeat(32),
  name: "naïve }.txt",
  owner: "kashifm",
  timestamp: { text: "1744170562", quoted: false },
  size: 1,
  sizeBytes: 1_048_576,
};
const utf8 = new TextEncoder();
const WHOLE: Wanted = { offset: 0, length: TO_THE_END };

/** Feeds bytes in pieces that end at these positions. */
function openingOf(bytes: Uint8Array, cuts: readonly number[] = [], wanted = WHOLE) {
  const opening = new RawOpening(file.fileId, wanted);
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    const found = opening.feed(bytes.slice(from, to));
    if (found) return { found, rest: bytes.slice(to) };
    from = to;
  }
  return { found: undefined, rest: new Uint8Array() };
}

function join(...parts: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

Deno.test("a range is cut at the end of the file, and one that begins past it is invalid", () => {
  assert.deepEqual(requestedRange([0, TO_THE_END], 10), { offset: 0, length: 10 });
  assert.deepEqual(requestedRange([4, 3], 10), { offset: 4, length: 3 });
  assert.deepEqual(requestedRange([10, 1], 10), { offset: 10, length: 0 });
  assert.equal(requestedRange([11, 1], 10), undefined);
  for (const invalid of [[], [0], [0, 1, 2]]) assert.equal(requestedRange(invalid, 10), undefined);
});

Deno.test("a request whose range is no pair of counts is decoded as one without a valid range", () => {
  for (const raw of [[-1, 5], [0, -1], [0.5, 1], ["0", 1], [0], [0, 1, 2, 3], 7, null, {}]) {
    const bytes = utf8.encode(
      JSON.stringify({ type: "GET_FILE", file_id: file.fileId, ext: { v: 1, raw } }),
    );
    assert.deepEqual(decodeMessage(bytes).message.ext, { v: 1, raw: [] }, JSON.stringify(raw));
  }
  const sent = encodeMessage({ type: "GET_FILE", fileId: file.fileId, ext: { v: 1, raw: [5, 6] } });
  assert.deepEqual(decodeMessage(sent).message.ext?.raw, [5, 6]);
});

Deno.test("a header and what follows it are found however the bytes arrive", () => {
  fc.assert(fc.property(
    fc.uint8Array({ maxLength: 40 }),
    fc.array(fc.nat(600), { maxLength: 8 }),
    (content, cuts) => {
      const range = { offset: 3, length: content.length };
      const header = rawHeader(file, { v: 1 }, range, 3 + content.length);
      const bytes = join(header, content);
      const places = [...new Set(cuts)].filter((at) => at < bytes.length).sort((a, b) => a - b);
      const { found, rest } = openingOf(bytes, places, { offset: 3, length: TO_THE_END });
      assert.equal(found?.kind, "raw");
      const { header: read, content: first } = found as Opening & { kind: "raw" };
      assert.deepEqual(
        [read.offset, read.length, read.total, read.file.name],
        [3, content.length, 3 + content.length, file.name],
      );
      assert.deepEqual(join(first, rest), content);
    },
  ));
});

Deno.test("an answer in hex, an absent file and anything else are plain, without losing a byte", () => {
  const answers = [
    `{"type":"FILE_DATA","file_id":"${file.fileId}","data":"6865"}`,
    `{"data":"6865","type":"FILE_DATA"}`,
    `{"type":"FILE_DATA","file_id":null,"data":null}`,
    `{\n"type":"FILE_DATA","data":"6865"}`,
    `<html>\n`,
    "x".repeat(MAX_HEADER_BYTES + 1),
  ];
  for (const answer of answers) {
    const { found } = openingOf(utf8.encode(answer));
    assert.equal(found?.kind, "plain", answer.slice(0, 80));
    assert.deepEqual(found?.kind === "plain" && found.bytes, utf8.encode(answer));
  }
  assert.equal(openingOf(utf8.encode(`{"type":"FILE_DATA",`)).found, undefined);
});

Deno.test("a header that contradicts the request is an error of the source", () => {
  const other = { ...file, fileId: "cd".repeat(32) };
  const wanted = { offset: 100, length: 50 };
  const contradictions: [FileRecord, number, number, number][] = [
    [other, 100, 50, 1_000],
    [file, 0, 50, 1_000],
    [file, 100, 51, 1_000],
    [file, 100, 49, 1_000], // shorter than asked for, although there is more
    [file, 100, 50, 120], // longer than there is
  ];
  for (const [of, offset, length, total] of contradictions) {
    const header = rawHeader(of, { v: 1 }, { offset, length }, total);
    assert.throws(
      () => openingOf(header, [], wanted),
      (error) => error instanceof ProtocolError && error.reason === "bad-field",
      `${offset} ${length} ${total}`,
    );
  }
  assert.equal(openingOf(rawHeader(file, { v: 1 }, wanted, 1_000), [], wanted).found?.kind, "raw");
});

Deno.test("a name or an owner that reads like the key of content does not make a raw answer a plain one", () => {
  for (const name of ["data", '"data":', "data : data", "\\"]) {
    const odd = { ...file, name, owner: "data" };
    const range = { offset: 0, length: 3 };
    const bytes = join(rawHeader(odd, { v: 1 }, range, 3), utf8.encode("abc"));
    for (let cut = 1; cut < bytes.length; cut++) {
      assert.equal(openingOf(bytes, [cut]).found?.kind, "raw", `${name} ${cut}`);
    }
  }
});

Deno.test("a header that arrives byte by byte is looked at once, not once per byte", () => {
  const bytes = utf8.encode(`{"a":"${'\\"'.repeat(15_000)}`);
  let reads = 0;
  class Counted extends RawOpening {
    override get rest(): Uint8Array {
      const rest = super.rest;
      return new Proxy(rest, {
        get(target, key) {
          if (key === "indexOf") {
            return (byte: number, from: number) => {
              const at = target.indexOf(byte, from);
              reads += (at < 0 ? target.length : at) - from;
              return at;
            };
          }
          const value = Reflect.get(target, key, target);
          return typeof value === "function" ? value.bind(target) : value;
        },
      });
    }
  }
  const opening = new Counted(file.fileId, WHOLE);
  for (const byte of bytes) opening.feed(Uint8Array.of(byte));
  assert.ok(reads <= 8 * bytes.length, `${reads} steps for ${bytes.length} bytes`);
});

Deno.test("what is said about parts of a file counts only if it makes sense", () => {
  const extIn = (ext: Record<string, unknown>) => {
    const bytes = utf8.encode(
      JSON.stringify({ type: "GET_FILE", file_id: file.fileId, ext: { v: 1, ...ext } }),
    );
    return decodeMessage(bytes).message.ext!;
  };
  const spans = Array.from({ length: MAX_SPANS_TOLD }, (_, i) => [2 * i, 2 * i + 1]);
  for (const have of [[], [[0, 1]], [[0, 4], [4, 9]], spans]) {
    assert.deepEqual(extIn({ have }).have, have);
  }
  for (
    const have of [
      7,
      "0,1",
      {},
      [0, 1],
      [[0]],
      [[1, 1]],
      [[2, 1]],
      [[-1, 1]],
      [[0, 0.5]],
      [[0, 2], [1, 3]],
      [[4, 9], [0, 1]],
      [[0, 2 ** 53]],
      [...spans, [1e6, 1e6 + 1]],
    ]
  ) assert.equal(extIn({ have }).have, undefined, JSON.stringify(have));
  for (const next of [[0], [0, 1, 2], [-1, 2], ["0", 1], {}, null]) {
    assert.equal(extIn({ next }).next, undefined, JSON.stringify(next));
  }
  for (const chunks of [0, -1, 0.5, "1", true, null, 2 ** 53]) {
    assert.equal(extIn({ chunks }).chunks, undefined, `${chunks}`);
  }
  for (const peer of ["", 7, null, "x".repeat(129), "a\u0000b"]) {
    assert.equal(extIn({ peer }).peer, undefined, `${peer}`);
  }
  const many = Array.from({ length: 100 }, (_, i) => i % 2 === 0 ? `p${i}` : i);
  const { peers } = extIn({ peers: many });
  assert.ok(peers!.length === MAX_PEERS_TOLD && peers!.every((name) => /^p\d+$/.test(name)));
});

Deno.test("an answer is shorter than asked only if the request allows it, and only if it says why", () => {
  const wanted = { offset: 4, length: 100, isPartial: true };
  const answer = (ext: Partial<Ext>, length: number, offset = 4) =>
    rawHeader(file, { v: 1, ...ext }, { offset, length }, 1_048_576);
  const read = (bytes: Uint8Array, of: Parameters<typeof openingOf>[2]) =>
    openingOf(bytes, [], of).found as Opening & { kind: "raw" };
  for (const why of [{ have: [] }, { next: [5, 5] as const }, { peers: [] }]) {
    for (const length of [0, 1, 100]) {
      assert.equal(read(answer(why, length), wanted).header.length, length);
    }
    for (const [length, offset] of [[101, 4], [50, 5], [1, 0]] as const) {
      assert.throws(() => read(answer(why, length, offset), wanted), ProtocolError);
    }
    assert.throws(() => read(answer(why, 50), { offset: 4, length: 100 }), ProtocolError);
  }
  assert.throws(() => read(answer({}, 50), wanted), ProtocolError);
  assert.equal(read(answer({}, 100), wanted).header.length, 100);
});

Deno.test("a list of chunks is told from content", () => {
  const list = rawHeader(file, { v: 1, chunks: 1_048_576 }, { offset: 0, length: 32 }, 32);
  const content = rawHeader(file, { v: 1 }, { offset: 0, length: 32 }, 32);
  const asked = { ...WHOLE, chunks: 1_048_576 };
  assert.equal(openingOf(list, [], asked).found?.kind, "raw");
  assert.throws(() => openingOf(content, [], asked), ProtocolError);
  assert.throws(() => openingOf(list), ProtocolError);
  assert.throws(() => openingOf(list, [], { ...WHOLE, chunks: 2_097_152 }), ProtocolError);
});
