// Measures how long an honest GOSSIP waits for its GOSSIP_REPLY during attacks, and how much memory that takes.
// Each case runs a real process. The honest peer uses a new name and a new port for each sample, because one originator is
// answered only a few times a minute, however many names it has. Leave a minute between two runs: the flood leaves thousands of
// ports in TIME_WAIT, and while they last a connection may not come about. `deno task bench attack [samples]` prints one line per case, with ratios to the quiet case.

import { memoryMib } from "../tests/hostile/gauge.ts";
import { Raw, shout } from "../tests/hostile/raw.ts";
import { HostileServer } from "../tests/hostile/server.ts";
import { Folder } from "../tests/process/folder.ts";
import { Content } from "../tests/process/raw.ts";
import { Program } from "../tests/process/program.ts";
import { until } from "../tests/until.ts";

const samples = Number(Deno.args[1] ?? 400);
const PAUSE_MS = 10;
const LARGE_MIB = 1024;
/** Raises the limits that would otherwise cut off the measurement rather than the attack. */
const MEASURABLE = ["--max-peers", "100000", "--max-peers-per-address", "100000"]
  .concat("--replies-per-minute", "1000000", "--unproven-dials-per-minute", "1000000");

const sleep = (ms: number) => new Promise((go) => setTimeout(go, ms));

/** Measures the milliseconds from each GOSSIP to its GOSSIP_REPLY, and resolves to them in ascending order. */
async function latencies(program: Program): Promise<number[]> {
  const took: number[] = [];
  for (let i = 0; i < samples; i++) {
    let isAnswered = false;
    await using us = await HostileServer.start((_socket, message) => {
      if (message?.type === "GOSSIP_REPLY") isAnswered = true;
    });
    const began = performance.now();
    const id = crypto.randomUUID();
    const names = { peerId: `honest-${id}`, host: "127.0.0.1", port: us.port };
    await shout(program, { type: "GOSSIP", id, ...names });
    await answered(() => isAnswered);
    took.push(performance.now() - began);
    await sleep(PAUSE_MS);
  }
  return took.sort((a, b) => a - b);
}

/** Checks on every turn of the event loop. `until` checks every 20 ms, longer than the times measured here. */
async function answered(isThere: () => boolean): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!isThere()) {
    if (performance.now() > deadline) {
      throw new Error("An honest gossip was not answered within 30 s");
    }
    await new Promise((go) => setImmediate(go));
  }
}

type Attack = (program: Program, folder: Folder, signal: AbortSignal) => Promise<void>;

/** Keeps 256 silent connections open from four addresses, replacing each one that is closed. */
const stalled: Attack = async (program, _folder, signal) => {
  const from = [2, 3, 4, 5].map((n) => `127.0.0.${n}`);
  let open: Raw[] = [];
  while (!signal.aborted) {
    open = open.filter((raw) => !raw.isClosed && !raw.ended);
    open.push(...await Raw.openMany(program, 256 - open.length, from));
    await sleep(100);
  }
  for (const raw of open) raw.close();
};

/** Sends a thousand garbage messages per second, each on its own connection. */
const flooded: Attack = async (program, _folder, signal) => {
  const began = performance.now();
  for (let sent = 0; !signal.aborted;) {
    const due = (performance.now() - began) - sent;
    for (let i = 0; i < Math.min(due, 50); i++, sent++) {
      shout(program, `rubbish ${sent}`, { from: "127.0.0.6" }).catch(() => {}); // being refused is the point
    }
    await sleep(1);
  }
};

/** Transfers 1 GiB in and 1 GiB out at the same time, from a source and to a sink. */
const streaming: Attack = async (program, folder, signal) => {
  const limits = ["--auto-fetch", "all", "--min-free", "0", "--gossip-interval", "1"];
  const start = (name: string) =>
    Program.peer(name, ["--bootstrap", program.address, ...limits], { cwd: folder.path });
  await using _source = await start("source");
  await using _sink = await start("sink");
  await until("the end of the measurement", () => signal.aborted, 600_000);
};

async function measure(name: string, attack: Attack | undefined, quiet?: number[]) {
  await using folder = await Folder.make();
  if (attack === streaming) {
    for (const owner of ["kashifm", "source"]) {
      const dir = await folder.folder(`storage_${owner}`);
      await new Content(LARGE_MIB).writeTo(`${dir}/large.bin`);
      await Deno.utime(`${dir}/large.bin`, 1_744_170_562, 1_744_170_562);
    }
  }
  const args = ["--no-bootstrap", "--min-free", "0", "--auto-fetch", "all", ...MEASURABLE];
  await using program = await Program.peer("kashifm", args, { cwd: folder.path });
  if (attack === streaming) {
    await program.until("the large file", async () => (await program.files()).length === 1);
  }
  const beforeMib = await memoryMib(program.pid);
  const ending = new AbortController();
  const attacking = attack?.(program, folder, ending.signal);
  if (attacking) await sleep(500);
  const took = await latencies(program);
  ending.abort();
  await attacking;
  await sleep(2_000);
  const afterMib = await memoryMib(program.pid);
  const at = (share: number) => took[Math.min(took.length - 1, Math.floor(share * took.length))]!;
  const ratio = (share: number) =>
    quiet ? ` (${(at(share) / quiet[Math.floor(share * quiet.length)]!).toFixed(1)}x)` : "";
  console.log(
    `${name}: p50 ${at(0.5).toFixed(1)} ms${ratio(0.5)}, p99 ${at(0.99).toFixed(1)} ms${
      ratio(0.99)
    }, ` + `memory ${beforeMib.toFixed(0)} MiB before, ${afterMib.toFixed(0)} MiB after`,
  );
  return took;
}

const quiet = await measure("quiet", undefined);
await measure("256 stalled connections", stalled, quiet);
await measure("1,000 garbage messages per second", flooded, quiet);
await measure("1 GiB in and 1 GiB out", streaming, quiet);
Deno.exit(0);
