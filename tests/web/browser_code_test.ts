// The page's browser logic, tested without a browser: wording, how safe a file is, and which files are shown in which
// order. The wording must match the prompt, and the rules the API, whatever the values.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { durationText, sizeText } from "../../cli/units.ts";
import { visible } from "../../protocol/wire/text.ts";
import { addressText } from "../../protocol/wire/address.ts";
import { fileJson, pageOf, type Query } from "../../web/api/listing.ts";
import { FileList, isSort, nameKey } from "../../web/shared/filelist.js";
import { holdersText, pipsText, safetyKind, safetyText } from "../../web/shared/safety.js";
import * as words from "../../web/shared/words.js";
import type { ViewedFile } from "../../web/view.ts";
import { fileOf } from "./fixture.ts";

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

const someFile: fc.Arbitrary<ViewedFile> = fc.record({
  name: fc.string({
    unit: fc.constantFrom("a", "B", "é", "1", "2", " ", ".", "-", "_"),
    minLength: 1,
    maxLength: 6,
  }),
  owner: fc.constantFrom("us", "bob", "Eve"),
  sizeBytes: fc.option(fc.nat(5_000_000), { nil: undefined }),
  text: fc.nat(5).map(String),
  held: fc.boolean(),
  holders: fc.subarray(["us", "bob", "eve"]),
  knownSince: fc.nat(5),
}).map(({ name, owner, sizeBytes, text, held, holders, knownSince }) => ({
  file: fileOf({ name, owner, sizeBytes: sizeBytes!, timestamp: { text, quoted: false } }),
  held,
  holders,
  knownSince,
}));

const someFiles = fc.uniqueArray(someFile, { selector: ({ file }) => file.fileId, maxLength: 30 });
const row = (viewed: ViewedFile) =>
  JSON.parse(
    JSON.stringify({
      ...fileJson(viewed) as object,
      file_timestamp: Number(viewed.file.timestamp.text),
    }),
  );

Deno.test("the page finds the same files as the API, in an equivalent order", () => {
  const query = fc.record({
    q: fc.constantFrom("", "a", "A é", "bob", "1 2", "1-2", "a.", "zzz"),
    where: fc.constantFrom("all", "here", "elsewhere", "mine"),
    sort: fc.constantFrom(
      "name",
      "-name",
      "size",
      "-size",
      "owner",
      "time",
      "-time",
      "-holders",
      "known",
      "-known",
    ),
  });
  fc.assert(fc.property(someFiles, query, (files, query) => {
    const list = new FileList();
    list.reset(files.map(row));
    const found = list.find(query, "us");
    const asked = {
      q: query.q,
      sort: query.sort,
      ...query.where === "all" ? {} : { where: query.where },
    } as Query;
    const page = pageOf(files, asked, "us");
    const ids = (rows: readonly { file_id: string }[]) => rows.map(({ file_id }) => file_id).sort();
    deepStrictEqual(ids(found), ids(page.files.map(row)));
    // The two never disagree about the order of two files; equal ones may be in any order.
    for (const [at, file] of found.entries()) {
      const next = found[at + 1];
      if (!next) break;
      const pair = files.filter(({ file: { fileId } }) =>
        [file.file_id, next.file_id].includes(fileId)
      );
      const orders = [pair, [...pair].reverse()].map((each) =>
        pageOf(each, asked, "us").files[0]!.file.fileId
      );
      ok(orders.includes(file.file_id), `${file.file_name} before ${next.file_name}`);
    }
    const again = new FileList();
    again.reset([...files].reverse().map(row));
    deepStrictEqual(again.find(query, "us"), found, "whatever order they came in");
  }));
});

Deno.test("words are found anywhere, whatever separates them, on the page and by the API", () => {
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
  const list = new FileList();
  list.reset(files.map(row));
  const found = (q: string) => {
    const here = list.find({ q, where: "all", sort: "name" }, "us").map(({ file_name }) =>
      file_name
    );
    const there = pageOf(files, { q, sort: "name" }, "us").files.map(({ file }) => file.name);
    deepStrictEqual(there.sort(), [...here].sort(), q);
    return here.sort();
  };
  deepStrictEqual(found("exam 07"), ["exam 07 notes.txt", "exam-07.pdf", "exam-107.pdf"]);
  deepStrictEqual(found("07 EXAM pdf"), ["exam-07.pdf", "exam-107.pdf"]);
  // Words typed with a separator between them belong together.
  deepStrictEqual(found("exam_07"), ["exam 07 notes.txt", "exam-07.pdf"]);
  deepStrictEqual(found("exam-07.pdf"), ["exam-07.pdf"]);
  deepStrictEqual(found("exam.08"), ["Exam_08.pdf"]);
  deepStrictEqual(found("caf\u00e9"), ["Cafe\u0301.txt"]);
  deepStrictEqual(found("bob 08"), ["Exam_08.pdf"]);
  strictEqual(found(" - ").length, names.length);
  deepStrictEqual(found(fileOf({ name: "exam-107.pdf" }).fileId.slice(0, 8)), ["exam-107.pdf"]);
});

