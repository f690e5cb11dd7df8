// Measures the cost of HTTP: a large upload and its download with curl, peak memory of the process, and a plain
// `Deno.serve` and nginx (if it is installed) in the same rounds for comparison. `deno task bench web [MiB] [rounds] [executable]` measures the program as
// `deno task start` runs it, or an executable built by `deno task compile`.

import { median } from "./peers.ts";
import { resolve } from "node:path";
import { Folder } from "../tests/process/folder.ts";
import { Program } from "../tests/process/program.ts";
import { isInstalled, nginx } from "./others.ts";

const mib = Number(Deno.args[1] ?? 1024);
const rounds = Number(Deno.args[2] ?? 3);
const executable = Deno.args[3];

async function shell(command: string): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command("bash", { args: ["-c", command] })
    .output();
  const text = new TextDecoder().decode(stdout);
  if (code !== 0) throw new Error(`${command}: ${text}${new TextDecoder().decode(stderr)}`);
  return text;
}

async function seconds(command: string): Promise<number> {
  const began = performance.now();
  await shell(command);
  return (performance.now() - began) / 1000;
}

const peakMb = async (pid: number) =>
  Math.round(
    Number(/VmHWM:\s+(\d+)/.exec(await shell(`cat /proc/${pid}/status`))![1]) * 1024 / 1e6,
  );

await using folder = await Folder.make();
await using program = await Program.peer("kashifm", ["--no-bootstrap", "--min-free", "0"], {
  cwd: folder.path,
  ...(executable !== undefined && { command: [resolve(executable)] }),
});
const { token } = await program.login();
const base = `http://127.0.0.1:${program.httpPort}/api/v1`;
const plain = Deno.serve(
  { port: 0, hostname: "127.0.0.1", onListen: () => {} },
  async () => new Response((await Deno.open(folder.at("large.bin"))).readable),
);
await shell(`head -c ${mib}M /dev/urandom > ${folder.at("large.bin")}`);
const auth = `-H "Authorization: Bearer ${token}"`;
const put = (path: string) => `curl -sSf ${auth} -o ${folder.at("answer")} ${path}`;
const server = await isInstalled("nginx")
  ? await nginx(folder.path, await folder.folder("nginx"), (port) => [`${port}`])
  : undefined;
const [nginxPort] = await server?.client("") ?? [];
const times = {
  up: [] as number[],
  down: [] as number[],
  plain: [] as number[],
  nginx: [] as number[],
};
const stat = async () =>
  Math.round(
    Number(/VmRSS:\s+(\d+)/.exec(await shell(`cat /proc/${program.pid}/status`))![1]) * 1024 / 1e6,
  );
console.log(`idle: peak memory ${await peakMb(program.pid)} MB`);
for (let round = 0; round < rounds; round++) {
  times.up.push(await seconds(put(`-T ${folder.at("large.bin")} ${base}/files/by-name/`)));
  if (round === 0) console.log(`after one upload: peak memory ${await peakMb(program.pid)} MB`);
  const { files } = JSON.parse(await Deno.readTextFile(folder.at("answer")));
  const id = files[0].file_id;
  if (round === 0) console.log(`before downloads: memory ${await stat()} MB`);
  times.down.push(await seconds(`curl -sSf -o /dev/null ${base}/files/${id}/content`));
  times.plain.push(await seconds(`curl -sSf -o /dev/null http://127.0.0.1:${plain.addr.port}/`));
  if (nginxPort) {
    times.nginx.push(
      await seconds(`curl -sSf -o /dev/null http://127.0.0.1:${nginxPort}/large.bin`),
    );
  }
  console.log(`after a download: memory ${await stat()} MB, peak ${await peakMb(program.pid)} MB`);
  await shell(put(`-X DELETE ${base}/files/${id}`));
  await shell(`sleep 1; rm -f ${folder.at("storage_kashifm", ".p2p-peer", "trash")}/*`);
}
for (const [name, values] of Object.entries(times)) {
  if (values.length === 0) continue;
  console.log(`${name}: median ${median(values).toFixed(2)} s for ${mib} MiB, ${rounds} rounds`);
}
console.log(
  `down, ratio to a plain Deno.serve: ${(median(times.down) / median(times.plain)).toFixed(2)}`,
);
if (nginxPort) {
  console.log(`down, ratio to nginx: ${(median(times.down) / median(times.nginx)).toFixed(2)}`);
}
console.log(`at the end: peak memory ${await peakMb(program.pid)} MB`);
await plain.shutdown();
await server?.[Symbol.asyncDispose]();
