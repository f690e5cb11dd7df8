// Names on disk from labels chosen by strangers (THREATS 11 and 12): always one plain, safe name inside the folder.

import assert from "node:assert/strict";
import fc from "fast-check";
import { freeName, isOwnName, nameKey, safeName } from "../../storage/names.ts";
import { anyString, namesIn, recordOf, treeOf, withWorld } from "./fixture.ts";

const HOSTILE: readonly string[] = [
  "../x",
  "../../../../tmp/x",
  "/etc/x",
  "C:\\x",
  "C:x",
  "\\\\host\\share\\x",
  "a/../../b",
  "a\\..\\..\\b",
  "..",
  ".",
  "...",
  "",
  " ",
  "/",
  "\\",
  "a/",
  "nul\0byte.txt",
  "\0",
  "line\nbreak\r.txt",
  "\u001b[31mred.txt",
  "x".repeat(10_240),
  `${"y".repeat(10_240)}.txt`,
  "é".repeat(5_000),
  "😀".repeat(3_000),
  "CON",
  "con",
  "CON.txt",
  "aux.txt",
  "nul .tar.gz",
  "COM1",
  "lpt9.log",
  "trailing.",
  "trailing ",
  "trailing. . .",
  " leading",
  "evil\u202etxt.exe",
  "\u200e\u200f",
  "\ufeffbom",
  ".hidden",
  "..hidden",
  ".p2p-peer",
  "~/.ssh/authorized_keys",
  "metadata.json",
  "METADATA.JSON",
  "metadata.json.damaged-2025",
  "dir/metadata.json",
  'a:b*c?d"e<f>g|h',
  "\ud800lone",
  "\udc00",
  "<img src=x onerror=alert(1)>",
  "-rf",
  "cafe\u0301 decomposed.txt",
  "__proto__",
  "desktop.ini",
];

