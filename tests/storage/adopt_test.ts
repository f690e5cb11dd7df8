// Files that are here already under another id: shared without a second copy, if they verify.

import assert from "node:assert/strict";
import { StorageError } from "../../storage/errors.ts";
import { bytesOf, namesIn, number, recordOf, sha256, withWorld, type World } from "./fixture.ts";

const LARGE = new Uint8Array(3 * 1024 * 1024).map((_, i) => i * i);

/** Puts content into the store under one id, and returns what is known of it under another. */
async function withTwin(world: World, content: string | Uint8Array) {
  const first = recordOf(content, { name: "first.txt" });
  const intake = world.store.intake();
  intake.write(bytesOf(content) as Uint8Array<ArrayBuffer>);
  await world.store.keep(intake, { file: first, sizeBytes: bytesOf(content).length });
  const second = recordOf(content, { name: "second.txt", owner: "bob", timestamp: "1750000000" });
  return { first, second };
}

for (const [what, content] of [["small", "words"], ["large", LARGE]] as const) {
  Deno.test(`${what} content is held under a second id without a second file, and outlives the first id`, async () => {
    await withWorld(async (world) => {
      const { first, second } = await withTwin(world, content);
      const held = await world.store.adopt(second, [second.timestamp], first.fileId);
      const again = await world.store.adopt(second, [second.timestamp], first.fileId);
      assert.deepEqual(again?.file, held?.file, "once");
      assert.equal(held?.file.name, "second.txt");
      assert.equal(held?.file.sha256, sha256(content));
      assert.equal(held?.sizeBytes, bytesOf(content).length);
      assert.deepEqual(await namesIn(world.dir), ["first.txt"]);
      assert.deepEqual(world.read(second.fileId), bytesOf(content));
      world.crash();
      await world.start();
      assert.deepEqual(world.read(second.fileId), bytesOf(content));
      await world.store.trash(first.fileId, "deleted");
      assert.deepEqual(world.read(second.fileId), bytesOf(content), "the other id still has it");
      assert.equal(world.store.shelf.get(first.fileId), undefined);
    });
  });

  Deno.test(`${what} content that does not verify for an id is not held under it`, async () => {
    await withWorld(async (world) => {
      const { first, second } = await withTwin(world, content);
      const other = { ...second, fileId: sha256("other content", "1750000000") };
      const held = await world.store.adopt(other, [second.timestamp], first.fileId);
      assert.equal(held, undefined);
      assert.equal(
        await world.store.adopt(second, [number("1750000001")], first.fileId),
        undefined,
        "the timestamp is part of the id",
      );
      assert.equal(world.store.shelf.size, 1);
    });
  });

  Deno.test(`${what} content that was changed, removed or deleted meanwhile is an error, and nothing is held`, async () => {
    for (const change of ["edited", "unlinked", "deleted", "never here"]) {
      await withWorld(async (world) => {
        const { first, second } = await withTwin(world, content);
        const path = `${world.dir}/first.txt`;
        if (change === "edited") await Deno.writeTextFile(path, "edited", { append: true });
        if (change === "unlinked") await Deno.remove(path);
        const twin = change === "never here" ? second.fileId : first.fileId;
        const adopting = world.store.adopt(second, [second.timestamp], twin);
        if (change === "deleted" && content === LARGE) {
          await world.store.trash(first.fileId, "deleted");
        } else if (change === "deleted") return await adopting.then(() => {});
        await assert.rejects(adopting, StorageError, change);
        assert.equal(world.store.shelf.get(second.fileId), undefined, change);
      });
    }
  });
}

Deno.test("a file that is kept from elsewhere while it is compared keeps its own file", async () => {
  await withWorld(async (world) => {
    const { first, second } = await withTwin(world, LARGE);
    const adopting = world.store.adopt(second, [second.timestamp], first.fileId);
    const intake = world.store.intake();
    intake.write(LARGE);
    await world.store.keep(intake, { file: second, sizeBytes: LARGE.length, pushed: true });
    const held = await adopting;
    assert.equal(held?.pushed, true);
    assert.equal(world.store.placementOf(second.fileId)?.diskName, "second.txt");
    assert.deepEqual((await namesIn(world.dir)).sort(), ["first.txt", "second.txt"]);
  });
});
