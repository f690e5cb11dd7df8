// Threat 15 in docs/SECURITY-TESTS.md: killed with SIGKILL at random moments, again and again, while files are pushed, fetched,
// dropped in, and deleted. Whatever was acknowledged before a kill still holds after it. Sometimes metadata.json or the
// journal is damaged as well. P2P_KILLS sets the number of kills, P2P_KILL_SEED the moments.

import { ok } from "node:assert/strict";
import { Folder } from "../process/folder.ts";
import { SANITIZED, together } from "../process/together.ts";
import { Random } from "../sim/random.ts";
import {
  Acknowledged,
  check,
  disturb,
  friendOf,
  leftovers,
  note,
  snapshotted,
  start,
  type World,
} from "./life.ts";

const KILLS = Number(Deno.env.get("P2P_KILLS") ?? 200);
const SEED = Number(Deno.env.get("P2P_KILL_SEED") ?? Math.floor(Math.random() * 2 ** 31));
/** Maximum lifetime after startup, in milliseconds. */
const LIFE_MS = 500;
/** Maximum pause between two actions, in milliseconds. */
const PAUSE_MS = 80;
/** Maximum number of journal lines of a store with few files, however often it is killed. */
const MOST_JOURNAL_LINES = 1_500;

type Damage = (path: string, random: Random) => Promise<void>;

async function change(path: string, how: (bytes: Uint8Array) => Uint8Array): Promise<void> {
  const bytes = await Deno.readFile(path).catch(() => undefined); // it may not exist yet
  if (bytes && bytes.length > 0) await Deno.writeFile(path, how(bytes));
}

const DAMAGES: Readonly<Record<string, Damage>> = {
  cut: (path, random) => change(path, (bytes) => bytes.subarray(0, random.below(bytes.length))),
  emptied: (path) => change(path, () => new Uint8Array(0)),
  "bit-flipped": (path, random) =>
    change(path, (bytes) => {
      bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
      return bytes;
    }),
  older: (path) => Deno.copyFile(olderOf(path), path).catch(() => {}), // there may be no older copy yet
};

/** Where an older copy is kept: outside the folder, where it would count as a user's file. */
const olderOf = (path: string) => path.replace(/\/(?:\.p2p-peer\/)?([^/]+)$/, "-$1.older");

/** Damages one of the two files, never both, because each is rebuilt from the other. */
async function damage({ dir, random }: World): Promise<string> {
  const paths = [`${dir}/metadata.json`, `${dir}/.p2p-peer/journal.jsonl`];
  const path = random.pick(paths);
  const how = random.pick(Object.keys(DAMAGES));
  await DAMAGES[how]!(path, random);
  for (const each of paths) {
    if (random.chance(0.3)) await Deno.copyFile(each, olderOf(each)).catch(() => {}); // it may not exist yet
  }
  return `${path.slice(dir.length + 1)} ${how}`;
}

async function liveAndDie(world: World, isDamaged: boolean): Promise<void> {
  const { random } = world;
  const since = new Date();
  await using peer = await start(world);
  await check(world, peer);
  // A temporary link to metadata.json, with its old times, may be about to be renamed. Leftovers stay.
  await peer.until("temporary files from an earlier life to be removed", async () => {
    return (await leftovers(world, since)).length === 0;
  });
  const endMs = performance.now() + random.between(0, LIFE_MS);
  while (performance.now() < endMs) {
    await disturb(world, peer);
    note(world);
    await new Promise((go) => setTimeout(go, random.between(0, PAUSE_MS)));
  }
  note(world);
  if (isDamaged) await snapshotted(world);
  peer.signal("SIGKILL");
  await peer.exit();
  // What arrived between the snapshot and the kill may be recorded only in the file that gets damaged.
  if (isDamaged) world.friend.received.splice(0);
  note(world);
}

async function killOften(kills: number, seed: number): Promise<void> {
  await using folder = await Folder.make();
  await using friend = await friendOf();
  const dir = await folder.folder("store");
  const acknowledged = new Acknowledged();
  const world: World = { dir, random: new Random(seed), friend, acknowledged, serial: 0 };
  const happened: string[] = [];
  try {
    for (let life = 0; life < kills; life++) {
      const isDamaged = world.random.chance(0.25);
      await liveAndDie(world, isDamaged);
      happened.push(isDamaged ? await damage(world) : "a kill");
    }
    await using peer = await start(world);
    await check(world, peer);
    const lines = (await Deno.readTextFile(`${dir}/.p2p-peer/journal.jsonl`)).split("\n").length;
    ok(lines < MOST_JOURNAL_LINES, `The journal has ${lines} lines after ${kills} kills`);
    ok(acknowledged.held.size > 0, "Nothing was ever acknowledged, so this proves nothing");
  } catch (cause) {
    const text = cause instanceof Error ? cause.message : String(cause);
    throw new Error(
      `Life ${happened.length}, after ${happened.slice(-3).join(", ")}: ${text}\n` +
        `  To replay: P2P_KILL_SEED=${SEED} deno test -A tests/threats/kill_test.ts`,
      { cause },
    );
  }
}

Deno.test(
  `threat 15: after ${KILLS} kills at random moments, everything acknowledged is present and verifies`,
  SANITIZED,
  async () => {
    // Two stores at a time, for two processors.
    await together([0, 1].map((n) => killOften(Math.ceil(KILLS / 2), SEED + n)));
  },
);
