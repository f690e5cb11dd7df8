// Threat 13 in docs/SECURITY-TESTS.md: symbolic links planted in the store before startup and while the program runs, where
// files would be written, and in place of the private folder, its contents, and the store's own files. The link targets keep
// every byte, whatever happens to the store. The program survives or says clearly why it does not start.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { Honest } from "../hostile/honest.ts";
import { Folder } from "../process/folder.ts";
import { Program } from "../process/program.ts";
import { forEachOf, SANITIZED } from "../process/together.ts";
import { bring, dataOf, EAGER, entryOf, randomFile, servedDuring, Source, tree } from "./scene.ts";

const QUICK = ["--push-rate", "10000", "--push-burst", "10000"];
const START = ["kashifm", "127.0.0.1", "0", "0", ...EAGER];

/** Creates a folder that links point into. It must stay unchanged, byte for byte. */
async function victims(folder: Folder): Promise<string> {
  const outside = await folder.folder("outside");
  const own = ["metadata.json", "journal.jsonl", "lock", "key.json", "peers.json", "deleted.json"];
  for (const name of [...own, "metadata.last-good.json", "kept.txt"]) {
    await folder.write(`outside/${name}`, `${name} of somebody else`);
  }
  await folder.folder("outside", "temporary");
  await folder.write("outside/temporary/kept.txt", "kept");
  return outside;
}

Deno.test(
  "threat 13: links planted at the names of incoming files, dangling ones included, are never written through",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const outside = await victims(folder);
    const store = await folder.folder("storage_kashifm");
    const targets = { "a.bin": "kept.txt", "b.bin": "missing", "c.bin": "temporary", "d.bin": "" };
    for (const [name, target] of Object.entries(targets)) {
      await Deno.symlink(`${outside}/${target}`, `${store}/${name}`);
    }
    await Deno.symlink("e.bin", `${store}/e.bin`);
    await using program = await Program.peer("kashifm", [...EAGER, ...QUICK], { cwd: folder.path });
    await using honest = await Honest.beside(program);
    await Deno.symlink(`${outside}/kept.txt`, `${store}/f.bin`);
    const before = tree(outside);

    const names = [..."abcdef"].map((letter) => `${letter}.bin`);
    const pushed = names.map((name) => randomFile(name, "eve"));
    const fetched = names.map((name) => randomFile(name, "eve"));
    await using eve = await Source.start("eve", (socket, message) => {
      const file = fetched.find(({ fileId }) => fileId === message!.file_id)!;
      socket.end(JSON.stringify(dataOf(file)));
    }, "127.0.0.66");
    await eve.join(program, fetched.map(entryOf));
    await servedDuring(
      honest,
      forEachOf(pushed, (file) => bring(program, dataOf(file), "127.0.0.66")),
    );
    for (const { fileId, content } of [...pushed, ...fetched]) {
      await program.holds(fileId);
      deepStrictEqual(await program.content(fileId), content);
    }
    deepStrictEqual(tree(outside), before);
    for (const name of names) {
      ok(Deno.lstatSync(`${store}/${name}`).isSymlink, `the link ${name} must be left alone`);
    }
    // Restart, to cover everything that is written at shutdown and startup.
    strictEqual(await program.stop(), 0);
    await using again = await Program.peer("kashifm", EAGER, { cwd: folder.path });
    for (const { fileId } of [...pushed, ...fetched]) await again.holds(fileId);
    deepStrictEqual(tree(outside), before);
  },
);

/** Creates a store as a previous run would leave it, with one file of another peer. */
async function usedStore(folder: Folder): Promise<string> {
  await using program = await Program.peer("kashifm", EAGER, { cwd: folder.path });
  const file = randomFile("held.bin", "olga");
  await bring(program, dataOf(file));
  await program.holds(file.fileId);
  strictEqual(await program.stop(), 0);
  return folder.at("storage_kashifm");
}

/** Replaces an entry, whether it exists or not, with a link. */
async function plant(path: string, target: string): Promise<void> {
  // A link replaces what is there in one step: the peer might create it again in between.
  const link = `${path}.link`;
  await Deno.symlink(target, link);
  for (let tries = 0;; tries++) {
    await Deno.rename(path, `${path}.aside`).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    });
    try {
      return await Deno.rename(link, path);
    } catch (error) {
      if (tries === 10) throw error; // a folder cannot be replaced by a link
    }
  }
}

/** Where links are planted, and what in `outside` they point to. */
const PLANTS: readonly (readonly [at: string, target: string])[] = [
  [".p2p-peer", ""],
  [".p2p-peer/temporary", "temporary"],
  [".p2p-peer/trash", "temporary"],
  [".p2p-peer/lock", "lock"],
  [".p2p-peer/journal.jsonl", "journal.jsonl"],
  [".p2p-peer/deleted.json", "kept.txt"],
  [".p2p-peer/peers.json", "kept.txt"],
  [".p2p-peer/metadata.last-good.json", "kept.txt"],
  ["metadata.json", "metadata.json"],
];

