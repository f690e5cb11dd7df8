// Compares the folder with what is known: new files are ours, known content is recognized, changed and missing
// files are no longer held.

import assert from "node:assert/strict";
import { SETTLE_MS } from "../../storage/reconcile.ts";
import { bytesOf, namesIn, number, recordOf, run, sha256, US, withWorld } from "./fixture.ts";

const WRITTEN = 1_700_000_000;
const idsOf = (files: readonly { file: { fileId: string } }[]) =>
  files.map(({ file }) => file.fileId);

Deno.test("a new file becomes ours, with its modification time as the timestamp in its id", async () => {
  await withWorld(async (world) => {
    await world.drop("new.txt", "words", WRITTEN);
    const { published } = await world.settle();
    assert.deepEqual(published.map(({ file }) => file), [{
      fileId: sha256("words", String(WRITTEN)),
      name: "new.txt",
      owner: US,
      timestamp: number(String(WRITTEN)),
      size: 5 / 1024 ** 2,
      sizeBytes: 5,
      sha256: sha256("words"),
    }]);
    assert.deepEqual(world.read(published[0]!.file.fileId), bytesOf("words"));
    const next = await world.settle();
    assert.deepEqual([next.published, next.lost, next.unsettled], [[], [], 0]);
  });
});

Deno.test("fractions of the modification time are not part of the id, but stay on disk", async () => {
  await withWorld(async (world) => {
    await world.drop("new.txt", "words", WRITTEN + 0.75);
    const [file] = (await world.settle()).published;
    assert.equal(file?.file.timestamp.text, String(WRITTEN));
    const { mtime } = await Deno.lstat(`${world.dir}/new.txt`);
    assert.equal(mtime?.getTime(), WRITTEN * 1000 + 750);
  });
});

Deno.test("if the id is known or was deleted, the current second is used", async () => {
  await withWorld(async (world) => {
    world.deleted.add(sha256("words", String(WRITTEN)));
    await world.drop("new.txt", "words", WRITTEN);
    const [file] = (await world.settle()).published;
    assert.equal(file?.file.timestamp.text, String(Math.trunc(world.clockMs / 1000)));
    assert.deepEqual(world.read(file!.file.fileId), bytesOf("words"));
  });
});

Deno.test("two new files of the same content and time get two ids", async () => {
  await withWorld(async (world) => {
    await world.drop("one.txt", "same", WRITTEN);
    await world.drop("two.txt", "same", WRITTEN);
    const { published } = await world.settle();
    assert.equal(new Set(idsOf(published)).size, 2);
    for (const fileId of idsOf(published)) assert.deepEqual(world.read(fileId), bytesOf("same"));
    const next = await world.settle();
    assert.deepEqual([next.published, next.lost], [[], []]);
  });
});

Deno.test("somebody else's file that changes is lost, and is never published as ours", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("original");
    await world.drop("file.txt", "changed!", WRITTEN);
    const { lost, published } = await world.settle();
    assert.deepEqual([lost, published], [[file.fileId], []]);
    assert.deepEqual(world.store.unclaimed, ["file.txt"]);
    await world.stop();
    assert.deepEqual((await world.start()).published, []);
    assert.deepEqual((await world.settle()).published, []);
    assert.equal(world.store.reader(file.fileId), undefined);
    await world.drop("file.txt", "original", WRITTEN + 5);
    assert.deepEqual(
      (await world.settle()).found.length,
      1,
      "back in its old state, it is recognized again",
    );
  });
});

Deno.test("somebody else's file that could not be served is not published as ours either", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("original");
    await world.drop("file.txt", "changed!", WRITTEN);
    world.store.release(file.fileId); // a request came before the next scan of the folder
    assert.deepEqual((await world.settle()).published, []);
    assert.deepEqual(world.holdings(), []);
  });
});

