// Threat 15 in docs/SECURITY-TESTS.md with many files of the same size, which only their content tells apart: killed with SIGKILL
// while the folder is indexed for the first time, while metadata.json or the journal is written, and during a scan. A file is
// acknowledged once the API has listed it as held; from then on every life has it under the same id and owner.
// P2P_KILLS sets the number of kills, P2P_KILL_FILES the number of files, P2P_KILL_SEED the moments.

import { ok, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { Folder, randomBytes } from "../process/folder.ts";
import { type FileRow, Program } from "../process/program.ts";
import { SANITIZED } from "../process/together.ts";
import { Random } from "../sim/random.ts";
import { foreignFile, type ForeignPeer, pythonStr } from "../wire/foreign.ts";
import { friendOf } from "./life.ts";

const KILLS = Number(Deno.env.get("P2P_KILLS") ?? 5);
const FILES = Number(Deno.env.get("P2P_KILL_FILES") ?? 2_000);
const SEED = Number(Deno.env.get("P2P_KILL_SEED") ?? Math.floor(Math.random() * 2 ** 31));
const NAME = "kashifm";
const FILE_BYTES = 20;
/** Files that are read back after each kill. Reading all would test the disk rather than the store. */
const READ_BACK = 20;
/** Maximum delay of a kill after what it waits for, in milliseconds. */
const LATER_MS = 200;
/** Deadline of an index, in milliseconds. */
const INDEXED_MS = 30_000 + 10 * FILES;

interface World {
  readonly dir: string;
  readonly random: Random;
  readonly friend: ForeignPeer;
  /** Owners of the acknowledged files, by id. */
  readonly acknowledged: Map<string, string>;
  serial: number;
}

/** Starts the peer, and resolves once its API answers: the folder is indexed from then on. */
async function start({ dir, friend }: World): Promise<Program> {
  const args = [NAME, "127.0.0.1", "0", "0", "--bootstrap", `127.0.0.1:${friend.port}`];
  args.push("--auto-fetch", "0", "--min-free", "0", "--push-burst", "1000", "--dir", dir);
  const peer = new Program(args, { cwd: dir.slice(0, dir.lastIndexOf("/")) });
  try {
    const [, tcp] = await peer.waitForLine(/^TCP address: 127\.0\.0\.1:(\d+)\b/);
    const [, http] = await peer.waitForLine(/^HTTP address: http:\/\/127\.0\.0\.1:(\d+)/);
    [peer.port, peer.httpPort] = [Number(tcp), Number(http)];
    await peer.until("the API", () => peer.status().then(() => true, () => false));
    return peer;
  } catch (error) {
    await peer[Symbol.asyncDispose]();
    throw error;
  }
}

/** Drops files of the same size and time into the folder, each under its final name when it is complete. */
function drop(world: World, count: number): void {
  const { dir } = world;
  const temporary = `${dir}/.dropping`;
  for (let i = 0; i < count; i++) {
    Deno.writeFileSync(temporary, randomBytes(FILE_BYTES));
    Deno.utimeSync(temporary, 1_744_170_562, 1_744_170_562);
    Deno.renameSync(temporary, `${dir}/ours-${++world.serial}.bin`);
  }
}

/** Renames files of ours, which a scan has to recognize. */
async function rename(world: World, count: number): Promise<void> {
  const { dir, random } = world;
  const names = (await namesIn(dir)).filter((name) => name.startsWith("ours-"));
  for (const name of random.sample(names, count)) {
    await Deno.rename(`${dir}/${name}`, `${dir}/ours-${++world.serial}.bin`);
  }
}

async function push(world: World, peer: Program): Promise<void> {
  const { friend } = world;
  const name = `theirs-${++world.serial}.bin`;
  const content = randomBytes(FILE_BYTES);
  await friend.push(peer, foreignFile(name, content, friend.peerId, "1744170562"));
}

async function namesIn(dir: string): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir(dir));
  return entries.map(({ name }) => name).filter((name) => /^(ours|theirs)-/.test(name));
}

/** Records some of what the API lists as held, what it learned last first: that is what a kill may take. */
async function note({ acknowledged }: World, peer: Program): Promise<void> {
  const { files } = await peer.api<{ files: FileRow[] }>(
    "files?where=here&sort=-known&limit=1000",
  );
  for (const { file_id: fileId, file_owner: owner } of files) acknowledged.set(fileId, owner);
}

/** What is going on when the process is killed. Each resolves at its moment. */
const MOMENTS: Readonly<Record<string, (world: World, peer: Program) => Promise<void>>> = {
  async index({ random }, peer) {
    const most = random.below(FILES);
    await peer.until("the moment during the index", async () => {
      const status = await peer.status() as { files: { held: number }; indexing: unknown };
      return status.files.held >= most || status.indexing === null;
    }, INDEXED_MS);
  },
  async snapshot(world, peer) {
    const known = await modified(world);
    await indexed(peer);
    drop(world, 1); // or there may be nothing to write down
    await peer.until("a snapshot", async () => {
      return await isWriting(world) || await modified(world) > known;
    }, 60_000);
  },
  async journal(world, peer) {
    await indexed(peer);
    const before = await held(peer);
    const count = 2 + world.random.below(FILES / 10);
    const enough = before + 1 + world.random.below(count - 1);
    for (let i = 0; i < 5; i++) await push(world, peer);
    drop(world, count);
    await peer.until("files to be journaled", async () => await held(peer) >= enough);
  },
  async scan(world, peer) {
    await indexed(peer);
    await rename(world, FILES / 10);
  },
};

