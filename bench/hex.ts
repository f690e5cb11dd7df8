// Measures the lab's protocol, in which content is hex: one file to a peer of an earlier version, and one from it. Both are
// scripted, and do nothing but read and write: `deno task bench hex [MiB] [rounds] [executable]`.

import { Buffer } from "node:buffer";
import { resolve } from "node:path";
import { EAGER, entryOf, randomFile, Source } from "../tests/threats/scene.ts";
import { Folder } from "../tests/process/folder.ts";
import { Program } from "../tests/process/program.ts";
import { holds, median } from "./peers.ts";

const MIB = 1024 * 1024;
const [, mibText = "256", roundsText = "3", executable] = Deno.args;
const mib = Number(mibText);
const ARGS = ["--min-free", "0", "--log-level", "ERROR"];
const command = executable === undefined ? {} : { command: [resolve(executable)] };

const piecesOf = (content: Uint8Array) =>
  Array.from(
    { length: Math.ceil(content.length / MIB) },
    (_, i) => content.subarray(i * MIB, (i + 1) * MIB).toHex(),
  );

/** Fetches a file from a peer that sends it in hex. Resolves to MB of content per second. */
async function fromOld(): Promise<number> {
  await using folder = await Folder.make();
  const file = randomFile("large.bin", "hawk", mib * MIB);
  const [before = "", after = ""] = JSON.stringify({
    type: "FILE_DATA",
    ...entryOf(file),
    data: "@",
  }).split("@");
  const whole = Buffer.concat(
    [before, ...piecesOf(file.content), after].map((each) => Buffer.from(each)),
  );
  await using source = await Source.start("hawk", (socket) => socket.end(whole));
  await using program = await Program.peer("kashifm", [...EAGER, ...ARGS], {
    cwd: folder.path,
    ...command,
  });
  await source.join(program, [entryOf(file)]);
  const beganMs = performance.now();
  await holds(program, 1, 300_000);
  return mib * MIB / 1e3 / (performance.now() - beganMs);
}

/** Requests a file as a peer of an earlier version does. Resolves to MB of content per second. */
async function toOld(): Promise<number> {
  await using folder = await Folder.make();
  const dir = await folder.folder("storage_kashifm");
  const { content } = randomFile("large.bin", "kashifm", mib * MIB);
  await Deno.writeFile(`${dir}/large.bin`, content);
  await Deno.utime(`${dir}/large.bin`, 1_700_000_000, 1_700_000_000);
  const args = ["--no-bootstrap", "--auto-fetch", "0", ...ARGS];
  await using program = await Program.peer("kashifm", args, { cwd: folder.path, ...command });
  await holds(program, 1, 300_000);
  const [{ file_id } = { file_id: "" }] = await program.files();
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: program.port! });
  const buffer = new Uint8Array(MIB);
  const beganMs = performance.now();
  await connection.write(new TextEncoder().encode(JSON.stringify({ type: "GET_FILE", file_id })));
  let bytes = 0;
  for (;;) {
    const read = await connection.read(buffer);
    if (read === null) break;
    bytes += read;
  }
  if (bytes < 2 * content.length) throw new Error(`Only ${bytes} bytes came`);
  return content.length / 1e3 / (performance.now() - beganMs);
}

for (const [name, measure] of [["from an old peer", fromOld], ["to an old peer", toOld]] as const) {
  const speeds: number[] = [];
  for (let round = 0; round < Number(roundsText); round++) speeds.push(await measure());
  const all = speeds.map((speed) => speed.toFixed(0)).join(", ");
  console.log(`${mib} MiB in hex ${name}: median ${median(speeds).toFixed(0)} MB/s (${all})`);
}
