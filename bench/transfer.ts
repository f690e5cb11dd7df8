// Measures the cost of moving a file through the lab's protocol between two real processes, compared with a raw copy of
// the same bytes over TCP in the same run: on a noisy machine the ratio is stable, the seconds are not.
// `deno task bench transfer [MiB] [rounds]` prints one line per round and the medians.

import { COMMAND } from "../tests/process/program.ts";

const MIB = 1024 * 1024;
const [, sizeText = "1024", roundsText = "3"] = Deno.args;
const sizeBytes = Number(sizeText) * MIB;
const rounds = Number(roundsText);

interface Figures {
  readonly seconds: number;
  readonly cpuSeconds: number;
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
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / 100,
    peakMiB: Math.round(Number(peak) / 1024),
  };
}

/** Touches memory up front, because the first touch costs seconds per GiB on some virtual machines. */
async function touchMemory(): Promise<void> {
  const path = await Deno.makeTempFile();
  const block = new Uint8Array(MIB).fill(1);
  using file = await Deno.open(path, { write: true });
  for (let at = 0; at < 3 * sizeBytes; at += MIB) file.writeSync(block);
  await Deno.remove(path);
}

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
    throw new Error(`Timed out waiting for ${pattern}:\n${this.#output}`);
  }

  async stop(): Promise<void> {
    this.#process.kill("SIGTERM");
    await this.#process.status;
  }
}

const common = ["0", "0", "--log-level", "ERROR", "--min-free", "0"];

async function labTransfer(dir: string): Promise<Figures> {
  const received = `${dir}/received`;
  const sender = new Program([
    "alice",
    "127.0.0.1",
    ...common,
    "--no-bootstrap",
    "--dir",
    `${dir}/sent`,
  ]);
  const [, port] = await sender.line(/TCP address: 127\.0\.0\.1:(\d+)[^]*1 file here/);
  const before = await usage(sender.pid);
  const receiver = new Program([
    "bob",
    "127.0.0.1",
    ...common,
    "--bootstrap",
    `127.0.0.1:${port}`,
    "--dir",
    received,
  ]);
  await receiver.line(/Synchronized/);
  const start = performance.now();
  const atStart = await usage(receiver.pid);
  await receiver.line(/AUTO FETCH PROCESS COMPLETE \(1 file fetched/);
  const seconds = (performance.now() - start) / 1000;
  const [from, to] = [await usage(sender.pid), await usage(receiver.pid)];
  await Promise.all([sender.stop(), receiver.stop()]);
  await Deno.remove(received, { recursive: true });
  return {
    seconds,
    cpuSeconds: from.cpuSeconds - before.cpuSeconds + to.cpuSeconds - atStart.cpuSeconds,
    senderMiB: from.peakMiB,
    receiverMiB: to.peakMiB,
  };
}

/** Copies the same bytes from file to file over one connection, without looking at them. */
async function rawCopy(source: string, target: string): Promise<number> {
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
  await Deno.remove(target);
  return (performance.now() - start) / 1000;
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;

const dir = await Deno.makeTempDir();
try {
  await Deno.mkdir(`${dir}/sent`);
  {
    using file = await Deno.open(`${dir}/sent/big.bin`, { write: true, create: true });
    const block = new Uint8Array(MIB);
    for (let at = 0; at < sizeBytes; at += MIB) {
      for (let i = 0; i < MIB; i += 65_536) crypto.getRandomValues(block.subarray(i, i + 65_536));
      file.writeSync(block);
    }
  }
  const results: (Figures & { raw: number })[] = [];
  for (let round = 1; round <= rounds; round++) {
    await touchMemory();
    const raw = await rawCopy(`${dir}/sent/big.bin`, `${dir}/copy.bin`);
    await touchMemory();
    const lab = await labTransfer(dir);
    results.push({ ...lab, raw });
    console.log(
      `round ${round}: lab ${lab.seconds.toFixed(2)} s (CPU ${
        lab.cpuSeconds.toFixed(2)
      } s, peak ${lab.senderMiB} / ${lab.receiverMiB} MiB), ` +
        `raw copy ${raw.toFixed(2)} s, ratio ${(lab.seconds / raw).toFixed(2)}`,
    );
  }
  console.log(
    `${sizeText} MiB, median of ${rounds}: lab ${
      median(results.map(({ seconds }) => seconds)).toFixed(2)
    } s, ` +
      `CPU ${median(results.map(({ cpuSeconds }) => cpuSeconds)).toFixed(2)} s, ` +
      `ratio to a raw copy ${median(results.map(({ seconds, raw }) => seconds / raw)).toFixed(2)}`,
  );
} finally {
  await Deno.remove(dir, { recursive: true });
}