async function indexed(peer: Program): Promise<void> {
  await peer.waitForLine(/^\d+ files? here$/, 0, INDEXED_MS);
}

async function held(peer: Program): Promise<number> {
  return (await peer.status() as { files: { held: number } }).files.held;
}

async function modified({ dir }: World): Promise<number> {
  const info = await Deno.stat(`${dir}/metadata.json`).catch(() => undefined); // not written yet
  return info?.mtime?.getTime() ?? 0;
}

/** Returns whether metadata.json or the journal is being written anew. */
async function isWriting({ dir }: World): Promise<boolean> {
  const entries = await Array.fromAsync(Deno.readDir(`${dir}/.p2p-peer/temporary`));
  return entries.some(({ name }) => /^(\d+\.json|journal\.jsonl)$/.test(name));
}

/** Checks everything that was acknowledged, and acknowledges all that is held. */
async function check(world: World, peer: Program): Promise<void> {
  const { dir, acknowledged, random } = world;
  const rows = await peer.files();
  const byId = new Map(rows.map((row) => [row.file_id, row]));
  strictEqual(byId.size, rows.length, "An id is listed twice");
  for (const [fileId, owner] of acknowledged) {
    const row = byId.get(fileId);
    ok(row?.has_copy, `${fileId} of ${owner} is gone`);
    strictEqual(row.file_owner, owner, `${fileId} of ${owner} changed hands`);
  }
  for (const { file_name: name, file_owner: owner } of rows) {
    strictEqual(owner === NAME, name.startsWith("ours-"), `${name} belongs to ${owner}`);
  }
  const here = rows.filter((row) => row.has_copy);
  const names = new Set(here.map((row) => row.file_name));
  strictEqual(names.size, here.length, "One file is held under two ids");
  for (const name of await namesIn(dir)) {
    ok(names.has(name), `${name} is in the folder, but not held`);
  }
  for (const { file_id: fileId, file_timestamp: time } of random.sample(here, READ_BACK)) {
    const sum = createHash("sha256").update(await peer.content(fileId));
    const suffix = pythonStr(String(time));
    strictEqual(sum.update(suffix).digest("hex"), fileId, "Content has changed");
  }
  for (const { file_id: fileId, file_owner: owner } of here) acknowledged.set(fileId, owner);
}

/** Empties the store, so that what follows is a first index again. */
async function renew(world: World): Promise<void> {
  await Deno.remove(world.dir, { recursive: true });
  await Deno.mkdir(world.dir);
  world.acknowledged.clear();
  drop(world, FILES);
}

/** Lets a peer live until the moment, and kills it a little later. */
async function liveAndDie(world: World, moment: string): Promise<void> {
  const { random } = world;
  await using peer = await start(world);
  await MOMENTS[moment]!(world, peer);
  await note(world, peer);
  if (random.chance(0.5)) await new Promise((go) => setTimeout(go, random.between(0, LATER_MS)));
  peer.signal("SIGKILL");
  await peer.exit();
}

/** Starts the peer again and checks it. Half of the time it dies right after, so that journals of several lives add up. */
async function comeBack(world: World): Promise<void> {
  await using peer = await start(world);
  await indexed(peer);
  try {
    await check(world, peer);
  } catch (cause) {
    throw new Error(`${(cause as Error).message}. ${peer.report()}`, { cause });
  }
  await peer.stop(world.random.chance(0.5) ? "SIGKILL" : "SIGTERM");
}

async function killOften(world: World): Promise<void> {
  const happened: string[] = [];
  const moments = Object.keys(MOMENTS);
  try {
    for (let kill = 0; kill < KILLS; kill++) {
      // Each kind of moment has its turn, however few kills there are. An index begins with a new store.
      const moment = moments[kill % moments.length]!;
      if (moment === "index") await renew(world);
      happened.push(moment);
      if (KILLS > 5) console.log(`Kill ${kill + 1} of ${KILLS}, seed ${SEED}: ${moment}`);
      await liveAndDie(world, moment);
      await comeBack(world);
    }
    ok(world.acknowledged.size >= FILES, "Too little was acknowledged, so this proves nothing");
  } catch (cause) {
    throw new Error(
      `Kill ${happened.length} (${happened.slice(-4).join(", ")}): ${(cause as Error).message}\n` +
        `  To replay: P2P_KILL_SEED=${SEED} P2P_KILL_FILES=${FILES} P2P_KILLS=${KILLS} ` +
        `deno test -P=tests tests/threats/kill_many_test.ts`,
      { cause },
    );
  }
}

Deno.test(
  "threat 15: after SIGKILL at any moment of the first index, the snapshot, the journal or a scan, the next start has everything acknowledged with the same ids and owners",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using friend = await friendOf();
    const dir = await folder.folder("store");
    await killOften({
      dir,
      random: new Random(SEED),
      friend,
      acknowledged: new Map(),
      serial: 0,
    });
  },
);
