// Measures what many files cost the real program: starting, resting, stopping, being killed, and handing them to another peer.
// Whatever is compared is measured in the same run, because on a noisy machine ratios are stable and seconds are not.
// `deno task bench many [--quick] [files]` prints a line of JSON per figure, then all of them as a Markdown table. Everything happens
// on 127.0.0.1, in a temporary folder that is removed at the end, and every wait has a deadline.

import { HostileServer } from "../tests/hostile/server.ts";
import { shout } from "../tests/hostile/raw.ts";
import { Folder, randomBytes } from "../tests/process/folder.ts";
import { Program } from "../tests/process/program.ts";
import { Random } from "../tests/sim/random.ts";
import { until } from "../tests/until.ts";

const isQuick = Deno.args.includes("--quick");
const [, filesText] = Deno.args.filter((word) => word !== "--quick");
const FILES = Number(filesText ?? (isQuick ? 10_000 : 100_000));
const FILE_BYTES = 4096;
const MIB = 1024 * 1024;
const LARGE_MIB = isQuick ? 128 : 1024;
/** Files that a second peer fetches. */
const FETCHED = Math.min(FILES, isQuick ? 2_000 : 10_000);
/** Files of the pair that the pair with all of them is compared with. */
const FEW = 100;
/** Starts on a fresh folder, each next to `sha256sum` of the same files. */
const ROUNDS = isQuick ? 1 : 2;
/** Rest before memory is read, in milliseconds. */
const REST_MS = isQuick ? 5_000 : 30_000;
/** Time over which the CPU of a resting process is measured, in milliseconds. */
const IDLE_MS = 10_000;
/** The same for a pair of peers, which is measured twice. */
const PAIR_MS = isQuick ? 4_000 : 30_000;
/** Rest before that, in which a pair finishes telling each other what it has, and writes that down. */
const PAIR_REST_MS = isQuick ? 1_000 : 75_000;
/** Pause between two probes of a process whose answers are timed, in milliseconds. */
const PROBE_MS = 20;
/** Pause between two looks at the progress of a process that is timed, so that looking costs it little. */
const LOOK_MS = 50;
/** The same between two gossips, so that they last as long as the index does. */
const GOSSIP_MS = isQuick ? 5 : 50;
/** Peers that gossip, and how often each is answered without a pause. */
const [ASKERS, ASKED_AT_ONCE] = [40, 5];
const DEADLINE_MS = 600_000;
const ALONE = ["--no-bootstrap", "--auto-fetch", "0", "--min-free", "0", "--log-level", "ERROR"];
/** Raises the limits that would cut off the measurement of answers. */
const MEASURABLE = ["--max-peers", "100000", "--max-peers-per-address", "100000"]
  .concat("--replies-per-minute", "1000000", "--unproven-dials-per-minute", "1000000");

const sleep = (ms: number) => new Promise((go) => setTimeout(go, ms));
const seconds = (sinceMs: number) => (performance.now() - sinceMs) / 1000;
const round = (value: number) => Number(value.toPrecision(3));

type Values = Readonly<Record<string, number | string>>;
const rows: (readonly [what: string, values: Values])[] = [];

function report(what: string, values: Values): void {
  const rounded = Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      typeof value === "number" ? round(value) : value,
    ]),
  );
  rows.push([what, rounded]);
  console.log(JSON.stringify({ what, ...rounded }));
}

function printTable(): void {
  console.log(`\n| ${FILES.toLocaleString("en-US")} files of 4 KiB | |\n|---|---|`);
  for (const [what, values] of rows.toSorted(([a], [b]) => a[0]! < b[0]! ? -1 : 1)) {
    const cells = Object.entries(values).map(([name, value]) => `${name}: ${value}`);
    console.log(`| ${what} | ${cells.join("; ")} |`);
  }
}

/** Reads a file of /proc through `cat`, which may read what this program may not. */
async function proc(pid: number, name: string): Promise<string> {
  const { stdout } = await new Deno.Command("cat", { args: [`/proc/${pid}/${name}`] }).output();
  return new TextDecoder().decode(stdout);
}

async function memoryMib(pid: number, field: "VmHWM" | "VmRSS"): Promise<number> {
  const [, kib] = new RegExp(`${field}:\\s+(\\d+)`).exec(await proc(pid, "status")) ?? [];
  return Number(kib) / 1024;
}

