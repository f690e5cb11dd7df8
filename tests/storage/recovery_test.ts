// Damage to what the store remembers (THREATS 15): the same ids and owners come back, nobody else's file is
// published as ours, and damaged files are set aside. Each damage is followed by two starts.

import assert from "node:assert/strict";
import fc from "fast-check";
import { bytesOf, inTempDir, namesIn, recordOf, US, World } from "./fixture.ts";

type Damage = (world: World) => Promise<void>;

const WRITTEN = 1_700_000_000;

/**
 * What a network leaves behind: files of others, two files of the same name, one of ours, and one that is not here.
 */
async function fill(world: World): Promise<void> {
  await world.keep("first", recordOf("first", { name: "a.txt", owner: "alice" }));
  await world.keep("second", recordOf("second", { name: "b.txt", owner: "bob" }));
  await world.keep("third!", recordOf("third!", { name: "b.txt", owner: "carol" }));
  for (const [owner, timestamp] of [["alice", "1744169352"], ["bob", "1744169999"]] as const) {
    await world.keep("same", recordOf("same", { name: "twin.txt", owner, timestamp }));
  }
  await world.drop("ours.txt", "our own words", WRITTEN);
  await world.settle();
  const elsewhere = recordOf("not here", { name: "c.txt", owner: "dave", timestamp: "1744160000" });
  world.known.set(elsewhere.fileId, elsewhere);
  await world.save();
  await Deno.copyFile(world.layout.metadata, `${world.dir}/../older.json`);
  await world.save();
  // The second-to-last snapshot does not know of this one.
  await world.keep("latest", recordOf("latest", { name: "d.txt", owner: "erin" }));
  await world.save();
}

/** Fills a store, ends it by a stop or a crash, damages it, and starts twice. */
async function survives(
  damage: Damage,
  check: (world: World, before: readonly string[]) => Promise<void> | void,
): Promise<void> {
  for (const end of ["stop", "crash"] as const) {
    await inTempDir(async (temp) => {
      const world = new World(`${temp}/store`);
      try {
        await world.start();
        await fill(world);
        const before = world.holdings();
        if (end === "stop") await world.stop();
        else world.crash();
        await damage(world);
        for (const nth of ["first", "second"]) {
          await world.start();
          await world.settle();
          await world.settle();
          try {
            await check(world, before);
          } catch (cause) {
            throw new Error(`${nth} start after a ${end}: ${(cause as Error).message}`, { cause });
          }
          if (nth === "first" && end === "stop") await world.stop();
          else world.crash();
        }
      } finally {
        world.crash();
      }
    });
  }
}

function comesBack(world: World, before: readonly string[]): void {
  assert.deepEqual(world.holdings(), before);
  for (const { file } of world.store.held()) {
    assert.ok(world.read(file.fileId), `${file.name} is not served`);
  }
}

function nothingStolen(world: World, before: readonly string[]): void {
  const ours = world.owned(US).map(({ owner, fileId }) => `${owner} ${fileId}`);
  for (const each of ours) assert.ok(before.includes(each), `published as ours: ${each}`);
}

async function change(path: string, edit: (bytes: Uint8Array) => Uint8Array): Promise<void> {
  await Deno.writeFile(path, edit(await Deno.readFile(path)));
}

const half = (bytes: Uint8Array) => bytes.subarray(0, bytes.length >> 1);
const nothing = () => new Uint8Array();

const METADATA: Readonly<Record<string, Damage>> = {
  "metadata.json is truncated": ({ layout }) => change(layout.metadata, half),
  "metadata.json is emptied": ({ layout }) => change(layout.metadata, nothing),
  "metadata.json is full of zeros": ({ layout }) => change(layout.metadata, (b) => b.fill(0)),
  "metadata.json is not UTF-8": ({ layout }) =>
    change(layout.metadata, (bytes) => {
      bytes.fill(0xff, 40, 60);
      return bytes;
    }),
  "metadata.json is replaced with an older one": ({ dir, layout }) =>
    Deno.copyFile(`${dir}/../older.json`, layout.metadata),
  "metadata.json is an empty list": ({ layout }) => Deno.writeTextFile(layout.metadata, "[]"),
  "metadata.json is removed": ({ layout }) => Deno.remove(layout.metadata),
};

