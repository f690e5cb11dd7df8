// What happens to files while a scan is under way, and when it is interrupted: other files are kept, deleted and released
// meanwhile, and the process may end at any moment.

import assert from "node:assert/strict";
import type { Changes } from "../../storage/changes.ts";
import { until } from "../until.ts";
import { readsWhile, recordOf, withWorld, World } from "./fixture.ts";

const WRITTEN = 1_700_000_000;
/** More files than one part of a scan has. */
const FILES = 600;

async function dropMany(world: World, prefix: string, files = FILES): Promise<void> {
  for (let i = 0; i < files; i++) await world.drop(`${prefix}${i}`, `${prefix} ${i}`, WRITTEN + i);
}

Deno.test("a file that is downloaded again while a scan misses it stays held", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    await dropMany(world, "new");
    world.clockMs += 10_000;
    await Deno.remove(`${world.dir}/${file.name}`);
    const lost: string[] = [];
    let again: Promise<unknown> | undefined;
    // Files need not be seen twice, so there are several parts.
    const last = await world.store.scan(world.knowledge, { atStart: true }, (part) => {
      lost.push(...part.lost);
      if (again) return;
      assert.equal(world.store.release(file.fileId), "gone");
      again = world.keep("content", file);
    });
    await again;
    assert.deepEqual([...lost, ...last.lost], []);
    assert.ok(world.store.shelf.get(file.fileId));
    world.kill();
    await world.start();
    assert.ok(world.store.shelf.get(file.fileId), "the journal has it, too");
  });
});

Deno.test("a file that is deleted between hashing and taking is neither held again nor published", async () => {
  await withWorld(async (world) => {
    const { shelf } = world.store;
    await dropMany(world, "edited", 1_200);
    for (let i = 0; i < 1_200; i++) {
      const name = `edited${i}`;
      const file = recordOf(`alice's ${i}`, { name });
      const placement = { diskName: name, sizeBytes: 9, sha256: file.fileId, mtimeMs: WRITTEN };
      shelf.add([{ file, placement, pushed: false }]);
    }
    const names = new Set<string>();
    const deleted: string[] = [];
    const note = (part: Changes) => {
      for (const { file } of [...part.published, ...part.found]) names.add(file.name);
      if (deleted.length > 0) return;
      // As when their owner deletes those that are left: most of their hashes have arrived.
      for (let i = 0; i < 1_200; i++) {
        const name = `edited${i}`;
        if (world.store.unclaimed.includes(name)) continue;
        deleted.push(name);
        shelf.remove(shelf.idsAt(name));
        Deno.removeSync(`${world.dir}/${name}`);
      }
    };
    note(await world.store.scan(world.knowledge, { atStart: true }, note));
    assert.ok(deleted.length > 900);
    assert.deepEqual([...names], []);
  });
});

Deno.test("somebody else's file that could not be read is not ours after a kill", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("alice's", recordOf("alice's", { name: "a.txt" }));
    await world.drop("a.txt", "edited", WRITTEN);
    await Deno.chmod(`${world.dir}/a.txt`, 0o000);
    assert.equal(world.store.release(file.fileId), "gone");
    await world.store.settled();
    world.kill();
    await Deno.chmod(`${world.dir}/a.txt`, 0o644);
    assert.deepEqual((await world.start()).published, []);
    assert.deepEqual(world.store.unclaimed, ["a.txt"]);
  });
});

Deno.test("a file that is no longer its owner's is marked before the journal drops it", async () => {
  await withWorld(async (world) => {
    await world.keep("alice's", recordOf("alice's", { name: "a.txt" }));
    await world.drop("a.txt", "edited", WRITTEN);
    await world.look();
    world.clockMs += 60_000;
    const remove = world.store.shelf.remove.bind(world.store.shelf);
    let marked = "";
    world.store.shelf.remove = (fileIds, removedAt) => {
      marked = Deno.readTextFileSync(world.layout.unclaimed);
      remove(fileIds, removedAt);
    };
    await world.look();
    assert.deepEqual(JSON.parse(marked), ["a.txt"]);
  });
});