Deno.test(
  "threat 13: links in place of the private folder or its contents at startup let nothing out of the store",
  SANITIZED,
  async () => {
    await forEachOf(PLANTS, async ([at, target]) => {
      await using folder = await Folder.make();
      const outside = await victims(folder);
      const store = await usedStore(folder);
      await plant(`${store}/${at}`, `${outside}/${target}`);
      const before = tree(outside);
      await using program = new Program(START, { cwd: folder.path });
      await program.until("startup or a clear exit", () => {
        return !program.isRunning || program.lines.some((line) => line.startsWith("HTTP address"));
      });
      if (program.isRunning) await serves(program);
      else {match(
          program.err.join("\n"),
          /link|storage_kashifm/i,
          `Exited because of ${at} without saying so`,
        );}
      await program.stop();
      deepStrictEqual(tree(outside), before, `A link at ${at} was followed. ${program.report()}`);
    }, 2);
  },
);

/** Checks that the peer keeps a push and answers an honest gossip. */
async function serves(program: Program): Promise<void> {
  const [, tcp] = await program.waitForLine(/^TCP address: 127\.0\.0\.1:(\d+)\b/);
  const [, http] = await program.waitForLine(/^HTTP address: http:\/\/127\.0\.0\.1:(\d+)/);
  program.port = Number(tcp);
  program.httpPort = Number(http);
  await using honest = await Honest.beside(program);
  await honest.check();
}

Deno.test(
  "threat 13: links planted while the peer runs let nothing out of the store, and the peer survives",
  SANITIZED,
  async () => {
    await forEachOf(PLANTS, async ([at, target]) => {
      await using folder = await Folder.make();
      const outside = await victims(folder);
      await using program = await Program.peer("kashifm", [...EAGER, ...QUICK], {
        cwd: folder.path,
      });
      const store = folder.at("storage_kashifm");
      await using honest = await Honest.beside(program);
      await plant(`${store}/${at}`, `${outside}/${target}`);
      const before = tree(outside);
      const files = Array.from({ length: 5 }, (_, i) => randomFile(`late-${i}.bin`, "eve"));
      for (const file of files) await bring(program, dataOf(file), "127.0.0.66");
      await honest.gossip();
      await honest.get();
      ok(program.isRunning, `Exited because of a link at ${at}. ${program.report()}`);
      await program.stop();
      deepStrictEqual(tree(outside), before, `A link at ${at} was followed. ${program.report()}`);
    }, 2);
  },
);

Deno.test(
  "threat 13: links among the temporary files are not followed, and cleanup deletes nothing through them",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const outside = await victims(folder);
    const store = await usedStore(folder);
    await Deno.symlink(`${outside}/kept.txt`, `${store}/.p2p-peer/temporary/file`);
    await Deno.symlink(`${outside}/temporary`, `${store}/.p2p-peer/temporary/folder`);
    await Deno.symlink(`${outside}/temporary`, `${store}/.p2p-peer/trash/folder`);
    for (const name of ["metadata.json", ".p2p-peer/peers.json", ".p2p-peer/deleted.json"]) {
      for (const suffix of [".tmp", ".new", ".part", "~"]) {
        await Deno.symlink(`${outside}/kept.txt`, `${store}/${name}${suffix}`);
      }
    }
    const before = tree(outside);
    await using program = await Program.peer("kashifm", EAGER, { cwd: folder.path });
    await using honest = await Honest.beside(program);
    await honest.check();
    strictEqual(await program.stop(), 0);
    deepStrictEqual(tree(outside), before);
  },
);

Deno.test(
  "threat 13: a link that replaces a held file is not served as that file",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const outside = await victims(folder);
    const store = await usedStore(folder);
    await using program = await Program.peer("kashifm", EAGER, { cwd: folder.path });
    await using honest = await Honest.beside(program);
    const file = (await program.files()).find(({ file_name: name }) => name === "held.bin")!;
    await Deno.remove(`${store}/held.bin`); // if it were renamed, it would be held under its new name
    await plant(`${store}/held.bin`, `${outside}/kept.txt`);
    await program.until("the held file to be gone", async () => {
      return !(await program.files()).some((row) => row.file_id === file.file_id && row.has_copy);
    });
    const response = await fetch(
      `http://127.0.0.1:${program.httpPort}/api/v1/files/${file.file_id}/content`,
    );
    const text = await response.text();
    ok(!text.includes("somebody else"), text);
    await honest.check();
  },
);
