// Measures what peers that cannot be dialed cost: a large file through a third peer next to the same file without one, and the CPU
// of a peer to which many keep connections. `deno task bench reach [MiB] [rounds]`, as root: it makes network namespaces.

import { Folder } from "../tests/process/folder.ts";
import { Lan, noNamespaces } from "../tests/process/namespaces.ts";
import { Content } from "../tests/process/raw.ts";
import { Program } from "../tests/process/program.ts";
import { Raw } from "../tests/hostile/raw.ts";
import { median, QUIET } from "./peers.ts";

const [, sizeText = "1024", roundsText = "3"] = Deno.args;
const SIZE_MIB = Number(sizeText);
const LINKS = 100;
const IDLE_S = 60;
const LINK_EVERY_MS = 20_000;

async function proc(pid: number, name: string): Promise<string> {
  const { stdout } = await new Deno.Command("cat", { args: [`/proc/${pid}/${name}`] }).output();
  return new TextDecoder().decode(stdout);
}

/** CPU that a process has used, in seconds; the system counts hundredths. */
async function cpuSeconds(pid: number): Promise<number> {
  const fields = (await proc(pid, "stat")).replace(/^.*\) /, "").split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Peak memory of a process, in MiB. */
async function peakMib(pid: number): Promise<number> {
  return Number(/VmHWM:\s+(\d+)/.exec(await proc(pid, "status"))![1]) / 1024;
}

/** Seconds that a fetch takes between two peers, behind firewalls or not, and what the third one needs. */
async function fetched(folder: Folder, content: Content, isWalled: boolean) {
  await using lan = await Lan.make();
  const machines = [await lan.machine(2), await lan.machine(3), await lan.machine(4)] as const;
  const round = crypto.randomUUID().slice(0, 4);
  await folder.folder(`ann-${round}`);
  await content.writeTo(folder.at(`ann-${round}/large.bin`));
  if (isWalled) { for (const i of [0, 2]) await machines[i]!.close("drop"); }
  const start = (name: string, i: number, args: readonly string[]) =>
    machines[i]!.start(name, [
      ...QUIET,
      ...["--auto-fetch", "0", "--web-auth", "off", "--dir", folder.at(`${name}-${round}`)],
      ...args,
    ], { cwd: folder.path });
  // It must not hold the file itself.
  await using bob = start("bob", 1, ["--no-bootstrap", "--max-file-size", "1MiB"]);
  const [, at] = await bob.waitForLine(/^TCP address: (\S+) /);
  await using ann = start("ann", 0, ["--bootstrap", at!]);
  await ann.waitForLine(/large\.bin.*: published/, 0, 120_000);
  await using cat = start("cat", 2, ["--bootstrap", at!]);
  const [, port] = await cat.waitForLine(/^HTTP address: http:\S+:(\d+)$/);
  const ask = async (path: string, ...args: string[]) =>
    JSON.parse(
      await machines[2].run(
        "curl",
        "-sS",
        "--noproxy",
        "*",
        ...args,
        `http://127.0.0.1:${port}/api/v1/${path}`,
      ),
    );
  type Files = { files: { file_id: string; file_name: string }[] };
  const file = await cat.until(
    "the file",
    async () =>
      (await ask("files") as Files).files.find(({ file_name }) => file_name === "large.bin"),
  );
  const beganMs = performance.now();
  await ask(`files/${file.file_id}/fetch?wait=true`, "-X", "POST");
  const seconds = (performance.now() - beganMs) / 1000;
  const peak = await peakMib(bob.pid);
  for (const program of [ann, cat]) await program.stop();
  await Deno.remove(folder.at(`ann-${round}`), { recursive: true });
  await Deno.remove(folder.at(`cat-${round}`), { recursive: true });
  return { seconds, peak };
}

/** CPU of a peer to which many others keep a connection, as a share of one core. */
async function idleShare(folder: Folder, links: number): Promise<number> {
  const args = [...QUIET, "--no-bootstrap", "--auto-fetch", "0"];
  await using program = await Program.peer("kashifm", args, { cwd: folder.path });
  const raws: Raw[] = [];
  const say = (raw: Raw, i: number) => {
    const host = `127.0.0.${2 + i % 4}`;
    const ext = { v: 1, can: ["raw", "lists", "links", "relay"], boot: "b" };
    raw.send({ type: "LINK", peerId: `idle-${i}`, host, port: 20_000 + i, ext });
  };
  for (let i = 0; i < links; i++) {
    const raw = await Raw.open(program, { from: `127.0.0.${2 + i % 4}` });
    raws.push(raw);
    say(raw, i);
  }
  const timer = setInterval(() => raws.forEach(say), LINK_EVERY_MS);
  await new Promise((go) => setTimeout(go, 10_000)); // the first dials are over
  const before = await cpuSeconds(program.pid);
  await new Promise((go) => setTimeout(go, IDLE_S * 1000));
  const share = (await cpuSeconds(program.pid) - before) / IDLE_S;
  clearInterval(timer);
  const { links: kept } = (await program.status()).work as Record<string, number>;
  if (kept !== links) throw new Error(`${kept} of ${links} connections were kept`);
  for (const raw of raws) raw.close();
  return share;
}

if (noNamespaces !== undefined) Deno.exit(2);
await using folder = await Folder.make();
const content = new Content(SIZE_MIB);
const direct: number[] = [];
const passed: number[] = [];
let most = 0;
for (let round = 0; round < Number(roundsText); round++) {
  direct.push((await fetched(folder, content, false)).seconds);
  const { seconds, peak } = await fetched(folder, content, true);
  passed.push(seconds);
  most = Math.max(most, peak);
}
const text = (values: readonly number[]) => values.map((each) => each.toFixed(2)).join(", ");
console.log(`${SIZE_MIB} MiB directly: ${text(direct)} s; through a third peer: ${text(passed)} s`);
console.log(
  `ratio ${(median(passed) / median(direct)).toFixed(2)}; peak of the third: ${
    most.toFixed(0)
  } MiB`,
);
const [none, many] = [await idleShare(folder, 0), await idleShare(folder, LINKS)];
console.log(
  `${LINKS} kept connections: ${(100 * many).toFixed(2)} % of a core; without: ${
    (100 * none).toFixed(2)
  } %`,
);
