// ASCII-only JSON on the way out, and untrusted text made safe to show.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import {
  asciiJson,
  avoidBraceAtReadEdge,
  isCleanName,
  type Json,
  NumberText,
  visible,
} from "../../../protocol/wire/text.ts";

const anyText = fc.string({
  unit: fc.integer({ min: 0, max: 0xffff }).map((n) => String.fromCharCode(n)),
});

Deno.test("any value is written as printable ASCII with the same meaning", () => {
  const value = fc.letrec<{ json: Json }>((tie) => ({
    json: fc.oneof(
      { maxDepth: 3 },
      anyText,
      fc.string({ unit: "binary" }),
      fc.double({ noNaN: true, noDefaultInfinity: true }).filter((n) => !Object.is(n, -0)),
      fc.boolean(),
      fc.constant(null),
      fc.array(tie("json")),
      fc.dictionary(anyText, tie("json"), { noNullPrototype: true }),
    ),
  })).json;
  fc.assert(
    fc.property(value, (json) => {
      const text = asciiJson(json);
      match(text, /^[\x20-\x7e]*$/);
      // A lone surrogate comes back as itself: nothing is lost or invented.
      deepStrictEqual(JSON.parse(text), json);
    }),
  );
});

Deno.test("anything that is not printable ASCII is written as an escape", () => {
  strictEqual(
    asciiJson("\x7f\x80\u00e4\u2028\ud83e\uddc0\ud800"),
    '"\\u007f\\u0080\\u00e4\\u2028\\ud83e\\uddc0\\ud800"',
  );
  strictEqual(asciiJson("\0\n\x1f ~"), '"\\u0000\\n\\u001f ~"');
});

Deno.test("every closing brace written is structural", () => {
  strictEqual(asciiJson({ "}": "}}", a: ["}"] }), '{"\\u007d":"\\u007d\\u007d","a":["\\u007d"]}');
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom("}", "{", '"', "\\", "ä", "\n") }), (text) => {
      const written = asciiJson({ [text]: text });
      strictEqual(written.split("}").length - 1, 1, written);
    }),
  );
});

Deno.test("a number given by its text keeps it, and an undefined field is left out", () => {
  const n = (text: string) => new NumberText(text);
  strictEqual(
    asciiJson({ a: n("1744169352.0"), b: undefined, c: [n("-0"), n("1e999")], d: n("007") }),
    '{"a":1744169352.0,"c":[-0,1e999],"d":007}',
  );
  strictEqual(asciiJson({}), "{}");
  strictEqual(asciiJson(NaN), "null");
});

Deno.test("dangerous keys are written as they are", () => {
  const value = JSON.parse('{"__proto__":{"x":1},"constructor":2,"toString":3}') as Json;
  strictEqual(asciiJson(value), '{"__proto__":{"x":1},"constructor":2,"toString":3}');
  strictEqual(({} as Record<string, unknown>).x, undefined);
});

/** Returns the positions, from 1, of closing braces at the end of a read, except for the last byte. */
function bracesAtEdges(text: string): number[] {
  const found = [];
  for (let edge = 4096; edge < text.length; edge += 4096) {
    if (text[edge - 1] === "}") found.push(edge);
  }
  return found;
}

Deno.test("no closing brace but the last ends a read of 4,096 bytes", () => {
  for (let shift = 0; shift < 35; shift++) {
    for (
      const entry of ["{}", '{"a":{}}', '{"file_name":"0123456789","file_owner":"0123456789"}']
    ) {
      const list = Array(Math.ceil(40_000 / entry.length)).fill(entry).join(",");
      const text = `{"x":"${"y".repeat(shift)}","files":[${list}]}`;
      const moved = avoidBraceAtReadEdge(text);
      deepStrictEqual(bracesAtEdges(moved), [], `shift ${shift}`);
      deepStrictEqual(JSON.parse(moved), JSON.parse(text));
      ok(moved.length - text.length <= text.length / 4096 + 1);
      strictEqual(moved.at(-1), "}");
    }
  }
});

