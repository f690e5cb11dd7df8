// What is read at start: files line by line, ours and those of other implementations, and a journal that is compacted
// while it is written.

import assert from "node:assert/strict";
import fc from "fast-check";
import { Journal, type JournalRecord } from "../../storage/journal.ts";
import { layoutOf, makeFolders } from "../../storage/layout.ts";
import { linesOf } from "../../storage/lines.ts";
import { type KnownLoading, loadKnown } from "../../storage/load.ts";
import {
  entryOfText,
  entryText,
  type MetadataEntry,
  parseMetadata,
} from "../../storage/metadata.ts";
import { Snapshots } from "../../storage/snapshots.ts";
import { anyString, inTempDir, recordOf, sha256 } from "./fixture.ts";

const anyHex = fc.nat().map((seed) => sha256(`${seed}`));
/** Names that look like parts of an entry, or cut a line, among others. */
const anyText = fc.oneof(
  anyString(12),
  fc.constantFrom(
    '","file_timestamp":5,"x":"',
    '"file_timestamp":1}',
    '\\"file_timestamp\\":2,',
    "file_timestamp",
    "\\",
    "a\nb",
    "}\n}",
    "},",
    "\u2028",
    "größer.txt",
  ),
);
const anyTimestamp = fc.oneof(
  fc.record({
    text: fc.oneof(
      fc.constantFrom("0", "-0", "-1", "1e3", "1E+3", "1744169352.0", "1.50", "0.10e-2"),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => JSON.stringify(value)),
    ),
    quoted: fc.constant(false),
  }),
  fc.record({
    text: fc.oneof(
      fc.constantFrom("5", "2025-04-09", "1.0 "),
      anyText.filter((text) => text !== ""),
    ),
    quoted: fc.constant(true),
  }),
);
const anyEntry: fc.Arbitrary<MetadataEntry> = fc.record({
  file: fc.record({
    fileId: anyHex,
    name: anyText,
    owner: anyText,
    timestamp: anyTimestamp,
    size: fc.nat(1_000),
  }),
  held: fc.boolean(),
  peers: fc.array(anyText, { maxLength: 3 }),
  placement: fc.record({
    diskName: anyText,
    sizeBytes: fc.nat(),
    sha256: anyHex,
    mtimeMs: fc.nat(),
  }),
  pushed: fc.boolean(),
  unwanted: fc.boolean(),
  knownSince: fc.nat(),
}, { requiredKeys: ["file", "held", "peers"] });

Deno.test("the fast way to read an entry gives what the slow one gives, whatever is in it", () => {
  fc.assert(fc.property(anyEntry, (entry) => {
    const text = entryText(entry);
    assert.equal(text.includes("\n"), false, "an entry is one line");
    const [slow] = parseMetadata(`[${text}]`).entries;
    assert.deepEqual(entryOfText(text), slow);
  }));
});

/** Returns what is loaded from a folder with this metadata.json. */
async function loaded(dir: string, text: string | undefined) {
  const layout = layoutOf(dir);
  if (text !== undefined) await Deno.writeTextFile(layout.metadata, text);
  const loading: KnownLoading = { isDamaged: false, damagedAside: undefined, notes: [] };
  const entries = new Map<string, MetadataEntry>();
  const { signal } = new AbortController();
  const read = loadKnown(layout, loading, { isKnown: () => false, now: () => 0, signal });
  for await (const part of read) for (const each of part) entries.set(each.file.fileId, each);
  return { entries, loading };
}

Deno.test("our metadata.json, read line by line, says the same as one of another implementation, read whole", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyEntry, { maxLength: 8 }), async (entries) => {
      await inTempDir(async (dir) => {
        const layout = layoutOf(dir);
        await makeFolders(layout);
        const byId = new Map(entries.map((entry) => [entry.file.fileId, entry]));
        await new Snapshots(layout).saveMetadata(byId.values());
        const text = await Deno.readTextFile(layout.metadata);
        const ours = await loaded(dir, undefined);
        // Without the line breaks, it is like the files that others write.
        const whole = await loaded(dir, text.replaceAll("\n", ""));
        assert.deepEqual(ours.entries, whole.entries);
        assert.deepEqual(
          [...ours.entries.values()],
          [...new Map(parseMetadata(text).entries.map((each) => [each.file.fileId, each]))
            .values()],
        );
        assert.deepEqual([ours.loading, whole.loading], [
          { isDamaged: false, damagedAside: undefined, notes: ours.loading.notes },
          { isDamaged: false, damagedAside: undefined, notes: ours.loading.notes },
        ]);
      });
    }),
    { numRuns: 40 },
  );
});

Deno.test("what metadata.json says of a file is not replaced by what the last good one, which is older, says", async () => {
  await inTempDir(async (dir) => {
    const layout = layoutOf(dir);
    await makeFolders(layout);
    const snapshots = new Snapshots(layout);
    const entry = (content: string, ...peers: string[]) => ({
      file: recordOf(content),
      held: false,
      peers,
    });
    await snapshots.saveMetadata([entry("a", "old"), entry("b", "only")]);
    await snapshots.saveMetadata([entry("a", "new")]);
    const { signal } = new AbortController();
    const loading: KnownLoading = { isDamaged: false, damagedAside: undefined, notes: [] };
    const peers: (readonly string[])[] = [];
    const parts = loadKnown(layout, loading, { isKnown: () => false, now: () => 0, signal });
    for await (const part of parts) for (const each of part) peers.push(each.peers);
    assert.deepEqual(peers, [["new"], ["only"]]);
  });
});

