// Files that people put into the folder: never written to, read once, and noticed when they change under their
// name.

import assert from "node:assert/strict";
import { isBindingTimestamp } from "../../protocol/wire/fileid.ts";

import { bytesOf, namesIn, readsWhile, sha256, withWorld } from "./fixture.ts";

const WRITTEN = 1_700_000_000;
const idsOf = (files: readonly { file: { fileId: string } }[]) =>
  files.map(({ file }) => file.fileId);

/** Everything about a file that a backup program compares. */
async function metaOf(path: string) {
  const { mtime, ctime, ino, mode, size } = await Deno.lstat(path);
  return { mtime: mtime?.getTime(), ctime: ctime?.getTime(), ino, mode, size };
}

Deno.test("a person's files keep their times, whatever they are, and are read once", async () => {
  for (const seconds of [1, 915_148_800, 999_999_999, WRITTEN, 10_413_792_000]) {
    await withWorld(async (world) => {
      await world.drop("old.txt", "words", seconds);
      await world.drop("copy.txt", "words", seconds);
      const before = [await metaOf(`${world.dir}/old.txt`), await metaOf(`${world.dir}/copy.txt`)];
      const { published } = await world.settle();
      assert.equal(published.length, 2, String(seconds));
      for (const { file } of published) {
        assert.ok(isBindingTimestamp(file.timestamp), file.timestamp.text);
        assert.deepEqual(world.read(file.fileId), bytesOf("words"));
      }
      const after = [await metaOf(`${world.dir}/old.txt`), await metaOf(`${world.dir}/copy.txt`)];
      assert.deepEqual(after, before);
      assert.equal(await readsWhile(() => world.settle()), 0, "nothing is read again");
      const ids = world.holdings();
      await world.stop();
      assert.equal(await readsWhile(() => world.start()), 0, "not at the next start either");
      assert.deepEqual(
        world.holdings(),
        ids,
        "ids come from the journal, not from the files' times",
      );
    });
  }
});

Deno.test("two names of one file are hashed once, and stay as they are", async () => {
  await withWorld(async (world) => {
    await world.drop("one.bin", "content", WRITTEN);
    await Deno.link(`${world.dir}/one.bin`, `${world.dir}/two.bin`);
    let published: string[] = [];
    const reads = await readsWhile(async () => published = idsOf((await world.settle()).published));
    assert.equal(reads, 1);
    assert.equal(new Set(published).size, 2, "both names are shared");
    assert.equal(await readsWhile(() => world.settle()), 0);
    for (const fileId of published) assert.deepEqual(world.read(fileId), bytesOf("content"));
  });
});

Deno.test("a file that cannot be read is not retried at every scan", async () => {
  await withWorld(async (world) => {
    await world.drop("bad.bin", "content", WRITTEN);
    const open = Deno.open;
    let tries = 0;
    Deno.open = (path, options) => {
      if (!String(path).endsWith("bad.bin")) return open(path, options);
      tries++;
      return Promise.reject(new Error("Input/output error (os error 5)"));
    };
    try {
      const { unreadable } = await world.settle();
      assert.deepEqual(unreadable.map(({ name }) => name), ["bad.bin"]);
      for (let i = 0; i < 10; i++) await world.look();
      assert.equal(tries, 1);
      world.clockMs += 10_000;
      await world.look();
      assert.equal(tries, 2, "it is retried after a while");
    } finally {
      Deno.open = open;
    }
    world.clockMs += 60_000;
    assert.equal((await world.look()).published.length, 1);
  });
});

Deno.test("replaced content of the same size and time is noticed by its change time or inode", async () => {
  await withWorld(async (world) => {
    await world.drop("file.txt", "original", WRITTEN);
    const [old] = idsOf((await world.settle()).published);
    // Change times have whole seconds.
    const placed = world.store.placementOf(old!)!;
    world.store.shelf.relook("file.txt", {
      ...placed,
      ctimeMs: placed.ctimeMs! - 1000,
      inode: placed.inode,
    });
    await world.drop("file.txt", "replaced", WRITTEN);
    assert.equal(world.store.reader(old!), undefined, "it is not served under the old id");
    const { lost, published } = await world.settle();
    assert.deepEqual([lost, published.length], [[old], 1]);
  });
  await withWorld(async (world) => {
    await world.drop("file.txt", "original", WRITTEN);
    const [old] = idsOf((await world.settle()).published);
    await world.drop(".new", "replaced", WRITTEN);
    await Deno.rename(`${world.dir}/.new`, `${world.dir}/file.txt`);
    assert.equal(world.store.reader(old!), undefined);
    assert.deepEqual((await world.settle()).lost, [old]);
  });
});

