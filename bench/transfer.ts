// Measures how long two real processes take to move one large file, and many small ones, until they are complete and, with
// this program, verified, next to what people would use instead: whole processes, warm cache, the systems taking turns.
// `deno task bench transfer [MiB] [files] [rounds]` prints one line per run, a table of medians, and JSON. Times are
// worth as much as the machine is quiet; ratios within one run hold.

import { median } from "./peers.ts";
import { isInstalled, type Other, OTHERS } from "./others.ts";
import { COMMAND } from "../tests/process/program.ts";

const MIB = 1024 * 1024;
const [, mibText = "1024", filesText = "10000", roundsText = "3"] = Deno.args;

/** What one run took. */
interface Figures {
  readonly seconds: number;
  /** CPU seconds of both sides. */
  readonly cpuSeconds: number;
  /** Peak memory of sender and receiver, in MiB; 0 if not measured. */
  readonly senderMiB: number;
  readonly receiverMiB: number;
}

/** Reads the CPU seconds and peak memory of a process, through `cat`, which may read files that this program may not. */
async function usage(pid: number): Promise<{ cpuSeconds: number; peakMiB: number }> {
  const read = async (name: string) => {
    const { stdout } = await new Deno.Command("cat", { args: [`/proc/${pid}/${name}`] }).output();
    return new TextDecoder().decode(stdout);
  };
  const fields = (await read("stat")).replace(/^.*\) /, "").split(" ");
  const peak = /VmHWM:\s+(\d+)/.exec(await read("status"))?.[1] ?? "0";
  // Children that were waited for count too: some servers fork for each connection.
  const ticks = [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at]), 0);
  return { cpuSeconds: ticks / 100, peakMiB: Math.round(Number(peak) / 1024) };
}

/** Touches memory up front, because the first touch costs seconds per GiB on some virtual machines. */
async function touchMemory(bytes: number): Promise<void> {
  const path = await Deno.makeTempFile();
  const block = new Uint8Array(MIB).fill(1);
  using file = await Deno.open(path, { write: true });
  for (let at = 0; at < bytes; at += MIB) file.writeSync(block);
  await Deno.remove(path);
}

/** This program, as people start it. */
class Program {
  readonly #process: Deno.ChildProcess;
  #output = "";
  constructor(args: string[]) {
    const [executable, ...first] = COMMAND;
    this.#process = new Deno.Command(executable!, {
      args: [...first, ...args],
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#collect();
  }

  get pid(): number {
    return this.#process.pid;
  }

  async #collect(): Promise<void> {
    for await (const piece of this.#process.stdout.pipeThrough(new TextDecoderStream())) {
      this.#output += piece;
    }
  }

  async line(pattern: RegExp): Promise<RegExpExecArray> {
    for (let tries = 0; tries < 60_000; tries++) {
      const found = pattern.exec(this.#output);
      if (found) return found;
      await new Promise((go) => setTimeout(go, 10));
    }
    throw new Error(`Timed out waiting for ${pattern}:\n${this.#output.slice(-2_000)}`);
  }

  async stop(): Promise<void> {
    this.#process.kill("SIGTERM");
    await this.#process.status;
  }
}

/** A file that was written a moment ago may still change: this program takes it only when it has stood still. */
const settle = () => new Promise((go) => setTimeout(go, 1_500));

const common = ["0", "0", "--log-level", "ERROR", "--min-free", "0"];

