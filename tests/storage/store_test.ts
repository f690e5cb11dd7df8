// The store: content is served as it was stored, nothing is overwritten, no link is followed.

import assert from "node:assert/strict";
import { StorageError } from "../../storage/errors.ts";
import { bytesOf, inTempDir, namesIn, recordOf, run, withWorld, World } from "./fixture.ts";

const code = (code: StorageError["code"], words: RegExp = /./) => (error: unknown) =>
  error instanceof StorageError && error.code === code && words.test(error.message) &&
  !error.message.includes("\n");

async function temporaries(world: World): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(world.layout.temporaries)) names.push(name);
  return names;
}

Deno.test("a stored file is served byte for byte, under its name and with its time", async () => {
  await withWorld(async (world) => {
    const content = crypto.getRandomValues(new Uint8Array(60_000));
    const { file } = await world.keep(content, recordOf(content, { name: "noise.bin" }));
    assert.deepEqual(world.read(file.fileId), content);
    assert.equal(file.sizeBytes, content.length);
    assert.deepEqual(await Deno.readFile(`${world.dir}/noise.bin`), content);
    const { mtime } = await Deno.lstat(`${world.dir}/noise.bin`);
    assert.equal(mtime?.getTime(), 1_744_169_352_000);
    assert.deepEqual(await temporaries(world), []);
  });
});

Deno.test("a reader returns pieces from any offset, and 0 at the end", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("0123456789");
    const reader = world.store.reader(file.fileId)!;
    try {
      const buffer = new Uint8Array(4);
      reader.seek(8);
      assert.equal(reader.readInto(buffer), 2);
      assert.equal(reader.readInto(buffer), 0);
      reader.seek(0);
      assert.equal(reader.readInto(buffer), 4);
      assert.deepEqual(buffer, bytesOf("0123"));
    } finally {
      reader.close();
    }
    assert.equal(world.store.reader("0".repeat(64)), undefined);
  });
});

Deno.test("two files with the same name and different ids are both stored, even at the same time", async () => {
  await withWorld(async (world) => {
    const contents = ["one", "two", "three", "four"];
    const kept = await Promise.all(contents.map((content) => world.keep(content)));
    for (const [i, { file }] of kept.entries()) {
      assert.deepEqual(world.read(file.fileId), bytesOf(contents[i]!));
    }
    assert.deepEqual(await namesIn(world.dir), [
      "file (2).txt",
      "file (3).txt",
      "file (4).txt",
      "file.txt",
    ]);
  });
});

Deno.test("an existing file is not overwritten", async () => {
  await withWorld(async (world) => {
    await world.drop("file.txt", "a person's own");
    const { file } = await world.keep("from the network");
    assert.equal(await Deno.readTextFile(`${world.dir}/file.txt`), "a person's own");
    assert.deepEqual(world.read(file.fileId), bytesOf("from the network"));
  });
});

Deno.test("a link planted at the target is not followed, whenever it is planted", async () => {
  await withWorld(async (world) => {
    const outside = `${world.dir}/../outside`;
    await Deno.writeTextFile(outside, "precious");
    await Deno.symlink(outside, `${world.dir}/file.txt`);
    await Deno.symlink(`${world.dir}/../nowhere`, `${world.dir}/file (2).txt`);
    // After the free name was chosen, and before anything is there:
    const { shelf } = world.store;
    const reserve = shelf.reserve.bind(shelf);
    let planted = 0;
    shelf.reserve = (label, isOnDisk) => {
      const name = reserve(label, isOnDisk);
      if (planted++ === 0) Deno.symlinkSync(outside, `${world.dir}/${name}`);
      return name;
    };
    const { file } = await world.keep("new content");
    assert.equal(planted, 2);
    assert.equal(await Deno.readTextFile(outside), "precious");
    assert.equal((await Deno.lstat(`${world.dir}/file.txt`)).isSymlink, true);
    await assert.rejects(Deno.lstat(`${world.dir}/../nowhere`), Deno.errors.NotFound);
    assert.deepEqual(world.read(file.fileId), bytesOf("new content"));
    assert.equal(world.store.placementOf(file.fileId)?.diskName, "file (4).txt");
  });
});

Deno.test("a link at metadata.json is replaced, and its target stays as it is", async () => {
  await withWorld(async (world) => {
    const outside = `${world.dir}/../outside.json`;
    await Deno.writeTextFile(outside, "{}");
    await Deno.symlink(outside, world.layout.metadata);
    await world.keep("content");
    for (let i = 0; i < 3; i++) await world.save();
    assert.equal(await Deno.readTextFile(outside), "{}");
    assert.equal((await Deno.lstat(world.layout.metadata)).isFile, true);
  });
});

