// The string under "data": found wherever it is, passed on in pieces, never buffered, and cheap to skip.

import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import fc from "fast-check";
import { ProtocolError } from "../../../protocol/wire/errors.ts";
import { FileDataDecoder } from "../../../protocol/wire/filedata.ts";
import { FrameScanner } from "../../../protocol/wire/frame.ts";
import { DEFAULT_LIMITS } from "../../../protocol/limits.ts";
import { bytesOf, cutAt, oneByOne, scan } from "./stream.ts";

const log = (text: string, limits = {}) => scan([bytesOf(text)], limits).log;
const lastOf = (text: string, limits = {}) => log(text, limits).at(-1);

Deno.test("content may be in any position among the fields", () => {
  const fields = ['"type":"FILE_DATA"', '"a":{"data":"no"}', '"b":["data","x"]', '"c":"data"'];
  for (let place = 0; place <= fields.length; place++) {
    for (const colon of [":", " : ", ":\n\t"]) {
      const at = (data: string) =>
        `{${fields.toSpliced(place, 0, `"data"${colon}${data}`).join(",")}}`;
      const expected = [
        `data after ${at('"00ff"').split("00ff")[0]}`,
        "data 00ff",
        `streamed ${at('""')}`,
      ];
      const bytes = bytesOf(at('"00ff"'));
      deepStrictEqual(scan([bytes]).log, expected);
      deepStrictEqual(scan(oneByOne(bytes)).log, expected);
      deepStrictEqual(log(at('""')).slice(1), ["data ", `streamed ${at('""')}`]);
      for (const other of ["null", "12", "[]", '["00ff"]', '{"data":"00"}', "true"]) {
        deepStrictEqual(log(at(other)), [at(other)], "only a string is content");
      }
    }
  }
});

Deno.test("a second content starts over and is reported as such", () => {
  deepStrictEqual(log('{"data":"aa","x":1,"data":"bb"}'), [
    'data after {"data":"',
    "data aa",
    'data after {"data":"","x":1,"data":"',
    "data bb",
    'streamed {"data":"","x":1,"data":""}',
  ]);
  // Only the plain key is streamed; one with escapes stays in the message, for the decoder to judge.
  for (const key of ["d\\u0061ta", "datax", "xdata", "Data", "data ", ""]) {
    deepStrictEqual(log(`{"${key}":"aa"}`), [`{"${key}":"aa"}`]);
  }
});

Deno.test("content is passed on and never buffered, however long it is", () => {
  const limits = { maxMessageBytes: 200, maxListBytes: 200 };
  const digits = "0123456789abcdef".repeat(65_536);
  const bytes = bytesOf(`{"type":"FILE_DATA","data":"${digits}","x":1}`);
  fc.assert(
    fc.property(fc.array(fc.nat(), { maxLength: 6 }), (cuts) => {
      const result = scan(cutAt(bytes, cuts), limits);
      strictEqual(result.log[1], `data ${digits}`);
      strictEqual(result.log[2], 'streamed {"type":"FILE_DATA","data":"","x":1}');
    }),
    { numRuns: 20 },
  );
  strictEqual(
    lastOf(`{"data":"${digits}","x":"${"y".repeat(200)}`, limits),
    "refused: too-long",
    "fields after the content count as usual",
  );
});

Deno.test("contents that begin over and over cost no more than their bytes", () => {
  const decode = TextDecoder.prototype.decode;
  let work = 0;
  TextDecoder.prototype.decode = function (bytes, options) {
    work += bytes?.byteLength ?? 0;
    return decode.call(this, bytes, options);
  };
  try {
    for (
      const text of ['{"data":""}'.repeat(20_000), `{${'"data":"0f",'.repeat(5_000)}"data":""}`]
    ) {
      const bytes = bytesOf(text);
      const ignore = () => {};
      work = 0;
      const scanner = new FrameScanner({
        message: ignore,
        data: ignore,
        dataEnd: ignore,
        dataStart: (envelope) => void (work += envelope.length), // the edge looks into the envelope
      }, DEFAULT_LIMITS);
      try {
        scanner.feed(bytes);
      } catch (error) {
        ok(error instanceof ProtocolError);
      }
      ok(work <= 16 * bytes.length, `${work} bytes looked at for ${bytes.length}`);
    }
  } finally {
    TextDecoder.prototype.decode = decode;
  }
});

Deno.test("content that is not text is passed on the same way in any pieces", () => {
  const strange = [[0xef, 0xbb, 0xbf], [0xff], [0xc3, 0xa4], [0xc3], [0xf0, 0x9f, 0xa7, 0x80], [
    0xe2,
    0x82,
  ]];
  for (const bytes of strange) {
    for (let before = 0; before < 4; before++) {
      const head = bytesOf(`{"data":"${"0".repeat(before)}`);
      const all = new Uint8Array([...head, ...bytes, ...bytesOf('00"}')]);
      const wholes = [
        [all],
        oneByOne(all),
        cutAt(all, [head.length]),
        cutAt(all, [head.length + 1]),
      ];
      for (const pieces of wholes) {
        const decoder = new FileDataDecoder({ write: () => {} });
        const take = () => {
          const scanner = new FrameScanner({
            message: () => {},
            dataStart: () => {},
            data: (piece) => decoder.write(piece),
            dataEnd: () => void decoder.end(),
          }, DEFAULT_LIMITS);
          for (const piece of pieces) scanner.feed(piece);
        };
        throws(
          take,
          (error) => error instanceof ProtocolError && error.reason === "bad-hex",
          `${bytes}`,
        );
      }
    }
  }
});
