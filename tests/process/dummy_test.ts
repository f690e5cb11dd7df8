// `p2p-peer dummy`, the peer for experiments: well-behaved, and in each of its misbehaving modes.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { assertSameBytes, Folder, randomBytes } from "./folder.ts";
import { Program } from "./program.ts";
import { forEachOf, SANITIZED } from "./together.ts";

const MODES = ["slow", "truncate", "corrupt", "silent", "garbage"];
/** One size needs several reads, yet both are small enough to push to a legacy peer. */
const SIZES = { "small.txt": 500, "large.bin": 300_000 };
const MTIME = new Date(1750023401_000);

/** Writes the same files with the same times to each folder, so that their ids match wherever they are shared. */
async function fill(folder: Folder, ...into: string[]): Promise<Map<string, Uint8Array>> {
  const contents = new Map<string, Uint8Array>();
  for (const [name, sizeBytes] of Object.entries(SIZES)) contents.set(name, randomBytes(sizeBytes));
  for (const path of into) {
    await folder.folder(path);
    for (const [name, content] of contents) {
      await Deno.writeFile(folder.at(path, name), content);
      await Deno.utime(folder.at(path, name), MTIME, MTIME);
    }
  }
  return contents;
}

async function endsWith(
  peer: Program,
  folder: Folder,
  contents: Map<string, Uint8Array>,
  beside = "good",
) {
  await peer.until(`the right files, next to a dummy that is ${beside}`, async () => {
    const held = (await peer.files()).filter(({ has_copy }) => has_copy);
    return [...contents.keys()].every((name) => held.some(({ file_name }) => file_name === name));
  });
  const names = [...Deno.readDirSync(folder.at("storage_kashifm"))].map(({ name }) => name)
    .filter((name) => name !== ".p2p-peer" && name !== "metadata.json");
  deepStrictEqual(names.sort(), [...contents.keys()].sort(), "exactly these files");
  for (const [name, content] of contents) {
    assertSameBytes(await Deno.readFile(folder.at("storage_kashifm", name)), content, name);
  }
}

function kashifm(folder: Folder, ...bootstraps: Program[]): Promise<Program> {
  const join = bootstraps.flatMap(({ address }) => ["--bootstrap", address]);
  const args = [...join, "--auto-fetch", "all", "--gossip-interval", "1", "--idle-timeout", "2"];
  args.push("--log-level", "DEBUG");
  return Program.peer("kashifm", args, { cwd: folder.path });
}

Deno.test(
  "a dummy has sample files, and a peer that joins it soon gets them",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using dummy = await Program.dummy([], { cwd: folder.path });
    const [, count] = await dummy.waitForLine(/^Dummy peer at \S+ with (\d+) files/);
    ok(Number(count) >= 1, "sample files");
    await using peer = await kashifm(folder, dummy);
    const [complete] = await peer.waitForLine(/^AUTO FETCH PROCESS COMPLETE.*/);
    match(complete, new RegExp(`\\b${count}\\b.*\\b0 failed`));
    strictEqual((await peer.files()).filter(({ has_copy }) => has_copy).length, Number(count));
    strictEqual(
      // The dummy pushes copies of files that nobody else has, so some may arrive that way first.
      peer.lines.filter((line) =>
        /^Successfully downloaded file from dummy-\d+$| Added \S+ \([0-9a-f]{64}\): pushed$/.test(
          line,
        )
      ).length,
      Number(count),
    );
  },
);

Deno.test(
  "a dummy shares copies of a folder's files and leaves the folder unchanged",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const contents = await fill(folder, "files");
    await using dummy = await Program.dummy(["--files", "files"], { cwd: folder.path });
    await using peer = await kashifm(folder, dummy);
    await endsWith(peer, folder, contents);
    await peer.stop();
    await dummy.stop();
    deepStrictEqual([...Deno.readDirSync(folder.at("files"))].map(({ name }) => name).sort(), [
      "large.bin",
      "small.txt",
    ]);
  },
);

Deno.test(
  "each misbehaving dummy costs only one attempt if an honest dummy has the same files",
  SANITIZED,
  async () => {
    await forEachOf(MODES, async (mode) => {
      await using folder = await Folder.make();
      const contents = await fill(folder, "files");
      const files = ["--files", "files"];
      await using bad = await Program.dummy([...files, "--misbehave", mode], { cwd: folder.path });
      await using honest = await Program.dummy(files, { cwd: folder.path });
      await using peer = await kashifm(folder, bad, honest);
      await endsWith(peer, folder, contents, mode);
    }, 2);
  },
);

Deno.test(
  "after a failed attempt at each misbehaving dummy, an honest peer that joins later delivers",
  SANITIZED,
  async () => {
    await forEachOf(MODES, async (mode) => {
      await using folder = await Folder.make();
      const contents = await fill(folder, "files", "storage_honest");
      await using bad = await Program.dummy(["--files", "files", "--misbehave", mode], {
        cwd: folder.path,
      });
      await using peer = await kashifm(folder, bad);
      await peer.waitForLine(/Sent GET_FILE/);
      await using honest = await Program.peer(
        "honest",
        ["--bootstrap", peer.address, "--auto-fetch", "0"],
        { cwd: folder.path },
      );
      const shared = (await honest.files()).filter(({ has_copy }) => has_copy);
      strictEqual(shared.length, contents.size);
      await endsWith(peer, folder, contents, mode);
    }, 2);
  },
);