Deno.test("a file of ours that changes is lost under its old id and shared under a new one", async () => {
  await withWorld(async (world) => {
    await world.drop("file.txt", "original", WRITTEN - 10);
    const [file] = (await world.settle()).published.map(({ file }) => file);
    world.known.set(file!.fileId, file!);
    await world.drop("file.txt", "changed!", WRITTEN);
    const { lost, published } = await world.settle();
    assert.deepEqual(lost, [file!.fileId]);
    assert.deepEqual(idsOf(published), [sha256("changed!", String(WRITTEN))]);
    assert.deepEqual(world.owned(US).length, 1);
    assert.equal(world.store.reader(file!.fileId), undefined);
  });
});

Deno.test("a file that was only touched keeps its id and owner", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("original");
    await Deno.utime(`${world.dir}/file.txt`, WRITTEN, WRITTEN);
    assert.equal(world.store.reader(file.fileId), undefined);
    const { lost, published } = await world.settle();
    assert.deepEqual([lost, published], [[], []]);
    assert.deepEqual(world.read(file.fileId), bytesOf("original"));
  });
});

Deno.test("a removed file is lost at the first scan", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    await Deno.remove(`${world.dir}/file.txt`);
    assert.deepEqual((await world.look()).lost, [file.fileId]);
    assert.deepEqual(world.holdings(), []);
    assert.deepEqual((await world.look()).lost, []);
  });
});

Deno.test("a file removed while the peer was stopped is lost at start, and stays lost", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    await world.stop();
    await Deno.remove(`${world.dir}/file.txt`);
    assert.deepEqual((await world.start()).lost, [file.fileId]);
    world.crash();
    assert.deepEqual((await world.start()).lost, []);
    assert.deepEqual(world.holdings(), []);
  });
});

Deno.test("a file that was replaced by a link, a folder or a pipe is lost", async () => {
  await withWorld(async (world) => {
    const path = `${world.dir}/file.txt`;
    const replace: (() => Promise<void>)[] = [
      () => Deno.symlink("/etc/passwd", path),
      () => Deno.mkdir(path),
      () => run("mkfifo", path),
    ];
    for (const [i, put] of replace.entries()) {
      const { file } = await world.keep(`content ${i}`);
      await Deno.remove(path);
      await put();
      const { lost, published } = await world.settle();
      assert.deepEqual([lost, published], [[file.fileId], []]);
      await Deno.remove(path);
    }
  });
});

Deno.test("anything in the folder but a regular file is reported once, with the reason, and again if it returns", async () => {
  await withWorld(async (world) => {
    const path = (name: string) => `${world.dir}/${name}`;
    await Deno.mkdir(path("photos"));
    await Deno.mkdir(path(".git"));
    await Deno.symlink("/etc/passwd", path("passwords"));
    await run("mkfifo", path("pipe"));
    await run("sh", "-c", `touch "$1/$(printf 'caf\\351')"`, "sh", world.dir);
    await Deno.writeTextFile(path("closed"), "x", { mode: 0o000 });
    await Deno.writeTextFile(path("\ufffd.txt"), "a sign that may stand in a name");
    const { passedOver, published } = await world.settle();
    assert.deepEqual(
      new Map(passedOver.map(({ name, what }) => [name, what])),
      new Map([
        ["photos", "a folder"],
        ["passwords", "a link"],
        ["pipe", "not a regular file"],
        ["caf\ufffd", "a name that is not UTF-8"],
        ["closed", "no read permission"],
      ]),
    );
    assert.deepEqual(published.map(({ file }) => file.name), ["\ufffd.txt"]);
    await Deno.remove(path("photos"));
    assert.deepEqual((await world.look()).passedOver, []);
    await Deno.mkdir(path("photos"));
    assert.deepEqual((await world.look()).passedOver, [{ name: "photos", what: "a folder" }]);
  });
});

