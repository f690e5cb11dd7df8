// metadata.json, ours and those of older implementations: read as they are, written so that older peers can read
// it.

import assert from "node:assert/strict";
import fc from "fast-check";
import { entryOf, entryText, type MetadataEntry, parseMetadata } from "../../storage/metadata.ts";
import { parseJson } from "../../protocol/wire/message.ts";
import { anyString, number, recordOf, sha256 } from "./fixture.ts";

const ID = sha256("x");
const OTHER = sha256("y");

/** An entry as JSON text, so that numbers keep the form that they have in files. */
function text(over: Readonly<Record<string, string | undefined>> = {}): string {
  const fields: Record<string, string | undefined> = {
    file_name: '"a.txt"',
    file_size: "1.5",
    file_id: `"${ID}"`,
    file_owner: '"alice"',
    file_timestamp: "1744169352.0",
    ...over,
  };
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  return `{${given.map(([key, value]) => `"${key}": ${value}`).join(", ")}}`;
}

const entry = (over: Readonly<Record<string, string | undefined>> = {}) =>
  entryOf(parseJson(text(over)));

Deno.test("an object keyed by file_id and a plain list give the same entries", () => {
  const more = { has_copy: '"yes"', peers_with_file: '["bob"]' };
  const object = parseMetadata(`{"${ID}": ${text(more)}}`);
  const list = parseMetadata(`[${text(more)}]`);
  assert.deepEqual(object, list);
  assert.equal(object.skipped, 0);
  assert.deepEqual(object.entries, [{
    file: {
      fileId: ID,
      name: "a.txt",
      owner: "alice",
      timestamp: number("1744169352.0"),
      size: 1.5,
    },
    held: true,
    peers: ["bob"],
  }]);
});

Deno.test("the key of the object replaces a missing file_id", () => {
  const { entries } = parseMetadata(`{"${OTHER}": ${text({ file_id: undefined })}}`);
  assert.equal(entries[0]?.file.fileId, OTHER);
});

Deno.test("has_copy and hasCopy mean yes as text and as booleans, in upper or lower case", () => {
  const table: [string | undefined, boolean][] = [
    ['"yes"', true],
    ['"Yes"', true],
    ['"true"', true],
    ["true", true],
    ['"no"', false],
    ['"No"', false],
    ["false", false],
    ["null", false],
    ['"maybe"', false],
    ["[]", false],
    [undefined, false],
  ];
  for (const [value, held] of table) {
    assert.equal(entry({ has_copy: value })?.held, held, `has_copy ${value}`);
    assert.equal(entry({ hasCopy: value })?.held, held, `hasCopy ${value}`);
  }
});

Deno.test("holders are read from peers_with_file or peers, and those that are not text are skipped", () => {
  assert.deepEqual(entry({ peers_with_file: '["a", "b"]' })?.peers, ["a", "b"]);
  assert.deepEqual(entry({ peers: '["a", "b"]' })?.peers, ["a", "b"]);
  assert.deepEqual(entry({ peers: '["a", 1, null, {}]' })?.peers, ["a"]);
  assert.deepEqual(entry({ peers: '"a"' })?.peers, []);
  assert.deepEqual(entry()?.peers, []);
});

Deno.test("a round trip keeps the source text of a timestamp, number or string", () => {
  const sources = [
    "1744169352.0",
    "1744170562",
    "1743970142.6140459",
    "1743970142.50",
    '"Sun Jun 15 21:36:41 2025"',
    '"not a date"',
  ];
  for (const source of sources) {
    const before = parseMetadata(`[${text({ file_timestamp: source })}]`).entries[0]!;
    const written = entryText(before);
    assert.match(written, new RegExp(`"file_timestamp":${source.replaceAll(".", "\\.")},`));
    assert.deepEqual(parseMetadata(`[${written}]`).entries[0]!.file, before.file);
  }
});

Deno.test("a written entry has the common fields first and ours after them", () => {
  const file = { ...recordOf("content"), sizeBytes: 7 };
  const placement = { diskName: "d.txt", sizeBytes: 7, sha256: sha256("content"), mtimeMs: 1.5 };
  const written: MetadataEntry = { file, held: true, peers: ["us", "bob"], placement };
  assert.deepEqual(JSON.parse(entryText(written)), {
    file_name: "file.txt",
    file_size: 7 / 1024 ** 2,
    file_id: file.fileId,
    file_owner: "alice",
    file_timestamp: 1744169352,
    peers_with_file: ["us", "bob"],
    hasCopy: "yes",
    size_bytes: 7,
    sha256: sha256("content"),
    disk_name: "d.txt",
    disk_mtime_ms: 1.5,
  });
  assert.equal(JSON.parse(entryText({ file, held: false, peers: [] })).hasCopy, "no");
});

