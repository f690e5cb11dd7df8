// Framing: where a message ends, however its bytes arrive, and what is refused before anything is built.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { FrameScanner } from "../../../protocol/wire/frame.ts";
import { DEFAULT_LIMITS, MAX_VALUES } from "../../../protocol/limits.ts";
import { bytesOf, cutAt, decodeAll, oneByOne, SAMPLES, scan, textOf } from "./stream.ts";

const samples = Object.entries(SAMPLES).map(([name, text]) => ({ name, bytes: bytesOf(text) }));
const log = (text: string, limits = {}) => scan([bytesOf(text)], limits).log;
const lastOf = (text: string, limits = {}) => log(text, limits).at(-1);

Deno.test("every message gives the same result wherever it is split, and byte by byte", () => {
  for (const { name, bytes } of samples) {
    const whole = scan([bytes]);
    const decoded = decodeAll([bytes]);
    strictEqual(decoded.length, 1, name);
    ok(!decoded[0]!.startsWith("refused"), `${name}: ${decoded[0]}`);
    ok(whole.idle);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const pieces = cutAt(bytes, [cut]);
      deepStrictEqual(scan(pieces).log, whole.log, `${name}, cut at ${cut}`);
      deepStrictEqual(decodeAll(pieces), decoded, `${name}, cut at ${cut}`);
    }
    deepStrictEqual(scan(oneByOne(bytes)).log, whole.log, name);
    deepStrictEqual(decodeAll(oneByOne(bytes)), decoded, name);
  }
});