Deno.test("a text whose last brace ends a read stays as it is", () => {
  for (const length of [4095, 4096, 4097, 8192]) {
    const text = `{"x":"${"y".repeat(length - 8)}"}`;
    strictEqual(text.length, length);
    strictEqual(avoidBraceAtReadEdge(text), text);
  }
  strictEqual(avoidBraceAtReadEdge(`[${" ".repeat(4093)}{}]`).indexOf("}"), 4096);
});

Deno.test("text to show has no control characters, changes of direction or line breaks, and is short", () => {
  fc.assert(
    fc.property(
      fc.oneof(anyText, fc.string({ unit: "binary", maxLength: 300 })),
      fc.integer({ min: 1, max: 250 }),
      (text, max) => {
        const shown = visible(text, max);
        ok(!/[\p{Cc}\p{Zl}\p{Zp}]|(?!\u200d)\p{Cf}/u.test(shown), JSON.stringify(shown));
        ok(text === "" || /\S/.test(shown), JSON.stringify(text));
        ok(shown.length <= max, `${shown.length} of ${max}`);
        ok(shown.isWellFormed());
      },
    ),
  );
  const table = [
    ["plain name ü 漢字 🧀.txt", "plain name ü 漢字 🧀.txt"],
    ["\x1b[31mred\x07", "\\u{1b}[31mred\\u{7}"],
    ["a\r\nb\tc\0", "a\\u{d}\\u{a}b\\u{9}c\\u{0}"],
    ["\u009b31m\x7f", "\\u{9b}31m\\u{7f}"],
    ["exe.\u202egpj", "exe.\\u{202e}gpj"],
    [
      "\u2066x\u2069\u200f\ufeff\u2028\u2029",
      "\\u{2066}x\\u{2069}\\u{200f}\\u{feff}\\u{2028}\\u{2029}",
    ],
    ["\ud800", "\ufffd"],
    ["\u{e0041}", "\\u{e0041}"],
    // Characters without width or ink, such as Hangul fillers and the blank of Braille.
    ["a\u3164\u115f\uffa0\u2800\u034fb", "a\\u{3164}\\u{115f}\\u{ffa0}\\u{2800}\\u{34f}b"],
    ["  \u00a0", "\\u{20}\\u{20}\\u{a0}"],
    [" a b ", " a b "],
    // Emoji of several parts are one symbol; the same parts elsewhere are invisible.
    ["👨‍👩‍👧.jpg ❤️ 🏃🏽‍♀️ 1️⃣", "👨‍👩‍👧.jpg ❤️ 🏃🏽‍♀️ 1️⃣"],
    ["a\u200db 👨\u200d 1\ufe0f\ufe0f", "a\\u{200d}b 👨\\u{200d} 1\\u{fe0f}\\u{fe0f}"],
  ] as const;
  for (const [text, shown] of table) strictEqual(visible(text), shown);
});

Deno.test("a text that was cut to be shown says so and does not break a symbol in two", () => {
  strictEqual(visible("x".repeat(200)), "x".repeat(200));
  strictEqual(visible("x".repeat(201)), `${"x".repeat(199)}…`);
  ok(!visible("🧀".repeat(10), 6).includes("\ud83e\u2026"));
  strictEqual(visible("👨‍👩‍👧.jpg", 4), "👨…");
});

Deno.test("a name is clean without control characters, within its length, and not empty", () => {
  for (const name of ["a", "TEST8!!!", "prokopie ü 🧀", "__proto__", "x".repeat(128), "‮x"]) {
    ok(isCleanName(name, 128), name);
  }
  const unclean = [
    "",
    "x".repeat(129),
    "a\0",
    "\x1b[m",
    "a\nb",
    "\x7f",
    "\x85",
    "\ud800",
    "a\udc00",
  ];
  for (const name of unclean) ok(!isCleanName(name, 128), JSON.stringify(name));
});
