// The journal: what was written to it is read back, and only a damaged line itself is lost.

import assert from "node:assert/strict";
import fc from "fast-check";
import { StorageError } from "../../storage/errors.ts";
import { Journal, type JournalRecord } from "../../storage/journal.ts";
import type { MetadataEntry } from "../../storage/metadata.ts";
import { Shelf, type ShelvedFile } from "../../storage/shelf.ts";
import { inTempDir, recordOf, sha256 } from "./fixture.ts";

function entryOf(content: string): MetadataEntry {
  return {
    file: {
      ...recordOf(content, { name: `${content}.txt` }),
      sizeBytes: content.length,
      sha256: sha256(content),
    },
    held: true,
    peers: [],
    placement: {
      diskName: `${content}.txt`,
      sizeBytes: content.length,
      sha256: sha256(content),
      mtimeMs: 1_744_169_352_000,
    },
  };
}

const A = entryOf("a");
const B = entryOf("b");
const C = entryOf("c");
const idOf = ({ file }: MetadataEntry) => file.fileId;
const hold = (entry: MetadataEntry): JournalRecord => ({ op: "hold", entry });
const drop = (entry: MetadataEntry): JournalRecord => ({ op: "drop", fileId: idOf(entry) });

async function withJournal(
  act: (journal: Journal, path: string, again: () => Promise<string[]>) => Promise<void>,
): Promise<void> {
  await inTempDir(async (dir) => {
    await Deno.mkdir(`${dir}/temporary`);
    const path = `${dir}/journal.jsonl`;
    const journal = new Journal(path, `${dir}/temporary`);
    const again = async () => {
      const state = await new Journal(path, `${dir}/temporary`).read();
      return [...state!.held.keys()];
    };
    try {
      await act(journal, path, again);
    } finally {
      journal.close();
    }
  });
}

Deno.test("a journal that was never written is distinguished from an empty one", async () => {
  await withJournal(async (journal, path) => {
    assert.equal(await journal.read(), undefined);
    await Deno.writeTextFile(path, "");
    assert.deepEqual(await journal.read(), {
      held: new Map(),
      unsynced: new Set(),
      suspect: new Set(),
      removed: new Map(),
      removing: new Map(),
      hasBeginning: false,
      lines: 0,
      damagedLines: 0,
    });
  });
});

Deno.test("held files are read back completely, dropped ones are not, and synced ones are known", async () => {
  await withJournal(async (journal) => {
    journal.append([hold(A), hold(B)]);
    journal.append([drop(A), hold(C)]);
    journal.append([{ op: "synced", fileIds: [idOf(B)] }]);
    const state = (await journal.read())!;
    assert.deepEqual(state.held, new Map([[idOf(B), B], [idOf(C), C]]));
    assert.deepEqual(state.unsynced, new Set([idOf(C)]));
    assert.equal(state.damagedLines, 0);
  });
});

Deno.test("holding a file again after a sync marks its content as unsynced again", async () => {
  await withJournal(async (journal) => {
    journal.append([hold(A), { op: "synced", fileIds: [idOf(A)] }, hold(A)]);
    assert.deepEqual((await journal.read())!.unsynced, new Set([idOf(A)]));
  });
});

Deno.test("after a kill nothing is suspect, after a restart of the machine what was not synced is", async () => {
  await withJournal(async (journal, path) => {
    const atRun = (boot: number | undefined) =>
      new Journal(path, journal.temporaries, undefined, boot);
    const suspects = async (boot: number | undefined) =>
      [
        ...(await atRun(boot).read())!.suspect,
      ].sort();
    const monday = atRun(1_700_000_000);
    monday.append([hold(A), hold(B), { op: "synced", fileIds: [idOf(B)] }]);
    monday.close();
    assert.deepEqual(await suspects(1_700_000_000), [], "the process was killed");
    assert.deepEqual(await suspects(1_700_086_400), [idOf(A)]);
    assert.deepEqual(await suspects(undefined), [idOf(A)], "nobody knows");
    assert.deepEqual(await suspects(1_700_000_004), [], "the clock was adjusted");
    const tuesday = atRun(1_700_086_400);
    await tuesday.read();
    tuesday.append([hold(C), { op: "hold", entry: B, safe: true }]);
    tuesday.close();
    assert.deepEqual(await suspects(1_700_086_400), [idOf(A)], "it was not hashed again");
    assert.deepEqual(await suspects(1_700_172_800), [idOf(A), idOf(C)].sort());
    await tuesday.read();
    const wednesday = atRun(1_700_172_800);
    await wednesday.compact([B, C], new Set([idOf(C)]));
    assert.deepEqual(await suspects(1_700_172_800), []);
    assert.deepEqual(await suspects(1_700_259_200), [idOf(C)]);
  });
});