const JOURNAL: Readonly<Record<string, Damage>> = {
  "the journal is truncated within a line": ({ layout }) => change(layout.journal, half),
  "the journal is truncated between lines": ({ layout }) =>
    change(layout.journal, (bytes) => {
      const lines = new TextDecoder().decode(bytes).split("\n");
      return new TextEncoder().encode(lines.slice(0, lines.length >> 1).join("\n") + "\n");
    }),
  "the journal has lost its beginning": ({ layout }) =>
    change(layout.journal, (bytes) => {
      const lines = new TextDecoder().decode(bytes).split("\n");
      return new TextEncoder().encode(lines.slice(lines.length >> 1).join("\n"));
    }),
  "the journal is emptied": ({ layout }) => change(layout.journal, nothing),
  "the journal is removed": ({ layout }) => Deno.remove(layout.journal),
  "the journal has a flipped bit in every line": ({ layout }) =>
    change(layout.journal, (bytes) => {
      for (let i = 1; i < bytes.length; i++) if (bytes[i - 1] === 10) bytes[i]! ^= 4;
      return bytes;
    }),
};

const LAST_GOOD: Readonly<Record<string, Damage>> = {
  "the last good metadata is removed": ({ layout }) => Deno.remove(layout.lastGood),
  "the last good metadata is damaged": ({ layout }) => change(layout.lastGood, half),
};

for (const [name, damage] of Object.entries({ ...METADATA, ...JOURNAL, ...LAST_GOOD })) {
  Deno.test(`when ${name}, the same ids and owners come back`, async () => {
    await survives(damage, comesBack);
  });
}

for (const [name, damage] of Object.entries(METADATA)) {
  Deno.test(`when ${name} and the last good one is gone, the journal restores everything`, async () => {
    await survives(async (world) => {
      await damage(world);
      await Deno.remove(world.layout.lastGood);
    }, comesBack);
  });
}

for (const name of ["metadata.json is truncated", "metadata.json is removed"]) {
  Deno.test(`when ${name}, files known but not held come back from the last good one`, async () => {
    await survives(METADATA[name]!, (world) => {
      const owners = [...world.known.values()].map(({ owner, name }) => `${owner} ${name}`);
      assert.ok(owners.includes("dave c.txt"), owners.join());
    });
  });
}

/** Both metadata files may be damaged at once, as after a power failure that left them empty. */
for (const [journal, damage] of Object.entries(JOURNAL)) {
  Deno.test(`when ${journal}, and metadata.json and the last good one are emptied, nobody else's file becomes ours`, async () => {
    await survives(async (world) => {
      await change(world.layout.metadata, nothing);
      await change(world.layout.lastGood, nothing);
      await damage(world);
    }, nothingStolen);
  });
}

Deno.test("when metadata.json and the journal are both older ones, the last good one still knows the owners", async () => {
  await survives(async ({ layout }) => {
    await Deno.copyFile(layout.metadata, layout.lastGood);
    await Deno.writeTextFile(layout.metadata, "{}");
    const lines = (await Deno.readTextFile(layout.journal)).split("\n");
    await Deno.writeTextFile(layout.journal, lines.filter((line) => line !== "")[0] + "\n");
  }, nothingStolen);
});

Deno.test("when everything the store remembered is gone except its key, nothing is published as ours", async () => {
  await survives(async ({ layout }) => {
    for (const path of [layout.metadata, layout.lastGood, layout.journal]) await Deno.remove(path);
  }, nothingStolen);
});

/** Damage that can be detected. If a file was swapped or removed, nobody can know that there was more. */
const VISIBLE = ["metadata.json is truncated", "metadata.json is emptied"];

for (const metadata of VISIBLE) {
  for (const [journal, damage] of Object.entries(JOURNAL)) {
    Deno.test(`when ${metadata} and ${journal}, nobody else's file is published as ours`, async () => {
      await survives(async (world) => {
        await METADATA[metadata]!(world);
        await damage(world);
      }, nothingStolen);
    });
  }
}

for (
  const journal of [
    "the journal is truncated within a line",
    "the journal has a flipped bit in every line",
  ]
) {
  for (const metadata of ["metadata.json is removed", "metadata.json is an empty list"]) {
    Deno.test(`when ${metadata}, the last good one is removed, and ${journal}, nobody else's file is published as ours`, async () => {
      await survives(async (world) => {
        await METADATA[metadata]!(world);
        await Deno.remove(world.layout.lastGood);
        await JOURNAL[journal]!(world);
      }, nothingStolen);
    });
  }
}