/** What must be true of every name on disk, on any common file system. */
function assertSafe(name: string, label: string): void {
  const of = `${JSON.stringify(name.slice(0, 60))} from ${JSON.stringify(label.slice(0, 60))}`;
  assert.notEqual(name, "", `empty name ${of}`);
  assert.ok(!/[/\\:*?"<>|]/.test(name), `separator or forbidden character in ${of}`);
  assert.ok(!/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(name), `invisible character in ${of}`);
  assert.ok(name.isWellFormed(), `lone surrogate in ${of}`);
  assert.ok(!name.startsWith("."), `hidden name ${of}`);
  assert.ok(!/[.\s]$/.test(name), `trailing dot or space in ${of}`);
  assert.ok(!/^\s/.test(name), `leading space in ${of}`);
  assert.ok(new TextEncoder().encode(name).length <= 255, `name too long: ${of}`);
  assert.ok(
    !/^(con|prn|aux|nul|com[0-9]|lpt[0-9])\s*(\.|$)/i.test(name),
    `device name ${of}`,
  );
  assert.ok(!isOwnName(name), `one of the store's own names: ${of}`);
  assert.equal(name, name.normalize("NFC"), `not composed: ${of}`);
}

Deno.test("every hostile label becomes one plain safe name", () => {
  for (const label of HOSTILE) assertSafe(safeName(label), label);
});

Deno.test("any string at all becomes one plain safe name", () => {
  fc.assert(fc.property(anyString(400), (label) => {
    assertSafe(safeName(label), label);
  }));
  const nasty = fc.constantFrom(
    ".",
    " ",
    "/",
    "\\",
    "\0",
    "x",
    "CON",
    "\u202e",
    "é",
    "😀",
    ":",
    "_",
  );
  fc.assert(fc.property(fc.array(nasty, { maxLength: 300 }), (parts) => {
    const label = parts.join("");
    assertSafe(safeName(label), label);
  }));
});

Deno.test("a shortened name ends neither in a dot nor in a space", () => {
  fc.assert(fc.property(
    fc.integer({ min: 190, max: 205 }),
    fc.constantFrom(".", " ", ". ", "…", " ."),
    (length, tail) => {
      const label = `${"a".repeat(length)}${tail.repeat(4)}${"b".repeat(40)}`;
      assertSafe(safeName(label), label);
    },
  ));
});

Deno.test("a safe name stays as it is", () => {
  const plain = [
    "a.txt",
    "My Essay (final).docx",
    "Ünïcode – 日本語.pdf",
    "x",
    "archive.tar.gz",
    "@#$%",
  ];
  for (const name of plain) assert.equal(safeName(name), name);
  fc.assert(fc.property(anyString(300), (label) => {
    const name = safeName(label);
    assert.equal(safeName(name), name);
  }));
});

Deno.test("only the part after the last separator is the name", () => {
  const table: [string, string][] = [
    ["/home/alice/essay.pdf", "essay.pdf"],
    ["C:\\Users\\alice\\essay.pdf", "essay.pdf"],
    ["a/b\\c.txt", "c.txt"],
    ["../x", "x"],
    ["/etc/x", "x"],
    ["a/../../b", "b"],
    ["a/", "unnamed"],
    ["", "unnamed"],
    [".", "unnamed"],
    [".hidden", "hidden"],
    ["cafe\u0301", "caf\u00e9"],
  ];
  for (const [label, name] of table) assert.equal(safeName(label), name, label);
});

Deno.test("a long name keeps its extension", () => {
  const name = safeName(`${"long ".repeat(2_000)}.pdf`);
  assert.ok(name.endsWith(".pdf"), name);
  assert.ok(safeName(`${"é".repeat(5_000)}.tar`).endsWith(".tar"));
});

Deno.test("names that differ only in case or Unicode form have the same key", () => {
  const twins: [string, string][] = [
    ["EldenRing.txt", "eldenring.TXT"],
    ["caf\u00e9", "cafe\u0301"],
    ["CAF\u00c9", "cafe\u0301"],
    ["\u212b", "\u00e5"],
    ["\ufb01le", "file"],
    ["ｍetadata", "metadata"],
  ];
  for (const [one, other] of twins) assert.equal(nameKey(one), nameKey(other), `${one} ${other}`);
  assert.notEqual(nameKey("a.txt"), nameKey("b.txt"));
});

Deno.test("a taken name gets a number before its extension", () => {
  const taken = new Set(["a.txt", "a (2).txt", "noext", "archive.tar.gz"]);
  const free = (label: string) => freeName(label, (key) => taken.has(key));
  assert.equal(free("a.txt"), "a (3).txt");
  assert.equal(free("A.TXT"), "A (3).TXT");
  assert.equal(free("noext"), "noext (2)");
  assert.equal(free("archive.tar.gz"), "archive.tar (2).gz");
  assert.equal(free("other"), "other");
});

Deno.test("free names for the same labels are all safe and all different", () => {
  const label = fc.oneof(fc.constantFrom(...HOSTILE), fc.constantFrom("a.txt", "A.TXT", "b"));
  fc.assert(
    fc.property(fc.array(label, { minLength: 2, maxLength: 12 }), (labels) => {
      const taken = new Set<string>();
      for (const each of labels) {
        const name = freeName(each, (key) => taken.has(key));
        assertSafe(name, each);
        assert.ok(!taken.has(nameKey(name)), `given out twice: ${name}`);
        taken.add(nameKey(name));
      }
    }),
    { numRuns: 50 },
  );
});

Deno.test("metadata.json in any case, damaged copies of it and the private folder are the store's own", () => {
  const damaged = "metadata.json.damaged-2026-11-28T21-40-35.123Z";
  for (const name of [".p2p-peer", "metadata.json", "Metadata.JSON", damaged]) {
    assert.ok(isOwnName(name), name);
  }
  for (
    const name of [
      "x",
      ".x",
      "metadata.txt",
      "my metadata.json",
      "metadata",
      "metadata.jsonl",
      "metadata.json.bak",
    ]
  ) {
    assert.ok(!isOwnName(name), name);
  }
});

Deno.test("files with every hostile label are stored, and nothing is written outside the store", async () => {
  await withWorld(async (world) => {
    const outside = world.dir.replace(/\/store$/, "");
    await Deno.writeTextFile(`${outside}/b`, "mine");
    const besides = async () =>
      [...await treeOf(outside)].filter(([path]) => !path.startsWith(`${world.dir}/`));
    const before = await besides();
    for (const [i, name] of HOSTILE.entries()) {
      const { file } = await world.keep(`content ${i}`, recordOf(`content ${i}`, { name }));
      assert.equal(file.name, name);
      assert.equal(new TextDecoder().decode(world.read(file.fileId)), `content ${i}`);
    }
    assert.deepEqual(await besides(), before);
    const onDisk = await namesIn(world.dir);
    assert.equal(onDisk.length, HOSTILE.length);
    for (const name of onDisk) assertSafe(name, name);
    for await (const { name } of Deno.readDir(world.dir)) {
      assert.ok(name === ".p2p-peer" || onDisk.includes(name), `unexpected ${name}`);
    }
  });
});

Deno.test("five files of the same name, and others that differ only in case or Unicode form, are all stored", async () => {
  await withWorld(async (world) => {
    const names = [
      ...Array<string>(5).fill("EldenRing.txt"),
      "ELDENRING.TXT",
      "caf\u00e9.txt",
      "cafe\u0301.txt",
      "CAFE\u0301.txt",
    ];
    for (const [i, name] of names.entries()) {
      await world.keep(`${i}`, recordOf(`${i}`, { name, owner: `owner ${i}` }));
    }
    const onDisk = await namesIn(world.dir);
    assert.equal(new Set(onDisk.map(nameKey)).size, names.length, onDisk.join());
    for (const { file } of world.store.held()) {
      assert.equal(new TextDecoder().decode(world.read(file.fileId)), file.owner.slice(6));
    }
  });
});
