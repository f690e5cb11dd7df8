// A batch on the wire: header lines and contents of many files, however the bytes arrive.

import assert from "node:assert/strict";
import fc from "fast-check";
import { absentHeader, batchHeader, BatchReader } from "../../../protocol/wire/batch.ts";
import { ProtocolError } from "../../../protocol/wire/errors.ts";
import { decodeMessage, encodeMessage, type FileRecord } from "../../../protocol/wire/message.ts";
import { MAX_HEADER_BYTES } from "../../../protocol/wire/raw.ts";

const utf8 = new TextEncoder();
const idOf = (n: number) => n.toString(16).padStart(64, "0");

function record(n: number, name = `file ${n}`): FileRecord {
  const timestamp = { text: "1744170562", quoted: false };
  return { fileId: idOf(n), name, owner: "kashifm", timestamp, size: 1, sizeBytes: 5 };
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** What a batch of these files was read as, in pieces that end at these positions. */
function read(fileIds: readonly string[], bytes: Uint8Array, cuts: readonly number[] = []) {
  const files: (string | number[])[] = [];
  const timestamps: (string | undefined)[] = [];
  let content: number[] = [];
  const reader = new BatchReader(fileIds, {
    begin: (_index, _sizeBytes, timestamp) => {
      content = [];
      timestamps.push(timestamp()?.text);
    },
    write: (piece) => content.push(...piece),
    end: () => files.push(content),
    absent: (index) => files.push(`no ${index}`),
  });
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    reader.feed(bytes.slice(from, to));
    from = to;
  }
  return { files, timestamps, isDone: reader.isDone };
}

const refused = (reason: ProtocolError["reason"]) => (error: unknown) =>
  error instanceof ProtocolError && error.reason === reason;

Deno.test("files and absent ones are read in order, however the bytes arrive", () => {
  const contents = fc.array(fc.option(fc.uint8Array({ maxLength: 30 })), {
    minLength: 1,
    maxLength: 6,
  });
  fc.assert(fc.property(contents, fc.array(fc.nat(2_000), { maxLength: 12 }), (files, cuts) => {
    const bytes = join(
      files.flatMap((content, n) =>
        content ? [batchHeader(record(n), content.length), content] : [absentHeader(idOf(n))]
      ),
    );
    const places = [...new Set(cuts)].filter((at) => at < bytes.length).sort((a, b) => a - b);
    const got = read(files.map((_, n) => idOf(n)), bytes, places);
    assert.deepEqual(got.files, files.map((content, n) => content ? [...content] : `no ${n}`));
    assert.ok(got.isDone && got.timestamps.every((text) => text === "1744170562"));
  }));
});

Deno.test("a header that is not about the next file, or does not say what follows, is an error of the source", () => {
  const header = (fields: object) => utf8.encode(`${JSON.stringify(fields)}\n`);
  const about = (raw: unknown, file_id = idOf(1)) =>
    header({ type: "FILE_DATA", file_id, ext: { v: 1, raw } });
  const wrong = [
    batchHeader(record(2), 5),
    absentHeader(idOf(2)),
    about([0, 5, 6]),
    about([1, 4, 4]),
    about([0, -1, -1]),
    about([0, 0.5, 0.5]),
    about("all"),
    header({ type: "FILE_DATA", file_id: idOf(1) }),
    header({ type: "ANNOUNCE", file_id: idOf(1), ext: { raw: [] } }),
    utf8.encode("null\n"),
    new Uint8Array(MAX_HEADER_BYTES + 1).fill(0x20),
  ];
  for (const bytes of wrong) {
    assert.throws(() => read([idOf(1)], bytes), refused("bad-field"), `${bytes.slice(0, 60)}`);
  }
  assert.throws(() => read([idOf(1)], utf8.encode("<html>\n")), refused("not-json"));
  const surplus = join([batchHeader(record(1), 1), utf8.encode("ab")]);
  assert.throws(() => read([idOf(1)], surplus), refused("bad-field"));
});

Deno.test("an answer in hex, which has only the first file, is a source that stopped, not one that lies", () => {
  const hex = utf8.encode(`{"type":"FILE_DATA","file_id":"${idOf(1)}","data":"6865`);
  assert.throws(() => read([idOf(1), idOf(2)], hex), refused("cut-short"));
  const named = join([batchHeader(record(1, '"data":'), 1), utf8.encode("a")]);
  assert.deepEqual(read([idOf(1)], named, [60, 90, 120]).files, [[0x61]]);
});

Deno.test("ids of further files are decoded, up to a limit, and what is no id is left out", () => {
  const more = [idOf(2), "x", 7, idOf(3)];
  const bytes = utf8.encode(
    JSON.stringify({ type: "GET_FILE", file_id: idOf(1), ext: { v: 1, raw: [0, 1], more } }),
  );
  assert.deepEqual(decodeMessage(bytes).message.ext?.more, [idOf(2), idOf(3)]);
  const many = Array.from({ length: 1_000 }, (_, n) => idOf(n));
  const sent = encodeMessage({
    type: "GET_FILE",
    fileId: idOf(1),
    ext: { v: 1, raw: [0, 1], more: many.slice(0, 255) },
  });
  assert.ok(sent.length < 64 * 1024, "fits into a control message");
  const all = utf8.encode(
    JSON.stringify({ type: "GET_FILE", file_id: idOf(1), ext: { v: 1, more: many } }),
  );
  assert.equal(decodeMessage(all).message.ext?.more?.length, 899);
});
