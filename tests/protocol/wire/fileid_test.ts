// file_id: which timestamps can prove content, which texts are tried, and that no byte can be shifted.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import fc from "fast-check";
import {
  isBindingTimestamp,
  isFileId,
  ownTimestamp,
  type Timestamp,
  timestampCandidates,
  timestampOf,
  timestampSeconds,
  verifyingTimestamp,
} from "../../../protocol/wire/fileid.ts";
import { fileOf, parseJson } from "../../../protocol/wire/message.ts";
import { NumberText } from "../../../protocol/wire/text.ts";

const STORE = new URL("../../../../shared/fixtures/field_store/", import.meta.url);

const number = (text: string): Timestamp => ({ text, quoted: false });
const quoted = (text: string): Timestamp => ({ text, quoted: true });
const sha = (content: Uint8Array | string) => {
  const hash = createHash("sha256").update(content);
  return (suffix: string) => hash.copy().update(suffix).digest("hex");
};

Deno.test("a file_id is 64 lowercase hex digits and nothing else", () => {
  ok(isFileId("0123456789abcdef".repeat(4)));
  const others = [
    "a".repeat(63),
    "a".repeat(65),
    "A".repeat(64),
    "g".repeat(64),
    `${"a".repeat(64)}\n`,
  ];
  for (const other of [...others, "", "__proto__", null, 1, {}, ["a".repeat(64)], undefined]) {
    ok(!isFileId(other), JSON.stringify(other));
  }
});

Deno.test("the texts tried are the source text, its integer part, and that with .0", () => {
  const table = [
    [number("1744170562"), ["1744170562", "1744170562.0"]],
    [number("1744169352.0"), ["1744169352.0", "1744169352"]],
    [number("1743970142.6140459"), ["1743970142.6140459", "1743970142", "1743970142.0"]],
    [number("1743970142.50"), ["1743970142.50", "1743970142", "1743970142.0"]],
    [quoted("Sun Jun 15 21:36:41 2025"), ["Sun Jun 15 21:36:41 2025"]],
    [quoted("Sun Jun  1 01:06:41 2025"), ["Sun Jun  1 01:06:41 2025"]],
  ] as const;
  for (const [timestamp, texts] of table) deepStrictEqual(timestampCandidates(timestamp), texts);
});

Deno.test("a timestamp in a form that bytes could be shifted into proves nothing", () => {
  const numbers = [
    "123456789",
    "12345678901",
    "1744169352.",
    "1744169352.1234567890",
    "-744169352",
  ];
  numbers.push(
    "1e9",
    "1.744169352e9",
    "-1744169352",
    "+1744169352",
    "01744169352",
    "-0",
    "0",
    "1E999",
  );
  numbers.push(
    "9007199254740993",
    " 1744169352",
    "1744169352\n",
    "1744169352.0.0",
    "0x12345678",
    "",
  );
  const strings = [
    "1744169352",
    "1744169352.0",
    "Sun Jun 15 21:36:41 2025\n",
    "Sun Jun 15 21:36:41 202",
  ];
  strings.push(
    "xSun Jun 15 21:36:41 2025",
    "sun Jun 15 21:36:41 2025",
    "Sun Jun 15 21:36 2025",
    "",
  );
  strings.push(
    "Sun, 15 Jun 2025 21:36:41 GMT",
    "2025-06-15T21:36:41Z",
    "Sun Jun 15 21:36:41 20255",
  );
  for (const timestamp of [...numbers.map(number), ...strings.map(quoted)]) {
    ok(!isBindingTimestamp(timestamp), timestamp.text);
    deepStrictEqual(timestampCandidates(timestamp), []);
    const never = () => {
      throw new Error("It was hashed");
    };
    strictEqual(verifyingTimestamp("a".repeat(64), [timestamp], never), undefined);
  }
  ok(isBindingTimestamp(number("1744169352.123456789")));
});

Deno.test("content shifted against its timestamp does not verify under any candidate", () => {
  const digits = (count: number) =>
    fc.string({ unit: fc.constantFrom(..."0123456789"), minLength: count, maxLength: count });
  const date = fc.constantFrom("Sun Jun 15 21:36:41 2025", "Mon Jan  1 00:00:00 1999");
  const stamp = fc.oneof(
    digits(10).map(number),
    fc.integer({ min: 1, max: 9 }).chain((n) => fc.tuple(digits(10), digits(n))).map(([a, b]) =>
      number(`${a}.${b}`)
    ),
    date.map(quoted),
  );
  // Content made of the characters of timestamps is the hardest case.
  const content = fc.oneof(
    fc.string({ unit: fc.constantFrom(..."0123456789.") }),
    fc.tuple(fc.string(), stamp).map(([text, { text: more }]) => text + more),
    fc.tuple(digits(10), fc.constantFrom(".", "")).map(([a, b]) => a + b),
  );
  fc.assert(
    fc.property(content, stamp, (content, timestamp) => {
      const all = content + timestamp.text;
      const fileId = createHash("sha256").update(all).digest("hex");
      strictEqual(verifyingTimestamp(fileId, [timestamp], sha(content)), timestamp);
      for (let edge = 0; edge <= all.length; edge++) {
        if (edge === content.length) continue;
        const text = all.slice(edge);
        for (const shifted of [number(text), quoted(text)]) {
          strictEqual(
            verifyingTimestamp(fileId, [shifted], sha(all.slice(0, edge))),
            undefined,
            text,
          );
        }
      }
    }),
    { numRuns: 300 },
  );
});

