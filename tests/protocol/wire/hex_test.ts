// Hex in pieces and back: strict, and the same wherever the pieces end.

import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import fc from "fast-check";
import { ProtocolError } from "../../../protocol/wire/errors.ts";
import { encodeHex, HexDecoder } from "../../../protocol/wire/hex.ts";
import { bytesOf, cutAt, oneByOne, textOf } from "./stream.ts";

const isBadHex = (error: unknown) => error instanceof ProtocolError && error.reason === "bad-hex";

function decode(pieces: Iterable<Uint8Array>): Uint8Array {
  const decoder = new HexDecoder();
  const content: number[] = [];
  for (const piece of pieces) content.push(...decoder.decode(textOf(piece)));
  decoder.end();
  return Uint8Array.from(content);
}

Deno.test("hex decodes to the same bytes in any pieces and either case", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.array(fc.nat(), { maxLength: 12 }),
      fc.boolean(),
      (bytes, cuts, isUpper) => {
        const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
        const digits = bytesOf(isUpper ? hex.toUpperCase() : hex);
        deepStrictEqual(decode([digits]), bytes);
        deepStrictEqual(decode(cutAt(digits, cuts)), bytes);
        deepStrictEqual(decode(oneByOne(digits)), bytes);
        const out = new Uint8Array(2 * bytes.length);
        strictEqual(encodeHex(bytes, out), 2 * bytes.length);
        strictEqual(textOf(out), hex);
      },
    ),
  );
});

Deno.test("an odd number of digits is refused at the end and not earlier", () => {
  for (const text of ["0", "012", "abcde"]) {
    for (const pieces of [[bytesOf(text)], oneByOne(bytesOf(text))]) {
      const decoder = new HexDecoder();
      for (const piece of pieces) decoder.decode(textOf(piece));
      throws(() => decoder.end(), isBadHex, text);
    }
  }
  deepStrictEqual(decode([]), new Uint8Array());
  deepStrictEqual(
    decode([new Uint8Array(), bytesOf("0"), new Uint8Array(), bytesOf("1")]),
    Uint8Array.of(1),
  );
});

Deno.test("a character that is not a hex digit is refused wherever it is", () => {
  const strange = [
    "g",
    "G",
    " ",
    "\n",
    "\\",
    "\0",
    "x",
    ":",
    "/",
    "@",
    "`",
    "-",
    "ä",
    "０",
    "\ufeff",
  ];
  const raw = [Uint8Array.of(0xff), Uint8Array.of(0xef, 0xbb, 0xbf), Uint8Array.of(0xc3)];
  for (const bad of [...strange.map(bytesOf), ...raw]) {
    for (let before = 0; before <= 4; before++) {
      for (let behind = 0; behind <= 3; behind++) {
        const all = new Uint8Array([
          ...bytesOf("00".repeat(2).slice(0, before)),
          ...bad,
          ...bytesOf("fff".slice(0, behind)),
        ]);
        for (
          const pieces of [[all], oneByOne(all), cutAt(all, [before]), cutAt(all, [before + 1])]
        ) {
          throws(() => decode(pieces), isBadHex, `${bad} behind ${before}, before ${behind}`);
        }
      }
    }
  }
});

Deno.test("a piece that follows a longer one does not contain its bytes", () => {
  const decoder = new HexDecoder();
  strictEqual(decoder.decode("aa".repeat(1000)).length, 1000);
  deepStrictEqual([...decoder.decode("0102")], [1, 2]);
  deepStrictEqual([...decoder.decode("3")], []);
  deepStrictEqual([...decoder.decode("4")], [0x34]);
  deepStrictEqual([...decoder.decode("")], []);
});
