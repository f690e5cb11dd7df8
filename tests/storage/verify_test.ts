// Held content is read again: good, damaged without a trace in size and time, or gone. Damaged files are set aside.

import assert from "node:assert/strict";
import { bytesOf, namesIn, recordOf, withWorld } from "./fixture.ts";

/** Changes content without a trace, as a failing disk does. */
async function rot(path: string, content: string): Promise<void> {
  const { mtime } = await Deno.stat(path);
  await Deno.writeTextFile(path, content);
  await Deno.utime(path, mtime!, mtime!);
}

Deno.test("bit rot is noticed by reading the content again, and only by that", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    let bytes = 0;
    assert.equal(await world.store.examine(file.fileId, (read) => bytes += read), "good");
    assert.equal(bytes, 7, "progress counts bytes");
    await rot(`${world.dir}/file.txt`, "c0ntent");
    assert.deepEqual((await world.settle()).lost, [], "a folder scan notices nothing");
    assert.equal(await world.store.examine(file.fileId), "damaged");
  });
});

Deno.test("a file that was visibly changed or removed is gone, not damaged", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    await Deno.writeTextFile(`${world.dir}/file.txt`, "longer content");
    assert.equal(await world.store.examine(file.fileId), "gone");
    await Deno.remove(`${world.dir}/file.txt`);
    assert.equal(await world.store.examine(file.fileId), "gone");
    assert.equal(await world.store.examine("0".repeat(64)), "gone");
  });
});

Deno.test("a damaged file is set aside, is not shared as new, and frees its name for a good copy", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    await rot(`${world.dir}/file.txt`, "c0ntent");
    const { fileIds, keptAt } = world.store.setAside(file.fileId);
    assert.deepEqual(fileIds, [file.fileId]);
    assert.equal(await Deno.readTextFile(keptAt), "c0ntent");
    const changes = await world.settle();
    assert.deepEqual([changes.published, changes.found, await namesIn(world.dir)], [[], [], []]);
    await world.keep("content");
    assert.deepEqual(world.read(file.fileId), bytesOf("content"));
    assert.deepEqual(await namesIn(world.dir), ["file.txt"]);
    world.crash();
    await world.start();
    assert.deepEqual(world.holdings(), [`alice ${file.fileId}`]);
    assert.equal(await Deno.readTextFile(keptAt), "c0ntent", "only a person removes it");
  });
});

Deno.test("a damaged file with two ids is lost under both", async () => {
  await withWorld(async (world) => {
    const ids = ["1744169352", "1744169999"].map((timestamp) => {
      const file = recordOf("same", { timestamp });
      world.known.set(file.fileId, file);
      return file.fileId;
    });
    await world.drop("file.txt", "same");
    await world.settle();
    await rot(`${world.dir}/file.txt`, "sane");
    assert.deepEqual([...world.store.setAside(ids[0]!).fileIds].sort(), ids.sort());
    assert.deepEqual(world.holdings(), []);
  });
});

Deno.test("a file that changes while it is read is left for the next scan, and stays in place", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("x".repeat(100));
    const path = `${world.dir}/file.txt`;
    const examined = await world.store.examine(file.fileId, () => {
      Deno.writeTextFileSync(path, "y".repeat(101));
    });
    assert.notEqual(examined, "damaged");
  });
});
