// Killed at any moment: stored files are still there, and files that the crash may have damaged are checked again.

import assert from "node:assert/strict";
import { Trash } from "../../storage/trash.ts";
import { Snapshots } from "../../storage/snapshots.ts";
import { bytesOf, inTempDir, namesIn, readsWhile, recordOf, US, withWorld } from "./fixture.ts";

Deno.test("a stored file is still there after a crash, without any snapshot", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    world.crash();
    await world.start();
    assert.deepEqual(world.holdings(), [`alice ${file.fileId}`]);
    assert.deepEqual(world.read(file.fileId), bytesOf("content"));
  });
});

Deno.test("two files of the same content under two ids both survive a crash, and neither becomes ours", async () => {
  await withWorld(async (world) => {
    await world.keep("same", recordOf("same", { owner: "alice", timestamp: "1744169352" }));
    await world.keep("same", recordOf("same", { owner: "bob", timestamp: "1744169999" }));
    const before = world.holdings();
    world.crash();
    await world.start();
    for (let i = 0; i < 3; i++) await world.settle();
    assert.deepEqual(world.owned(US), []);
    assert.deepEqual(world.holdings(), before);
    for (const { file } of world.store.held()) {
      assert.deepEqual(world.read(file.fileId), bytesOf("same"));
    }
  });
});

Deno.test("after a kill, files are not read again, whatever was not flushed yet", async () => {
  await withWorld(async (world) => {
    for (let i = 0; i < 20; i++) await world.keep(`content ${i}`);
    await world.drop("ours.txt", "ours", 1_700_000_000);
    await world.settle();
    const before = world.holdings();
    assert.equal(before.length, 21);
    world.kill();
    assert.equal(await readsWhile(() => world.start()), 0);
    assert.deepEqual(world.holdings(), before);
    world.crash();
    assert.ok(await readsWhile(() => world.start()) > 0, "but after a power failure");
    assert.deepEqual(world.holdings(), before);
  });
});

Deno.test("content damaged by a power failure is neither served nor published, then or later", async () => {
  for (const damaged of ["cXntent", "", "content and more"]) {
    await withWorld(async (world) => {
      const { file } = await world.keep("content");
      world.crash();
      await Deno.writeTextFile(`${world.dir}/file.txt`, damaged);
      await Deno.utime(`${world.dir}/file.txt`, 1_744_169_352, 1_744_169_352);
      for (const start of ["first", "second", "third"]) {
        await world.start();
        await world.settle();
        assert.deepEqual(world.holdings(), [], `${start} start`);
        assert.equal(world.store.reader(file.fileId), undefined);
        assert.deepEqual(
          await namesIn(world.dir).then((names) => names.includes("file.txt")),
          true,
        );
        if (start === "first") world.crash();
        else await world.stop();
      }
    });
  }
});

Deno.test("a file fetched again next to its damaged copy is still recognized when it is renamed", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    world.crash();
    await Deno.writeTextFile(`${world.dir}/file.txt`, "cXntent");
    await world.start();
    await world.keep("content");
    assert.deepEqual(await namesIn(world.dir), ["file (2).txt", "file.txt"]);
    await Deno.rename(`${world.dir}/file (2).txt`, `${world.dir}/b.txt`);
    for (let i = 0; i < 2; i++) await world.settle();
    assert.deepEqual(world.owned(US), []);
    assert.deepEqual(world.read(file.fileId), bytesOf("content"));
  });
});

Deno.test("a file that a crash kept from being put in place is not held, and can be fetched again", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    world.crash();
    await Deno.remove(`${world.dir}/file.txt`);
    await world.start();
    assert.deepEqual([world.holdings(), world.store.unclaimed], [[], []]);
    await world.keep("content");
    assert.deepEqual(world.read(file.fileId), bytesOf("content"));
    await world.stop();
    await world.start();
    assert.deepEqual(world.holdings(), [`alice ${file.fileId}`]);
  });
});

Deno.test("synced content is trusted by its size and time, and not read again", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    await world.store.sync();
    world.crash();
    await Deno.writeTextFile(`${world.dir}/file.txt`, "CONTENT");
    await Deno.utime(`${world.dir}/file.txt`, 1_744_169_352, 1_744_169_352);
    await world.start();
    assert.deepEqual(world.holdings(), [`alice ${file.fileId}`]);
  });
});

Deno.test("a file trashed before a crash does not come back after it", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    await world.store.trash(file.fileId, "deleted");
    world.crash();
    await world.start();
    await world.settle();
    assert.deepEqual(world.holdings(), []);
    assert.deepEqual(await world.store.removals.ids(), [file.fileId]);
  });
});