Deno.test("a file renamed while the peer runs is found again under its id and owner", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    await Deno.rename(`${world.dir}/file.txt`, `${world.dir}/other name.pdf`);
    const { found, published } = await world.settle();
    assert.deepEqual([idsOf(found), published], [[file.fileId], []]);
    assert.deepEqual(world.holdings(), [`alice ${file.fileId}`]);
    assert.deepEqual(world.read(file.fileId), bytesOf("content"));
  });
});

Deno.test("a file renamed while the peer was stopped is found again under its id and owner", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    await world.stop();
    await Deno.rename(`${world.dir}/file.txt`, `${world.dir}/other name.pdf`);
    await world.start();
    await world.settle();
    assert.deepEqual(world.owned(US), []);
    assert.deepEqual(world.holdings(), [`alice ${file.fileId}`]);
    assert.deepEqual(world.read(file.fileId), bytesOf("content"));
  });
});

for (const when of ["runs", "was stopped"]) {
  Deno.test(`two files that swapped names while the peer ${when} keep ids and owners`, async () => {
    await withWorld(async (world) => {
      const one = await world.keep("one", recordOf("one", { name: "1", owner: "alice" }));
      const two = await world.keep("two!", recordOf("two!", { name: "2", owner: "bob" }));
      const before = world.holdings();
      if (when === "was stopped") await world.stop();
      for (const [from, to] of [["1", "x"], ["2", "1"], ["x", "2"]]) {
        await Deno.rename(`${world.dir}/${from}`, `${world.dir}/${to}`);
      }
      if (when === "was stopped") await world.start();
      await world.settle();
      await world.settle();
      assert.deepEqual(world.holdings(), before);
      assert.deepEqual(world.read(one.file.fileId), bytesOf("one"));
      assert.deepEqual(world.read(two.file.fileId), bytesOf("two!"));
    });
  });
}

Deno.test("a file that replaced another is recognized, and the other is lost", async () => {
  await withWorld(async (world) => {
    const one = await world.keep("one", recordOf("one", { name: "1" }));
    const two = await world.keep("two!", recordOf("two!", { name: "2" }));
    await Deno.rename(`${world.dir}/2`, `${world.dir}/1`);
    await world.settle();
    assert.deepEqual(world.holdings(), [`alice ${two.file.fileId}`]);
    assert.equal(world.store.reader(one.file.fileId), undefined);
    assert.deepEqual(world.read(two.file.fileId), bytesOf("two!"));
  });
});

Deno.test("content of a known id is recognized by its name, its size in MiB, and its size in bytes", async () => {
  const about = recordOf("content", { name: "known.txt" });
  const table = [
    { disk: "known.txt", file: { ...about, size: 123 } },
    { disk: "KNOWN.TXT", file: { ...about, size: 0 } },
    { disk: "x", file: { ...about, size: 7 / 1024 ** 2 } },
    { disk: "x", file: { ...about, size: 7 } },
    { disk: "x", file: { ...about, size: 0, sizeBytes: 7 } },
    { disk: "passwd", file: { ...about, size: 0, name: "../etc/passwd" } },
  ];
  for (const { disk, file } of table) {
    await withWorld(async (world) => {
      world.known.set(file.fileId, file);
      await world.drop(disk, "content", WRITTEN);
      const { found, published } = await world.settle();
      assert.deepEqual([idsOf(found), published], [[file.fileId], []], disk);
      assert.deepEqual(world.holdings(), [`alice ${file.fileId}`]);
      assert.equal(found[0]!.file.sizeBytes, 7);
      const { mtime } = await Deno.lstat(`${world.dir}/${disk}`);
      assert.equal(mtime?.getTime(), WRITTEN * 1000, "the person's file keeps its time");
    });
  }
});

