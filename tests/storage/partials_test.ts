// What is kept of downloads that end early: how much, for how long, and that a kill leaves it too.

import assert from "node:assert/strict";
import { MAX_PARTIALS, MIN_PARTIAL_BYTES, PARTIAL_MS } from "../../storage/partials.ts";
import { bytesOf, sha256, withWorld, type World } from "./fixture.ts";

const idOf = (text: string) => sha256(text);

/** Receives this much of a file, and stops. */
function receive({ store }: World, fileId: string, content: Uint8Array) {
  const intake = store.intake(undefined, fileId);
  intake.write(content);
  return intake;
}

function contentOf(sizeBytes: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length: sizeBytes }, (_, i) => (i * seed + (i >> 8)) | 0);
}

async function namesIn(dir: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(dir))).map(({ name }) => name).sort();
}

Deno.test("a download that ended early continues where it stopped, and hashes as if it had not", async () => {
  await withWorld(async (world) => {
    const content = contentOf(3 * MIN_PARTIAL_BYTES);
    const fileId = idOf("file");
    world.store.suspend(fileId, receive(world, fileId, content.subarray(0, 2_000_000)));
    const intake = await world.store.resume(fileId);
    assert.equal(intake?.sizeBytes, 2_000_000);
    intake.write(content.subarray(2_000_000));
    assert.equal(intake.digestWith("123"), sha256(content, "123"));
    intake.close();
    assert.deepEqual(await Deno.readFile(intake.path), content);
    assert.equal(await world.store.resume(fileId), undefined, "it is taken only once");
  });
});

Deno.test("what continues can start over", async () => {
  await withWorld(async (world) => {
    const fileId = idOf("file");
    world.store.suspend(fileId, receive(world, fileId, contentOf(2_000_000)));
    const intake = (await world.store.resume(fileId))!;
    intake.restart();
    intake.write(bytesOf("new"));
    assert.equal(intake.digestWith(""), sha256("new"));
    intake.close();
    assert.equal(await Deno.readTextFile(intake.path), "new");
  });
});

Deno.test("after a kill, a download continues; other temporary files are gone", async () => {
  await withWorld(async (world) => {
    const fileId = idOf("file");
    const others = world.store.intake();
    others.write(contentOf(2_000_000));
    const intakes = [receive(world, fileId, contentOf(2_000_000)), others];
    world.kill();
    for (const intake of intakes) intake.close(); // as the end of the process does
    await world.start();
    assert.deepEqual(await namesIn(world.layout.temporaries), []);
    const intake = await world.store.resume(fileId);
    assert.equal(intake?.digestWith(""), sha256(contentOf(2_000_000)));
    intake?.abort();
  });
});

Deno.test("little is not kept, more replaces less, and less does not replace more", async () => {
  await withWorld(async (world) => {
    const { store } = world;
    store.suspend(idOf("little"), receive(world, idOf("little"), contentOf(MIN_PARTIAL_BYTES - 1)));
    assert.equal(store.partials.size, 0);
    const fileId = idOf("file");
    const sizes = [1_500_000, 2_500_000, 1_200_000];
    const intakes = sizes.map((size) => receive(world, fileId, contentOf(size)));
    for (const intake of intakes) store.suspend(fileId, intake);
    assert.deepEqual(await namesIn(world.layout.temporaries), []);
    const intake = (await store.resume(fileId))!;
    assert.equal(intake.sizeBytes, 2_500_000);
    intake.close();
  });
});

Deno.test("what was kept goes after a day, when space is needed, when there is too much, and once the file is here", async () => {
  await withWorld(async (world) => {
    const { store } = world;
    const keep = (text: string) =>
      store.suspend(idOf(text), receive(world, idOf(text), contentOf(MIN_PARTIAL_BYTES)));
    keep("old");
    world.clockMs += PARTIAL_MS / 2;
    keep("younger");
    world.clockMs += PARTIAL_MS / 2;
    await store.tidy();
    assert.deepEqual(await namesIn(world.layout.partials), [idOf("younger")]);
    assert.ok(store.space.makeRoom());
    assert.deepEqual(await namesIn(world.layout.partials), []);
    for (let i = 0; i <= MAX_PARTIALS; i++) keep(`${i}`);
    assert.equal((await namesIn(world.layout.partials)).length, MAX_PARTIALS);
    assert.equal(await store.resume(idOf("0")), undefined, "the oldest went first");
    const { file } = await world.keep("content");
    store.suspend(file.fileId, receive(world, file.fileId, contentOf(MIN_PARTIAL_BYTES)));
    assert.equal(await store.resume(file.fileId), undefined, "held files need no beginning");
  });
});

Deno.test("what was kept survives a restart, in order of age; anything else in its folder is removed", async () => {
  await withWorld(async (world) => {
    for (const text of ["a", "b"]) {
      const fileId = idOf(text);
      world.store.suspend(fileId, receive(world, fileId, contentOf(MIN_PARTIAL_BYTES)));
    }
    await Deno.writeTextFile(`${world.layout.partials}/notes.txt`, "mine");
    await Deno.symlink("/etc/hostname", `${world.layout.partials}/${idOf("c")}`);
    const now = world.clockMs / 1000;
    await Deno.utime(`${world.layout.partials}/${idOf("a")}`, now, now);
    await Deno.utime(`${world.layout.partials}/${idOf("b")}`, now - 60, now - 60);
    world.kill();
    await world.start();
    assert.deepEqual(await namesIn(world.layout.partials), [idOf("a"), idOf("b")].sort());
    world.store.partials.dropOldest();
    assert.deepEqual(await namesIn(world.layout.partials), [idOf("a")]);
  });
});
