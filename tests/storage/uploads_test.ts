// Uploads that are kept: how long, how many, what survives a restart, and what a broken folder does.

import assert from "node:assert/strict";
import { StorageError } from "../../storage/errors.ts";
import { MAX_UPLOADS, UPLOAD_MS } from "../../storage/uploads.ts";
import { bytesOf, sha256, withWorld, type World } from "./fixture.ts";

const FILE = { name: "a.bin", modifiedSeconds: 1_700_000_000, totalBytes: 11, isPut: false };

async function add(world: World, id: string, text: string): Promise<void> {
  const intake = await world.store.uploads.open(id);
  intake.write(bytesOf(text) as Uint8Array<ArrayBuffer>);
  world.store.uploads.moved(id);
}

async function restart(world: World): Promise<void> {
  world.crash();
  await world.start();
}

const names = (world: World) => [...Deno.readDirSync(world.layout.uploads)].map(({ name }) => name);

Deno.test("an upload survives a restart with all that was written, and its hash is that of the whole", async () => {
  await withWorld(async (world) => {
    const { id } = world.store.uploads.create(FILE);
    await add(world, id, "hello");
    await restart(world);
    const kept = world.store.uploads.get(id)!;
    assert.deepEqual({ ...kept }, {
      ...FILE,
      id,
      sizeBytes: 5,
      fileId: undefined,
      isBusy: false,
    });
    await add(world, id, " world");
    const intake = await world.store.uploads.open(id);
    assert.equal(intake.digestWith(""), sha256("hello world"));
    const { file } = await world.store.publishIntake(intake, FILE.name, 1_700_000_000, () => false);
    world.store.uploads.completed(id, file.fileId);
    await restart(world);
    assert.equal(world.store.uploads.get(id)?.fileId, file.fileId);
    assert.equal(world.store.uploads.get(id)?.sizeBytes, 11);
    assert.deepEqual(world.store.uploads.pending(), []);
    await assert.rejects(world.store.uploads.open(id), StorageError, "it is complete");
    assert.deepEqual(world.read(file.fileId), bytesOf("hello world"));
  });
});

Deno.test("an upload is kept for a day after its last byte, and no longer", async () => {
  await withWorld(async (world) => {
    const { uploads } = world.store;
    const [a, b] = [uploads.create(FILE), uploads.create(FILE)];
    world.clockMs += UPLOAD_MS - 1000;
    await add(world, b.id, "x");
    world.clockMs += 2000;
    uploads.tidy();
    assert.equal(uploads.get(a.id), undefined);
    assert.ok(uploads.get(b.id));
    assert.deepEqual(names(world).sort(), [b.id, `${b.id}.json`]);
  });
});

Deno.test("there are never too many uploads, and the one that was idle for longest makes space", async () => {
  await withWorld(async (world) => {
    const { uploads } = world.store;
    const ids = Array.from({ length: MAX_UPLOADS }, () => uploads.create(FILE).id);
    await add(world, ids[0]!, "still moving");
    const { id } = uploads.create(FILE);
    assert.equal(uploads.size, MAX_UPLOADS);
    assert.equal(uploads.get(ids[1]!), undefined);
    for (const other of [ids[0]!, id]) assert.ok(uploads.get(other));
    // Files that were closed for others are read again.
    await add(world, ids[2]!, "x");
    assert.equal((await uploads.open(ids[2]!)).digestWith(""), sha256("x"));
    // The last one is being written.
    while (uploads.dropOldest());
    assert.deepEqual(uploads.pending().map((kept) => kept.id), [ids[2]!]);
  });
});

Deno.test("what is in the folder and makes no sense is removed, and links are not followed", async () => {
  await withWorld(async (world) => {
    const { id } = world.store.uploads.create(FILE);
    await add(world, id, "hello");
    const other = "f".repeat(32);
    const dir = world.layout.uploads;
    const outside = `${world.dir}/../outside`;
    Deno.writeTextFileSync(outside, "private");
    world.crash();
    Deno.writeTextFileSync(`${dir}/junk`, "x");
    Deno.writeTextFileSync(`${dir}/${"1".repeat(32)}.json`, `{"file_name":"x"}`); // without content
    Deno.writeTextFileSync(`${dir}/${"2".repeat(32)}`, "without a note");
    Deno.writeTextFileSync(`${dir}/${"3".repeat(32)}.json`, "{");
    Deno.writeTextFileSync(`${dir}/${"3".repeat(32)}`, "x");
    Deno.symlinkSync(outside, `${dir}/${other}`);
    Deno.writeTextFileSync(`${dir}/${other}.json`, `{"file_name":"x"}`);
    Deno.mkdirSync(`${dir}/folder`);
    await world.start();
    assert.deepEqual(names(world).sort(), [id, `${id}.json`]);
    assert.equal(Deno.readTextFileSync(outside), "private");
    assert.equal(world.store.uploads.get(id)?.sizeBytes, 5);
  });
});

Deno.test("an upload that could not fit is refused before anything is sent", async () => {
  await withWorld((world) => {
    world.store.space.freeBytes = () => 10;
    assert.throws(
      () => world.store.uploads.create(FILE),
      (error) => error instanceof StorageError && error.code === "no-space",
    );
    assert.deepEqual(names(world), []);
    return Promise.resolve();
  });
});

Deno.test("what is complete makes way before what is not, and a request that gave up leaves nothing busy", async () => {
  await withWorld(async (world) => {
    const { uploads } = world.store;
    const { id: pending } = uploads.create(FILE);
    await add(world, pending, "hello");
    for (let i = 0; i < MAX_UPLOADS + 5; i++) {
      const { id } = uploads.create(FILE);
      await add(world, id, "x");
      (await uploads.open(id)).close(); // as when it gets its name
      uploads.completed(id, "f".repeat(64));
    }
    assert.equal(uploads.get(pending)?.sizeBytes, 5);
    assert.ok(uploads.size <= MAX_UPLOADS);
    assert.equal(uploads.get(pending)?.isBusy, false);
  });
});

Deno.test("a piece of which a part was written counts for nothing, on the disk either", async () => {
  await withWorld(async (world) => {
    const { uploads } = world.store;
    const { id } = uploads.create(FILE);
    const intake = await uploads.open(id);
    intake.write(bytesOf("hello") as Uint8Array<ArrayBuffer>);
    const { writeSync } = intake.file;
    let calls = 0;
    intake.file.writeSync = (bytes) => {
      if (++calls === 2) throw new Deno.errors.BrokenPipe("the disk is full");
      return writeSync.call(intake.file, bytes.subarray(0, 2));
    };
    assert.throws(() => intake.write(bytesOf(" world") as Uint8Array<ArrayBuffer>), StorageError);
    intake.file.writeSync = writeSync;
    uploads.moved(id);
    assert.equal(uploads.get(id)?.sizeBytes, 5);
    assert.equal(Deno.readTextFileSync(`${world.layout.uploads}/${id}`), "hello");
    await add(world, id, " world");
    const whole = await uploads.open(id);
    assert.equal(whole.digestWith(""), sha256("hello world"));
    assert.equal(Deno.readTextFileSync(`${world.layout.uploads}/${id}`), "hello world");
  });
});
