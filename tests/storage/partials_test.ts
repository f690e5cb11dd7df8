// What is kept of downloads that end early: how much, for how long, and that a kill leaves it too.

import assert from "node:assert/strict";
import { StorageError } from "../../storage/errors.ts";
import { type Assembly, begunOf, MIN_PARTIAL_BYTES } from "../../storage/assembly.ts";
import { MAX_PARTIALS, PARTIAL_MS } from "../../storage/partials.ts";
import { bytesOf, sha256, withWorld, type World } from "./fixture.ts";

const idOf = (text: string) => sha256(text);

/** Receives the beginning of a file in hex, and stops. */
function receive({ store }: World, fileId: string, content: Uint8Array) {
  const intake = store.intake(undefined, fileId);
  intake.write(content);
  return intake;
}

/** Receives parts of a file of this size, and stops. */
function assemble(
  { store }: World,
  fileId: string,
  content: Uint8Array,
  parts: readonly (readonly [number, number])[],
) {
  const assembly = store.assemble(fileId);
  assembly.begin(content.length);
  for (const [start, end] of parts) assembly.write(start, content.subarray(start, end));
  return assembly;
}

async function hashed(assembly: Assembly): Promise<Assembly> {
  await assembly.hashAll([]);
  return assembly;
}

/** Bytes that differ from place to place. */
function contentOf(sizeBytes: number): Uint8Array {
  const content = new Uint8Array(sizeBytes);
  for (let i = 0; i < sizeBytes; i++) content[i] = i + (i >> 8);
  return content;
}

async function namesIn(dir: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(dir))).map(({ name }) => name).sort();
}

const MIB = 1024 ** 2;

Deno.test("parts that arrive in any order are put together, and hashed as if they had come in order", async () => {
  await withWorld(async (world) => {
    const content = contentOf(4 * MIB + 5);
    const fileId = idOf("file");
    const parts = [[2 * MIB, 3 * MIB], [0, 10], [3 * MIB, content.length], [10, 2 * MIB]] as const;
    const assembly = assemble(world, fileId, content, parts);
    assert.equal(assembly.sizeBytes, content.length);
    assert.equal((await hashed(assembly)).digestWith("123"), sha256(content, "123"));
    assembly.close();
    assert.deepEqual(await Deno.readFile(assembly.path), content);
  });
});

Deno.test("what is there is never written again, so that what was hashed is what is on the disk", async () => {
  await withWorld(async (world) => {
    const content = contentOf(2 * MIB);
    const assembly = assemble(world, idOf("file"), content, [[0, MIB], [MIB + 100, MIB + 200]]);
    assembly.write(0, new Uint8Array(MIB).fill(1));
    assembly.write(MIB, content.subarray(MIB));
    assembly.write(MIB + 100, new Uint8Array(100).fill(1));
    assert.equal((await hashed(assembly)).digestWith(""), sha256(content));
    assembly.close();
    assert.deepEqual(await Deno.readFile(assembly.path), content);
  });
});

Deno.test("a download that ended early continues with the parts that are there, also after a kill", async () => {
  for (const how of ["suspended", "killed"] as const) {
    await withWorld(async (world) => {
      const content = contentOf(4 * MIB);
      const fileId = idOf("file");
      const parts = [[0, MIB], [2 * MIB, 3 * MIB]] as const;
      const first = assemble(world, fileId, content, parts);
      if (how === "suspended") world.store.suspend(fileId, first);
      else {
        world.kill();
        first.close(); // as the end of the process does
        await world.start();
      }
      const next = world.store.assemble(fileId);
      assert.deepEqual([next.totalBytes, next.done.spans], [4 * MIB, parts]);
      for (const [start, end] of [[MIB, 2 * MIB], [3 * MIB, 4 * MIB]] as const) {
        next.write(start, content.subarray(start, end));
      }
      assert.equal((await hashed(next)).digestWith("123"), sha256(content, "123"));
      next.abort();
      assert.deepEqual(await namesIn(world.layout.partials), []);
    });
  }
});

Deno.test("the list on the disk lacks little while content comes, and nothing once it was asked for", async () => {
  await withWorld(async (world) => {
    const content = contentOf(4 * MIB);
    const assembly = assemble(world, idOf("file"), content, []);
    const listed = () => begunOf(assembly.path, 4 * MIB).done.bytes;
    for (let at = 0; at < 2 * MIB; at += 10_000) {
      assembly.write(at, content.subarray(at, at + 10_000));
      assert.ok(assembly.done.bytes - listed() < 256 * 1024);
    }
    assembly.write(3 * MIB, content.subarray(3 * MIB, 3 * MIB + 10));
    assert.ok(listed() < assembly.done.bytes, "a few bytes are not worth it");
    assembly.list();
    assert.equal(listed(), assembly.done.bytes);
    const { mtime } = await Deno.stat(`${assembly.path}.json`);
    assembly.list();
    assert.deepEqual((await Deno.stat(`${assembly.path}.json`)).mtime, mtime);
    assembly.abort();
  });
});

