// What many files that are alike in size, content or name cost, and what a large one delays.

import assert from "node:assert/strict";
import { createHash, Hash } from "node:crypto";

import { inTempDir, namesIn, readsWhile, recordOf, run, withWorld, World } from "./fixture.ts";

const WRITTEN = 1_700_000_000;
const idsOf = (files: readonly { file: { fileId: string } }[]) =>
  files.map(({ file }) => file.fileId);

/** Counts the copies of hash states, one for each comparison with a known file, while `act` runs. */
async function comparisonsWhile(act: () => Promise<unknown>): Promise<number> {
  const copy = Hash.prototype.copy;
  let copies = 0;
  Hash.prototype.copy = function (...args) {
    copies++;
    return copy.apply(this, args);
  };
  try {
    await act();
  } finally {
    Hash.prototype.copy = copy;
  }
  return copies;
}

/** Kills a peer with this many files before they are flushed, and counts the comparisons of the next start. */
async function afterKill(files: number, contentOf: (i: number) => string): Promise<number> {
  let copies = 0;
  await inTempDir(async (temp) => {
    const world = new World(`${temp}/store`);
    try {
      await world.start();
      for (let i = 0; i < files; i++) await world.drop(`file ${i}.txt`, contentOf(i), WRITTEN + i);
      let changes = await world.settle();
      while (changes.unsettled > 0) changes = await world.settle();
      const ids = world.holdings();
      assert.equal(ids.length, files);
      world.crash();
      copies = await comparisonsWhile(() => world.start());
      assert.deepEqual(world.holdings(), ids, "each keeps its id");
      assert.deepEqual((await world.settle()).published, []);
    } finally {
      world.crash();
    }
  });
  return copies;
}

Deno.test("after a kill, each of many files of the same size costs as much as one", async () => {
  const contentOf = (i: number) => String(i).padStart(20, "0");
  const [once, twice] = [await afterKill(150, contentOf), await afterKill(300, contentOf)];
  assert.ok(twice <= 2.1 * once, `${once} comparisons for 150 files, ${twice} for 300`);
  assert.ok(once <= 150 * 6, `${once} comparisons for 150 files`);
});

Deno.test("after a kill, each of many files of the same content costs as much as one", async () => {
  const [once, twice] = [await afterKill(150, () => "same"), await afterKill(300, () => "same")];
  assert.ok(twice <= 2.1 * once, `${once} comparisons for 150 files, ${twice} for 300`);
});

Deno.test("files of unknown owner are compared again only when something new is known", async () => {
  await withWorld(async (world) => {
    const unknown = (i: number) => recordOf(`unknown ${i}`, { name: `u${i}.txt` });
    for (let i = 0; i < 20; i++) {
      const { file } = await world.keep(
        `original ${i}`,
        recordOf(`original ${i}`, { name: `f${i}.txt` }),
      );
      world.known.set(file.fileId, file);
      await world.drop(`f${i}.txt`, `changed! ${i}`, WRITTEN);
    }
    await world.settle();
    assert.equal(world.store.unclaimed.length, 20);
    await world.settle(); // their former content is known to be elsewhere now
    assert.equal(await comparisonsWhile(() => world.settle()), 0);
    for (let i = 0; i < 20; i++) world.known.set(unknown(i).fileId, unknown(i));
    assert.equal(
      await readsWhile(() => world.settle()),
      0,
      "the unowned files cannot be any of these",
    );
    const known = recordOf("changed! 7", { name: "x", owner: "bob" });
    world.known.set(known.fileId, known);
    const { found } = await world.settle();
    assert.deepEqual(idsOf(found), [known.fileId], "its owner announced it");
  });
});

Deno.test("a label shared by many files is numbered without trying every number again", async () => {
  const tries = async (files: number) => {
    let looks = 0;
    await withWorld(async (world) => {
      const lstat = Deno.lstatSync;
      Deno.lstatSync = (path) => {
        if (/same( \(\d+\))?\.txt$/.test(String(path))) looks++;
        return lstat(path);
      };
      try {
        for (let i = 0; i < files; i++) {
          await world.keep(`content ${i}`, recordOf(`content ${i}`, { name: "same.txt" }));
        }
      } finally {
        Deno.lstatSync = lstat;
      }
      assert.equal((await namesIn(world.dir)).length, files);
    });
    return looks;
  };
  assert.ok(await tries(60) <= 2.2 * await tries(30));
});

Deno.test("small files that arrive while a large one is being hashed are shared before it", async () => {
  await withWorld(async (world) => {
    const large = await Deno.open(`${world.dir}/large.bin`, { write: true, create: true });
    await large.truncate(80 * 1024 ** 2);
    large.close();
    const hashed = Promise.withResolvers<void>();
    world.store.onHashed = () => hashed.resolve();
    const first = await world.settle();
    assert.deepEqual([first.published.length, first.unsettled], [0, 1]);
    assert.equal(world.store.hashing, 1);
    await world.drop("small.txt", "small", WRITTEN);
    const second = await world.settle();
    assert.equal(second.published.length >= 1, true);
    assert.equal(second.published[0]!.file.name, "small.txt");
    await hashed.promise;
    const third = await world.look();
    const published = [...second.published, ...third.published].map(({ file }) => file.name);
    assert.deepEqual(published, ["small.txt", "large.bin"]);
    const hash = createHash("sha256").update(new Uint8Array(80 * 1024 ** 2)).digest("hex");
    const id = idsOf([...second.published, ...third.published])[1]!;
    assert.equal(world.store.placementOf(id)?.sha256, hash);
  });
});

Deno.test("closing a store stops hashing at once", async () => {
  await withWorld(async (world) => {
    const large = await Deno.open(`${world.dir}/large.bin`, { write: true, create: true });
    await large.truncate(2 * 1024 ** 3);
    large.close();
    await world.settle();
    assert.equal(world.store.hashing, 1);
    world.store.stopReading();
    await world.store.settled();
    world.crash();
    await run("rm", `${world.dir}/large.bin`);
  }, { maxFileBytes: 4 * 1024 ** 3 });
});

Deno.test("however many files are lost at once, the scan notices all of them", async () => {
  await withWorld(async (world) => {
    const files = 140_000; // more than the arguments that one call can have
    for (let i = 0; i < files; i++) {
      const fileId = i.toString(16).padStart(64, "0");
      world.store.shelf.restore({
        file: { ...recordOf("x"), fileId, name: `${i}` },
        // Ten names on disk, each with many ids, because asking the disk for each name would take most of the time.
        placement: { diskName: `${i % 10}`, sizeBytes: 4, mtimeMs: 1, sha256: fileId },
        pushed: false,
      });
    }
    const { lost } = await world.scan();
    assert.equal(lost.length, files);
    assert.deepEqual(world.holdings(), []);
  });
});