Deno.test("the newest file is the one the peer learned of last, whatever its date, or else the last to arrive", () => {
  const dated = (name: string, seconds: number, knownSince?: number): ViewedFile => ({
    file: fileOf({ name, timestamp: { text: String(seconds), quoted: false } }),
    held: false,
    holders: [],
    ...knownSince === undefined ? {} : { knownSince },
  });
  const orders = (files: ViewedFile[], sort: "known" | "-known") => {
    const page = pageOf(files, { sort }, "us").files;
    const list = new FileList();
    list.reset(pageOf(files, { sort: "-known" }, "us").files.map(row));
    const here = list.find({ q: "", where: "all", sort }, "us").map(({ file_name }) => file_name);
    deepStrictEqual(here, page.map(({ file }) => file.name));
    return { here, list };
  };
  const known = [dated("new", 2_000, 10), dated("old", 1_000, 30), dated("between", 3_000, 20)];
  deepStrictEqual(orders(known, "-known").here, ["old", "between", "new"]);
  deepStrictEqual(orders(known, "known").here, ["new", "between", "old"]);
  const unknown = [dated("first", 9), dated("second", 1), dated("third", 5)];
  const { here, list } = orders(unknown, "-known");
  deepStrictEqual(here, ["third", "second", "first"]);
  list.apply({ changed: [row(dated("fourth", 0)), row(dated("first", 8))], removed: [] });
  deepStrictEqual(
    list.find({ q: "", where: "all", sort: "-known" }, "us").map(({ file_name }) => file_name),
    ["fourth", "third", "second", "first"],
  );
});

Deno.test("changes leave the list as if it had been loaded again", () => {
  fc.assert(
    fc.property(
      someFiles,
      someFiles,
      fc.constantFrom("name", "-size", "-time"),
      (before, after, sort) => {
        const query = { q: "", where: "all", sort };
        const list = new FileList();
        list.reset(before.map(row));
        list.find(query, "us");
        const ids = new Set(after.map(({ file }) => file.fileId));
        const removed = before.map(({ file }) => file.fileId).filter((id) => !ids.has(id));
        list.apply({ changed: after.map(row), removed });
        const fresh = new FileList();
        fresh.reset(after.map(row));
        deepStrictEqual(list.find(query, "us"), fresh.find(query, "us"));
        strictEqual(list.size, fresh.size);
      },
    ),
  );
});

Deno.test("names are sorted naturally, with numbers by value", () => {
  const order = ["a 2", "A 10", "á 11", "b", "B1", "b01x", "b2", "b10", "z", "ß", "Ω"];
  const sorted = [...order].reverse().sort((a, b) => nameKey(a) < nameKey(b) ? -1 : 1);
  deepStrictEqual(sorted, order);
  // No name, however crafted, has a much longer key.
  ok(nameKey("1a".repeat(127)).length <= 3 * 127);
});

Deno.test("files at risk are those with at most one holder, and an unknown sort order is ignored", () => {
  const list = new FileList();
  const holders = [[], ["a"], ["a", "b"]];
  list.reset(
    holders.map((names, i) => row({ file: fileOf({ name: `${i}` }), held: false, holders: names })),
  );
  strictEqual(list.find({ q: "", where: "risk", sort: "name" }, "us").length, 2);
  ok(isSort("-size") && !isSort("color") && !isSort("toString"));
  match(
    list.find({ q: "", where: "all", sort: "nonsense" }, "us").map(({ file_name }) => file_name)
      .join(),
    /^0,1,2$/,
  );
});

Deno.test("the page warns of another peer with the same id before anything else, and says what to do", () => {
  const fine = { free_bytes: 1e12, peers: 3, bootstraps: [], name_taken_by: null };
  strictEqual(words.warningText(fine), "");
  const text = words.warningText({ ...fine, free_bytes: 0, name_taken_by: "10.0.0.1:8115" });
  ok(/10\.0\.0\.1:8115.*different peer id/.test(text), text);
});