Deno.test("the beginning of a download in hex is continued too, also after a kill; other temporary files are gone", async () => {
  await withWorld(async (world) => {
    const fileId = idOf("file");
    const others = world.store.intake();
    others.write(contentOf(2_000_000));
    const intakes = [receive(world, fileId, contentOf(2_000_000)), others];
    world.kill();
    for (const intake of intakes) intake.close();
    await world.start();
    assert.deepEqual(await namesIn(world.layout.temporaries), []);
    const assembly = world.store.assemble(fileId);
    assert.deepEqual([assembly.totalBytes, assembly.done.spans], [undefined, [[0, 2_000_000]]]);
    assert.equal((await hashed(assembly)).digestWith(""), sha256(contentOf(2_000_000)));
    assembly.abort();
  });
});

Deno.test("a list that is damaged, or names more than there is, counts for nothing", async () => {
  const lists = [
    "",
    "{",
    "null",
    `{"size_bytes":3145728,"done":[[0,9999999]]}`,
    `{"size_bytes":3145728,"done":[[-1,5]]}`,
    `{"size_bytes":3145728,"done":[[5,5]]}`,
    `{"size_bytes":1000000,"done":[[0,2000000]]}`,
    `{"done":[[0,3145728]]}`,
  ];
  for (const list of lists) {
    await withWorld(async (world) => {
      const fileId = idOf("file");
      world.store.suspend(fileId, assemble(world, fileId, contentOf(3 * MIB), [[0, 2 * MIB]]));
      await Deno.writeTextFile(`${world.layout.partials}/${fileId}.json`, list);
      const assembly = world.store.assemble(fileId);
      assert.deepEqual(assembly.done.spans, [], list);
      assembly.write(0, bytesOf("new"));
      assert.deepEqual(assembly.done.spans, [[0, 3]]);
      assembly.abort();
    });
  }
});

Deno.test("what continues can start over", async () => {
  await withWorld(async (world) => {
    const fileId = idOf("file");
    world.store.suspend(fileId, assemble(world, fileId, contentOf(3 * MIB), [[0, 2 * MIB]]));
    const assembly = world.store.assemble(fileId);
    assembly.restart();
    assembly.begin(3);
    assembly.write(0, bytesOf("new"));
    assert.equal(assembly.digestWith(""), sha256("new"));
    assembly.close();
    assert.equal(await Deno.readTextFile(assembly.path), "new");
  });
});

Deno.test("a download begins only if there is space for all of it, besides what others still need", async () => {
  await withWorld((world) => {
    const { store } = world;
    store.space.freeBytes = () => 10 * MIB;
    const first = store.assemble(idOf("first"));
    first.begin(6 * MIB);
    const second = store.assemble(idOf("second"));
    const noSpace = (error: unknown) => error instanceof StorageError && error.code === "no-space";
    assert.throws(() => second.begin(5 * MIB), noSpace);
    second.begin(4 * MIB);
    second.abort();
    first.write(0, contentOf(3 * MIB));
    const third = store.assemble(idOf("third"));
    third.begin(7 * MIB);
    const huge = store.assemble(idOf("huge"));
    assert.throws(() => huge.begin(2 * 1024 ** 3), /larger than/);
    for (const each of [first, third, huge]) each.abort();
    return Promise.resolve();
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
    const assembly = store.assemble(fileId);
    assert.equal(assembly.sizeBytes, 2_500_000);
    assembly.close();
  });
});

Deno.test("what was tried again without growing is still the oldest, and goes first", async () => {
  await withWorld(async (world) => {
    const { store } = world;
    for (const text of ["older", "younger"]) {
      store.suspend(idOf(text), assemble(world, idOf(text), contentOf(3 * MIB), [[0, 2 * MIB]]));
      world.clockMs += 1_000;
    }
    store.suspend(idOf("older"), store.assemble(idOf("older")));
    assert.ok(store.partials.dropOldest());
    const names = await namesIn(world.layout.partials);
    assert.deepEqual(names, [idOf("younger"), `${idOf("younger")}.json`]);
  });
});

Deno.test("no byte is written before there is space for it", async () => {
  await withWorld(async (world) => {
    const { store } = world;
    const assembly = assemble(world, idOf("file"), contentOf(2 * MIB), [[0, MIB]]);
    store.space.take = () => {
      throw new StorageError("no-space", "The disk is full");
    };
    assert.throws(() => assembly.write(MIB, new Uint8Array(100).fill(1)), /The disk is full/);
    assert.deepEqual(assembly.done.spans, [[0, MIB]]);
    assert.equal((await Deno.readFile(assembly.path))[MIB], 0);
    assembly.abort();
  });
});

