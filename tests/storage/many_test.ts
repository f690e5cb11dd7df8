// What many files cost: for N and for 2N, the reads, digests and steps of a scan are counted. None may grow faster than
// the number of files, whatever the files have in common.

import assert from "node:assert/strict";
import { Hash } from "node:crypto";
import { CandidateIndex, MAX_TRIES } from "../../storage/candidates.ts";
import type { Changes } from "../../storage/changes.ts";
import { Departed, MAX_DEPARTED } from "../../storage/departed.ts";
import { DiskThread } from "../../storage/disk_thread.ts";
import { Journal, type JournalRecord } from "../../storage/journal.ts";
import type { ShelvedFile } from "../../storage/shelf.ts";
import { inTempDir, readsWhile, recordOf, sha256, withWorld, World } from "./fixture.ts";

const WRITTEN = 1_700_000_000;
const FILES = 300;

/** What a scan did, in numbers that do not depend on the machine. */
interface Steps {
  /** Files whose content was read, in any thread. */
  reads: number;
  /** Hashes made of a content and a text. */
  digests: number;
  /** Known files that were indexed. */
  indexed: number;
  /** Known files that were examined. */
  examined: number;
}

/** Counts the steps while `act` runs. */
async function stepsWhile(act: () => Promise<unknown>): Promise<Steps> {
  const steps: Steps = { reads: 0, digests: 0, indexed: 0, examined: 0 };
  const { hash } = DiskThread.prototype;
  const { copy } = Hash.prototype;
  const { add, likely } = CandidateIndex.prototype;
  DiskThread.prototype.hash = function (jobs, ...rest) {
    steps.reads += jobs.names.length;
    for (const { length } of jobs.suffixes) steps.digests += length;
    return hash.call(this, jobs, ...rest);
  };
  Hash.prototype.copy = function (...args) {
    steps.digests++;
    return copy.apply(this, args);
  };
  CandidateIndex.prototype.add = function (candidate) {
    steps.indexed++;
    return add.call(this, candidate);
  };
  CandidateIndex.prototype.likely = function (clues) {
    const before = this.steps;
    const found = likely.call(this, clues);
    steps.examined += this.steps - before;
    return found;
  };
  try {
    steps.reads += await readsWhile(act);
  } finally {
    DiskThread.prototype.hash = hash;
    Hash.prototype.copy = copy;
    CandidateIndex.prototype.add = add;
    CandidateIndex.prototype.likely = likely;
  }
  return steps;
}

/** Throws if one of the numbers for twice as many files is more than twice as large. */
function assertLinear(once: Steps, twice: Steps): void {
  for (const kind of ["reads", "digests", "indexed", "examined"] as const) {
    const text = `${kind}: ${once[kind]} for ${FILES} files, ${twice[kind]} for ${2 * FILES}`;
    assert.ok(twice[kind] <= 2.05 * once[kind] + 5, text);
  }
}

/** Scans until every file is taken. */
async function takeAll(world: World): Promise<void> {
  let changes = await world.settle();
  while (changes.unsettled > 0) changes = await world.settle();
}

async function dropAll(
  world: World,
  files: number,
  contentOf: (i: number) => string = (i) => `content ${i}`,
): Promise<void> {
  for (let i = 0; i < files; i++) await world.drop(`file ${i}.txt`, contentOf(i), WRITTEN + i);
}

const namesById = ({ store }: World) =>
  new Map([...store.shelf.all()].map(({ file, placement }) => [file.fileId, placement.diskName]));

/** What one scenario costs for N and 2N files. */
async function bothSizes(act: (world: World, files: number) => Promise<Steps>): Promise<Steps[]> {
  const both: Steps[] = [];
  for (const files of [FILES, 2 * FILES]) {
    await withWorld(async (world) => void both.push(await act(world, files)));
  }
  return both;
}

