// Runs a network of 8 real processes for a while: files come and go, peers are killed and restarted, and some are
// misbehaving dummies. Once a minute, prints the resource use of each process, which should stay flat.
// `deno task soak [minutes]`, 10 by default. Fails if a peer that is never killed keeps growing or logs an ERROR.

import { descriptors, memoryMib } from "../hostile/gauge.ts";
import { shout } from "../hostile/raw.ts";
import { Folder } from "../process/folder.ts";
import { Program } from "../process/program.ts";
import { Random } from "../sim/random.ts";

const minutes = Number(Deno.args[0] ?? 10);
const seed = Number(Deno.env.get("P2P_SOAK_SEED") ?? Math.floor(Math.random() * 2 ** 31));
const MINUTE_MS = 60_000;
const STEP_MS = 1_000;
/** Maximum number of files per peer. Beyond this, the oldest is removed from its folder. */
const FILES_EACH = 25;
/** Maximum growth of a steady peer from the second minute to the last. */
const MOST_GROWTH_MIB = 40;
const MOST_GROWTH_DESCRIPTORS = 20;

const MISBEHAVING = ["slow", "corrupt", "garbage"] as const;
const random = new Random(seed);
const sleep = (ms: number) => new Promise((go) => setTimeout(go, ms));

interface Member {
  readonly name: string;
  readonly dir: string;
  program: Program;
  readonly isSteady: boolean;
  readonly files: string[];
}

const args = (bootstraps: readonly Program[]) => [
  ...bootstraps.flatMap(({ address }) => ["--bootstrap", address]),
  ...["--auto-fetch", "all", "--gossip-interval", "2", "--peer-timeout", "10", "--min-free", "0"],
  // Low enough that files from the first minutes are purged for those of the last ones.
  ...["--log-level", "ERROR", "--push-quota", "50MiB", "--max-files", "120"],
];

/** Returns one row of output: the resource use of a peer. */
async function row({ name, program }: Member): Promise<Record<string, string | number>> {
  const status = await program.api<{
    peers: number;
    files: { known: number; held: number };
    work: Record<string, number>;
    refused: Record<string, number>;
    trash: { files: number };
  }>("status");
  const refused = Object.values(status.refused).reduce((sum, n) => sum + n, 0);
  return {
    peer: name,
    "memory MiB": Math.round(await memoryMib(program.pid)),
    descriptors: await descriptors(program.pid),
    timers: status.work.timers ?? 0,
    jobs: status.work.jobs ?? 0,
    peers: status.peers,
    "files known": status.files.known,
    "files held": status.files.held,
    trash: status.trash.files,
    refused,
    errors: program.lines.filter((line) => line.includes(" ERROR ")).length,
  };
}

function tell(row: Record<string, string | number>): void {
  console.log(Object.entries(row).map(([key, value]) => `${key}: ${value}`).join(", "));
}

async function addFile(member: Member, serial: number): Promise<void> {
  const content = new Uint8Array(1 + random.below(random.pick([1_000, 50_000, 2_000_000])));
  for (let at = 0; at < content.length; at += 65_536) {
    crypto.getRandomValues(content.subarray(at, at + 65_536));
  }
  const name = `${member.name}-${serial}.bin`;
  await Deno.writeFile(`${member.dir}/.${name}`, content);
  await Deno.rename(`${member.dir}/.${name}`, `${member.dir}/${name}`);
  member.files.push(name);
  if (member.files.length <= FILES_EACH) return;
  await Deno.remove(`${member.dir}/${member.files.shift()}`).catch(() => {}); // the store may never have kept it
}

/** Runs one step: adds a file, sends garbage, and occasionally kills or restarts a peer. */
async function step(members: readonly Member[], folder: Folder, serial: number): Promise<void> {
  const living = members.filter(({ program }) => program.isRunning);
  const target = random.pick(living);
  if (random.chance(0.5)) await addFile(random.pick(living), serial);
  for (let i = random.below(5); i > 0; i--) {
    const rubbish = random.pick(["rubbish", '{"type":"GOSSIP"}', "[[[[[[[[[", '{"type":"DELETE"}']);
    await shout(target.program, rubbish, { from: "127.0.0.9" }).catch(() => {}); // it may have just been killed
  }
  const mortal = random.pick(members.filter(({ isSteady }) => !isSteady));
  if (mortal.program.isRunning && random.chance(0.1)) {
    mortal.program.signal(random.pick(["SIGKILL", "SIGTERM"] as const));
    await mortal.program.exit();
  } else if (!mortal.program.isRunning && random.chance(0.3)) {
    const bootstraps = members.filter(({ isSteady }) => isSteady).map(({ program }) => program);
    const options = { cwd: folder.path };
    const more = ["--dir", mortal.dir];
    mortal.program = await Program.peer(mortal.name, [...args(bootstraps), ...more], options);
  }
}

async function start(folder: Folder): Promise<{ members: Member[]; dummies: Program[] }> {
  const dummies: Program[] = [];
  for (const how of MISBEHAVING) {
    dummies.push(await Program.dummy(["--misbehave", how], { cwd: folder.path }));
  }
  const members: Member[] = [];
  for (let i = 0; i < 5; i++) {
    const name = `peer-${i}`;
    const dir = await folder.folder(name);
    const bootstraps = [...dummies, ...members.slice(0, 2).map(({ program }) => program)];
    const program = await Program.peer(name, [...args(bootstraps), "--dir", dir], {
      cwd: folder.path,
    });
    members.push({ name, dir, program, isSteady: i < 2, files: [] });
  }
  return { members, dummies };
}

async function soak(): Promise<boolean> {
  await using folder = await Folder.make();
  const { members, dummies } = await start(folder);
  const steady = members.filter(({ isSteady }) => isSteady);
  const rows: Record<string, string | number>[] = [];
  try {
    let serial = 0;
    for (let minute = 1; minute <= minutes; minute++) {
      const endMs = performance.now() + MINUTE_MS;
      while (performance.now() < endMs) {
        await step(members, folder, ++serial);
        await sleep(STEP_MS);
      }
      for (const member of members) {
        if (!member.program.isRunning) continue;
        const now = { minute, ...await row(member) };
        rows.push(now);
        tell(now);
      }
      for (const [i, { pid }] of dummies.entries()) {
        const used = { "memory MiB": Math.round(await memoryMib(pid)) };
        tell({ minute, peer: MISBEHAVING[i]!, ...used, descriptors: await descriptors(pid) });
      }
    }
  } finally {
    for (const { program } of members) await program[Symbol.asyncDispose]();
    for (const dummy of dummies) await dummy[Symbol.asyncDispose]();
  }
  let isFine = true;
  for (const { name, program } of steady) {
    const own = rows.filter(({ peer }) => peer === name);
    const growth = (key: string) => {
      const values = own.map((each) => Number(each[key]));
      return values.at(-1)! - values[Math.min(1, values.length - 1)]!;
    };
    const [memory, open] = [growth("memory MiB"), growth("descriptors")];
    console.log(`${name}: growth since minute 2: memory ${memory} MiB, open descriptors ${open}`);
    if (memory > MOST_GROWTH_MIB || open > MOST_GROWTH_DESCRIPTORS) isFine = false;
    for (const line of program.lines.filter((line) => line.includes(" ERROR "))) {
      console.log(`${name}: ${line}`);
      isFine = false;
    }
  }
  return isFine;
}

console.log(`Seed ${seed}. To replay: P2P_SOAK_SEED=${seed} deno task soak ${minutes}`);
Deno.exit(await soak() ? 0 : 1);