Deno.test("everything that an entry may contain survives a round trip", () => {
  const name = anyString(40).filter((each) => each.isWellFormed() && !/[/\\]/.test(each));
  const person = anyString(20).filter((each) =>
    each !== "" && each.isWellFormed() && !/\p{Cc}/u.test(each)
  );
  const timestamp = fc.oneof(
    fc.constantFrom("1744169352.0", "1744169352", "1e9", "-0", "1743970142.6140459").map(number),
    fc.string({ maxLength: 30 }).map((words) => ({ text: words, quoted: true })),
  );
  const whole = fc.record({
    held: fc.boolean(),
    peers: fc.array(person, { maxLength: 3 }),
    pushed: fc.constantFrom(undefined, true as const),
    unwanted: fc.constantFrom(undefined, true as const),
    holderlessSince: fc.option(fc.integer({ min: 0 }), { nil: undefined }),
    placement: fc.option(
      fc.record({
        diskName: name,
        sizeBytes: fc.maxSafeNat(),
        sha256: fc.constant(ID),
        mtimeMs: fc.integer({ min: 0 }),
      }, { noNullPrototype: true }),
      { nil: undefined },
    ),
    claimed: fc.constantFrom(undefined, OTHER),
    file: fc.record(
      { name, owner: person, timestamp, fileId: fc.constantFrom(ID, OTHER) },
      { noNullPrototype: true },
    ),
  });
  fc.assert(fc.property(whole, ({ file, claimed, ...rest }) => {
    const { held, peers, placement, pushed, unwanted, holderlessSince } = rest;
    const sizeBytes = placement?.sizeBytes;
    const size = (sizeBytes ?? 0) / 1024 ** 2;
    const sha256 = placement?.sha256 ?? claimed;
    const before: MetadataEntry = {
      file: {
        ...file,
        size,
        ...(sizeBytes === undefined ? {} : { sizeBytes }),
        ...(sha256 === undefined ? {} : { sha256 }),
      },
      held,
      peers,
      ...(placement ? { placement } : {}),
      ...(pushed ? { pushed } : {}),
      ...(unwanted ? { unwanted } : {}),
      ...(holderlessSince === undefined ? {} : { holderlessSince }),
    };
    const written = entryText(before);
    assert.ok(!/[^ -~]/.test(written), "not plain ASCII on one line");
    assert.deepEqual(parseMetadata(`{"${file.fileId}": ${written}}`).entries, [before]);
  }));
});

Deno.test("entries that describe no file are skipped and counted", () => {
  const bad = [
    text({ file_id: '"short"' }),
    text({ file_owner: "null" }),
    text({ file_owner: '""' }),
    text({ file_name: "7" }),
    text({ file_timestamp: "null" }),
    text({ file_timestamp: "{}" }),
    "null",
    "1",
    '"text"',
    "[]",
  ];
  const { entries, skipped } = parseMetadata(`[${[...bad, text()].join(",")}]`);
  assert.equal(skipped, bad.length);
  assert.deepEqual(entries.map(({ file }) => file.fileId), [ID]);
});

Deno.test("text that is not metadata throws a SyntaxError", () => {
  for (
    const wrong of ["", " ", "null", "1", '"x"', "{", `{"${ID}": ${text().slice(0, -1)}`, "\0\0"]
  ) {
    assert.throws(() => parseMetadata(wrong), SyntaxError, JSON.stringify(wrong));
  }
  assert.deepEqual(parseMetadata("{}"), { entries: [], skipped: 0 });
  assert.deepEqual(parseMetadata("[]"), { entries: [], skipped: 0 });
});

Deno.test("keys like __proto__ are data like any other", () => {
  const { entries } = parseMetadata(
    `{"__proto__": ${text()}, "constructor": ${text({ file_id: `"${OTHER}"` })}}`,
  );
  assert.deepEqual(entries.map(({ file }) => file.fileId), [ID, OTHER]);
  assert.equal(({} as Record<string, unknown>).file_id, undefined);
  parseMetadata(`[{"__proto__": {"held": true}}]`);
  assert.equal(({} as Record<string, unknown>).held, undefined);
});

Deno.test("an incomplete placement is ignored", () => {
  const full = {
    disk_name: '"d"',
    size_bytes: "3",
    sha256: `"${ID}"`,
    disk_mtime_ms: "1000",
  };
  assert.deepEqual(entry(full)?.placement, {
    diskName: "d",
    sizeBytes: 3,
    sha256: ID,
    mtimeMs: 1000,
  });
  for (const key of Object.keys(full)) {
    assert.equal(entry({ ...full, [key]: undefined })?.placement, undefined, `without ${key}`);
    assert.equal(entry({ ...full, [key]: "null" })?.placement, undefined, `${key} null`);
  }
  assert.equal(entry({ ...full, sha256: '"../x"' })?.placement, undefined);
  assert.equal(entry({ ...full, size_bytes: "1.5" })?.placement, undefined);
});