const contents: [kind: string, contentOf: (i: number) => string][] = [
  ["size", (i) => String(i).padStart(20, "0")],
  ["content", () => "same"],
];
for (const [kind, contentOf] of contents) {
  Deno.test(`the first scan of many files of the same ${kind} costs the same for each`, async () => {
    const [once, twice] = await bothSizes(async (world, files) => {
      await dropAll(world, files, contentOf);
      const steps = await stepsWhile(() => takeAll(world));
      assert.equal(world.store.shelf.size, files);
      return steps;
    });
    assertLinear(once!, twice!);
    assert.ok(once!.reads <= FILES, `${once!.reads} reads of ${FILES} files`);
  });
}

Deno.test("many known files of one name cost each file in the folder a bounded number of comparisons", async () => {
  const [once, twice] = await bothSizes(async (world, files) => {
    for (let i = 0; i < files; i++) {
      const file = recordOf(`theirs ${i}`, { name: "same.txt", timestamp: `${WRITTEN}.${i}` });
      world.known.set(file.fileId, file);
    }
    for (let i = 0; i < 10; i++) await world.drop(i ? `same (${i}).txt` : "same.txt", `my ${i}`);
    const steps = await stepsWhile(() => takeAll(world));
    assert.equal(world.store.shelf.size, 10);
    return steps;
  });
  assert.ok(twice!.examined <= 10 * MAX_TRIES, `${twice!.examined} examined`);
  assert.equal(twice!.examined, once!.examined);
  assert.equal(twice!.digests, once!.digests);
  assertLinear(once!, twice!);
});

Deno.test("a hostile list of one size costs a dropped file of that size a bounded number of hashes", async () => {
  const [once, twice] = await bothSizes(async (world, files) => {
    for (let i = 0; i < files; i++) {
      // Nobody can tell these from real ones before the content is hashed.
      const file = { ...recordOf("12345678", { name: `x${i}` }), fileId: sha256(`${i}`) };
      world.known.set(file.fileId, file);
    }
    await world.drop("dropped.bin", "abcdefgh", WRITTEN);
    const steps = await stepsWhile(() => takeAll(world));
    assert.deepEqual(world.owned("us").map(({ name }) => name), ["dropped.bin"]);
    return steps;
  });
  assert.equal(twice!.reads, 1);
  assert.ok(twice!.examined <= MAX_TRIES, `${twice!.examined} examined`);
  // Each comparison costs a few digests, for a timestamp has a few forms.
  assert.ok(twice!.digests <= 8 * MAX_TRIES, `${twice!.digests} digests`);
  assert.deepEqual([twice!.digests, twice!.examined], [once!.digests, once!.examined]);
});

Deno.test("of many files that are renamed at once, none is read again, and each keeps its id", async () => {
  const [once, twice] = await bothSizes(async (world, files) => {
    await dropAll(world, files, (i) => String(i % 3));
    await takeAll(world);
    const ids = namesById(world);
    for (const [fileId, name] of ids) {
      await Deno.rename(`${world.dir}/${name}`, `${world.dir}/moved ${name}`);
      ids.set(fileId, `moved ${name}`);
    }
    const steps = await stepsWhile(() => takeAll(world));
    assert.deepEqual(namesById(world), ids);
    return steps;
  });
  assert.deepEqual([once!.reads, twice!.reads], [0, 0]);
  assertLinear(once!, twice!);
});

Deno.test("of many files that are moved out of the folder and back, none is read again, and each keeps its id", async () => {
  const [once, twice] = await bothSizes(async (world, files) => {
    await dropAll(world, files, (i) => String(i % 3));
    await takeAll(world);
    const ids = namesById(world);
    await Deno.mkdir(`${world.dir}/../elsewhere`);
    const move = async (from: string, to: string) => {
      for (let i = 0; i < files; i++) {
        await Deno.rename(`${from}/file ${i}.txt`, `${to}/file ${i}.txt`);
      }
    };
    await move(world.dir, `${world.dir}/../elsewhere`);
    await world.look();
    assert.deepEqual(world.holdings(), []);
    await move(`${world.dir}/../elsewhere`, world.dir);
    const steps = await stepsWhile(() => takeAll(world));
    assert.deepEqual(namesById(world), ids);
    return steps;
  });
  assert.deepEqual([once!.reads, twice!.reads], [0, 0]);
  assertLinear(once!, twice!);
});