Deno.test("a metadata.json that is cut off anywhere is damaged, and what it still says is read or left out", async () => {
  await inTempDir(async (dir) => {
    const layout = layoutOf(dir);
    await makeFolders(layout);
    const entries = ["a", "b", "c"].map((content) => ({
      file: recordOf(content),
      held: false,
      peers: [],
    }));
    await new Snapshots(layout).saveMetadata(entries);
    const text = await Deno.readTextFile(layout.metadata);
    for (let length = 0; length < text.length - 2; length += 7) {
      const { entries: read, loading } = await loaded(dir, text.slice(0, length));
      assert.ok(loading.isDamaged && loading.damagedAside !== undefined, `cut at ${length}`);
      for (const { file } of read.values()) {
        assert.ok(entries.some((entry) => entry.file.fileId === file.fileId));
      }
    }
  });
});

Deno.test("lines are read as they were written, wherever the pieces of the file end", async () => {
  await inTempDir(async (dir) => {
    // Longer than a piece, with characters of several bytes at its end.
    const line = fc.oneof(anyString(5), fc.nat(700_000).map((length) => "ä€".repeat(length / 5)));
    await fc.assert(
      fc.asyncProperty(fc.array(line, { maxLength: 6 }), fc.boolean(), async (any, ends) => {
        const lines = any.map((text) => text.toWellFormed().replaceAll(/[\n\uFEFF]/g, ""));
        await Deno.writeTextFile(`${dir}/lines`, lines.join("\n") + (ends ? "\n" : ""));
        const read: string[] = [];
        for await (const part of linesOf(`${dir}/lines`)) read.push(...part);
        assert.deepEqual(read, lines.filter((text) => text !== ""));
      }),
      { numRuns: 30 },
    );
  });
});

Deno.test("a long line is searched for its end once, however many pieces it is read in", async () => {
  const searched: number[] = [];
  for (const mib of [4, 8]) {
    await inTempDir(async (dir) => {
      await Deno.writeTextFile(`${dir}/line`, "x".repeat(mib * 1024 ** 2));
      const { lastIndexOf } = String.prototype;
      let chars = 0;
      String.prototype.lastIndexOf = function (...args) {
        chars += this.length;
        return lastIndexOf.apply(this, args);
      };
      try {
        for await (const lines of linesOf(`${dir}/line`)) assert.equal(lines.length, 1);
      } finally {
        String.prototype.lastIndexOf = lastIndexOf;
      }
      searched.push(chars);
    });
  }
  assert.equal(searched[1], 2 * searched[0]!);
});

Deno.test("a journal that is compacted while lines are appended loses none of them", async () => {
  const ids = Array.from({ length: 8 }, (_, i) => sha256(`id ${i}`));
  const entryWith = (fileId: string): MetadataEntry => ({
    file: { ...recordOf("x"), fileId },
    held: true,
    peers: [],
    placement: { diskName: fileId, sizeBytes: 1, sha256: fileId, mtimeMs: 1 },
  });
  const anyChange = fc.record({
    op: fc.constantFrom("hold", "drop", "remove", "synced"),
    id: fc.nat(ids.length - 1),
    /** How many turns of other work there are before it. */
    turns: fc.nat(2),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(anyChange, { maxLength: 20 }), async (changes) => {
      await inTempDir(async (dir) => {
        const path = `${dir}/journal.jsonl`;
        await Deno.mkdir(`${dir}/temporary`);
        const journal = new Journal(path, `${dir}/temporary`, undefined, 1);
        // What the store would have on its shelf. So many others that compacting takes several turns.
        const held = new Map<string, MetadataEntry>();
        const unsynced = new Set<string>();
        const removed = new Set<string>();
        const others = Array.from({ length: 1_200 }, (_, i) => entryWith(sha256(`other ${i}`)));
        for (const entry of others) held.set(entry.file.fileId, entry);
        journal.append(others.map((entry) => ({ op: "hold", entry, safe: true } as const)));
        const apply = ({ op, id }: { op: string; id: number }) => {
          const fileId = ids[id]!;
          const records: JournalRecord[] = [];
          if (op === "hold") {
            records.push({ op, entry: entryWith(fileId) });
            held.set(fileId, entryWith(fileId));
            unsynced.add(fileId);
            removed.delete(fileId);
          } else if (op === "synced") {
            records.push({ op, fileIds: [fileId] });
            unsynced.delete(fileId);
          } else {
            if (op === "remove") {
              records.push({ op, fileId, why: "unwanted", unixSeconds: 1 });
              removed.add(fileId);
            }
            records.push({ op: "drop", fileId });
            held.delete(fileId);
            unsynced.delete(fileId);
          }
          journal.append(records);
        };
        const half = changes.length >> 1;
        for (const change of changes.slice(0, half)) apply(change);
        const compacting = journal.compact(held.values(), unsynced);
        for (const change of changes.slice(half)) {
          for (let i = 0; i < change.turns; i++) await new Promise((go) => setTimeout(go, 0));
          apply(change);
        }
        await compacting;
        journal.close();
        const state = await new Journal(path, `${dir}/temporary`, undefined, 1).read();
        assert.equal(state!.damagedLines, 0);
        assert.deepEqual([...state!.held.keys()].sort(), [...held.keys()].sort());
        assert.deepEqual([...state!.removed.keys()].sort(), [...removed].sort());
        for (const fileId of unsynced) assert.ok(state!.unsynced.has(fileId), "not safe yet");
      });
    }),
    { numRuns: 40 },
  );
});