Deno.test("a removal interrupted by a crash at any point is finished at the next start", async () => {
  for (const why of ["deleted", "unwanted"] as const) {
    for (const isMoved of [false, true]) {
      await withWorld(async (world) => {
        const { file } = await world.keep("content");
        await world.save();
        world.store.journal.append([{ op: "remove", fileId: file.fileId, why, unixSeconds: 1 }]);
        const shelved = world.store.shelf.get(file.fileId)!;
        if (isMoved) await new Trash(world.layout, Date.now).put(shelved, true);
        world.crash();
        const changes = await world.start();
        assert.deepEqual(
          [changes.published, changes.found],
          [[], []],
          "it is not found or published as new",
        );
        await world.settle();
        assert.deepEqual([world.holdings(), await namesIn(world.dir)], [[], ["metadata.json"]]);
        assert.equal(world.store.loaded.removed.get(file.fileId)?.why, why);
        assert.deepEqual(world.store.removals.ids(), [file.fileId]);
      });
    }
  }
});

Deno.test("a removed and restored file is held after a crash", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    await world.store.trash(file.fileId, "deleted");
    await world.store.restore(file.fileId);
    world.crash();
    await world.start();
    await world.settle();
    assert.deepEqual(world.holdings(), [`alice ${file.fileId}`]);
    assert.equal(world.store.loaded.removed.size, 0);
  });
});

Deno.test("a file removed while the peer was stopped is still known, but not held here", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    await world.stop();
    await Deno.remove(`${world.dir}/file.txt`);
    await world.start();
    assert.ok(world.known.has(file.fileId), "forgotten");
    assert.deepEqual(world.holdings(), []);
  });
});

Deno.test("metadata.json stays complete when writing the next one fails, and nothing is left behind", async () => {
  await withWorld(async (world) => {
    await world.keep("content");
    await world.save();
    const before = await Deno.readTextFile(world.layout.metadata);
    const failing = function* () {
      yield* world.entries();
      throw new Error("the machine is on fire");
    };
    await assert.rejects(world.store.snapshots.saveMetadata(failing()), /on fire/);
    assert.equal(await Deno.readTextFile(world.layout.metadata), before);
    assert.deepEqual(await Array.fromAsync(Deno.readDir(world.layout.temporaries)), []);
    await world.save();
  });
});

Deno.test("the previous metadata is kept as the last good one", async () => {
  await withWorld(async (world) => {
    await world.keep("one");
    await world.save();
    const before = await Deno.readTextFile(world.layout.metadata);
    await world.keep("two");
    await world.save();
    assert.equal(await Deno.readTextFile(world.layout.lastGood), before);
    assert.notEqual(await Deno.readTextFile(world.layout.metadata), before);
  });
});

Deno.test("the key stays the same across restarts", async () => {
  await withWorld(async (world) => {
    const { nodeKey } = world.store;
    assert.match(nodeKey, /^[\w-]{43}$/);
    world.crash();
    assert.equal((await world.open()).nodeKey, nodeKey);
  });
});

Deno.test("deleted ids and known peers are restored; old and damaged ones are not", async () => {
  await withWorld(async ({ store: { snapshots }, layout }) => {
    const id = "a".repeat(64);
    await snapshots.saveDeleted([[id, 1_700_000_000]]);
    assert.deepEqual(await snapshots.loadDeleted(), [[id, 1_700_000_000]]);
    const now = 1_800_000_000;
    const peer = (peerId: string, ageSeconds: number) => ({
      peerId,
      host: "h",
      port: 1,
      lastSeen: now - ageSeconds,
      local: false,
    });
    const week = 7 * 86_400;
    await snapshots.savePeers([
      peer("old", week),
      peer("b", 100),
      peer("a", 1),
      peer("c", week - 1),
    ]);
    const loaded = await snapshots.loadPeers(now);
    assert.deepEqual(loaded.map(({ peerId }) => peerId), ["a", "b", "c"]);
    for (const damaged of ["", "{", "null", "1", '["x"]', '{"x": 1}', '[{"peerId": 1}]']) {
      await Deno.writeTextFile(layout.deleted, damaged);
      await Deno.writeTextFile(layout.peers, damaged);
      assert.deepEqual([await snapshots.loadDeleted(), await snapshots.loadPeers(now)], [[], []]);
    }
  });
});

Deno.test("small files are replaced completely and are readable by their owner only", async () => {
  await withWorld(async ({ layout }) => {
    await inTempDir(async (dir) => {
      await Deno.writeTextFile(`${dir}/outside`, "precious");
      await Deno.remove(layout.peers).catch(() => {});
      await Deno.symlink(`${dir}/outside`, layout.peers);
      await new Snapshots(layout).savePeers([]);
      assert.equal(await Deno.readTextFile(`${dir}/outside`), "precious");
      assert.equal((await Deno.lstat(layout.peers)).mode! & 0o777, 0o600);
    });
  });
});
