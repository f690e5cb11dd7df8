// Files that become ours: copied into the store, with an id based on their own time or the current second.

import assert from "node:assert/strict";
import { StorageError } from "../../storage/errors.ts";
import { OwnIds } from "../../storage/ownids.ts";
import { bytesOf, namesIn, run, sha256, US, withWorld, type World } from "./fixture.ts";

const never = () => false;
const WRITTEN = 1_700_000_000;

async function source(world: World, name: string, content: string, seconds = WRITTEN) {
  const path = `${world.dir}/../${name}`;
  await Deno.writeTextFile(path, content);
  await Deno.utime(path, seconds, seconds);
  return path;
}

Deno.test("a published file is ours, has an id based on its own time, and its source stays", async () => {
  await withWorld(async (world) => {
    const path = await source(world, "essay.pdf", "words");
    const { file } = await world.store.publish(path, never);
    assert.deepEqual(file, {
      fileId: sha256("words", String(WRITTEN)),
      name: "essay.pdf",
      owner: US,
      timestamp: { text: String(WRITTEN), quoted: false },
      size: 5 / 1024 ** 2,
      sizeBytes: 5,
      sha256: sha256("words"),
    });
    assert.deepEqual(world.read(file.fileId), bytesOf("words"));
    assert.equal(await Deno.readTextFile(path), "words");
    assert.equal((await Deno.stat(path)).mtime?.getTime(), WRITTEN * 1000);
  });
});

Deno.test("the same content under other names gets the current second, and all files stay", async () => {
  await withWorld(async (world) => {
    const publish = async (name: string) =>
      await world.store.publish(await source(world, name, "same"), never);
    const first = await publish("a.txt");
    const second = await publish("b.txt");
    const third = await publish("c.txt");
    const now = Math.trunc(world.clockMs / 1000);
    assert.equal(first.file.timestamp.text, String(WRITTEN));
    assert.equal(second.file.timestamp.text, String(now));
    assert.equal(second.file.fileId, sha256("same", String(now)));
    assert.equal(new Set([first, second, third].map(({ file }) => file.fileId)).size, 3);
    for (const { file } of [first, second, third]) {
      assert.deepEqual(world.read(file.fileId), bytesOf("same"));
    }
  });
});

Deno.test("the same content published many times at once, by people and from the folder, is a separate file each time", async () => {
  await withWorld(async (world) => {
    await world.drop("dropped.txt", "same");
    await world.drop("dropped too.txt", "same");
    for (const name of ["dropped.txt", "dropped too.txt"]) {
      await Deno.utime(`${world.dir}/${name}`, WRITTEN, WRITTEN);
    }
    const paths = await Promise.all(
      ["a.txt", "b.txt", "c.txt", "d.txt"].map((name) => source(world, name, "same")),
    );
    const [published] = await Promise.all([
      Promise.all(paths.map((path) => world.store.publish(path, never))),
      world.settle(),
    ]);
    await world.settle();
    deepNames(published.map(({ file }) => file.name), ["a.txt", "b.txt", "c.txt", "d.txt"]);
    const held = [...world.store.held()].map(({ file }) => file);
    deepNames(held.map(({ name }) => name), [
      "a.txt",
      "b.txt",
      "c.txt",
      "d.txt",
      "dropped too.txt",
      "dropped.txt",
    ]);
    assert.equal(new Set(held.map(({ fileId }) => fileId)).size, 6);
    for (const { fileId } of held) assert.deepEqual(world.read(fileId), bytesOf("same"));
    // A claim ends with the file: the id of a deleted file is neither shelved nor claimed.
    for (const { fileId } of held) await world.store.trash(fileId, "deleted");
    const again = await world.store.publish(paths[0]!, never);
    assert.equal(again.file.timestamp.text, String(WRITTEN));
  });
});

function deepNames(names: readonly string[], expected: readonly string[]): void {
  assert.deepEqual([...names].sort(), expected);
}

Deno.test("an id that is known or was deleted is not used", async () => {
  await withWorld(async (world) => {
    const path = await source(world, "a.txt", "same");
    const taken = sha256("same", String(WRITTEN));
    const { file } = await world.store.publish(path, (fileId) => fileId === taken);
    assert.equal(file.timestamp.text, String(Math.trunc(world.clockMs / 1000)));
  });
});

Deno.test("a time that cannot be verified or is in the future is replaced by the current second", async () => {
  await withWorld(async (world) => {
    const now = String(Math.trunc(world.clockMs / 1000));
    const strange = [0, 1, 999_999_999, Math.trunc(world.clockMs / 1000) + 86_400];
    for (const [i, seconds] of strange.entries()) {
      const path = await source(world, `${i}.txt`, `content ${i}`, seconds);
      const { file } = await world.store.publish(path, never);
      assert.equal(file.timestamp.text, now, `written at ${seconds}`);
    }
  });
});