Deno.test("many files of unknown owner are read once, whatever is announced later", async () => {
  const [once, twice] = await bothSizes(async (world, files) => {
    await dropAll(world, files);
    await takeAll(world);
    await world.save();
    world.kill();
    await Deno.remove(world.layout.journal); // whose files these are is lost
    await Deno.writeTextFile(world.layout.metadata, "damaged");
    await Deno.remove(world.layout.lastGood).catch(() => {});
    await world.start();
    assert.equal(world.store.unclaimed.length, files);
    const announce = (size: number) => {
      const file = recordOf("x".repeat(size), { name: `announced ${size}` });
      world.known.set(file.fileId, file);
    };
    announce(9);
    const first = await stepsWhile(() => takeAll(world));
    announce(5_000);
    const later = await stepsWhile(() => takeAll(world));
    assert.equal(later.reads, 0, "nothing of that size is here");
    return first;
  });
  assertLinear(once!, twice!);
});

Deno.test("a look at one file costs the same however many others are in the folder", async () => {
  const counts: unknown[] = [];
  for (const files of [FILES, 2 * FILES]) {
    await withWorld(async (world) => {
      await dropAll(world, files);
      await takeAll(world);
      await world.drop("new.txt", "new", WRITTEN);
      const { shelf } = world.store;
      const count = { lstat: 0, readDir: 0, idsAt: 0, names: 0, all: 0 };
      const { lstat, readDir } = Deno;
      const [idsAt, names, all] = [
        shelf.idsAt.bind(shelf),
        shelf.names.bind(shelf),
        shelf.all.bind(shelf),
      ];
      Deno.lstat = (path) => (count.lstat++, lstat(path));
      Deno.readDir = (path) => (count.readDir++, readDir(path));
      shelf.idsAt = (name) => (count.idsAt++, idsAt(name));
      shelf.names = () => (count.names++, names());
      shelf.all = () => (count.all++, all());
      const published: string[] = [];
      const look = async () => {
        const scope = { atStart: false, names: ["new.txt", "gone.txt"] };
        const note = (part: Changes) => {
          for (const { file } of part.published) published.push(file.name);
        };
        const last = await world.store.scan(world.knowledge, scope, note);
        note(last);
        assert.deepEqual(last.lost, [], "nothing is known of the others, so they are there");
        world.clockMs += 10_000;
      };
      let steps: Steps;
      try {
        steps = await stepsWhile(async () => {
          await look();
          await look();
        });
      } finally {
        Object.assign(Deno, { lstat, readDir });
      }
      assert.deepEqual(published, ["new.txt"]);
      assert.equal(world.store.shelf.size, files + 1);
      assert.deepEqual([count.readDir, count.names, count.all], [0, 0, 0]);
      counts.push({ ...count, ...steps });
    });
  }
  assert.deepEqual(counts[1], counts[0]);
});

Deno.test("what a scan finds comes in parts, and each is shelved and in the journal before it is handed over", async () => {
  await withWorld(async (world) => {
    await dropAll(world, 2 * FILES);
    const parts: number[] = [];
    const last = await world.store.scan(world.knowledge, { atStart: true }, (part) => {
      const journal = Deno.readTextFileSync(world.layout.journal);
      for (const { file: { fileId } } of part.published) {
        assert.ok(world.store.shelf.get(fileId));
        assert.ok(journal.includes(fileId));
      }
      parts.push(part.published.length);
    });
    assert.deepEqual([...parts, last.published.length], [256, 256, 2 * FILES - 512]);
  });
});

Deno.test("many files that are lost at once are handed over in parts, too", async () => {
  await withWorld(async (world) => {
    await dropAll(world, 1_100);
    await takeAll(world);
    for (let i = 0; i < 1_100; i++) await Deno.remove(`${world.dir}/file ${i}.txt`);
    const parts: number[] = [];
    const last = await world.store.scan(world.knowledge, { atStart: false }, ({ lost }) => {
      for (const fileId of lost) assert.equal(world.store.shelf.get(fileId), undefined);
      parts.push(lost.length);
    });
    assert.deepEqual([...parts, last.lost.length], [500, 500, 100]);
    assert.equal(world.store.shelf.size, 0);
  });
});

