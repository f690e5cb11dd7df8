// Counts what transfers cost on any machine, in well under a minute: requests, bytes on the wire, bytes that come twice, and
// how often content is read and written. `deno task bench --quick` prints them with their bounds; a test checks those.

import { once } from "node:events";
import net from "node:net";
import { Folder, randomBytes } from "../tests/process/folder.ts";
import { start } from "../tests/process/network.ts";
import type { Program } from "../tests/process/program.ts";
import { until } from "../tests/until.ts";
import { MAX_BATCH_FILES } from "../protocol/limits.ts";
import { holds, QUIET, sharing, statusOf } from "./peers.ts";

const MIB = 1024 * 1024;

/** A count, and the most that it may be. */
export interface Count {
  readonly what: string;
  readonly value: number;
  readonly most: number;
}

/** Returns how many bytes a process has read and written with system calls for files. */
async function fileBytes(pid: number): Promise<{ read: number; written: number }> {
  // `cat` may read what this program may not.
  const { stdout } = await new Deno.Command("cat", { args: [`/proc/${pid}/io`] }).output();
  const text = new TextDecoder().decode(stdout);
  const of = (name: string) => Number(new RegExp(`^${name}: (\\d+)$`, "m").exec(text)?.[1]);
  return { read: of("rchar"), written: of("wchar") };
}

/** One large file from one source. */
async function large(): Promise<Count[]> {
  const size = 64 * MIB;
  await using folder = await Folder.make();
  await using ann = await sharing(folder, "ann", [["large.bin", randomBytes(size)]]);
  const before = await fileBytes(ann.pid);
  await using bob = await start(folder, "bob", [ann], { args: [...QUIET, "--auto-fetch", "all"] });
  await holds(bob, 1);
  const [sent, got] = [await statusOf(ann), await statusOf(bob)];
  const [sender, receiver] = [await fileBytes(ann.pid), await fileBytes(bob.pid)];
  return [
    { what: "64 MiB: requests", value: sent.received.GET_FILE ?? 0, most: 20 },
    { what: "64 MiB: bytes sent twice", value: sent.bytes.out - size, most: 0 },
    { what: "64 MiB: bytes received twice", value: got.bytes.in - size, most: 0 },
    {
      what: "64 MiB: times the sender reads each byte",
      value: (sender.read - before.read) / size,
      most: 1.1,
    },
    {
      what: "64 MiB: times the receiver writes each byte",
      value: receiver.written / size,
      most: 1.1,
    },
    // Besides its own code and libraries.
    { what: "64 MiB: times the receiver reads each byte", value: receiver.read / size, most: 0.5 },
  ];
}

/** Many small files from one source. */
async function small(): Promise<Count[]> {
  const [count, size] = [1_000, 4096];
  await using folder = await Folder.make();
  const files = Array.from(
    { length: count },
    (_, i) => [`${i}.bin`, randomBytes(size)] as const,
  );
  await using ann = await sharing(folder, "ann", files);
  await using bob = await start(folder, "bob", [ann], { args: [...QUIET, "--auto-fetch", "all"] });
  await holds(bob, count);
  const sent = await statusOf(ann);
  const wire = await batchBytes(ann, (await ann.files()).map(({ file_id }) => file_id));
  return [
    { what: "1,000 x 4 KiB: requests", value: sent.received.GET_FILE ?? 0, most: 12 },
    { what: "1,000 x 4 KiB: bytes sent twice", value: sent.bytes.out - count * size, most: 0 },
    {
      what: "a batch: bytes on the wire per file, besides its content",
      value: wire.bytes / wire.files - size,
      most: 320,
    },
  ];
}

/** One file from three sources. */
async function several(): Promise<Count[]> {
  const size = 48 * MIB;
  await using folder = await Folder.make();
  const file = ["large.bin", randomBytes(size)] as const;
  await using ann = await sharing(folder, "ann", [file]);
  await using cy = await sharing(folder, "cy", [file], [ann]);
  await using dee = await sharing(folder, "dee", [file], [ann]);
  const sources = [ann, cy, dee];
  await using bob = await start(folder, "bob", sources, {
    args: [...QUIET, "--web-auth", "off"],
  });
  const { file_id } = await bob.until(
    "three holders",
    async () => (await bob.files()).find(({ peers_with_file }) => peers_with_file.length === 3),
  );
  const url = `http://127.0.0.1:${bob.httpPort}/api/v1/files/${file_id}/fetch`;
  await (await fetch(url, { method: "POST" })).body?.cancel();
  await holds(bob, 1);
  const outs = await Promise.all(sources.map(async (each) => (await statusOf(each)).bytes.out));
  const total = outs.reduce((sum, out) => sum + out, 0);
  return [
    { what: "three sources: share of bytes sent twice", value: total / size - 1, most: 0.1 },
    { what: "three sources: share of the busiest", value: Math.max(...outs) / total, most: 0.9 },
  ];
}

/** Requests one batch of files, and counts what comes back. */
async function batchBytes(peer: Program, fileIds: readonly string[]) {
  const [first, ...more] = fileIds.slice(0, MAX_BATCH_FILES);
  const socket = net.connect(peer.port, "127.0.0.1");
  await once(socket, "connect");
  let bytes = 0;
  socket.on("data", (piece) => bytes += piece.length);
  socket.write(
    JSON.stringify({ type: "GET_FILE", file_id: first, ext: { v: 1, raw: [0, 1e9], more } }),
  );
  let before = -1;
  await until("the end of the batch", () => {
    const isQuiet = bytes > 0 && bytes === before;
    before = bytes;
    return isQuiet;
  }, 30_000);
  socket.destroy();
  return { bytes, files: more.length + 1 };
}

/** Counts everything. */
export async function quick(): Promise<Count[]> {
  return [...await large(), ...await small(), ...await several()];
}

/** Prints everything as a table. Returns whether all is within bounds. */
export async function printQuick(): Promise<boolean> {
  const counts = await quick();
  console.log("| what | counted | at most |\n|---|---|---|");
  for (const { what, value, most } of counts) {
    console.log(`| ${what} | ${Number(value.toPrecision(4))} | ${most} |`);
  }
  console.log(JSON.stringify(counts));
  return counts.every(({ value, most }) => value <= most);
}