Deno.test("when only the files are left, and the rest was damaged, none is published as ours", async () => {
  await survives(async (world) => {
    await METADATA["metadata.json is truncated"]!(world);
    await Deno.remove(world.layout.journal);
    await Deno.remove(world.layout.lastGood);
  }, (world, before) => {
    // What the intact lines of metadata.json say is proved by the content.
    const held = world.holdings();
    assert.deepEqual(held.filter((each) => !before.includes(each)), []);
    assert.deepEqual(held.filter((each) => each.startsWith(US)), []);
    const names = [...world.store.shelf.names(), ...world.store.unclaimed];
    assert.deepEqual(names.sort(), [
      "a.txt",
      "b (2).txt",
      "b.txt",
      "d.txt",
      "ours.txt",
      "twin (2).txt",
      "twin.txt",
    ]);
  });
});

Deno.test("damaged metadata is set aside unchanged, once, and a note says so", async () => {
  await inTempDir(async (temp) => {
    const world = new World(`${temp}/store`);
    await world.start();
    await fill(world);
    await world.stop();
    await METADATA["metadata.json is truncated"]!(world);
    const damaged = await Deno.readTextFile(world.layout.metadata);
    await world.start();
    const aside = async () =>
      (await namesIn(world.dir)).filter((name) => name.startsWith("metadata.json.damaged-"));
    const [name, ...others] = await aside();
    assert.ok(name && others.length === 0, `set aside: ${name}, ${others}`);
    assert.equal(await Deno.readTextFile(`${world.dir}/${name}`), damaged);
    assert.match(world.store.notes.join("\n"), /metadata\.json was damaged.*damaged-/);
    await world.stop();
    await world.start();
    assert.deepEqual([await aside(), world.store.notes], [[name], []]);
    world.crash();
  });
});

Deno.test("any flipped bit in metadata.json or the journal leaves the held files unchanged", async () => {
  await inTempDir(async (temp) => {
    const origin = new World(`${temp}/store`);
    await origin.start();
    await fill(origin);
    const before = origin.holdings();
    await origin.stop();
    const paths = [origin.layout.metadata, origin.layout.journal];
    const good = await Promise.all(paths.map((path) => Deno.readFile(path)));
    const flip = fc.record({
      which: fc.nat(1),
      where: fc.double({ max: 0.999, min: 0, noNaN: true }),
      bit: fc.nat(7),
    });
    await fc.assert(
      fc.asyncProperty(flip, async ({ which, where, bit }) => {
        for (const [i, path] of paths.entries()) await Deno.writeFile(path, good[i]!);
        await change(paths[which]!, (bytes) => {
          bytes[Math.floor(where * bytes.length)]! ^= 1 << bit;
          return bytes;
        });
        const world = new World(origin.dir);
        try {
          await world.start();
          comesBack(world, before);
        } finally {
          world.crash();
        }
      }),
      { numRuns: 60 },
    );
  });
});

Deno.test("files that were there before the damage become ours only by being pushed again", async () => {
  await inTempDir(async (temp) => {
    const world = new World(`${temp}/store`);
    await Deno.mkdir(world.dir);
    await world.drop("theirs.txt", "whose?", WRITTEN);
    await Deno.writeTextFile(world.layout.metadata, '{"damaged');
    await world.start();
    await world.settle();
    assert.deepEqual([world.holdings(), world.store.unclaimed], [[], ["theirs.txt"]]);
    await world.drop("new.txt", "ours", WRITTEN);
    await world.settle();
    assert.deepEqual(world.owned(US).map(({ name }) => name), ["new.txt"]);
    // Somebody announces the file: it is recognized, and theirs.
    const file = recordOf("whose?", { name: "theirs.txt", owner: "alice" });
    world.known.set(file.fileId, file);
    await world.settle();
    assert.deepEqual([world.owned("alice").length, world.store.unclaimed], [1, []]);
    assert.deepEqual(world.read(file.fileId), bytesOf("whose?"));
    world.crash();
  });
});

Deno.test("a start that ends before the first scan does not make other owners' files ours", async () => {
  await inTempDir(async (temp) => {
    const world = new World(`${temp}/store`);
    await Deno.mkdir(world.dir);
    await world.drop("theirs.txt", "whose?", WRITTEN);
    await Deno.writeTextFile(world.layout.metadata, '{"damaged');
    // As when the port is in use: the store is opened and closed again.
    await world.open();
    world.crash();
    await world.start();
    await world.settle();
    assert.deepEqual(world.owned(US), []);
    world.crash();
  });
});
