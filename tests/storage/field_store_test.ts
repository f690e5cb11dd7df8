// The store of a real peer (shared/fixtures/README.md) loads as it is, and the files that it holds are recognized.

import assert from "node:assert/strict";
import { parseMetadata } from "../../storage/metadata.ts";
import { type Changes } from "../../storage/changes.ts";
import { inTempDir, namesIn, sha256, US, World } from "./fixture.ts";

const FIELD_STORE = new URL("../../../shared/fixtures/field_store/", import.meta.url);
const ignore = await Deno.stat(FIELD_STORE).then(() => false, () => true);

/** A copy of that store, opened by a peer of ours. */
async function withFieldStore(
  act: (world: World, first: Changes) => Promise<void>,
): Promise<void> {
  await inTempDir(async (temp) => {
    const world = new World(`${temp}/store`);
    await Deno.mkdir(world.dir);
    for await (const { name } of Deno.readDir(FIELD_STORE)) {
      await Deno.writeFile(`${world.dir}/${name}`, await Deno.readFile(new URL(name, FIELD_STORE)));
    }
    try {
      await act(world, await world.start());
    } finally {
      world.crash();
    }
  });
}

const metadata = () => Deno.readTextFile(new URL("metadata.json", FIELD_STORE));

Deno.test({
  name: "the field store has 22 entries of 16 owners, and 9 are marked as held",
  ignore,
  fn: async () => {
    const { entries, skipped } = parseMetadata(await metadata());
    assert.deepEqual([entries.length, skipped], [22, 0]);
    assert.equal(new Set(entries.map(({ file }) => file.owner)).size, 16);
    assert.equal(entries.filter(({ held }) => held).length, 9);
  },
});

Deno.test({
  name: "the files of the field store are recognized under 13 ids, and none becomes ours",
  ignore,
  fn: async () => {
    await withFieldStore((world, { found, published }) => {
      assert.deepEqual([found.length, published, world.owned(US)], [13, [], []]);
      const marked = world.remembered.filter(({ held }) => held);
      for (const { file } of marked) {
        assert.ok(world.store.placementOf(file.fileId), `${file.name} is marked as held`);
      }
      for (const { file } of world.store.held()) {
        const content = world.read(file.fileId)!;
        const whole = file.timestamp.text.split(".", 1)[0]!;
        const ids = [file.timestamp.text, whole, `${whole}.0`].map((text) => sha256(content, text));
        assert.ok(ids.includes(file.fileId), file.name);
      }
      return Promise.resolve();
    });
  },
});

Deno.test({
  name: "timestamps and owners of the field store are written exactly as they were read",
  ignore,
  fn: async () => {
    await withFieldStore(async (world) => {
      await world.save();
      const facts = (text: string) =>
        new Map(
          parseMetadata(text).entries.map(({ file }) => [
            file.fileId,
            [file.name, file.owner, file.timestamp.text, file.timestamp.quoted],
          ]),
        );
      const text = await Deno.readTextFile(world.layout.metadata);
      assert.deepEqual(facts(text), facts(await metadata()));
      assert.match(text, /"file_timestamp":1744169352\.0,/);
    });
  },
});

Deno.test({
  name:
    "the field store holds the same files after a stop and after a crash, and they stay unchanged",
  ignore,
  fn: async () => {
    await withFieldStore(async (world) => {
      const before = world.holdings();
      const names = await namesIn(world.dir);
      await world.stop();
      const again = await world.start();
      assert.deepEqual([again.published, again.lost, world.holdings()], [[], [], before]);
      world.crash();
      await world.start();
      assert.deepEqual(world.holdings(), before);
      assert.deepEqual(await namesIn(world.dir), names);
      for (const name of names.filter((name) => name !== "metadata.json")) {
        const content = await Deno.readFile(`${world.dir}/${name}`);
        assert.deepEqual(content, await Deno.readFile(new URL(name, FIELD_STORE)), name);
      }
    });
  },
});
