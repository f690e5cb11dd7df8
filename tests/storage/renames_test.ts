// What people do to files in their folder: rename, swap, copy, replace, remove.

import assert from "node:assert/strict";
import { namesIn, recordOf, withWorld } from "./fixture.ts";

const WRITTEN = 1_700_000_000;
const idsOf = (files: readonly { file: { fileId: string } }[]) =>
  files.map(({ file }) => file.fileId);

Deno.test("a renamed file keeps its id and gets its new label, even across a restart", async () => {
  await withWorld(async (world) => {
    await world.drop("draft.txt", "words", WRITTEN);
    const { file: fetched } = await world.keep(
      "theirs",
      recordOf("theirs", { name: "theirs.txt" }),
    );
    const [own] = idsOf((await world.settle()).published);
    await Deno.rename(`${world.dir}/draft.txt`, `${world.dir}/final.txt`);
    await Deno.rename(`${world.dir}/theirs.txt`, `${world.dir}/mine now.txt`);
    const { found, lost, published } = await world.settle();
    assert.deepEqual([lost, published], [[], []]);
    assert.deepEqual(found.map(({ isRenamed }) => isRenamed), [true, true]);
    const names = () => [own!, fetched.fileId].map((id) => world.store.shelf.get(id)?.file.name);
    assert.deepEqual(names(), ["final.txt", "mine now.txt"]);
    await world.stop();
    await world.start();
    assert.deepEqual(names(), ["final.txt", "mine now.txt"]);
  });
});

Deno.test("a rename while the peer was not running is detected too", async () => {
  await withWorld(async (world) => {
    await world.drop("draft.txt", "words", WRITTEN);
    const [own] = idsOf((await world.settle()).published);
    await world.stop();
    await Deno.rename(`${world.dir}/draft.txt`, `${world.dir}/final.txt`);
    const { found, lost } = await world.start();
    assert.deepEqual([lost, idsOf(found)], [[], [own]]);
    assert.equal(world.store.shelf.get(own!)?.file.name, "final.txt");
  });
});

Deno.test("two files that swapped names keep their ids and swap their labels", async () => {
  await withWorld(async (world) => {
    await world.drop("a.txt", "first", WRITTEN);
    await world.drop("b.txt", "second one", WRITTEN);
    await world.settle();
    const ids = world.holdings();
    await Deno.rename(`${world.dir}/a.txt`, `${world.dir}/.c`);
    await Deno.rename(`${world.dir}/b.txt`, `${world.dir}/a.txt`);
    await Deno.rename(`${world.dir}/.c`, `${world.dir}/b.txt`);
    const { lost, published } = await world.settle();
    assert.deepEqual([lost, published], [[], []]);
    assert.deepEqual(world.holdings(), ids);
    const labels = [...world.store.held()].map(({ file, sizeBytes }) => [file.name, sizeBytes]);
    assert.deepEqual(labels.sort(), [["a.txt", 10], ["b.txt", 5]]);
  });
});

Deno.test("a touched file keeps its id while somebody copies it", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    await Deno.utime(`${world.dir}/file.txt`, WRITTEN, WRITTEN);
    await world.drop("a copy.txt", "content", WRITTEN);
    const { lost } = await world.settle();
    assert.deepEqual(lost, []);
    assert.equal(world.store.placementOf(file.fileId)?.diskName, "file.txt");
    assert.deepEqual(world.store.unclaimed, ["a copy.txt"], "a copy of theirs is not ours");
  });
});

Deno.test("a file that a person removed or edited is not fetched back, even after the next start", async () => {
  await withWorld(async (world) => {
    const { file: removed } = await world.keep("removed", recordOf("removed", { name: "r.txt" }));
    const { file: edited } = await world.keep("edited", recordOf("edited", { name: "e.txt" }));
    const { file: kept } = await world.keep("kept", recordOf("kept", { name: "k.txt" }));
    await world.store.sync();
    await Deno.remove(`${world.dir}/r.txt`);
    await world.drop("e.txt", "something else", WRITTEN);
    const { lost, edited: changed } = await world.settle();
    assert.deepEqual(lost.toSorted(), [removed.fileId, edited.fileId].toSorted());
    assert.deepEqual([...changed], [edited.fileId]);
    world.crash(); // no snapshot was written
    await world.start();
    const unwanted = [...world.store.loaded.removed].map(([fileId, { why }]) => [fileId, why]);
    assert.deepEqual(
      unwanted.toSorted(),
      [[removed.fileId, "unwanted"], [edited.fileId, "unwanted"]].toSorted(),
    );
    assert.ok(world.store.shelf.get(kept.fileId));
  });
});

Deno.test("a file removed while the peer was not running is not fetched back either", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("removed");
    await world.stop();
    await Deno.remove(`${world.dir}/file.txt`);
    assert.deepEqual((await world.start()).lost, [file.fileId]);
    world.crash();
    await world.start();
    assert.equal(world.store.loaded.removed.get(file.fileId)?.why, "unwanted");
  });
});