/** Fetches all files of `sent`, as this program does it between two peers. */
async function ownTransfer(sent: string, received: string, files: number): Promise<Figures> {
  const alone = ["--no-bootstrap", "--dir", sent];
  const sender = new Program(["alice", "127.0.0.1", ...common, ...alone]);
  const [, port] = await sender.line(/TCP address: 127\.0\.0\.1:(\d+)/);
  await sender.line(new RegExp(`${files} files? here`));
  const before = await usage(sender.pid);
  const joins = ["--bootstrap", `127.0.0.1:${port}`, "--auto-fetch", "all", "--dir", received];
  const receiver = new Program(["bob", "127.0.0.1", ...common, ...joins]);
  await receiver.line(/Synchronized/);
  const start = performance.now();
  const atStart = await usage(receiver.pid);
  await receiver.line(new RegExp(`AUTO FETCH PROCESS COMPLETE \\(${files} files? fetched`));
  const seconds = (performance.now() - start) / 1000;
  const [from, to] = [await usage(sender.pid), await usage(receiver.pid)];
  await Promise.all([sender.stop(), receiver.stop()]);
  return {
    seconds,
    cpuSeconds: from.cpuSeconds - before.cpuSeconds + to.cpuSeconds - atStart.cpuSeconds,
    senderMiB: from.peakMiB,
    receiverMiB: to.peakMiB,
  };
}

/** Copies a folder with another program. */
async function otherTransfer(other: Other, sent: string, target: string): Promise<Figures> {
  const work = await Deno.makeTempDir();
  try {
    await using server = await other.serve(sent, work);
    const client = await server.client(target);
    const before = await Promise.all(server.pids.map(usage));
    // The shell's `time` sees the CPU of everything that the client starts.
    const script = `TIMEFORMAT='%U %S'; time "$@"`;
    const args = ["-c", script, "bash", ...client];
    const start = performance.now();
    const { success, stderr } = await new Deno.Command("bash", { args }).output();
    const seconds = (performance.now() - start) / 1000;
    const text = new TextDecoder().decode(stderr).trim();
    if (!success) throw new Error(`${other.name} failed: ${text}`);
    const ofClient = text.split("\n").at(-1)!.split(" ")
      .reduce((sum, part) => sum + Number(part), 0);
    const after = await Promise.all(server.pids.map(usage));
    const ofServer = after.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0) -
      before.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0);
    const peaks = new Map(server.pids.map((pid, i) => [pid, after[i]!.peakMiB]));
    const receivers = new Set(server.receivers ?? []);
    const peakOf = (isReceiver: boolean) =>
      Math.max(
        0,
        ...[...peaks].filter(([pid]) => receivers.has(pid) === isReceiver).map(([, mib]) => mib),
      );
    const cpuSeconds = ofClient + ofServer;
    return { seconds, cpuSeconds, senderMiB: peakOf(false), receiverMiB: peakOf(true) };
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

/** Copies the same bytes from file to file over one connection, without looking at them. */
async function rawCopy(source: string, target: string): Promise<Figures> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const start = performance.now();
  const [near, far] = await Promise.all([
    Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }),
    listener.accept(),
  ]);
  const sending = (async () => {
    using file = await Deno.open(source);
    const buffer = new Uint8Array(MIB);
    for (let read = file.readSync(buffer); read !== null; read = file.readSync(buffer)) {
      for (let at = 0; at < read;) at += await near.write(buffer.subarray(at, read));
    }
    near.close();
  })();
  using file = await Deno.open(target, { write: true, create: true });
  const buffer = new Uint8Array(MIB);
  for (let read = await far.read(buffer); read !== null; read = await far.read(buffer)) {
    for (let at = 0; at < read;) at += file.writeSync(buffer.subarray(at, read));
  }
  await sending;
  far.close();
  listener.close();
  return {
    seconds: (performance.now() - start) / 1000,
    cpuSeconds: 0,
    senderMiB: 0,
    receiverMiB: 0,
  };
}

