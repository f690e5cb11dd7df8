// File systems without hard links: nothing is overwritten there either, and the person is told. Tested with
// exfat-fuse on a loop device where the machine has both, as CI does, and with a stand-in for the call everywhere.

import assert from "node:assert/strict";
import { hasHardLinks, nameAgain, placeNew } from "../../storage/placing.ts";
import { bytesOf, inTempDir, namesIn, recordOf, run, withWorld, World } from "./fixture.ts";

/** Runs `act` while `Deno.link` answers like a file system without hard links. */
async function withoutLinks(act: () => Promise<void>): Promise<void> {
  const { link } = Deno;
  Deno.link = () =>
    Promise.reject(
      Object.assign(new Error("Operation not permitted (os error 1)"), { code: "EPERM" }),
    );
  try {
    await act();
  } finally {
    Deno.link = link;
  }
}

/** Everything a store does from its first file to its last, on the file system of `world`. */
async function live(world: World): Promise<void> {
  const { file } = await world.keep("content", recordOf("content", { name: "a.txt" }));
  assert.deepEqual(world.read(file.fileId), bytesOf("content"));
  const same = await world.keep("other", recordOf("other", { name: "a.txt" }));
  assert.deepEqual(world.read(same.file.fileId), bytesOf("other"), "both are there");
  await world.save();
  await world.save();
  assert.ok((await namesIn(world.dir)).includes("metadata.json"));
  await world.store.trash(file.fileId, "unwanted");
  assert.equal(world.store.reader(file.fileId), undefined);
  await world.store.restore(file.fileId);
  assert.deepEqual(world.read(file.fileId), bytesOf("content"), "it came back");
  const { lost, published } = await world.settle();
  assert.deepEqual([lost, published], [[], []]);
  const before = world.holdings();
  await world.stop();
  await world.start();
  assert.deepEqual(world.holdings(), before);
  for (const { file } of world.store.held()) assert.ok(world.read(file.fileId), file.name);
}

Deno.test("without hard links, files are stored, deleted, restored and remembered, and a note says so", async () => {
  await withoutLinks(async () => {
    await withWorld(async (world) => {
      assert.ok(world.store.notes.some((note) => note.includes("hard links")));
      await live(world);
    });
  });
  await withWorld((world) => {
    assert.deepEqual(world.store.notes, [], "no note if there are hard links");
    return Promise.resolve();
  });
});

Deno.test("without hard links, nothing is replaced, and no failure leaves a partial file", async () => {
  await withoutLinks(async () => {
    await inTempDir(async (dir) => {
      await Deno.mkdir(`${dir}/sub`);
      assert.equal(await hasHardLinks(`${dir}/sub`), false);
      assert.deepEqual(await namesIn(`${dir}/sub`), []);
      await Deno.writeTextFile(`${dir}/from`, "new");
      await Deno.writeTextFile(`${dir}/taken`, "old");
      await Deno.writeTextFile(`${dir}/empty`, "");
      await Deno.symlink("/nowhere", `${dir}/link`);
      for (const to of ["taken", "empty", "link", "sub"]) {
        await assert.rejects(
          placeNew(`${dir}/from`, `${dir}/${to}`),
          Deno.errors.AlreadyExists,
          to,
        );
      }
      assert.equal(await Deno.readTextFile(`${dir}/taken`), "old");
      await assert.rejects(placeNew(`${dir}/missing`, `${dir}/to`), Deno.errors.NotFound);
      await assert.rejects(nameAgain(`${dir}/missing`, `${dir}/to`), Deno.errors.NotFound);
      assert.ok(!(await namesIn(dir)).includes("to"), "no placeholder is left");
      await nameAgain(`${dir}/from`, `${dir}/copy`);
      await placeNew(`${dir}/from`, `${dir}/to`);
      const texts = await Promise.all(
        ["copy", "to"].map((name) => Deno.readTextFile(`${dir}/${name}`)),
      );
      assert.deepEqual(texts, ["new", "new"]);
      assert.ok(!(await namesIn(dir)).includes("from"));
    });
  });
});

/** Runs `act` on a new exFAT disk of 64 MiB, through FUSE. Returns false if this machine cannot mount one. */
async function onExfat(act: (dir: string) => Promise<void>): Promise<boolean> {
  const have = async (command: string, ...args: string[]) => {
    try {
      return (await new Deno.Command(command, { args }).output()).success;
    } catch {
      return false; // not installed
    }
  };
  if (!await have("mount.exfat-fuse", "-V") || !await have("losetup", "-f")) return false;
  let isDone = false;
  await inTempDir(async (temp) => {
    const image = `${temp}/disk.img`;
    const dir = `${temp}/mounted`;
    await Deno.mkdir(dir);
    await run("truncate", "-s", "64M", image);
    await run("mkfs.exfat", image);
    const { stdout, success } = await new Deno.Command("losetup", { args: ["-f", "--show", image] })
      .output();
    if (!success) return;
    const device = new TextDecoder().decode(stdout).trim();
    try {
      await run("mount.exfat-fuse", device, dir);
      try {
        await act(dir);
        isDone = true;
      } finally {
        await run("umount", dir);
      }
    } finally {
      await run("losetup", "-d", device);
    }
  });
  return isDone;
}

Deno.test("on a real FUSE disk without hard links, files are stored, deleted, restored and remembered", async () => {
  const isDone = await onExfat(async (dir) => {
    const world = new World(`${dir}/store`);
    try {
      await world.start();
      assert.ok(world.store.notes.some((note) => note.includes("hard links")));
      await live(world);
    } finally {
      world.crash();
    }
  });
  if (!isDone) console.log("skipped: this machine cannot mount exFAT through FUSE");
});
