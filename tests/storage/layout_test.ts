// The folder of a store: private where it must be, used by one process at a time, with a clear error where it
// cannot be used.

import assert from "node:assert/strict";
import { StorageError } from "../../storage/errors.ts";
import { Store } from "../../storage/store.ts";
import { bytesOf, inTempDir, treeOf, US, withWorld, World } from "./fixture.ts";

const code = (code: StorageError["code"], words: RegExp = /./) => (error: unknown) =>
  error instanceof StorageError && error.code === code && words.test(error.message) &&
  !error.message.includes("\n");

const modeOf = async (path: string) => (await Deno.lstat(path)).mode! & 0o777;

Deno.test("private folders that are links are refused, and nothing is written through them", async () => {
  await inTempDir(async (dir) => {
    const elsewhere = `${dir}/elsewhere`;
    await Deno.mkdir(elsewhere);
    for (const name of [".p2p-peer", ".p2p-peer/temporary", ".p2p-peer/trash"]) {
      const store = `${dir}/store${name.length}`;
      await Deno.mkdir(name === ".p2p-peer" ? store : `${store}/.p2p-peer`, { recursive: true });
      await Deno.symlink(elsewhere, `${store}/${name}`);
      await assert.rejects(new World(store).open(), code("not-writable", /link/), name);
      assert.deepEqual(await treeOf(elsewhere), new Map(), name);
    }
  });
});

Deno.test("a second process gets the error that the store is in use, and the first is unaffected", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    const second = new World(world.dir);
    await assert.rejects(second.open(), code("in-use", /--dir/));
    assert.deepEqual(world.read(file.fileId), bytesOf("content"));
    await world.keep("more");
    world.crash();
    await second.start();
    assert.equal(second.holdings().length, 2);
    second.crash();
  });
});

Deno.test("private files and folders are accessible to their owner only", async () => {
  await withWorld(async (world) => {
    await world.keep("content");
    const { layout } = world;
    for (const folder of [layout.private, layout.temporaries, layout.trash]) {
      assert.equal(await modeOf(folder), 0o700, folder);
    }
    for (const file of [layout.lock, layout.key, layout.journal]) {
      assert.equal(await modeOf(file), 0o600, file);
    }
  });
});

Deno.test("a private folder that others could access is closed to them at start", async () => {
  await inTempDir(async (dir) => {
    await Deno.mkdir(`${dir}/.p2p-peer`, { mode: 0o755 });
    const world = new World(dir);
    await world.start();
    world.crash();
    assert.equal(await modeOf(world.layout.private), 0o700);
  });
});

Deno.test("temporaries of an earlier run are removed at start", async () => {
  await withWorld(async (world) => {
    world.store.intake().close();
    assert.equal((await Array.fromAsync(Deno.readDir(world.layout.temporaries))).length, 1);
    world.crash();
    await world.start();
    assert.deepEqual(await Array.fromAsync(Deno.readDir(world.layout.temporaries)), []);
  });
});

Deno.test("a path that cannot be a folder is an error that names it", async () => {
  await inTempDir(async (dir) => {
    await Deno.writeTextFile(`${dir}/file`, "");
    for (const wrong of [`${dir}/file`, `${dir}/file/store`]) {
      await assert.rejects(
        Store.open({
          dir: wrong,
          owner: US,
          maxFileBytes: 1,
          minFreeBytes: 0,
          pushQuotaBytes: 0,
          durability: "normal",
          now: Date.now,
        }),
        (error) => error instanceof StorageError && error.message.includes(wrong),
      );
    }
  });
});

Deno.test("a folder in place of one of the store's files is an error that says what to do", async () => {
  await withWorld(async (world) => {
    const { layout } = world;
    world.crash();
    for (const path of [layout.metadata, layout.deleted, layout.peers, layout.journal]) {
      await Deno.remove(path).catch(() => {}); // not all of them exist
      await Deno.mkdir(path);
      await assert.rejects(world.open(), (error) => {
        return error instanceof StorageError && error.message.includes(path) &&
          error.message.endsWith("Remove it");
      });
      await Deno.remove(path);
    }
  });
});

Deno.test("a folder that is not writable is an error that says so", async (t) => {
  await inTempDir(async (dir) => {
    await Deno.mkdir(`${dir}/readonly`, { mode: 0o500 });
    const isBound = await Deno.mkdir(`${dir}/readonly/probe`).then(() => false, () => true);
    await t.step({
      name: "as a user whom modes bind",
      ignore: !isBound, // root can write everywhere
      fn: async () => {
        const world = new World(`${dir}/readonly`);
        await assert.rejects(world.open(), code("not-writable", /--dir/));
      },
    });
  });
});