Deno.test("without free space nothing is received, and existing files stay", async () => {
  await inTempDir(async (temp) => {
    const before = new World(`${temp}/store`);
    await before.start();
    await before.keep("kept");
    await before.stop();
    const metadata = await Deno.readTextFile(before.layout.metadata);
    const world = new World(`${temp}/store`, { minFreeBytes: Number.MAX_SAFE_INTEGER });
    await world.start();
    try {
      assert.ok(world.store.freeBytes() < 0);
      assert.throws(() => world.store.intake(), code("no-space", /--min-free/));
      await assert.rejects(
        world.store.publish(before.layout.metadata, () => false),
        code("no-space", /--min-free/),
      );
      assert.deepEqual(await temporaries(world), []);
      assert.equal(world.holdings().length, 1);
      assert.equal(await Deno.readTextFile(before.layout.metadata), metadata);
    } finally {
      world.crash();
    }
  });
});

Deno.test("while the folder does not exist, no bytes may be written, and asking does not fail", async () => {
  await inTempDir(async (temp) => {
    const world = new World(`${temp}/store`);
    await world.start();
    try {
      assert.ok(world.store.freeBytes() > 0);
      await Deno.remove(world.dir, { recursive: true });
      assert.equal(world.store.freeBytes(), 0);
    } finally {
      world.crash();
    }
  });
});

Deno.test("after a kill that left metadata.json and the last good one as the same file, the next save leaves no second name", async () => {
  await withWorld(async (world) => {
    await world.keep("content");
    await world.save();
    const { metadata, lastGood } = world.layout;
    await Deno.remove(lastGood).catch(() => {}); // the first save creates none
    await Deno.link(metadata, lastGood);
    await world.keep("more");
    await world.save();
    assert.deepEqual(await temporaries(world), []);
    assert.notEqual(await Deno.readTextFile(metadata), await Deno.readTextFile(lastGood));
  });
});

Deno.test("a file that is too large is refused while it arrives, and leaves nothing behind", async () => {
  await withWorld(async (world) => {
    const intake = world.store.intake();
    intake.write(new Uint8Array(600));
    intake.write(new Uint8Array(400));
    assert.throws(() => intake.write(new Uint8Array(1)), code("too-large", /--max-file-size/));
    intake.abort();
    intake.abort();
    const smaller = world.store.intake(10);
    assert.throws(() => smaller.write(new Uint8Array(11)), code("too-large"));
    smaller.abort();
    assert.deepEqual(await temporaries(world), []);
  }, { maxFileBytes: 1000 });
});

Deno.test("content that starts over is hashed and stored from its new beginning", async () => {
  await withWorld(async (world) => {
    const intake = world.store.intake();
    intake.write(bytesOf("a long beginning that was wrong"));
    intake.restart();
    intake.write(bytesOf("right"));
    const file = recordOf("right");
    assert.equal(intake.digestWith("1744169352.0"), file.fileId);
    await world.store.keep(intake, { file, sizeBytes: intake.sizeBytes });
    assert.deepEqual(world.read(file.fileId), bytesOf("right"));
  });
});

Deno.test("content that cannot be stored is an error, and leaves neither a file nor a held entry", async () => {
  await withWorld(async (world) => {
    await world.keep("earlier");
    const { shelf } = world.store;
    const reserve = shelf.reserve.bind(shelf);
    shelf.reserve = (label, isOnDisk) => `missing-folder/${reserve(label, isOnDisk)}`;
    await assert.rejects(world.keep("later"), (error) => error instanceof StorageError);
    shelf.reserve = reserve;
    assert.equal(world.holdings().length, 1);
    assert.deepEqual(await temporaries(world), []);
    world.crash();
    await world.start();
    assert.deepEqual(world.owned("alice").map(({ fileId }) => fileId), [
      recordOf("earlier").fileId,
    ]);
  });
});

Deno.test("a file changed, replaced or removed behind the store's back is not served", async () => {
  await withWorld(async (world) => {
    const path = `${world.dir}/file.txt`;
    const { file } = await world.keep("content");
    await Deno.utime(path, 1, 1);
    assert.equal(world.store.reader(file.fileId), undefined, "other time");
    await Deno.utime(path, 1_744_169_352, 1_744_169_352);
    assert.deepEqual(world.read(file.fileId), bytesOf("content"));
    await Deno.writeTextFile(path, "longer content");
    await Deno.utime(path, 1_744_169_352, 1_744_169_352);
    assert.equal(world.store.reader(file.fileId), undefined, "other size");
    await Deno.remove(path);
    assert.equal(world.store.reader(file.fileId), undefined, "gone");
    // A link with the size and time of the file itself.
    await Deno.writeTextFile(`${world.dir}/../keys`, "secrets");
    await Deno.symlink("../keys", path);
    await run("touch", "-h", "-d", "@1744169352", path);
    assert.equal((await Deno.lstat(path)).size, "content".length);
    assert.equal(world.store.reader(file.fileId), undefined, "a link");
  });
});

Deno.test("with full durability the journal marks a file as safe at once, otherwise after a sync", async () => {
  for (const durability of ["full", "normal"] as const) {
    await withWorld(async (world) => {
      await world.keep("content");
      const unsynced = async () => (await world.store.journal.read())!.unsynced.size;
      assert.equal(await unsynced(), durability === "full" ? 0 : 1, durability);
      await world.store.sync();
      assert.equal(await unsynced(), 0);
    }, { durability });
  }
});