Deno.test("after a power failure and a start that was interrupted, our files are still ours", async () => {
  await withWorld(async (world) => {
    await dropMany(world, "ours");
    let changes = await world.settle();
    while (changes.unsettled > 0) changes = await world.settle();
    const ids = world.holdings();
    await world.save();
    world.crash();
    // Killed after the first part of the next scan.
    await world.open();
    world.known = new Map(world.remembered.map(({ file }) => [file.fileId, file]));
    const parts: Changes[] = [];
    const scan = world.store.scan(world.knowledge, { atStart: true }, (part) => {
      parts.push(part);
      world.kill();
    });
    await assert.rejects(scan);
    assert.equal(parts.length, 1);
    await world.start();
    assert.deepEqual(world.holdings(), ids);
    assert.deepEqual(world.store.unclaimed, []);
    await world.drop("ours1", "edited by us", WRITTEN + 5_000);
    const { published } = await world.settle();
    assert.deepEqual(published.map(({ file }) => file.name), ["ours1"]);
  });
});

Deno.test("a large file does not keep the journal from being compacted after a power failure", async () => {
  await withWorld(async (world) => {
    const path = `${world.dir}/large.bin`;
    const large = await Deno.open(path, { write: true, create: true });
    await large.truncate(65 * 1024 ** 2);
    large.close();
    await Deno.utime(path, WRITTEN, WRITTEN);
    const hashed = async () => {
      const done = Promise.withResolvers<void>();
      world.store.onHashed = () => done.resolve();
      return await done.promise;
    };
    await world.look();
    world.clockMs += 5_000; // not so late that the system has written it to the disk
    let [, done] = [await world.look(), world.store.hashing === 1 ? hashed() : undefined];
    await done;
    await world.look();
    const ids = world.holdings();
    assert.equal(ids.length, 1);
    await world.save();
    world.crash();
    await world.start();
    assert.equal(world.store.hashing, 1, "it is a suspect");
    done = hashed();
    await done;
    await world.settle();
    assert.deepEqual(world.holdings(), ids);
    const lines = async () => (await Deno.readTextFile(world.layout.journal)).split("\n").length;
    const before = await lines();
    await world.store.compactJournal();
    assert.ok(await lines() < before, "compacted");
  });
});

Deno.test("copies of a large file with the same time each become ours, and none is read in this thread", async () => {
  await withWorld(async (world) => {
    const names = Array.from({ length: 10 }, (_, i) => `copy ${i}.bin`); // more than digests are made ahead for
    for (const name of names) {
      using large = await Deno.open(`${world.dir}/${name}`, { write: true, create: true });
      await large.truncate(64 * 1024 ** 2 + 1); // sparse
      await Deno.utime(`${world.dir}/${name}`, WRITTEN, WRITTEN);
    }
    await world.look();
    world.clockMs += 5_000;
    const reads = await readsWhile(async () => {
      await world.look();
      for (let looks = 0; looks < 5 && world.holdings().length < names.length; looks++) {
        await until("everything queued is hashed", () => world.store.hashing === 0);
        world.clockMs += 1_000; // hashing takes time, and each second gives another id
        await world.look();
      }
    });
    assert.equal(new Set(world.holdings()).size, names.length);
    assert.equal(reads, 0);
  });
});

Deno.test("files that nobody may read any longer are lost, however many", async () => {
  await withWorld(async (world) => {
    await dropMany(world, "ours", 100);
    let changes = await world.settle();
    while (changes.unsettled > 0) changes = await world.settle();
    for (let i = 0; i < 100; i++) await Deno.chmod(`${world.dir}/ours${i}`, 0o000);
    const { lost } = await world.look();
    assert.equal(lost.length, 100);
  });
});

Deno.test("a file that is kept again while its former content is flushed is not marked as safe", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    const { journal, shelf } = world.store;
    const sync = journal.sync.bind(journal);
    journal.sync = async () => {
      journal.sync = sync;
      await sync();
      await Deno.remove(`${world.dir}/${file.name}`);
      assert.equal(world.store.release(file.fileId), "gone");
      await world.keep("content", file);
    };
    await world.store.sync();
    assert.ok(shelf.unsynced.has(file.fileId));
    world.crash();
    await world.open();
    assert.ok(world.store.loaded.suspects.has(file.fileId), "it is hashed again");
  });
});