Deno.test("what does not grow is not kept longer for having been tried", async () => {
  await withWorld(async (world) => {
    const { store } = world;
    const fileId = idOf("file");
    store.suspend(fileId, assemble(world, fileId, contentOf(3 * MIB), [[0, 2 * MIB]]));
    world.clockMs += PARTIAL_MS / 2;
    store.suspend(fileId, store.assemble(fileId));
    world.clockMs += PARTIAL_MS / 2;
    await store.tidy();
    assert.equal(store.partials.size, 0);
  });
});

Deno.test("what is being downloaded is not removed, however old it is and whatever space is needed", async () => {
  await withWorld(async (world) => {
    const { store } = world;
    const fileId = idOf("file");
    const assembly = assemble(world, fileId, contentOf(3 * MIB), [[0, 2 * MIB]]);
    world.clockMs += 2 * PARTIAL_MS;
    await store.tidy();
    assert.equal(store.space.makeRoom(), false);
    store.suspend(fileId, receive(world, fileId, contentOf(3 * MIB - 1)));
    assert.deepEqual(await namesIn(world.layout.partials), [fileId, `${fileId}.json`]);
    assembly.abort();
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
    assert.ok(!(await namesIn(world.layout.partials)).includes(idOf("0")), "the oldest went first");
    const { file } = await world.keep("content");
    store.suspend(file.fileId, receive(world, file.fileId, contentOf(MIN_PARTIAL_BYTES)));
    const names = await namesIn(world.layout.partials);
    assert.ok(!names.includes(file.fileId), "held files need no beginning");
  });
});

Deno.test("what was kept survives a restart, in order of age; anything else in its folder is removed", async () => {
  await withWorld(async (world) => {
    for (const text of ["a", "b"]) {
      const fileId = idOf(text);
      world.store.suspend(fileId, receive(world, fileId, contentOf(MIN_PARTIAL_BYTES)));
    }
    await Deno.writeTextFile(`${world.layout.partials}/notes.txt`, "mine");
    await Deno.writeTextFile(`${world.layout.partials}/${idOf("gone")}.json`, "{}");
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

Deno.test("a link in the way of a download is never followed", async () => {
  await withWorld(async (world) => {
    const content = contentOf(3 * MIB);
    const fileId = idOf("file");
    const target = `${world.dir}/precious.txt`;
    await Deno.writeTextFile(target, "precious");
    for (const isKept of [false, true]) {
      if (isKept) world.store.suspend(fileId, assemble(world, fileId, content, [[0, 2 * MIB]]));
      for (
        const path of [
          `${world.layout.partials}/${fileId}`,
          `${world.layout.partials}/${fileId}.json`,
        ]
      ) {
        await Deno.remove(path).catch(() => {});
        await Deno.symlink(target, path);
      }
      const assembly = assemble(world, fileId, content, [[0, 3 * MIB]]);
      assert.equal(assembly.sizeBytes, content.length);
      assert.equal(await Deno.readTextFile(target), "precious");
      assembly.abort();
    }
  });
});

Deno.test("after a kill before anything was listed, nothing counts as there", async () => {
  await withWorld(async (world) => {
    const content = contentOf(3 * MIB);
    const fileId = idOf("file");
    const first = assemble(world, fileId, content, [[0, 1_000]]);
    world.kill();
    first.close();
    await Deno.writeTextFile(
      `${world.layout.partials}/${fileId}.json`,
      JSON.stringify({ size_bytes: content.length, done: [] }),
    );
    await world.start();
    const assembly = world.store.assemble(fileId);
    assert.equal(assembly.sizeBytes, 0, "not the zeros of a sparse file");
    assembly.abort();
  });
});

Deno.test("what is there is given up when the file turns out to be shorter", async () => {
  await withWorld(async (world) => {
    const fileId = idOf("file");
    world.store.suspend(fileId, receive(world, fileId, contentOf(2 * MIB)));
    const assembly = world.store.assemble(fileId);
    assembly.begin(MIB);
    assert.deepEqual(assembly.done.spans, []);
    assembly.write(0, contentOf(MIB));
    assert.equal((await hashed(assembly)).digestWith(""), sha256(contentOf(MIB)));
    assembly.abort();
    return Promise.resolve();
  });
});

Deno.test("for a size that does not fit, nothing is purged and nothing is lost", async () => {
  await withWorld((world) => {
    const { store } = world;
    const fileId = idOf("kept");
    store.suspend(fileId, assemble(world, fileId, contentOf(3 * MIB), [[0, 2 * MIB]]));
    store.space.freeBytes = () => 10 * MIB;
    const other = assemble(world, idOf("other"), contentOf(2 * MIB), [[0, MIB]]);
    assert.throws(() => other.begin(500 * MIB), /is full/);
    assert.throws(() => other.check(500 * MIB), /is full/);
    assert.deepEqual(other.done.spans, [[0, MIB]]);
    assert.equal(store.partials.size, 1);
    other.abort();
    return Promise.resolve();
  });
});
