// Deleted files: kept for a day, restored as they were, never mixed up with others.

import assert from "node:assert/strict";
import { StorageError } from "../../storage/errors.ts";
import { bytesOf, namesIn, recordOf, US, withWorld, World } from "./fixture.ts";

const DAY_MS = 24 * 3_600_000;

/** One file on disk under two ids, as in the store of a real peer. */
async function withSharedFile(
  act: (world: World, ids: readonly [string, string]) => Promise<void>,
): Promise<void> {
  await withWorld(async (world) => {
    const one = recordOf("same", { owner: "alice", timestamp: "1744169352" });
    const other = recordOf("same", { owner: "bob", timestamp: "1744169999" });
    world.known.set(one.fileId, one).set(other.fileId, other);
    await world.drop("file.txt", "same");
    const { found } = await world.settle();
    assert.equal(found.length, 2);
    await act(world, [one.fileId, other.fileId]);
  });
}

Deno.test("a trashed file is gone from the folder and no longer held, and is restored as it was", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content", recordOf("content", { name: "a.txt" }));
    await world.store.trash(file.fileId, "deleted");
    assert.deepEqual(world.holdings(), []);
    assert.equal(world.store.reader(file.fileId), undefined);
    assert.deepEqual(await namesIn(world.dir), []);
    assert.deepEqual(await world.store.removals.ids(), [file.fileId]);

    const restored = await world.store.restore(file.fileId);
    assert.deepEqual(restored.file, file);
    assert.deepEqual(world.read(file.fileId), bytesOf("content"));
    assert.deepEqual(await namesIn(world.dir), ["a.txt"]);
    assert.deepEqual(await world.store.removals.ids(), []);
    const changes = await world.settle();
    assert.deepEqual([changes.lost, changes.published], [[], []]);
  });
});

Deno.test("a file on its way to the trash is listed there, and can be restored", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    const trashing = world.store.trash(file.fileId, "deleted");
    const listed = await world.store.removals.list();
    assert.deepEqual(listed.map(({ file: { fileId } }) => fileId), [file.fileId]);
    await trashing;
    await world.store.restore(file.fileId);
    const again = world.store.trash(file.fileId, "deleted");
    await world.store.restore(file.fileId);
    await again;
    assert.deepEqual(world.read(file.fileId), bytesOf("content"));
    assert.deepEqual(world.store.removals.ids(), []);
  });
});

Deno.test("an announced removal is finished by the next start, and one that cannot be recorded is an error", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    world.store.removals.announce(file.fileId, "deleted");
    assert.equal(world.holdings().length, 1, "announcing does not remove it");
    world.crash();
    await world.start();
    assert.deepEqual(world.holdings(), []);
    assert.deepEqual(world.store.removals.ids(), [file.fileId]);
    const { file: other } = await world.keep("other");
    const { journal } = world.store;
    for (
      const [code, refuses] of [["not-writable", true], ["no-space", false]] as const
    ) {
      const append = journal.append.bind(journal);
      journal.append = () => {
        throw new StorageError(code, "no line can be written");
      };
      const announce = () => world.store.removals.announce(other.fileId, "deleted");
      if (refuses) assert.throws(announce, /no line/);
      else announce();
      journal.append = append;
    }
    world.store.removals.announce(other.fileId, "deleted");
    await world.store.trash(other.fileId, "deleted");
    assert.deepEqual(world.store.removals.ids().length, 2);
    world.store.removals.announce("0".repeat(64), "deleted"); // not held: nothing to record
  });
});

Deno.test("a restored file whose name is taken gets another one, and both stay", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("old");
    await world.store.trash(file.fileId, "deleted");
    const { file: newer } = await world.keep("new");
    await world.store.restore(file.fileId);
    assert.deepEqual(world.read(file.fileId), bytesOf("old"));
    assert.deepEqual(world.read(newer.fileId), bytesOf("new"));
    assert.deepEqual(await namesIn(world.dir), ["file (2).txt", "file.txt"]);
  });
});