Deno.test("one file may be the content of several ids", async () => {
  await withWorld(async (world) => {
    for (const owner of ["alice", "bob"]) {
      const timestamp = owner === "bob" ? "1744169999" : "1744169352";
      const file = recordOf("same", { owner, timestamp });
      world.known.set(file.fileId, file);
    }
    await world.drop("file.txt", "same");
    const { found, published } = await world.settle();
    assert.deepEqual([found.length, published], [2, []]);
    for (const fileId of idsOf(found)) assert.deepEqual(world.read(fileId), bytesOf("same"));
    await Deno.remove(`${world.dir}/file.txt`);
    assert.deepEqual((await world.look()).lost.sort(), idsOf(found).sort());
  });
});

Deno.test("two files of the same content announced by two owners are theirs, and neither is ours", async () => {
  await withWorld(async (world) => {
    const a = recordOf("same", { name: "a.txt", owner: "alice", timestamp: "1744169352" });
    const b = recordOf("same", { name: "b.txt", owner: "bob", timestamp: "1744169999" });
    world.known.set(a.fileId, a).set(b.fileId, b);
    for (const name of ["a.txt", "b.txt"]) await world.drop(name, "same");
    for (let i = 0; i < 3; i++) await world.settle();
    assert.deepEqual(world.owned(US), []);
    for (const { fileId } of [a, b]) assert.deepEqual(world.read(fileId), bytesOf("same"));
  });
});

Deno.test("content that does not match the id of its name is not recognized as that file", async () => {
  await withWorld(async (world) => {
    const known = recordOf("content");
    // Content whose end was moved into a timestamp has the same hash, and must be refused.
    const shifted = {
      ...recordOf("cont"),
      fileId: sha256("content", "1744169352.0"),
      timestamp: number("ent1744169352.0"),
    };
    world.known.set(known.fileId, known).set(shifted.fileId, shifted);
    await world.drop("file.txt", "CONTENT");
    await world.drop("shifted", "cont");
    const { found, published } = await world.settle();
    assert.deepEqual([found, published.length], [[], 2]);
  });
});

Deno.test("a file that is still being written is not taken until it stops changing", async () => {
  await withWorld(async (world) => {
    const nowSeconds = world.clockMs / 1000;
    for (let i = 1; i <= 5; i++) {
      await world.drop("growing", "x".repeat(i), nowSeconds + i);
      const changes = await world.look();
      assert.deepEqual([changes.published, changes.unsettled], [[], 1], `look ${i}`);
      world.clockMs += SETTLE_MS;
    }
    world.clockMs -= SETTLE_MS - 1;
    assert.equal((await world.look()).published.length, 0);
    world.clockMs += SETTLE_MS;
    assert.deepEqual((await world.look()).published.map(({ file }) => file.sizeBytes), [5]);
  });
});

Deno.test("at start, old files are taken at once, and fresh ones once they stop changing", async () => {
  await withWorld(async (world) => {
    world.crash();
    await world.drop("old", "old", WRITTEN);
    await world.drop("fresh", "fresh", world.clockMs / 1000);
    const { published, unsettled } = await world.start();
    assert.deepEqual([published.map(({ file }) => file.name), unsettled], [["old"], 1]);
    const later = await world.settle();
    assert.deepEqual(later.published.map(({ file }) => file.name), ["fresh"]);
  });
});

Deno.test("a name reserved for an incoming file is ignored by the scan", async () => {
  await withWorld(async (world) => {
    const name = world.store.shelf.reserve("coming.txt", () => false);
    await world.drop(name, "half of it");
    assert.deepEqual((await world.settle()).published, []);
    world.store.shelf.release(name);
    assert.equal((await world.settle()).published.length, 1);
  });
});

Deno.test("two concurrent scans publish a file once", async () => {
  await withWorld(async (world) => {
    await world.drop("new.txt", "words", WRITTEN);
    await world.look();
    world.clockMs += SETTLE_MS;
    const both = await Promise.all([world.look(), world.look()]);
    assert.equal(both.flatMap(({ published }) => published).length, 1);
    assert.equal((await namesIn(world.dir)).length, 1);
  });
});