Deno.test("a last line truncated by a crash is lost alone, and the next line written is intact", async () => {
  await withJournal(async (journal, path) => {
    journal.append([hold(A), hold(B)]);
    journal.close();
    const text = await Deno.readTextFile(path);
    for (const cut of [1, 2, 10, 100]) {
      await Deno.writeTextFile(path, text.slice(0, -cut));
      const next = new Journal(path, journal.temporaries);
      const torn = (await next.read())!;
      // If only the line break is missing, the line is complete.
      const isWhole = cut === 1;
      assert.deepEqual([...torn.held.keys()], isWhole ? [idOf(A), idOf(B)] : [idOf(A)]);
      assert.equal(torn.damagedLines, isWhole ? 0 : 1);
      next.append([hold(C)]);
      next.close();
      const after = (await next.read())!;
      assert.ok(after.held.has(idOf(A)) && after.held.has(idOf(C)), `cut by ${cut}`);
    }
  });
});

Deno.test("a removed file does not come back until it is held again", async () => {
  await withJournal(async (journal, path) => {
    const remove: JournalRecord = {
      op: "remove",
      fileId: idOf(A),
      why: "deleted",
      unixSeconds: 1_744_170_000,
    };
    const read = () => new Journal(path, journal.temporaries).read();
    journal.append([hold(A), hold(B), remove]);
    const removed = await read();
    assert.deepEqual([...removed!.held.keys()], [idOf(B)]);
    assert.deepEqual(removed!.removed.get(idOf(A)), { why: "deleted", unixSeconds: 1_744_170_000 });
    assert.deepEqual([...removed!.removing.keys()], [idOf(A)], "it may not be in the trash yet");
    journal.append([drop(A)]);
    assert.deepEqual([...(await read())!.removing.keys()], []);
    await journal.compact([B], new Set());
    assert.ok((await read())!.removed.has(idOf(A)), "compacting keeps removals");
    journal.append([hold(A)]);
    await journal.compact([B, A], new Set());
    const again = await read();
    assert.deepEqual([[...again!.held.keys()], again!.removed.size], [[idOf(B), idOf(A)], 0]);
  });
});

Deno.test("empty lines are ignored", async () => {
  await withJournal(async (journal, path, again) => {
    journal.append([hold(A)]);
    journal.close();
    await Deno.writeTextFile(path, `\n\n${await Deno.readTextFile(path)}\n\n\n`);
    assert.deepEqual(await again(), [idOf(A)]);
    assert.equal((await journal.read())!.damagedLines, 0);
  });
});

Deno.test("lines of garbage are counted and do no other harm", async () => {
  await withJournal(async (journal, path) => {
    journal.append([hold(A)]);
    journal.close();
    const line = (await Deno.readTextFile(path)).trim();
    const rubbish = ["x", "{}", "null", '{"sum":"00000000","record":{}}', "\0\0\0", line.slice(1)];
    await Deno.writeTextFile(path, [...rubbish, line, ...rubbish].join("\n"));
    const state = (await journal.read())!;
    assert.deepEqual(state.held, new Map([[idOf(A), A]]));
    assert.equal(state.damagedLines, 2 * rubbish.length);
  });
});

Deno.test("any flipped bit loses at most the lines it is in, and never changes what a line says", async () => {
  await withJournal(async (journal, path) => {
    journal.append([hold(A), hold(B), hold(C)]);
    journal.close();
    const bytes = await Deno.readFile(path);
    const truth = new Map([A, B, C].map((entry) => [idOf(entry), entry]));
    const bit = fc.record({
      at: fc.integer({ min: 0, max: bytes.length - 1 }),
      bit: fc.integer({ min: 0, max: 7 }),
    });
    await fc.assert(
      fc.asyncProperty(bit, async ({ at, bit }) => {
        const flipped = bytes.slice();
        flipped[at]! ^= 1 << bit;
        await Deno.writeFile(path, flipped);
        const { held, damagedLines } = (await journal.read())!;
        for (const [fileId, entry] of held) assert.deepEqual(entry, truth.get(fileId));
        // A flipped bit in a line break joins two lines.
        const isBreak = bytes[at] === 10;
        assert.ok(held.size >= (isBreak ? 1 : 2), `${held.size} left`);
        assert.ok(held.size === 3 || damagedLines > 0, "lost without being counted");
      }),
      { numRuns: 200 },
    );
  });
});