Deno.test("restoring overwrites nothing, whenever the other file appeared", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("old");
    await world.store.trash(file.fileId, "deleted");
    const { shelf } = world.store;
    const reserve = shelf.reserve.bind(shelf);
    shelf.reserve = (label, isOnDisk) => {
      const name = reserve(label, isOnDisk);
      Deno.writeTextFileSync(`${world.dir}/${name}`, "put there just now");
      return name;
    };
    await world.store.restore(file.fileId).catch((error) => {
      assert.ok(error instanceof StorageError);
    });
    const contents = await Promise.all(
      (await namesIn(world.dir)).map((name) => Deno.readTextFile(`${world.dir}/${name}`)),
    );
    assert.ok(contents.includes("put there just now"), contents.join());
    assert.ok(contents.includes("old") || (await world.store.removals.ids()).includes(file.fileId));
  });
});

Deno.test("a trashed file can be restored after a restart", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    await world.store.trash(file.fileId, "deleted");
    await world.stop();
    await world.start();
    assert.deepEqual(world.holdings(), []);
    await world.store.restore(file.fileId);
    assert.deepEqual(world.holdings(), [`alice ${file.fileId}`]);
  });
});

Deno.test("a file that is not in the trash cannot be restored, and the error says how long files stay there", async () => {
  await withWorld(async (world) => {
    const strange = ["0".repeat(64), "", "..", "../journal.jsonl", "/etc/passwd"];
    for (const fileId of strange) {
      await assert.rejects(
        world.store.restore(fileId),
        (error) =>
          error instanceof StorageError && error.code === "not-found" &&
          error.message.includes("24 hours"),
        fileId,
      );
    }
    assert.deepEqual(world.holdings(), []);
    assert.ok((await Deno.lstat(world.layout.trash)).isDirectory);
  });
});

Deno.test("files older than a day are purged from the trash, at start and while the peer runs", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    await world.store.trash(file.fileId, "deleted");
    await world.store.tidy();
    assert.deepEqual(await world.store.removals.ids(), [file.fileId]);
    world.clockMs += DAY_MS;
    await world.store.tidy();
    assert.deepEqual(await world.store.removals.ids(), []);

    const { file: second } = await world.keep("second");
    await world.store.trash(second.fileId, "deleted");
    world.crash();
    world.clockMs += DAY_MS;
    await world.start();
    assert.deepEqual(await world.store.removals.ids(), []);
  });
});

Deno.test("trashing a file that is not held does nothing", async () => {
  await withWorld(async (world) => {
    await world.store.trash("0".repeat(64), "deleted");
    assert.deepEqual(await world.store.removals.ids(), []);
  });
});

Deno.test("after trashing one of two ids of a file, the other is still served", async () => {
  await withSharedFile(async (world, [one, other]) => {
    await world.store.trash(one, "deleted");
    assert.deepEqual(world.read(other), bytesOf("same"));
    assert.equal(world.store.reader(one), undefined);
    assert.deepEqual(await namesIn(world.dir), ["file.txt"]);
    await world.store.restore(one);
    assert.deepEqual(world.read(one), bytesOf("same"));
    assert.deepEqual(world.read(other), bytesOf("same"));
  });
});

Deno.test("trashing both ids of a file removes it, and both can be restored", async () => {
  await withSharedFile(async (world, ids) => {
    for (const fileId of ids) await world.store.trash(fileId, "deleted");
    assert.deepEqual(await namesIn(world.dir), []);
    assert.deepEqual((await world.store.removals.ids()).sort(), [...ids].sort());
    for (const fileId of ids) await world.store.restore(fileId);
    for (const fileId of ids) assert.deepEqual(world.read(fileId), bytesOf("same"));
    const { published, lost } = await world.settle();
    assert.deepEqual([published, lost], [[], []]);
  });
});

Deno.test("a restored file that shared its content with another does not change when the other does", async () => {
  await withSharedFile(async (world, [one, other]) => {
    await world.store.trash(one, "deleted");
    await Deno.writeTextFile(`${world.dir}/file.txt`, "edited in place");
    await world.settle();
    assert.equal(world.store.reader(other), undefined);
    await world.store.restore(one);
    const served = world.read(one);
    assert.ok(
      !served || new TextDecoder().decode(served) === "same",
      "different content is served",
    );
  });
});