Deno.test("a fetched file that changed without a new time is damaged: it is set aside and fetched again", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("original");
    const placed = world.store.placementOf(file.fileId)!;
    const earlier = { ...placed, ctimeMs: placed.ctimeMs! - 1000, inode: placed.inode };
    world.store.shelf.relook("file.txt", earlier);
    await world.drop("file.txt", "0riginal", placed.mtimeMs / 1000);
    const { lost, damaged, published } = await world.settle();
    assert.deepEqual([lost, damaged, published], [[], [file.fileId], []]);
    assert.equal(world.store.reader(file.fileId), undefined);
    assert.equal((await namesIn(world.dir)).includes("file.txt"), false);
    const [kept] = await namesIn(`${world.dir}/.p2p-peer/damaged`);
    assert.equal(await Deno.readTextFile(`${world.dir}/.p2p-peer/damaged/${kept}`), "0riginal");
    assert.deepEqual([...world.store.loaded.removed], [], "it does not count as unwanted");
  });
});

Deno.test("a file whose permissions change keeps its id, and is not reported as lost", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    const placed = world.store.placementOf(file.fileId)!;
    world.store.shelf.relook("file.txt", {
      ...placed,
      ctimeMs: placed.ctimeMs! - 1000,
      inode: placed.inode,
    });
    await Deno.chmod(`${world.dir}/file.txt`, 0o600);
    const { lost, found } = await world.settle();
    assert.deepEqual([lost, idsOf(found)], [[], [file.fileId]]);
    assert.deepEqual(world.read(file.fileId), bytesOf("content"));
  });
});

Deno.test("on a file system with unstable inode numbers, content is read once and served", async () => {
  await withWorld(async (world) => {
    for (const name of ["a", "b", "c"]) {
      await world.drop(`${name}.txt`, `content of ${name}`, WRITTEN);
    }
    await world.settle();
    const renumber = () => {
      for (const { placement } of [...world.store.shelf.all()]) {
        const { diskName, ctimeMs } = placement;
        world.store.shelf.relook(diskName, {
          ...placement,
          ctimeMs,
          inode: placement.inode! + 1_000_000,
        });
      }
    };
    renumber();
    await world.settle(); // the first scan discovers it
    await world.settle();
    renumber();
    assert.equal(await readsWhile(() => world.settle()), 0);
    for (const { file } of world.store.held()) assert.ok(world.read(file.fileId), file.name);
  });
});

Deno.test("empty files and files over the limit are not shared, and the reason is reported", async () => {
  await withWorld(async (world) => {
    await world.drop("empty.txt", "", WRITTEN);
    await world.drop("large.bin", "x".repeat(101), WRITTEN);
    await world.drop("fits.bin", "x".repeat(100), WRITTEN);
    const { published, passedOver } = await world.settle();
    assert.deepEqual(published.map(({ file }) => file.name), ["fits.bin"]);
    assert.deepEqual(passedOver.toSorted((a, b) => a.name < b.name ? -1 : 1), [
      { name: "empty.txt", what: "empty" },
      { name: "large.bin", what: "larger than --max-file-size" },
    ]);
    assert.deepEqual((await world.settle()).passedOver, [], "once");
    await world.drop("empty.txt", "no longer", WRITTEN + 1);
    assert.equal((await world.settle()).published.length, 1);
    await world.drop("fits.bin", "", WRITTEN + 2);
    assert.equal(
      (await world.settle()).lost.length,
      1,
      "a file that became empty is no longer held",
    );
  }, { maxFileBytes: 100 });
});

Deno.test("files with names like ours are a person's own, and hidden files are reported if they stay", async () => {
  await withWorld(async (world) => {
    await world.drop("metadata.jsonl", "rows", WRITTEN);
    await world.drop("metadata.json.bak", "backup", WRITTEN);
    await world.drop(".hidden.txt", "hidden", WRITTEN);
    const { published, passedOver } = await world.settle();
    assert.deepEqual(
      published.map(({ file }) => file.name).sort(),
      ["metadata.json.bak", "metadata.jsonl"],
    );
    assert.deepEqual(passedOver, []);
    world.clockMs += 60_000;
    assert.deepEqual((await world.look()).passedOver, [{ name: ".hidden.txt", what: "hidden" }]);
  });
});

Deno.test("a reader returns the last piece only if the file is still what was opened", async () => {
  await withWorld(async (world) => {
    const content = "x".repeat(1000);
    const { file } = await world.keep(content);
    const path = `${world.dir}/file.txt`;
    const open = () => {
      const reader = world.store.reader(file.fileId)!;
      const first = new Uint8Array(400);
      assert.equal(reader.readInto(first), 400);
      return reader;
    };
    const rest = new Uint8Array(600);
    const removed = open();
    const overwritten = open();
    const ranged = open();
    ranged.seek(100, 100);
    await Deno.rename(path, `${path}.moved`);
    assert.equal(removed.readInto(rest), 600, "a file that was moved away is still the same");
    removed.close();
    await Deno.rename(`${path}.moved`, path);
    await Deno.writeTextFile(path, "y".repeat(1000));
    assert.throws(() => overwritten.readInto(rest), /changed while it was being sent/);
    assert.throws(() => ranged.readInto(new Uint8Array(100)), /changed while it was being sent/);
    overwritten.close();
    ranged.close();
    assert.equal(sha256(content), sha256("x".repeat(1000)));
  });
});
