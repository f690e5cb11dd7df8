// Small files that are kept together: one journal write, nothing replaced, and each with its own outcome.

import assert from "node:assert/strict";
import { StorageError } from "../../storage/errors.ts";
import { bytesOf, namesIn, recordOf, withWorld, World } from "./fixture.ts";

/** Contents that verify, as they arrive in a batch. */
function batch(world: World, contents: readonly string[], name?: string) {
  return contents.map((content) => ({
    content: world.store.inMemory(bytesOf(content)),
    held: {
      file: recordOf(content, name === undefined ? {} : { name }),
      sizeBytes: content.length,
    },
  }));
}

const linesOf = async (world: World) =>
  (await Deno.readTextFile(world.layout.journal)).split("\n").filter((line) =>
    line.includes("hold")
  );

Deno.test("files of a batch are served byte for byte, under names of their own and with their times", async () => {
  await withWorld(async (world) => {
    const contents = ["one", "two", "", "four"];
    const files = batch(world, contents);
    const kept = await world.store.keepAll(files);
    assert.deepEqual(
      kept.map((outcome) => outcome instanceof Error ? outcome.message : outcome.sizeBytes),
      [3, 3, 0, 4],
    );
    for (const [i, { held: { file } }] of files.entries()) {
      assert.deepEqual(world.read(file.fileId), bytesOf(contents[i]!));
    }
    assert.deepEqual(await namesIn(world.dir), [
      "file (2).txt",
      "file (3).txt",
      "file (4).txt",
      "file.txt",
    ]);
    const { mtime } = await Deno.lstat(`${world.dir}/file (2).txt`);
    assert.equal(mtime?.getTime(), 1_744_169_352_000);
    assert.equal((await linesOf(world)).length, 4);
    assert.deepEqual(await namesIn(world.layout.temporaries), []);
  });
});

Deno.test("files of a batch are here after a restart, and are not hashed again", async () => {
  await withWorld(async (world) => {
    const files = batch(world, ["one", "two"]);
    await world.store.keepAll(files);
    world.crash();
    await world.start();
    const found = await world.scan();
    assert.deepEqual([found.found.length, found.published.length, found.lost.length], [0, 0, 0]);
    for (const { held: { file } } of files) assert.ok(world.read(file.fileId));
  });
});

Deno.test("a file or a link that is in the way of a batch stays, and the file gets another name", async () => {
  await withWorld(async (world) => {
    await Deno.writeTextFile(`${world.dir}/first.txt`, "somebody's");
    await Deno.writeTextFile(`${world.dir}/target`, "outside");
    await Deno.symlink(`${world.dir}/target`, `${world.dir}/second.txt`);
    const files = [
      ...batch(world, ["one"], "first.txt"),
      ...batch(world, ["two"], "second.txt"),
      ...batch(world, ["three"], "third.txt"),
    ];
    const kept = await world.store.keepAll(files);
    assert.ok(kept.every((outcome) => !(outcome instanceof Error)));
    assert.equal(await Deno.readTextFile(`${world.dir}/first.txt`), "somebody's");
    assert.equal(await Deno.readTextFile(`${world.dir}/target`), "outside");
    for (const name of ["first (2).txt", "second (2).txt", "third.txt"]) {
      assert.ok((await namesIn(world.dir)).includes(name), name);
    }
    assert.deepEqual(files.map(({ held }) => world.read(held.file.fileId)), [
      bytesOf("one"),
      bytesOf("two"),
      bytesOf("three"),
    ]);
  });
});

Deno.test("a batch for which there is no space leaves nothing behind, and says so for each file", async () => {
  await withWorld(async (world) => {
    const files = batch(world, ["one", "two"]);
    const kept = await world.store.keepAll(files);
    for (const outcome of kept) {
      assert.ok(outcome instanceof StorageError && outcome.code === "no-space", String(outcome));
    }
    assert.deepEqual(await namesIn(world.layout.temporaries), []);
    assert.deepEqual(files.map(({ held }) => world.read(held.file.fileId)), [undefined, undefined]);
  }, { minFreeBytes: Number.MAX_SAFE_INTEGER });
});

Deno.test("if the journal cannot be written, no file of the batch gets a name", async () => {
  await withWorld(async (world) => {
    const files = batch(world, ["one", "two"]);
    world.store.journal.append = () => {
      throw new StorageError("io", "Cannot write the journal");
    };
    const kept = await world.store.keepAll(files);
    assert.ok(kept.every((outcome) => outcome instanceof StorageError));
    assert.deepEqual(await namesIn(world.dir), []);
    assert.deepEqual(await namesIn(world.layout.temporaries), []);
  });
});

Deno.test("with full durability, a batch is marked as safe before it is reported", async () => {
  await withWorld(async (world) => {
    await world.store.keepAll(batch(world, ["one", "two"]));
    assert.equal(world.store.shelf.unsynced.size, 0);
  }, { durability: "full" });
});