Deno.test("restoring a file that was fetched again leaves nothing behind that would be shared as ours", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    await world.store.trash(file.fileId, "deleted");
    await world.keep("content");
    await world.store.restore(file.fileId).catch((error) => {
      assert.ok(error instanceof StorageError);
    });
    assert.deepEqual(world.read(file.fileId), bytesOf("content"));
    await world.settle();
    assert.deepEqual(world.owned(US), []);
    assert.deepEqual(world.holdings(), [`alice ${file.fileId}`]);
  });
});

Deno.test("a file that is already gone can be trashed, and is no longer held", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    await Deno.remove(`${world.dir}/file.txt`);
    await world.store.trash(file.fileId, "deleted");
    assert.deepEqual(world.holdings(), []);
  });
});

Deno.test("files in the trash are counted, even after a restart", async () => {
  await withWorld(async (world) => {
    for (const content of ["1", "22"]) {
      const { file } = await world.keep(content);
      await world.store.trash(file.fileId, "deleted");
    }
    assert.deepEqual(world.store.removals.size, { files: 2, bytes: 3 });
    world.crash();
    await world.start();
    assert.deepEqual(world.store.removals.size, { files: 2, bytes: 3 });
    await world.store.restore(world.store.removals.ids()[0]!);
    assert.equal(world.store.removals.size.files, 1);
  });
});

Deno.test("deleted pushes count against the quota, and the oldest of them are purged first", async () => {
  const keepPushed = async (world: World, content: string) => {
    const intake = world.store.intake();
    intake.write(bytesOf(content));
    const file = recordOf(content);
    await world.store.keep(intake, { file, sizeBytes: content.length, pushed: true });
    return file.fileId;
  };
  await withWorld(async (world) => {
    const { file: ours } = await world.keep("not pushed at all");
    await world.store.trash(ours.fileId, "unwanted");
    const [first, second] = [
      await keepPushed(world, "1".repeat(40)),
      await keepPushed(world, "2".repeat(40)),
    ];
    for (const fileId of [first, second]) await world.store.trash(fileId, "deleted");
    assert.deepEqual(world.store.removals.ids(), [ours.fileId, first, second]);
    await keepPushed(world, "3".repeat(40));
    assert.deepEqual(world.store.removals.ids(), [ours.fileId, second]);
  }, { pushQuotaBytes: 100 });
});

Deno.test("the oldest files in the trash are purged first, and only until there is enough space", async () => {
  let isFull = false;
  await withWorld(async (world) => {
    const ids: string[] = [];
    for (const content of ["1", "2", "3"]) {
      const { file } = await world.keep(content);
      await world.store.trash(file.fileId, "deleted");
      ids.push(file.fileId);
    }
    // A disk that has space again once two of three are gone.
    world.store.space.freeBytes = () => isFull && world.store.removals.ids().length > 1 ? -1 : 1e9;
    isFull = true;
    world.store.space.take(64 * 1024 ** 2);
    assert.deepEqual(world.store.removals.ids(), [ids[2]]);
  });
});

Deno.test("a file can be deleted on a disk so full that no line can be written, and that frees space", async () => {
  await withWorld(async (world) => {
    const { file: kept } = await world.keep("kept aside");
    await world.store.trash(kept.fileId, "deleted");
    const { file } = await world.keep("content");
    const { journal } = world.store;
    const append = journal.append.bind(journal);
    const path = `${world.dir}/${world.store.placementOf(file.fileId)!.diskName}`;
    journal.append = (...args) => {
      const isThere = Deno.readDirSync(world.dir).some(({ name }) => path.endsWith(`/${name}`));
      if (isThere) throw new StorageError("no-space", "the disk is full");
      append(...args);
    };
    await world.store.trash(file.fileId, "deleted");
    journal.append = append;
    assert.deepEqual([world.holdings(), world.store.removals.ids()], [[], []]);
    world.crash();
    await world.start();
    assert.equal(world.store.loaded.removed.get(file.fileId)?.why, "deleted");
  });
});