Deno.test("a journal truncated anywhere yields everything before the cut", async () => {
  await withJournal(async (journal, path) => {
    journal.append([hold(A), hold(B), hold(C)]);
    journal.close();
    const bytes = await Deno.readFile(path);
    for (let length = 0; length <= bytes.length; length += 37) {
      await Deno.writeFile(path, bytes.subarray(0, length));
      const { held, damagedLines } = (await journal.read())!;
      assert.deepEqual([...held.keys()], [A, B, C].map(idOf).slice(0, held.size));
      assert.ok(damagedLines <= 1);
    }
  });
});

Deno.test("a line written by a later version is skipped, and the rest of the journal is read", async () => {
  await withJournal(async (journal) => {
    journal.append([hold(A), { op: "later", what: 1 } as unknown as JournalRecord, hold(B)]);
    const state = (await journal.read())!;
    assert.deepEqual([...state.held.keys()], [idOf(A), idOf(B)]);
  });
});

Deno.test("compacting leaves one line per held file, and unsynced files stay unsynced", async () => {
  await withJournal(async (journal, path) => {
    for (let i = 0; i < 50; i++) journal.append([hold(A), drop(A)]);
    journal.append([hold(B), hold(C)]);
    await journal.compact([B, C], new Set([idOf(C)]));
    const state = (await journal.read())!;
    assert.deepEqual(state.held, new Map([[idOf(B), B], [idOf(C), C]]));
    assert.deepEqual(state.unsynced, new Set([idOf(C)]));
    assert.equal(state.lines, 3, "the beginning and two files");
    assert.ok((await Deno.readTextFile(path)).split("\n").length <= 4);
  });
});

Deno.test("after compacting, new lines are appended to the new file", async () => {
  await withJournal(async (journal, _path, again) => {
    journal.append([hold(A)]);
    await journal.compact([A], new Set());
    journal.append([hold(B)]);
    assert.deepEqual(await again(), [idOf(A), idOf(B)]);
  });
});

Deno.test("lines appended while the journal is compacted are not lost, nor are later ones", async () => {
  await withJournal(async (journal, _path, again) => {
    journal.append([hold(A)]);
    const compacting = journal.compact([A], new Set());
    journal.append([hold(B)]);
    await compacting;
    journal.append([hold(C)]);
    assert.deepEqual((await again()).sort(), [idOf(A), idOf(B), idOf(C)].sort());
  });
});

Deno.test("compacting pays off only when there are many lines for few files", async () => {
  await withJournal((journal) => {
    journal.append(Array<JournalRecord>(1_001).fill(hold(A)));
    assert.ok(journal.isWorthCompacting(1));
    assert.ok(journal.isWorthCompacting(250));
    assert.ok(!journal.isWorthCompacting(251));
    return Promise.resolve();
  });
});

Deno.test("a journal that cannot be written throws a StorageError that names it", async () => {
  await inTempDir(async (dir) => {
    await Deno.mkdir(`${dir}/journal.jsonl`);
    const journal = new Journal(`${dir}/journal.jsonl`, dir);
    const named = (error: unknown) =>
      error instanceof StorageError && error.message.includes("journal.jsonl");
    assert.throws(() => journal.append([hold(A)]), named);
    await assert.rejects(journal.read(), named);
    const nowhere = new Journal(`${dir}/missing/journal.jsonl`, dir);
    assert.throws(() => nowhere.append([hold(A)]), named);
  });
});

/**
 * A journal on a disk that accepts only `left` more bytes of the next write, and perhaps does not truncate either.
 */
async function withFullDisk(
  { left, truncates }: { left: number; truncates: boolean },
  act: (journal: Journal, fill: () => void, again: () => Promise<string[]>) => Promise<void>,
): Promise<void> {
  await inTempDir(async (dir) => {
    await Deno.mkdir(`${dir}/temporary`);
    const path = `${dir}/journal.jsonl`;
    let isFull = false;
    const journal = new Journal(path, `${dir}/temporary`, (path) => {
      const file = Deno.openSync(path, { append: true, create: true });
      return Object.assign(Object.create(file) as Deno.FsFile, {
        statSync: () => file.statSync(),
        close: () => file.close(),
        syncDataSync: () => file.syncDataSync(),
        writeSync(bytes: Uint8Array) {
          if (!isFull) return file.writeSync(bytes);
          if (left > 0) return file.writeSync(bytes.subarray(0, left)) + (left = 0);
          isFull = false;
          throw Object.assign(new Error("No space left on device"), { code: "ENOSPC" });
        },
        truncateSync(length: number) {
          if (!truncates) throw new Error("Cannot truncate");
          file.truncateSync(length);
        },
      });
    });
    const again = async () => {
      const state = await new Journal(path, `${dir}/temporary`).read();
      return [...state!.held.keys()];
    };
    try {
      await act(journal, () => isFull = true, again);
    } finally {
      journal.close();
    }
  });
}