Deno.test("reading a journal of twice as many lines takes twice as many steps", async () => {
  const steps: number[] = [];
  for (const files of [1_000, 2_000]) {
    await inTempDir(async (dir) => {
      const journal = new Journal(`${dir}/journal.jsonl`, dir);
      const records: JournalRecord[] = [];
      const ids = Array.from({ length: files }, (_, i) => sha256(`${i}`));
      for (const fileId of ids) {
        const file = { ...recordOf("x"), fileId };
        const placement = { diskName: fileId, sizeBytes: 1, sha256: fileId, mtimeMs: 1 };
        records.push({ op: "hold", entry: { file, held: true, peers: [], placement } });
      }
      records.push({ op: "synced", fileIds: ids.slice(files / 2) });
      for (const fileId of ids.slice(0, files / 4)) {
        records.push({ op: "remove", fileId, why: "deleted", unixSeconds: 1 });
        records.push({ op: "drop", fileId });
      }
      journal.append(records);
      journal.close();
      const { get, set, delete: remove } = Map.prototype;
      let count = 0;
      Map.prototype.get = function (key) {
        count++;
        return get.call(this, key);
      };
      Map.prototype.set = function (key, value) {
        count++;
        return set.call(this, key, value);
      };
      Map.prototype.delete = function (key) {
        count++;
        return remove.call(this, key);
      };
      try {
        const state = await new Journal(`${dir}/journal.jsonl`, dir).read();
        assert.equal(state!.held.size, files * 3 / 4);
      } finally {
        Object.assign(Map.prototype, { get, set, delete: remove });
      }
      steps.push(count);
    });
  }
  assert.ok(steps[1]! <= 2.05 * steps[0]!, `${steps[0]} steps, then ${steps[1]}`);
});

const departedFile = (i: number, inode: number | null = i): ShelvedFile => ({
  file: { ...recordOf("x"), fileId: i.toString(16).padStart(64, "0") },
  placement: {
    diskName: `${i}`,
    sizeBytes: 1,
    sha256: "",
    mtimeMs: i,
    ...(inode === null ? {} : { inode }),
  },
  pushed: false,
});

Deno.test("of the files that left, a bounded number is remembered, and the oldest are forgotten first", () => {
  const departed = new Departed();
  const last = MAX_DEPARTED + 10;
  for (let i = 1; i <= last; i++) departed.add(departedFile(i));
  assert.ok(departed.size <= MAX_DEPARTED);
  const lookOf = (i: number) => ({ inode: i, sizeBytes: 1, mtimeMs: i, ctimeMs: undefined });
  assert.deepEqual(departed.lookingLike(lookOf(1)), []);
  assert.equal(departed.lookingLike(lookOf(last)).length, 1);
});

Deno.test("a file that left is recognized by inode, size and time, under each of its ids, until it is back", () => {
  const departed = new Departed();
  departed.add(departedFile(7, 3));
  departed.add({ ...departedFile(8, 3), placement: departedFile(7, 3).placement });
  departed.add(departedFile(9, null));
  const look = { inode: 3, sizeBytes: 1, mtimeMs: 7, ctimeMs: undefined };
  const idsLike = (over = {}) =>
    departed.lookingLike({ ...look, ...over }).map(({ file }) => Number(`0x${file.fileId}`));
  assert.deepEqual(idsLike(), [7, 8]);
  for (const other of [{ inode: 4 }, { sizeBytes: 2 }, { mtimeMs: 8 }, { inode: undefined }]) {
    assert.deepEqual(idsLike(other), []);
  }
  departed.delete(departedFile(7).file.fileId);
  assert.deepEqual(idsLike(), [8]);
  departed.delete(departedFile(8).file.fileId);
  assert.deepEqual(
    [idsLike(), departed.size],
    [[], 0],
    "a file without an inode is not remembered",
  );
});