Deno.test("the trash is purged when space is needed", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    await world.store.trash(file.fileId, "deleted");
    world.crash();
    const poor = new World(world.dir, { minFreeBytes: Number.MAX_SAFE_INTEGER });
    await poor.start();
    try {
      assert.throws(() => poor.store.intake(), StorageError);
      assert.deepEqual(await poor.store.removals.ids(), []);
    } finally {
      poor.crash();
    }
  });
});

Deno.test("a page of deleted files, the latest first, reads the notes of that page only", async () => {
  await withWorld(async (world) => {
    const names = ["a.txt", "b.txt", "c.txt", "d.txt", "e.txt"];
    for (const name of names) {
      const { file } = await world.keep(name, recordOf(name, { name }));
      await world.store.trash(file.fileId, "deleted");
    }
    const { readTextFile } = Deno;
    let read = 0;
    Deno.readTextFile = (...args) => (read++, readTextFile(...args));
    try {
      for (
        const [start, shown] of [[0, ["e", "d"]], [2, ["c", "b"]], [4, ["a"]], [9, []]] as const
      ) {
        read = 0;
        const { found, total } = await world.store.removals.page(start, 2);
        assert.deepEqual(found.map(({ file }) => file.name), shown.map((name) => `${name}.txt`));
        assert.deepEqual([total, read], [names.length, shown.length]);
      }
    } finally {
      Deno.readTextFile = readTextFile;
    }
  });
});

/** Returns how many times files are appended to the journal while `act` runs. */
async function appendsWhile({ store: { journal } }: World, act: () => Promise<unknown>) {
  const append = journal.append.bind(journal);
  let appends = 0;
  journal.append = (...args) => {
    appends++;
    append(...args);
  };
  try {
    await act();
  } finally {
    journal.append = append;
  }
  return appends;
}

Deno.test("many files are recorded as removed in one piece, then moved one after another", async () => {
  await withWorld(async (world) => {
    const ids: string[] = [];
    for (let i = 0; i < 20; i++) ids.push((await world.keep(`content ${i}`)).file.fileId);
    let isRecorded = false;
    const appends = await appendsWhile(world, async () => {
      const removing = world.store.trashAll(ids, "deleted");
      isRecorded = ids.every((fileId) => world.store.removals.isRemoving(fileId));
      await removing;
    });
    assert.ok(isRecorded, "at once");
    assert.equal(appends, 1 + ids.length, "and one line for each that was moved");
    assert.deepEqual(world.store.removals.ids(), ids);
    assert.equal(world.store.removals.size.files, 20);
    await world.store.restore(ids[3]!);
    assert.equal(world.store.removals.size.files, 19);
  });
});

Deno.test("files that a stop or a kill leaves half removed are removed by the next start, also after the journal was compacted", async () => {
  for (const isCompacted of [false, true]) {
    await withWorld(async (world) => {
      const ids: string[] = [];
      for (let i = 0; i < 20; i++) ids.push((await world.keep(`content ${i}`)).file.fileId);
      const removing = world.store.trashAll(ids.slice(1), "deleted");
      world.store.stopReading();
      const compacting = isCompacted ? world.store.compactJournal() : undefined;
      await removing;
      await compacting;
      assert.ok(world.store.removals.ids().length < 19, "not all are moved");
      world.crash();
      await world.start();
      assert.deepEqual(world.holdings().length, 1);
      assert.deepEqual(world.store.removals.ids().sort(), ids.slice(1).sort());
      assert.deepEqual((await world.settle()).published, []);
    });
  }
});

Deno.test("scans while many files move to the trash report nothing as unreadable, and publish nothing", async () => {
  await withWorld(async (world) => {
    const ids: string[] = [];
    for (let i = 0; i < 200; i++) ids.push((await world.keep(`content ${i}`)).file.fileId);
    const removing = world.store.trashAll(ids, "deleted");
    for (let scans = 0; scans < 10; scans++) {
      const { unreadable, published, found } = await world.settle();
      assert.deepEqual([unreadable, published, found], [[], [], []]);
    }
    await removing;
    assert.equal(world.store.removals.size.files, 200);
  });
});
