// The string under "data": content, or one of the ways in which real peers say that there is none.

import { deepStrictEqual, strictEqual, throws } from "node:assert/strict";
import fc from "fast-check";
import { ProtocolError } from "../../../protocol/wire/errors.ts";
import { FileDataDecoder } from "../../../protocol/wire/filedata.ts";
import { bytesOf, cutAt, oneByOne, textOf } from "./stream.ts";

function take(pieces: Iterable<Uint8Array>): { isContent: boolean; content: number[] } {
  const content: number[] = [];
  const decoder = new FileDataDecoder({ write: (bytes) => void content.push(...bytes) });
  for (const piece of pieces) decoder.write(textOf(piece));
  return { isContent: decoder.end(), content };
}

/** Returns all ways to split a short text. */
function* waysToCut(text: string): Generator<Iterable<Uint8Array>> {
  const bytes = bytesOf(text);
  yield [bytes];
  yield oneByOne(bytes);
  for (let cut = 0; cut <= bytes.length; cut++) yield cutAt(bytes, [cut]);
}

Deno.test("hex digits are content, and an empty string is empty content", () => {
  for (
    const [text, content] of [["", []], ["00ff", [0, 255]], ["6E756C6C", [
      110,
      117,
      108,
      108,
    ]]] as const
  ) {
    for (const pieces of waysToCut(text)) {
      deepStrictEqual(take(pieces), { isContent: true, content: [...content] }, text);
    }
  }
});

Deno.test('the string "null" is not content, in whatever pieces it arrives', () => {
  for (const pieces of waysToCut("null")) {
    deepStrictEqual(take(pieces), { isContent: false, content: [] });
  }
});

Deno.test("anything that is neither hex nor null is refused", () => {
  const texts = [
    "n",
    "nul",
    "nulll",
    "null0",
    "nullnull",
    "00null",
    "0null",
    "Null",
    "none",
    "0",
    "n0",
    "\\n",
  ];
  for (const text of texts) {
    for (const pieces of waysToCut(text)) {
      throws(() => take(pieces), (e) => e instanceof ProtocolError && e.reason === "bad-hex", text);
    }
  }
});

Deno.test("content reaches the sink in order, without empty pieces", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.array(fc.nat()), (content, cuts) => {
      const got: number[] = [];
      const decoder = new FileDataDecoder({
        write(bytes) {
          strictEqual(bytes.length > 0, true);
          got.push(...bytes);
        },
      });
      for (const piece of cutAt(bytesOf(content.toHex()), cuts)) decoder.write(textOf(piece));
      strictEqual(decoder.end(), true);
      deepStrictEqual(got, [...content]);
    }),
  );
});

Deno.test("an error thrown by the sink reaches the caller", () => {
  const full = new Error("disk full");
  const decoder = new FileDataDecoder({
    write() {
      throw full;
    },
  });
  throws(() => decoder.write("00"), (error) => error === full);
});
