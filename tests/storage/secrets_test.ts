// What must never be shared by accident: hidden files, our own, links, pipes, sockets, folders. One test for each.

import assert from "node:assert/strict";
import { StorageError } from "../../storage/errors.ts";
import { loadWebToken } from "../../storage/identity.ts";
import { inTempDir, run, withWorld, World } from "./fixture.ts";

/** Puts something into the folder and asserts that neither a running nor a starting peer shares it. */
async function neverShared(put: (world: World) => Promise<void>): Promise<void> {
  await withWorld(async (world) => {
    await put(world);
    // Something to find, so that the scans are known to have happened.
    await world.drop("shared.txt", "shared");
    await world.settle();
    assert.equal((await world.settle()).unsettled, 0, "skipped, not waited for forever");
    const names = () => [...world.store.held()].map(({ file }) => file.name);
    assert.deepEqual(names(), ["shared.txt"]);
    await world.stop();
    await world.start();
    await world.settle();
    assert.deepEqual(names(), ["shared.txt"]);
    await world.save();
    const metadata = JSON.parse(await Deno.readTextFile(world.layout.metadata));
    assert.equal(Object.keys(metadata).length, 1);
  });
}

Deno.test("hidden files are never shared", async () => {
  await neverShared(async (world) => {
    for (const name of [".env", ".ssh", "..two", ".txt", "...", ".p2p-peer.bak"]) {
      await world.drop(name, `secret ${name}`);
    }
  });
});

Deno.test("metadata.json in any case, and damaged copies of it, are never shared", async () => {
  await neverShared(async (world) => {
    const names = ["metadata.json.damaged-2026-11-28T21-40-35.123Z", "Metadata.JSON"];
    for (const name of names) await world.drop(name, `{"${name}": 1}`);
    await world.save();
  });
});

Deno.test("links are never shared, wherever they point", async () => {
  await neverShared(async (world) => {
    await Deno.writeTextFile(`${world.dir}/../secret`, "secret");
    await Deno.symlink("../secret", `${world.dir}/relative`);
    await Deno.symlink("/etc/passwd", `${world.dir}/absolute.txt`);
    await Deno.symlink(`${world.dir}/.p2p-peer/key.json`, `${world.dir}/key`);
    await Deno.symlink("/nowhere", `${world.dir}/dangling`);
    await Deno.symlink("..", `${world.dir}/folder`);
    await Deno.symlink("shared.txt", `${world.dir}/inside`);
  });
});

Deno.test("pipes are never shared, and do not block the peer", async () => {
  await neverShared((world) => run("mkfifo", `${world.dir}/pipe`, `${world.dir}/pipe.txt`));
});

Deno.test("sockets are never shared", async () => {
  await withWorld(async (world) => {
    const listener = Deno.listen({ transport: "unix", path: `${world.dir}/socket` });
    try {
      const { published } = await world.settle();
      assert.deepEqual(published, []);
    } finally {
      listener.close();
    }
  });
});

Deno.test("folders and their contents are never shared", async () => {
  await neverShared(async (world) => {
    await Deno.mkdir(`${world.dir}/folder/deeper`, { recursive: true });
    await Deno.mkdir(`${world.dir}/folder.txt`);
    await world.drop("folder/inside.txt", "secret");
    await world.drop("folder/deeper/inside.txt", "secret");
  });
});

Deno.test("the key, the journal and everything else that is private are never shared", async () => {
  await neverShared(async (world) => {
    await world.store.snapshots.savePeers([]);
    await world.store.snapshots.saveDeleted([]);
    await world.drop(".p2p-peer/history", "typed");
  });
});

Deno.test("a file that turns into a link between two scans is not shared", async () => {
  await withWorld(async (world) => {
    await world.drop("name", "content");
    await world.look();
    await Deno.remove(`${world.dir}/name`);
    await Deno.symlink("/etc/passwd", `${world.dir}/name`);
    assert.deepEqual((await world.settle()).published, []);
  });
});

Deno.test("a name that is not UTF-8 is skipped, and the others are found", async () => {
  await withWorld(async (world) => {
    await run("sh", "-c", `printf x > "$1/$(printf 'a\\377b')"`, "sh", world.dir);
    await world.drop("plain", "content");
    const { published } = await world.settle();
    assert.deepEqual(published.map(({ file }) => file.name), ["plain"]);
  });
});

Deno.test("the identity is created once, and if it cannot be read, the peer does not start", async () => {
  await inTempDir(async (dir) => {
    const world = new World(`${dir}/store`);
    await world.open();
    const { key, webToken } = world.layout;
    const before = world.store.nodeKey;
    const { token } = await loadWebToken(webToken);
    world.crash();
    assert.equal((await world.open()).nodeKey, before);
    world.crash();
    const text = await Deno.readTextFile(key);

    const readTextFile = Deno.readTextFile;
    Deno.readTextFile = (path, options) => {
      if (path !== key && path !== webToken) return readTextFile(path, options);
      const error = Object.assign(new Error("Too many open files (os error 24)"), {
        code: "EMFILE",
      });
      return Promise.reject(error);
    };
    try {
      await assert.rejects(
        world.open(),
        (error) => error instanceof StorageError && error.message.includes(key),
      );
      await assert.rejects(
        loadWebToken(webToken),
        (error) => error instanceof StorageError && error.message.includes(webToken),
      );
    } finally {
      Deno.readTextFile = readTextFile;
    }
    assert.equal(await Deno.readTextFile(key), text, "it is not created again");

    for (const damaged of ["", "{", '{"publicKey":"short"}', text.slice(0, 40)]) {
      await Deno.writeTextFile(key, damaged);
      await assert.rejects(
        world.open(),
        (error) =>
          error instanceof StorageError && error.message.includes(key) &&
          error.message.includes("remove it"),
      );
      assert.equal(await Deno.readTextFile(key), damaged);
    }
    await Deno.writeTextFile(key, text);
    assert.equal((await world.open()).nodeKey, before);
    world.crash();

    await Deno.writeTextFile(webToken, token.slice(0, 20));
    await assert.rejects(
      loadWebToken(webToken),
      (error) => error instanceof StorageError && error.message.includes(webToken),
    );
  });
});

Deno.test("a damaged list of deletions or peers is set aside and reported", async () => {
  await withWorld(async (world) => {
    const { deleted, peers } = world.layout;
    for (const path of [deleted, peers]) await Deno.writeTextFile(path, '{"half');
    assert.deepEqual(await world.store.snapshots.loadDeleted(), []);
    assert.deepEqual(await world.store.snapshots.loadPeers(0), []);
    for (const path of [deleted, peers]) {
      assert.equal(await Deno.readTextFile(`${path}.damaged`), '{"half');
      assert.ok(world.store.notes.some((note) => note.includes(path)), path);
    }
  });
});

Deno.test("the token and the key are not shared, even if somebody asks for it, and what was set aside can be", async () => {
  await withWorld(async (world) => {
    const { layout } = world;
    const push = (path: string) => world.store.publish(path, () => false);
    await Deno.writeTextFile(layout.webToken, "token");
    for (const path of [layout.webToken, layout.key, `${layout.private}/./web-token`]) {
      await assert.rejects(push(path), /is a private file of a peer/, path);
    }
    await Deno.mkdir(layout.damaged, { recursive: true });
    await Deno.writeTextFile(`${layout.damaged}/old.txt`, "content");
    assert.ok((await push(`${layout.damaged}/old.txt`)).isNew);
  });
});
