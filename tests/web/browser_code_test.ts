// What the page and the peer share, tested without a browser: wording, how safe a file is, and how files are found and
// sorted. The wording must match the prompt, whatever the values.

import { bootstrapHint } from "../../cli/bootstrap_text.ts";
import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { durationText, sizeText } from "../../cli/units.ts";
import { visible } from "../../protocol/wire/text.ts";
import { addressText } from "../../protocol/wire/address.ts";
import { isSort } from "../../web/shared/filelist.js";
import { nameKey } from "../../web/file_rules.ts";
import { holdersText, pipsText, safetyKind, safetyText } from "../../web/shared/safety.js";
import * as words from "../../web/shared/words.js";
import type { ViewedFile } from "../../web/view.ts";
import { appOver, fileOf } from "./fixture.ts";

Deno.test("sizes, durations, addresses, and names read the same as at the prompt", () => {
  fc.assert(fc.property(fc.double({ min: 0, max: 1e16, noNaN: true }), (value) => {
    strictEqual(words.sizeText(value), sizeText(value));
    strictEqual(words.durationText(value), durationText(value));
  }));
  const text = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string({ unit: fc.constantFrom("\u202e", "\n", "a", "\ud800", "é", "\u0000") }),
  );
  fc.assert(fc.property(text, fc.integer({ min: 2, max: 40 }), (text, max) => {
    strictEqual(words.visible(text, max), visible(text, max));
  }));
  for (const address of [{ host: "eagle", port: 8115 }, { host: "2001:db8::1", port: 1 }]) {
    strictEqual(words.addressText(address), addressText(address));
  }
});

Deno.test("counts are formatted as the browser itself would format them", () => {
  fc.assert(fc.property(fc.maxSafeNat(), (count) => {
    strictEqual(words.numberText(count), count.toLocaleString("en"));
  }));
  strictEqual(words.plural(1_000, "file"), "1,000 files");
});

Deno.test("progress repeats no unit, past times are relative, and future times are dates", () => {
  strictEqual(words.progressText(12_400_000, 80_000_000), "12.4 of 80.0 MB");
  strictEqual(words.progressText(900_000, 80_000_000), "900 kB of 80.0 MB");
  strictEqual(words.progressText(5, null), "5 B");
  strictEqual(words.agoText(1_000, 1_001), "now");
  strictEqual(words.agoText(1_000, 1_042), "42 s ago");
  strictEqual(words.agoText(2_000_000_000, 1_000), "2033-05-18");
  strictEqual(words.agoText(NaN, 1_000), "invalid date");
  strictEqual(words.isoText(1e300), "invalid date");
  strictEqual(words.shortId("0123456789abcdef"), "012345…cdef");
  strictEqual(words.listText(["a", "b", "c"]), "a, b and c");
  strictEqual(words.plural(1_200, "file"), "1,200 files");
});

Deno.test("a file is as safe as its number of holders, in pips, words, and color", () => {
  const file = (has_copy: boolean, ...peers_with_file: string[]) => ({
    has_copy,
    peers_with_file,
    last_holders: [],
  });
  const said = (
    held: Parameters<typeof safetyText>[0],
  ) => [pipsText(held), safetyText(held), safetyKind(held)];
  deepStrictEqual(said(file(false)), ["○○○", "Nobody has this anymore", "failed"]);
  deepStrictEqual(said(file(false, "eagle")), ["●○○", "Only on eagle", "risk"]);
  deepStrictEqual(said(file(true, "us")), ["●○○", "Only here", "risk"]);
  deepStrictEqual(said(file(true, "us", "a")), ["●●○", "Here and on 1 more", ""]);
  deepStrictEqual(said(file(false, "a", "b", "c", "d")), ["●●●", "On 4 peers", ""]);
  // Its holders are away: it is not lost yet.
  const away = (...last_holders: string[]) => said({ ...file(false), last_holders });
  deepStrictEqual(away("eagle"), ["○○○", "eagle is away", "risk"]);
  deepStrictEqual(away("a", "b"), ["○○○", "Both holders are away", "risk"]);
  deepStrictEqual(away("a", "b", "c"), ["○○○", "All 3 holders are away", "risk"]);
  strictEqual(
    holdersText({ ...file(false), last_holders: ["a", "b"] }),
    "Last held by a and b: away, but may come back with it",
  );
});