Deno.test("our timestamps have no fractions of a second", () => {
  const digestWith = (suffix: string) => sha256("x", suffix);
  const ids = new OwnIds();
  const { fileId, timestamp } = ids.free(digestWith, 1_700_000_000.987, 1_800_000_000, never);
  assert.equal(timestamp.text, "1700000000");
  assert.equal(fileId, sha256("x", "1700000000"));
});

Deno.test("a free id is found, however many are taken", () => {
  const digestWith = (suffix: string) => sha256("x", suffix);
  let asked = 0;
  const isTaken = () => ++asked < 10;
  const { timestamp } = new OwnIds().free(digestWith, 1_700_000_000, 1_800_000_000.5, isTaken);
  assert.equal(timestamp.text, "1800000008");
});

Deno.test("finding an id costs the same for the hundredth and the thousandth file of the same content", () => {
  const steps = (files: number) => {
    const taken = new Set<string>();
    const ids = new OwnIds();
    let asked = 0;
    const isTaken = (fileId: string) => {
      asked++;
      return taken.has(fileId);
    };
    for (let i = 0; i < files; i++) {
      const digestWith = (suffix: string) => sha256("x", suffix);
      taken.add(ids.free(digestWith, 1_700_000_000, 1_800_000_000, isTaken).fileId);
    }
    assert.equal(taken.size, files);
    return asked;
  };
  assert.ok(steps(200) <= 2.1 * steps(100), "twice the files cost twice the steps");
});

Deno.test("anything but a regular file is refused by name, and leaves nothing behind", async () => {
  await withWorld(async (world) => {
    const outside = `${world.dir}/..`;
    await Deno.mkdir(`${outside}/folder`);
    await run("mkfifo", `${outside}/pipe`);
    for (const name of ["missing", "folder", "pipe"]) {
      await assert.rejects(
        world.store.publish(`${outside}/${name}`, never),
        (error) =>
          error instanceof StorageError && error.code === "not-found" &&
          error.message.includes(name),
      );
    }
    assert.deepEqual(await namesIn(world.dir), []);
    assert.deepEqual(world.holdings(), []);
  });
});

Deno.test("an empty file is refused, because no peer could fetch it", async () => {
  await withWorld(async (world) => {
    await assert.rejects(
      world.store.publish(await source(world, "nothing.txt", ""), never),
      (error) => error instanceof StorageError && error.code === "empty",
    );
    assert.deepEqual([await namesIn(world.dir), world.holdings()], [[], []]);
  });
});

Deno.test("publishing the same content under the same name returns the file that is already shared", async () => {
  await withWorld(async (world) => {
    const first = await world.store.publish(await source(world, "essay.pdf", "words"), never);
    const again = await source(world, "essay.pdf", "words", WRITTEN + 1000);
    const second = await world.store.publish(again, never);
    assert.deepEqual([first.isNew, second.isNew], [true, false]);
    assert.equal(second.file.fileId, first.file.fileId);
    assert.deepEqual(await namesIn(world.dir), ["essay.pdf"]);
    const renamed = await world.store.publish(await source(world, "copy.pdf", "words"), never);
    assert.equal(renamed.isNew, true, "another name makes another file");
    await world.drop("essay.pdf", "other");
    const third = await world.store.publish(await source(world, "essay.pdf", "words"), never);
    assert.equal(third.isNew, true, "the earlier file no longer exists");
  });
});

Deno.test("the label is the part after the last slash or backslash", async () => {
  await withWorld(async (world) => {
    const { file } = await world.store.publish(
      await source(world, "back\\slash.txt", "words"),
      never,
    );
    assert.equal(file.name, "slash.txt");
    await world.drop("two\\parts.txt", "more", WRITTEN);
    const [published] = (await world.settle()).published;
    assert.equal(published?.file.name, "parts.txt");
    const before = [...world.store.held()].map(({ file }) => file.name).sort();
    await world.stop();
    await world.start();
    assert.deepEqual([...world.store.held()].map(({ file }) => file.name).sort(), before);
  });
});

Deno.test("hidden files get a visible name when they are published on purpose", async () => {
  await withWorld(async (world) => {
    const path = await source(world, ".env", "key");
    const { file } = await world.store.publish(path, never);
    assert.deepEqual(await namesIn(world.dir), ["env"]);
    assert.deepEqual(world.read(file.fileId), bytesOf("key"));
  });
});