async function cpuSeconds(pid: number): Promise<number> {
  const fields = (await proc(pid, "stat")).replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Returns the CPU seconds per second that the processes use together over this time. */
async function cpuShare(pids: readonly number[], ms: number): Promise<number> {
  const all = async () => {
    const each = await Promise.all(pids.map(cpuSeconds));
    return each.reduce((sum, value) => sum + value, 0);
  };
  const [began, before] = [performance.now(), await all()];
  await sleep(ms);
  return (await all() - before) / seconds(began);
}

/** Runs a command to its end and returns the seconds it took. */
async function timed(command: string): Promise<number> {
  const began = performance.now();
  const { success } = await new Deno.Command("sh", { args: ["-c", command] }).output();
  if (!success) throw new Error(`Failed: ${command}`);
  return seconds(began);
}

const hashAll = (dir: string) =>
  timed(`find ${dir} -maxdepth 1 -type f -print0 | xargs -0 sha256sum > /dev/null`);

/** Writes files of the same size that differ, last modified long ago, so that nothing waits for them to settle. */
function fill(dir: string, count: number): void {
  for (let i = 0; i < count; i++) {
    const path = `${dir}/file-${i}.bin`;
    Deno.writeFileSync(path, randomBytes(FILE_BYTES));
    Deno.utimeSync(path, 1_744_170_562, 1_744_170_562);
  }
}

async function writeLarge(path: string): Promise<void> {
  {
    using file = await Deno.open(path, { write: true, create: true });
    for (let i = 0; i < LARGE_MIB; i++) file.writeSync(randomBytes(MIB));
  }
  await Deno.utime(path, 1_744_170_562, 1_744_170_562);
}

/** Removes what the program wrote, so that the next start is a first one. */
async function forget(dir: string): Promise<void> {
  await Deno.remove(`${dir}/metadata.json`).catch(() => {}); // a killed process may not have written it
  await Deno.remove(`${dir}/.p2p-peer`, { recursive: true });
}

interface Status {
  readonly files: { readonly known: number; readonly held: number };
  readonly indexing: { readonly files_done: number } | null;
}

interface Started {
  readonly program: Program;
  readonly beganMs: number;
  /** Seconds until the HTTP API answered. */
  readonly answers: number;
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

async function statusOf(program: Program): Promise<Status> {
  return await program.status() as unknown as Status;
}

/** Starts a peer, and resolves once its API answers, which is asked for all the time. */
async function start(
  name: string,
  dir: string,
  args: readonly string[] = ALONE,
): Promise<Started> {
  const httpPort = freePort();
  const beganMs = performance.now();
  const words = [name, "127.0.0.1", "0", `${httpPort}`, "--dir", dir, ...args];
  const program = new Program(words, { cwd: dir });
  program.httpPort = httpPort;
  try {
    const isThere = () => program.status().then(() => true, () => false);
    while (!await isThere()) {
      if (!program.isRunning || seconds(beganMs) > 60) throw new Error(program.report());
      await sleep(2);
    }
    return { program, beganMs, answers: seconds(beganMs) };
  } catch (error) {
    await program[Symbol.asyncDispose]();
    throw error;
  }
}

/** Returns how long the event loop was busy at most while the folder was indexed. */
async function longestBlockMs(program: Program): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${program.httpPort}/metrics`);
  const [, value] = /^p2p_longest_block_seconds (\S+)$/m.exec(await response.text()) ?? [];
  return 1000 * Number(value);
}

/** Resolves once the peer lists this many files as held, to the seconds since its start. */
async function listed({ program, beganMs }: Started, count: number): Promise<number> {
  const isListed = async () => (await statusOf(program)).files.held >= count;
  await until(`${count} files`, isListed, DEADLINE_MS);
  return seconds(beganMs);
}

/** Resolves once the peer holds this many files and has looked at the whole folder, to the seconds since its start. */
async function held({ program, beganMs }: Started, count: number, pauseMs = LOOK_MS) {
  for (;;) {
    const { files, indexing } = await statusOf(program);
    if (files.held >= count && indexing === null) return seconds(beganMs);
    if (seconds(beganMs) * 1000 > DEADLINE_MS) {
      throw new Error(`${files.held} of ${count} files. ${program.report()}`);
    }
    await sleep(pauseMs);
  }
}

/** Returns p50, p99 and the maximum of times in milliseconds. */
function spread(times: readonly number[]): Values {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, share * sorted.length | 0)] ?? 0;
  return { samples: sorted.length, "p50 ms": at(0.5), "p99 ms": at(0.99), "max ms": at(1) };
}

/** A peer that gossips and waits for each reply. */
async function asker(): Promise<AsyncDisposable & { ask(program: Program): Promise<number> }> {
  const peerId = `asks-${crypto.randomUUID()}`;
  let reply = Promise.withResolvers<void>();
  const server = await HostileServer.start((socket, message) => {
    if (message?.type === "GOSSIP_REPLY") reply.resolve();
    socket.end();
  });
  return {
    async ask(program) {
      reply = Promise.withResolvers<void>();
      const began = performance.now();
      const names = { peerId, host: "127.0.0.1", port: server.port };
      const id = crypto.randomUUID();
      await shout(program, { type: "GOSSIP", id, ...names });
      const late = setTimeout(() => reply.reject(new Error("A gossip was not answered")), 30_000);
      await reply.promise;
      clearTimeout(late);
      return performance.now() - began;
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** Times answers for as long as the first index takes. */
async function askWhileIndexing(started: Started): Promise<void> {
  const { program } = started;
  program.port = Number(await portOf(started));
  const [get, gossip]: [number[], number[]] = [[], []];
  let isOver = false;
  const gossiping = (async () => {
    await using made = new AsyncDisposableStack();
    const askers = [];
    // Few, because each is told of every new file, which is not what is measured here.
    for (let i = 0; i < ASKERS; i++) askers.push(made.use(await asker()));
    for (let i = 0; !isOver && i < ASKERS * ASKED_AT_ONCE; i++) {
      gossip.push(await askers[i % ASKERS]!.ask(program));
      await sleep(GOSSIP_MS);
    }
  })();
  while (!isOver) {
    const began = performance.now();
    isOver = (await statusOf(program)).indexing === null;
    get.push(performance.now() - began);
    await sleep(PROBE_MS);
  }
  await gossiping;
  report("a: GET /api/v1/status while indexing", spread(get));
  report("a: GOSSIP until its reply while indexing", {
    ...spread(gossip),
    "p99 ms without the first": spread(gossip.slice(1))["p99 ms"]!,
  });
}

async function firstStart(dir: string): Promise<number> {
  let fastest = Infinity;
  for (let i = 0; i < ROUNDS; i++) {
    const hashing = await hashAll(dir);
    const started = await start("many", dir);
    await using program = started.program;
    const all = await held(started, FILES);
    fastest = Math.min(fastest, all);
    report("a: first start", {
      "answers after s": started.answers,
      "all held after s": all,
      "find and sha256sum s": hashing,
      ratio: all / hashing,
      "longest block ms": await longestBlockMs(program),
      "peak MiB": await memoryMib(program.pid, "VmHWM"),
    });
    await program.stop("SIGKILL");
    await forget(dir);
  }
  const started = await start("many", dir, [...ALONE, ...MEASURABLE]);
  await using program = started.program;
  await askWhileIndexing(started);
  await held(started, FILES);
  await stop(program, "c: SIGTERM right after the first index");
  return fastest;
}

async function stop(program: Program, what: string): Promise<void> {
  const began = performance.now();
  program.signal("SIGTERM");
  const code = await program.exit();
  report(what, { "exits after s": seconds(began), "exit code": code });
}

async function secondStart(dir: string): Promise<number> {
  const started = await start("many", dir);
  await using program = started.program;
  const list = await listed(started, FILES);
  const all = await held(started, FILES);
  await sleep(REST_MS);
  report("b: second start", {
    "answers after s": started.answers,
    "whole list after s": list,
    "folder checked after s": all,
    "longest block ms": await longestBlockMs(program),
    "peak MiB": await memoryMib(program.pid, "VmHWM"),
    [`MiB after ${REST_MS / 1000} s`]: await memoryMib(program.pid, "VmRSS"),
    "CPU at rest %": 100 * await cpuShare([program.pid], IDLE_MS),
  });
  await drop(program, dir);
  await stop(program, "c: SIGTERM at rest");
  return all;
}

/** Times how long a new file in the folder takes to be listed. */
async function drop(program: Program, dir: string): Promise<void> {
  const took: number[] = [];
  for (let i = 0; i < 3; i++) {
    const name = `dropped${crypto.randomUUID().replaceAll("-", "")}`;
    await Deno.writeFile(`${dir}/../${name}`, randomBytes(FILE_BYTES));
    const began = performance.now();
    await Deno.rename(`${dir}/../${name}`, `${dir}/${name}`);
    await until("the dropped file", async () => {
      const { files } = await program.api<{ files: unknown[] }>(`files?limit=1&q=${name}`);
      return files.length > 0;
    });
    took.push(seconds(began));
  }
  const [fastest, , slowest] = took.toSorted((a, b) => a - b);
  report("e: a dropped file is listed", { "after s": fastest!, "slowest of 3": slowest! });
}

/** Kills a peer during its second start, and times the start that follows. */
async function killAtStart(dir: string, secondSeconds: number): Promise<void> {
  {
    await using killed = (await start("many", dir)).program;
    await killed.stop("SIGKILL");
  }
  const next = await start("many", dir);
  await using program = next.program;
  const all = await held(next, FILES);
  report("d: start after SIGKILL at a start", {
    "folder checked after s": all,
    "ratio to the second start": all / secondSeconds,
  });
  await program.stop("SIGKILL");
}

/** Kills a peer at a random moment of its first index, and times the start that follows. */
async function killWhileIndexing(dir: string, seed: number, firstSeconds: number): Promise<void> {
  await forget(dir);
  const most = new Random(seed).below(FILES);
  await using killed = (await start("many", dir)).program;
  const before = await until("the moment to kill", async () => {
    const { files, indexing } = await statusOf(killed);
    return (files.held >= most || indexing === null) && { held: files.held };
  }, DEADLINE_MS);
  await killed.stop("SIGKILL");
  const next = await start("many", dir);
  await using program = next.program;
  const all = await held(next, FILES);
  report("d: start after SIGKILL while indexing", {
    seed: `${seed}`,
    "held when killed": before.held,
    "answers after s": next.answers,
    "all held after s": all,
    "ratio to a first start": all / firstSeconds,
  });
  await program.stop();
}

async function kills(dir: string, firstSeconds: number, secondSeconds: number): Promise<void> {
  await killAtStart(dir, secondSeconds);
  for (let i = 0; i < ROUNDS; i++) {
    await killWhileIndexing(dir, Math.floor(Math.random() * 2 ** 31), firstSeconds);
  }
}

async function large(folder: Folder): Promise<void> {
  const dir = await folder.folder("large");
  await writeLarge(`${dir}/large.bin`);
  const digest = `openssl dgst -sha256 ${dir}/large.bin`;
  const before = await timed(digest);
  const started = await start("large", dir);
  await using program = started.program;
  const all = await held(started, 1, 5);
  await program.stop();
  const openssl = Math.min(before, await timed(digest));
  report(`f: one file of ${LARGE_MIB} MiB`, {
    "held after s": all,
    "of which until it answers": started.answers,
    "openssl s": openssl,
    "ratio without the start": (all - started.answers) / openssl,
  });
  await Deno.remove(dir, { recursive: true });
}

async function portOf({ program }: Started): Promise<string> {
  const [, port] = await program.waitForLine(/^TCP address: 127\.0\.0\.1:(\d+)\b/);
  return port!;
}

/** Arguments of a peer that joins another one. */
async function joining(other: Started, ...args: string[]): Promise<string[]> {
  return ["--bootstrap", `127.0.0.1:${await portOf(other)}`, "--min-free", "0", ...args];
}

async function fetching(folder: Folder): Promise<void> {
  const [from, to] = [await folder.folder("from"), await folder.folder("to")];
  fill(from, FETCHED);
  const sender = await start("sender", from);
  await using sending = sender.program;
  await held(sender, FETCHED);
  const receiver = await start("receiver", to, await joining(sender, "--auto-fetch", "all"));
  await using receiving = receiver.program;
  report(`g: ${FETCHED} files fetched by a second peer`, {
    "all held after s": await held(receiver, FETCHED),
    "peak MiB of the receiver": await memoryMib(receiving.pid, "VmHWM"),
    "peak MiB of the sender": await memoryMib(sending.pid, "VmHWM"),
    "CPU s of both": await cpuSeconds(sending.pid) + await cpuSeconds(receiving.pid),
  });
  await Promise.all([sending.stop(), receiving.stop()]);
}

/** Returns the CPU seconds per second of two peers that know each other and have nothing new to say. */
async function pair(folder: Folder, dir: string, count: number): Promise<number> {
  const often = ["--gossip-interval", "1", "--replies-per-minute", "1000000"];
  const one = await start("one", dir, [...ALONE, ...often]);
  await using first = one.program;
  await held(one, count);
  const there = await folder.folder(`other-${count}`);
  const other = await start("other", there, await joining(one, "--auto-fetch", "0", ...often));
  await using second = other.program;
  const began = performance.now();
  await until(
    "both to know all files",
    async () => (await statusOf(second)).files.known >= count,
    DEADLINE_MS,
  );
  const known = seconds(began);
  await sleep(PAIR_REST_MS);
  const share = await cpuShare([first.pid, second.pid], PAIR_MS);
  report(`h: two peers, ${count} files, no changes`, {
    "all known after s": known,
    "CPU s per s of both": share,
  });
  await Promise.all([first.stop(), second.stop()]);
  return share;
}

async function pairs(folder: Folder, dir: string): Promise<void> {
  const few = await folder.folder("few");
  fill(few, FEW);
  const small = await pair(folder, few, FEW);
  const all = await pair(folder, dir, FILES);
  report("h: CPU with all files against 100", { ratio: all / small });
}

await using folder = await Folder.make();
const dir = await folder.folder("many");
fill(dir, FILES);
await hashAll(dir); // what is written last is no warmer than the rest
const firstSeconds = await firstStart(dir);
const secondSeconds = await secondStart(dir);
await kills(dir, firstSeconds, secondSeconds);
await pairs(folder, dir);
await fetching(folder);
await large(folder);
printTable();