Deno.test("words are found anywhere, whatever separates them", async () => {
  const names = [
    "exam-07.pdf",
    "Exam_08.pdf",
    "exam 07 notes.txt",
    "exam-107.pdf",
    "Cafe\u0301.txt",
  ];
  const files = names.map((name) => ({
    file: fileOf({ name, owner: "bob" }),
    held: true,
    holders: ["us"],
  }));
  const app = appOver({ files });
  const found = async (q: string) => {
    const asked = new URLSearchParams({ q });
    const { files } = await (await app.request(`/api/v1/files?${asked}`)).json();
    return files.map(({ file_name }: { file_name: string }) => file_name).sort();
  };
  deepStrictEqual(await found("exam 07"), ["exam 07 notes.txt", "exam-07.pdf", "exam-107.pdf"]);
  deepStrictEqual(await found("07 EXAM pdf"), ["exam-07.pdf", "exam-107.pdf"]);
  // Words typed with a separator between them belong together.
  deepStrictEqual(await found("exam_07"), ["exam 07 notes.txt", "exam-07.pdf"]);
  deepStrictEqual(await found("exam-07.pdf"), ["exam-07.pdf"]);
  deepStrictEqual(await found("exam.08"), ["Exam_08.pdf"]);
  deepStrictEqual(await found("caf\u00e9"), ["Cafe\u0301.txt"]);
  deepStrictEqual(await found("bob 08"), ["Exam_08.pdf"]);
  strictEqual((await found(" - ")).length, names.length);
  const { fileId } = fileOf({ name: "exam-107.pdf" });
  deepStrictEqual(await found(fileId.slice(0, 8)), ["exam-107.pdf"]);
});

Deno.test("the newest file is the one the peer learned of last, whatever its date, or else the last to arrive", async () => {
  const dated = (name: string, seconds: number, knownSince?: number): ViewedFile => ({
    file: fileOf({ name, timestamp: { text: String(seconds), quoted: false } }),
    held: false,
    holders: [],
    ...knownSince === undefined ? {} : { knownSince },
  });
  const names = async (files: ViewedFile[], sort: "known" | "-known") => {
    const { files: rows } = await (await appOver({ files }).request(`/api/v1/files?sort=${sort}`))
      .json();
    return rows.map(({ file_name }: { file_name: string }) => file_name);
  };
  const known = [dated("new", 2_000, 10), dated("old", 1_000, 30), dated("between", 3_000, 20)];
  deepStrictEqual(await names(known, "-known"), ["old", "between", "new"]);
  deepStrictEqual(await names(known, "known"), ["new", "between", "old"]);
  const unknown = [dated("first", 9), dated("second", 1), dated("third", 5)];
  deepStrictEqual(await names(unknown, "-known"), ["third", "second", "first"]);
});

Deno.test("names are sorted naturally, with numbers by value", () => {
  const order = ["a 2", "A 10", "á 11", "b", "B1", "b01x", "b2", "b10", "z", "ß", "Ω"];
  const sorted = [...order].reverse().sort((a, b) => nameKey(a) < nameKey(b) ? -1 : 1);
  deepStrictEqual(sorted, order);
  // No name, however crafted, has a much longer key.
  ok(nameKey("1a".repeat(127)).length <= 3 * 127);
});

Deno.test("only known sort orders are accepted", () => {
  ok(isSort("-size") && isSort("known") && !isSort("color") && !isSort("toString"));
});

Deno.test("the page warns of another peer with the same id before anything else, and says what to do", () => {
  const fine = {
    free_bytes: 1e12,
    name_taken_by: null,
    unreachable: null,
  };
  strictEqual(words.warningText(fine), "");
  const text = words.warningText({ ...fine, free_bytes: 0, name_taken_by: "10.0.0.1:8115" });
  ok(/10\.0\.0\.1:8115.*different peer id/.test(text), text);
});

Deno.test("the page says what others say about connections to this peer, as a sentence", () => {
  const fine = {
    free_bytes: 1e12,
    name_taken_by: null,
  };
  const unreachable = { text: "3 peers cannot connect to 10.0.0.1:8115" };
  strictEqual(
    words.warningText({ ...fine, unreachable }),
    "3 peers cannot connect to 10.0.0.1:8115.",
  );
});

Deno.test("each bootstrap that does not answer has a sentence that says why, and what to do", () => {
  const texts = words.troubleTexts([
    "10.0.0.1:8999 refuses connections",
    "eagle:8999 is not a known name",
    "10.0.0.2:8999 does not answer",
    "10.0.0.3:8999 accepts connections but does not answer",
    "10.0.0.4:8999 does not answer",
  ].map((text) => ({ text, hint: bootstrapHint(text) }))).split("\n");
  strictEqual(texts.length, 4, "no more than fit");
  const says = [/No peer runs there now/, /Check the spelling/, /firewall/, /It is tried again/];
  for (const [i, text] of texts.entries()) {
    ok(says[i]!.test(text) && text.startsWith("Bootstrap ") && /[^.]\.$/.test(text), text);
  }
});