Deno.test("a message counts with its last byte and not earlier", () => {
  for (const { name, bytes } of samples) {
    for (let end = 1; end < bytes.length; end++) {
      const { log, idle } = scan([bytes.subarray(0, end)]);
      ok(!log.some((line) => /^(streamed )?\{|^refused/.test(line)), `${name} to ${end}: ${log}`);
      strictEqual(idle, false, name);
    }
  }
});

Deno.test("two messages on one connection are two, whatever is between them", () => {
  for (const first of samples) {
    for (const second of samples) {
      for (const between of ["", "\n", " \r\n\t "]) {
        const joined = bytesOf(SAMPLES[first.name]! + between + SAMPLES[second.name]!);
        const expected = [...scan([first.bytes]).log, ...scan([second.bytes]).log];
        deepStrictEqual(scan([joined]).log, expected);
        deepStrictEqual(scan(oneByOne(joined)).log, expected);
        const edge = first.bytes.length;
        deepStrictEqual(scan(cutAt(joined, [edge - 1, edge, edge + 1])).log, expected);
      }
    }
  }
});

Deno.test("garbage after a message costs the connection, not the message", () => {
  const junk = ["x", "}", "]", ",", ":", '"', "0", "-", "null", "\0", "\ufeff{}", "\xff", "\x0b"];
  for (const { name, bytes } of samples) {
    for (const text of junk) {
      const all = new Uint8Array([...bytes, ...bytesOf(text)]);
      const expected = [...scan([bytes]).log, "refused: not-json"];
      deepStrictEqual(scan([all]).log, expected, `${name} and ${JSON.stringify(text)}`);
      deepStrictEqual(scan(oneByOne(all)).log, expected);
    }
  }
});

Deno.test("data that does not begin with a bracket is refused at its first byte", () => {
  for (
    const text of ["hello", "\ufeff{}", '"type"', "1", "true", "GET / HTTP/1.1", "\x16\x03", "}"]
  ) {
    const { log, steps } = scan([bytesOf(text)]);
    deepStrictEqual(log, ["refused: not-json"], text);
    strictEqual(steps, 1);
  }
  deepStrictEqual(log(" \n\t\r"), []);
});

Deno.test("brackets that do not match are refused", () => {
  for (const text of ["{]", "[}", '{"a":[}', '{"a":{]', '{"files":[{]', '{"files":[[}']) {
    deepStrictEqual(log(text), ["refused: not-json"], text);
  }
  deepStrictEqual(log('{"a":"]}\\"{[","}":"{"}'), ['{"a":"]}\\"{[","}":"{"}']);
});

Deno.test("any JSON value in any pieces comes out byte for byte", () => {
  fc.assert(
    fc.property(
      fc.array(fc.jsonValue({ maxDepth: 5 }), { minLength: 1, maxLength: 3 }),
      fc.array(fc.nat(), { maxLength: 8 }),
      fc.boolean(),
      (values, cuts, isPretty) => {
        const texts = values.map((x) => JSON.stringify({ x, "": [x] }, null, isPretty ? 1 : 0));
        const bytes = bytesOf(texts.join(""));
        const expected = texts.map((text) => textOf(bytesOf(text)));
        deepStrictEqual(scan(cutAt(bytes, cuts)).log, expected);
      },
    ),
  );
});

Deno.test("each byte is looked at no more than twice, even in one-byte reads", () => {
  const filler = "ab{[\\\\,: ".repeat(7200);
  const texts = [
    `{"type":"GOSSIP","x":"${filler.slice(0, 64_000)}"}`,
    `{"type":"FILE_DATA","data":"${"0f".repeat(32_000)}"}`,
    `{"files":[${Array(8_000).fill('{"a":1}').join(",")}]}`,
    " ".repeat(65_536),
    SAMPLES.GET_FILE!.repeat(700),
  ];
  for (const text of texts) {
    const bytes = bytesOf(text);
    for (const pieces of [[bytes], oneByOne(bytes)]) {
      const { steps, log } = scan(pieces);
      ok(steps <= 2 * bytes.length, `${steps} steps for ${bytes.length} bytes`);
      ok(!log.at(-1)?.startsWith("refused"));
    }
  }
});

Deno.test("deep nesting is refused at the eighth bracket", () => {
  for (const text of ["[".repeat(65_536), '{"a":'.repeat(9_000), "[{".repeat(30_000)]) {
    for (const pieces of [[bytesOf(text)], oneByOne(bytesOf(text))]) {
      const { log, steps } = scan(pieces);
      deepStrictEqual(log, ["refused: too-deep"]);
      ok(steps <= (text[1] === '"' ? 5 * 7 + 1 : 8), `${steps} steps`);
    }
  }
  strictEqual(log("[".repeat(7) + "]".repeat(7)).length, 1);
  strictEqual(lastOf('{"a":'.repeat(7) + "1" + "}".repeat(7))?.startsWith("{"), true);
});

Deno.test("a list of 50,000 entries is read and one of 50,001 is refused", () => {
  const list = (count: number, entry: string) =>
    `{"type":"GOSSIP_REPLY","files":[${Array(count).fill(entry).join(",")}]}`;
  for (const entry of ["{}", "0", '{"a":[1,2]}']) {
    strictEqual(lastOf(list(50_000, entry))?.slice(0, 8), '{"type":', entry);
    strictEqual(lastOf(list(50_001, entry)), "refused: too-many-values", entry);
  }
  const wide = Array.from({ length: 50_001 }, (_, i) => `"${i}":0`).join(",");
  strictEqual(lastOf(`{"files":[{${wide}}]}`), "refused: too-many-values");
  // The count is per list: a second message starts over.
  deepStrictEqual(log(list(30_000, "0").repeat(2)).length, 2);
});

Deno.test("the number of values in one message is bounded, whatever their shape", () => {
  const inner = `[${Array(49_000).fill(0).join(",")}]`;
  const fits = Math.floor(MAX_VALUES / 49_001);
  const nested = (count: number) => `{"files":[${Array(count).fill(inner).join(",")}]}`;
  strictEqual(lastOf(nested(fits - 1))?.startsWith("{"), true);
  strictEqual(lastOf(nested(fits + 1)), "refused: too-many-values");
  strictEqual(lastOf(nested(fits - 1).repeat(2))?.[0], "{", "each message has its own count");
});

Deno.test("a message that is too long is refused before its end, and its list has a limit of its own", () => {
  const limits = { maxMessageBytes: 1000, maxListBytes: 5000 };
  const long = (bytes: number) => `{"x":"${"y".repeat(bytes - 8)}"}`;
  const listed = (bytes: number) => `{"files":[${'"'}${"z".repeat(bytes - 3)}${'"'}]}`;
  for (
    const pieces of [(text: string) => [bytesOf(text)], (text: string) => oneByOne(bytesOf(text))]
  ) {
    const last = (text: string) => scan(pieces(text), limits).log.at(-1) ?? "nothing";
    strictEqual(last(long(1000))[0], "{");
    strictEqual(last(long(1001)), "refused: too-long");
    strictEqual(last(long(1002).slice(0, 1001)), "refused: too-long");
    strictEqual(last(listed(5000))[0], "{");
    strictEqual(last(listed(5002)), "refused: too-long");
    strictEqual(last(`{"files":["${"z".repeat(5002)}`), "refused: too-long");
    strictEqual(last(`{"files":[1],"x":"${"y".repeat(1000)}`), "refused: too-long");
    strictEqual(last(`{"x":"${"y".repeat(990)}","files":["z`), "refused: too-long");
    strictEqual(last(`{"files":"${"y".repeat(1000)}`), "refused: too-long");
    strictEqual(last(`{"x":{"files":["${"y".repeat(1000)}`), "refused: too-long");
    strictEqual(
      last(`{"files":["${"z".repeat(3000)}"],"files":["${"z".repeat(2100)}`),
      "refused: too-long",
    );
    // What one message used is not charged to the next.
    strictEqual(last(listed(4000) + long(900) + listed(4000) + long(900))[0], "{");
  }
});

Deno.test("the scanner says whether it is in content, in a list or between messages", () => {
  const ignore = () => {};
  const handler = { message: ignore, dataStart: ignore, data: ignore, dataEnd: ignore };
  const scanner = new FrameScanner(handler, DEFAULT_LIMITS);
  const after = (text: string) => {
    scanner.feed(bytesOf(text));
    return [scanner.idle, scanner.inData, scanner.inList];
  };
  deepStrictEqual(after(" "), [true, false, false]);
  deepStrictEqual(after('{"files"'), [false, false, false]);
  deepStrictEqual(after(":["), [false, false, true]);
  deepStrictEqual(after('{"a":[1]}'), [false, false, true]);
  deepStrictEqual(after("]"), [false, false, false]);
  deepStrictEqual(after(',"data":"'), [false, true, false]);
  deepStrictEqual(after("00"), [false, true, false]);
  deepStrictEqual(after('"'), [false, false, false]);
  deepStrictEqual(after("}"), [true, false, false]);
});