/** Runs all systems in turn, `rounds` times. Prints each run, and the medians next to the first system's. */
async function compare(
  title: string,
  bytes: number,
  rounds: number,
  systems: readonly { readonly name: string; run(target: string): Promise<Figures> }[],
): Promise<void> {
  const results = new Map<string, Figures[]>();
  for (let round = 1; round <= rounds; round++) {
    for (const { name, run } of systems) {
      const target = await Deno.makeTempDir();
      await touchMemory(2 * bytes);
      const figures = await run(target);
      await Deno.remove(target, { recursive: true });
      results.set(name, [...results.get(name) ?? [], figures]);
      const { seconds, cpuSeconds, senderMiB, receiverMiB } = figures;
      console.log(
        `round ${round}: ${name}: ${seconds.toFixed(2)} s, CPU ${cpuSeconds.toFixed(2)} s, ` +
          `peak ${senderMiB} / ${receiverMiB} MiB`,
      );
    }
  }
  const own = median([...results.values()][0]!.map(({ seconds }) => seconds));
  console.log(
    `\n| ${title}, median of ${rounds} | seconds | this program / it | CPU s | peak MiB |`,
  );
  console.log("|---|---|---|---|---|");
  const rows = [...results].map(([name, all]) => ({
    name,
    seconds: median(all.map(({ seconds }) => seconds)),
    cpuSeconds: median(all.map(({ cpuSeconds }) => cpuSeconds)),
    senderMiB: Math.max(...all.map(({ senderMiB }) => senderMiB)),
    receiverMiB: Math.max(...all.map(({ receiverMiB }) => receiverMiB)),
  }));
  for (const { name, seconds, cpuSeconds, senderMiB, receiverMiB } of rows) {
    console.log(
      `| ${name} | ${seconds.toFixed(2)} | ${(own / seconds).toFixed(2)} | ${
        cpuSeconds.toFixed(2)
      } | ${senderMiB} / ${receiverMiB || "?"} |`,
    );
  }
  console.log(JSON.stringify({ title, rounds, rows }));
}

const others: Other[] = [];
for (const other of OTHERS) {
  const missing = [];
  for (const program of other.needs) if (!await isInstalled(program)) missing.push(program);
  if (missing.length === 0) others.push(other);
  else console.log(`Left out: ${other.name} (${missing.join(", ")} not installed)`);
}

const dir = await Deno.makeTempDir();
try {
  const rounds = Number(roundsText);
  const bytes = Number(mibText) * MIB;
  if (bytes > 0) {
    await Deno.mkdir(`${dir}/large`);
    using file = await Deno.open(`${dir}/large/big.bin`, { write: true, create: true });
    const block = new Uint8Array(MIB);
    for (let at = 0; at < bytes; at += MIB) {
      for (let i = 0; i < MIB; i += 65_536) crypto.getRandomValues(block.subarray(i, i + 65_536));
      file.writeSync(block);
    }
    await settle();
    await compare(`${mibText} MiB, one file`, bytes, rounds, [
      {
        name: "this program (verified)",
        run: (target) => ownTransfer(`${dir}/large`, target, 1),
      },
      {
        name: "a bare copy over TCP",
        run: (target) => rawCopy(`${dir}/large/big.bin`, `${target}/big.bin`),
      },
      ...others.map((other) => ({
        name: other.name,
        run: (target: string) => otherTransfer(other, `${dir}/large`, target),
      })),
    ]);
    await Deno.remove(`${dir}/large`, { recursive: true });
  }
  const files = Number(filesText);
  if (files > 0) {
    await Deno.mkdir(`${dir}/small`);
    for (let i = 0; i < files; i++) {
      const content = crypto.getRandomValues(new Uint8Array(4_096));
      await Deno.writeFile(`${dir}/small/file ${i}.bin`, content);
    }
    await settle();
    await compare(`${files} files of 4 KiB`, files * 4_096, rounds, [
      {
        name: "this program (verified)",
        run: (target) => ownTransfer(`${dir}/small`, target, files),
      },
      ...others.filter(({ copiesFolders }) => copiesFolders).map((other) => ({
        name: other.name,
        run: (target: string) => otherTransfer(other, `${dir}/small`, target),
      })),
    ]);
  }
} finally {
  await Deno.remove(dir, { recursive: true });
}