Deno.test("the hashed timestamp is found among several, whoever rendered it", () => {
  const hashedAs = (text: string) => sha("content")(text);
  const told = [number("123"), number("1700000000.5"), number("1744169352")];
  for (const text of ["1744169352", "1744169352.0"]) {
    strictEqual(verifyingTimestamp(hashedAs(text), told, sha("content")), told[2]);
  }
  strictEqual(verifyingTimestamp(hashedAs("1700000000"), told, sha("content")), told[1]);
  strictEqual(verifyingTimestamp(hashedAs("123"), told, sha("content")), undefined);
  strictEqual(verifyingTimestamp(hashedAs("1744169352"), told, sha("Content")), undefined);
});

const hasStore = (() => {
  try {
    return Deno.statSync(new URL("metadata.json", STORE)).isFile;
  } catch {
    console.log(`Skipping the test on a real store: none at ${STORE.pathname}`);
    return false;
  }
})();

Deno.test({
  name: "every file in a real store of another implementation verifies under its id",
  ignore: !hasStore,
  fn() {
    const metadata = parseJson(Deno.readTextFileSync(new URL("metadata.json", STORE)));
    const entries = Object.values(metadata as Record<string, Record<string, unknown>>);
    const names = new Set([...Deno.readDirSync(STORE)].map(({ name }) => name));
    const verified = { marked: 0, unmarked: 0 };
    for (const entry of entries) {
      const file = fileOf(entry);
      ok(file, `${entry.file_id} can be read`);
      ok(isBindingTimestamp(file.timestamp), file.timestamp.text);
      const isMarked = entry.has_copy === "yes" || entry.hasCopy === "yes";
      if (!names.has(file.name)) continue;
      const content = Deno.readFileSync(new URL(file.name, STORE));
      const found = verifyingTimestamp(file.fileId, [file.timestamp], sha(content));
      if (isMarked) ok(found, `${file.name} is held but does not verify`);
      if (found) verified[isMarked ? "marked" : "unmarked"]++;
      const damaged = content.with(0, content[0]! ^ 1);
      strictEqual(verifyingTimestamp(file.fileId, [file.timestamp], sha(damaged)), undefined);
    }
    deepStrictEqual(verified, { marked: 9, unmarked: 4 });
    strictEqual(entries.length, 22);
  },
});

Deno.test("a timestamp is read from a number's text or a string, and from nothing else", () => {
  for (const text of ["1744169352.0", "-0", "9007199254740993", "0.1", "1e9", "1".repeat(32)]) {
    deepStrictEqual(timestampOf(new NumberText(text)), number(text));
  }
  deepStrictEqual(timestampOf("Sun Jun 15 21:36:41 2025"), quoted("Sun Jun 15 21:36:41 2025"));
  deepStrictEqual(timestampOf("x".repeat(64)), quoted("x".repeat(64)));
  const none = [
    "x".repeat(65),
    "\ud800",
    null,
    undefined,
    1744169352,
    true,
    [],
    ["1744169352"],
    {},
  ];
  none.push(new NumberText("1e999") as never, new NumberText("1".repeat(33)) as never);
  for (const value of none) strictEqual(timestampOf(value), undefined, JSON.stringify(value));
});

Deno.test("an object in place of a timestamp is not a number, whatever it contains", () => {
  for (const text of ["", " ", "1744169352", "0x10", "+1", ".5", "1744169352\n"]) {
    strictEqual(timestampOf({ text }), undefined, JSON.stringify(text));
    strictEqual(timestampOf(JSON.parse(JSON.stringify({ text, quoted: false }))), undefined);
  }
});

Deno.test("seconds are returned only for a timestamp that is a date", () => {
  strictEqual(timestampSeconds(number("1744169352.5")), 1744169352.5);
  strictEqual(timestampSeconds(quoted("Sun Jun 15 21:36:41 2025")), 1750023401);
  for (const text of ["-1", "9e12", "1e300", "1e999"]) {
    strictEqual(timestampSeconds(number(text)), undefined, text);
  }
  for (const text of ["", "now", "1744169352", "Sun Jun 15 21:36:41 2025x"]) {
    strictEqual(timestampSeconds(quoted(text)), undefined, text);
  }
});

Deno.test("our own timestamps are whole seconds, which every implementation renders the same way", () => {
  deepStrictEqual(ownTimestamp(1744169352.999), number("1744169352"));
  ok(isBindingTimestamp(ownTimestamp(1744169352.999)));
});