Deno.test("a request that comes before the folder scan does not bring a removed file back", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("removed");
    await Deno.remove(`${world.dir}/file.txt`);
    world.store.release(file.fileId); // it could not be served
    await world.settle();
    world.crash();
    await world.start();
    assert.equal(world.store.loaded.removed.get(file.fileId)?.why, "unwanted");
  });
});

Deno.test("a file of ours that is requested after it changed counts as edited, not removed", async () => {
  await withWorld(async (world) => {
    await world.drop("thesis.txt", "draft", WRITTEN);
    const [old] = idsOf((await world.settle()).published);
    await world.drop("thesis.txt", "final version");
    assert.equal(world.store.release(old!), "changed");
    const { edited, lost, published } = await world.settle();
    assert.deepEqual([[...edited], lost, published.length], [[old], [old], 1]);
    await Deno.remove(`${world.dir}/thesis.txt`);
    assert.equal(world.store.release(published[0]!.file.fileId), "gone");
  });
});

Deno.test("a copy of a file of ours is ours, even if the original was just renamed", async () => {
  await withWorld(async (world) => {
    await world.drop("a.txt", "words", WRITTEN);
    const [own] = idsOf((await world.settle()).published);
    await Deno.rename(`${world.dir}/a.txt`, `${world.dir}/z.txt`);
    await Deno.copyFile(`${world.dir}/z.txt`, `${world.dir}/b.txt`);
    const { found, published, lost } = await world.settle();
    assert.deepEqual([idsOf(found), lost], [[own], []]);
    assert.equal(found[0]!.file.name, "z.txt", "the id stays with the renamed file");
    assert.deepEqual(published.map(({ file }) => file.name), ["b.txt"]);
  });
});

Deno.test("of two files with the same content, the renamed one keeps its id and the edited one loses its own", async () => {
  await withWorld(async (world) => {
    await world.drop("a.txt", "words", WRITTEN);
    await world.drop("b.txt", "words", WRITTEN);
    const { published } = await world.settle();
    const idOf = (name: string) => published.find(({ file }) => file.name === name)!.file.fileId;
    await Deno.rename(`${world.dir}/b.txt`, `${world.dir}/d.txt`);
    await world.drop("a.txt", "other words", WRITTEN + 100);
    const looks = [await world.settle(), await world.settle(), await world.settle()];
    assert.deepEqual(world.store.shelf.idsAt("d.txt"), [idOf("b.txt")]);
    assert.deepEqual(looks.flatMap(({ lost }) => lost), [idOf("a.txt")]);
    assert.deepEqual(looks.flatMap(({ edited }) => [...edited]), [idOf("a.txt")]);
  });
});

Deno.test("a file that keeps changing for minutes is no longer offered", async () => {
  await withWorld(async (world) => {
    await world.drop("log.txt", "one line", WRITTEN);
    const [fileId] = idsOf((await world.settle()).published);
    const answers = new Set<string>();
    for (let second = 0; second < 200 && !answers.has("gone"); second++) {
      await world.drop("log.txt", `${second} lines`);
      world.clockMs += 1_000;
      answers.add(world.store.release(fileId!));
    }
    assert.deepEqual([...answers], ["changed", "gone"]);
  });
});

Deno.test("a removed hard link is lost, and the other name keeps only its own id", async () => {
  await withWorld(async (world) => {
    await world.drop("one.bin", "content", WRITTEN);
    await Deno.link(`${world.dir}/one.bin`, `${world.dir}/two.bin`);
    const { published } = await world.settle();
    const idOf = (name: string) => published.find(({ file }) => file.name === name)!.file.fileId;
    await Deno.remove(`${world.dir}/two.bin`);
    const { lost } = await world.settle();
    assert.deepEqual(lost, [idOf("two.bin")]);
    assert.deepEqual(idsOf([...world.store.held()]), [idOf("one.bin")]);
  });
});

Deno.test("files of a folder that disappeared as a whole may be fetched back: its drive may have been unplugged", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    await Deno.remove(world.dir, { recursive: true });
    const changes = await world.look();
    assert.deepEqual([changes.isRemade, changes.lost], [true, [file.fileId]]);
    await world.stop();
    await world.start();
    assert.deepEqual([...world.store.loaded.removed], []);
  });
});

Deno.test("a file that is fetched again is removed from the trash", async () => {
  await withWorld(async (world) => {
    const { file } = await world.keep("content");
    await world.store.trash(file.fileId, "unwanted");
    assert.deepEqual(world.store.removals.ids(), [file.fileId]);
    await world.keep("content");
    assert.deepEqual(world.store.removals.ids(), []);
    assert.deepEqual(await namesIn(`${world.dir}/.p2p-peer/trash`), []);
  });
});