for (const truncates of [true, false]) {
  const where = truncates ? "is truncated" : "stays if it cannot be truncated";
  Deno.test(`a partly written line ${where}, and the next one is read back`, async () => {
    for (const left of [1, 40, 200]) {
      await withFullDisk({ left, truncates }, async (journal, fill, again) => {
        journal.append([hold(A)]);
        fill();
        assert.throws(() => journal.append([hold(B)]), StorageError);
        journal.append([hold(C)]);
        journal.append([drop(A)]);
        assert.deepEqual(await again(), [idOf(C)], `${left} bytes of the line were written`);
      });
    }
  });
}

Deno.test("of several records that did not fit, none is read back", async () => {
  await withFullDisk({ left: 700, truncates: true }, async (journal, fill, again) => {
    journal.append([hold(A)]);
    fill();
    assert.throws(() => journal.append([hold(B), hold(C)]), StorageError);
    assert.deepEqual(await again(), [idOf(A)]);
  });
});

Deno.test("a closed journal stays closed, because another process may have the store by then", async () => {
  await withJournal(async (journal, path) => {
    journal.append([hold(A)]);
    journal.close();
    const before = await Deno.readTextFile(path);
    assert.throws(() => journal.append([hold(B)]), StorageError);
    await assert.rejects(journal.compact([A], new Set()), StorageError);
    assert.equal(await Deno.readTextFile(path), before);
  });
});

const shelvedOf = (content: string): ShelvedFile => {
  const { file, placement } = entryOf(content);
  return { file, placement: placement!, pushed: false };
};

/** A shelf whose journal counts writes and flushes, on a disk that may be full. */
async function withCountingShelf(
  act: (
    shelf: Shelf,
    counts: { writes: number; flushes: number; isFull: boolean },
  ) => Promise<void>,
): Promise<void> {
  await inTempDir(async (dir) => {
    const counts = { writes: 0, flushes: 0, isFull: false };
    const journal = new Journal(`${dir}/journal.jsonl`, dir, (path) => {
      const file = Deno.openSync(path, { append: true, create: true });
      return Object.assign(Object.create(file) as Deno.FsFile, {
        statSync: () => file.statSync(),
        close: () => file.close(),
        truncateSync: (length: number) => file.truncateSync(length),
        syncDataSync() {
          counts.flushes++;
          file.syncDataSync();
        },
        writeSync(bytes: Uint8Array) {
          if (counts.isFull) throw Object.assign(new Error("No space left"), { code: "ENOSPC" });
          counts.writes++;
          return file.writeSync(bytes);
        },
      });
    });
    try {
      await act(new Shelf(journal), counts);
    } finally {
      journal.close();
    }
  });
}

Deno.test("files that arrive together share one write and one flush, and each is written before it is shown", async () => {
  await withCountingShelf(async (shelf, counts) => {
    const files = Array.from({ length: 20 }, (_, i) => shelvedOf(`file ${i}`));
    const adding = files.map((file, i) => shelf.addSoon(file, i === 3));
    assert.equal(shelf.size, 0, "nothing is shown before it is written");
    await Promise.all(adding);
    assert.deepEqual([shelf.size, counts.writes, counts.flushes], [20, 1, 1]);
    await shelf.addSoon(shelvedOf("later"), false);
    assert.deepEqual([shelf.size, counts.writes, counts.flushes], [21, 2, 1]);
  });
});

Deno.test("if the line of files that arrive together cannot be written, none of them is shown", async () => {
  await withCountingShelf(async (shelf, counts) => {
    counts.isFull = true;
    const adding = ["a", "b"].map((content) => shelf.addSoon(shelvedOf(content), false));
    const outcomes = await Promise.allSettled(adding);
    assert.deepEqual(outcomes.map(({ status }) => status), ["rejected", "rejected"]);
    assert.equal(shelf.size, 0);
    counts.isFull = false;
    await shelf.addSoon(shelvedOf("a"), false);
    assert.equal(shelf.size, 1);
  });
});
