// When a file in the folder counts as complete: after it has not changed for a while, which is longer the more
// often it changed before.

import assert from "node:assert/strict";
import { LAST_QUIET_MS, SETTLE_MS } from "../../storage/looks.ts";
import { US, withWorld, World } from "./fixture.ts";

/** Appends every `everyMs` and scans as often as the service does. Returns how many versions were published. */
async function append(world: World, times: number, everyMs: number): Promise<number> {
  let versions = 0;
  const until = async (untilMs: number) => {
    for (;;) {
      const { published, againMs } = await world.look();
      versions += published.length;
      const nextMs = world.clockMs + Math.max(50, Math.min(againMs ?? 1_500, 1_500));
      if (nextMs > untilMs) break;
      world.clockMs = nextMs;
    }
    world.clockMs = untilMs;
  };
  let text = "";
  for (let i = 0; i < times; i++) {
    text += `line ${i}\n`;
    await Deno.writeTextFile(`${world.dir}/log.txt`, text);
    await Deno.utime(`${world.dir}/log.txt`, world.clockMs / 1000, world.clockMs / 1000);
    await until(world.clockMs + everyMs);
  }
  await until(world.clockMs + 2 * LAST_QUIET_MS);
  assert.equal(world.owned(US).length, 1);
  assert.equal(world.owned(US)[0]!.sizeBytes, text.length, "in the end it is shared completely");
  return versions;
}

Deno.test("a file that is written with pauses is shared a few times, not once per pause", async () => {
  for (
    const [times, everyMs, most] of [[5, 1_000, 2], [100, 1_000, 2], [12, 3_000, 3], [30, 500, 2]]
  ) {
    await withWorld(async (world) => {
      const versions = await append(world, times!, everyMs!);
      assert.ok(versions <= most!, `${versions} versions of ${times} appends, ${everyMs} ms apart`);
    });
  }
});

Deno.test("a file that is written without pauses waits no longer at its end than any other", async () => {
  await withWorld(async (world) => {
    for (let i = 1; i <= 40; i++) {
      await world.drop("large.bin", "x".repeat(i * 100));
      assert.deepEqual((await world.look()).published, []);
      world.clockMs += SETTLE_MS / 2;
    }
    await world.look();
    world.clockMs += SETTLE_MS;
    assert.equal((await world.look()).published.length, 1);
  });
});

Deno.test("a file must stay unchanged for at most a minute, and its pauses are forgotten after ten", async () => {
  await withWorld(async (world) => {
    for (let i = 0; i < 12; i++) {
      await world.drop("notes.txt", `version ${i}`, world.clockMs / 1000);
      const { againMs } = await world.look();
      assert.ok(againMs !== undefined && againMs <= LAST_QUIET_MS, `${againMs} ms`);
      world.clockMs += againMs;
      assert.equal((await world.look()).published.length, 1, `version ${i}`);
    }
    world.clockMs += 11 * 60_000;
    await world.look();
    await world.drop("notes.txt", "much later");
    const { againMs } = await world.look();
    assert.ok(againMs! <= 2_000, `${againMs} ms after a quiet time`);
  });
});
