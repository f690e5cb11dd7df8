// Threat 14 in docs/SECURITY-TESTS.md: no write permission, a folder that is gone, and no space for the log. A message says
// what is wrong, held files stay recorded and are still served, and writing resumes automatically once it can.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Honest } from "../hostile/honest.ts";
import { Folder } from "../process/folder.ts";
import { COMMAND, Program } from "../process/program.ts";
import { SANITIZED } from "../process/together.ts";
import { until } from "../until.ts";
import {
  FULL,
  hasObedience,
  OBEDIENT_COMMAND,
  recordOf,
  untilNoTemporary,
  untilRecorded,
  UNWRITABLE,
} from "./disk.ts";
import { ALONE, bring, dataOf, randomFile, servedDuring } from "./scene.ts";

const BRISK = ["--gossip-interval", "0.5", "--push-rate", "1000", "--push-burst", "1000"];
const RESUMED_MS = 30_000;

const PRIVATE = ["", "/.p2p-peer", "/.p2p-peer/temporary", "/.p2p-peer/trash"];

Deno.test({
  ...SANITIZED,
  ignore: !hasObedience,
  name:
    "threat 14: a folder that loses write permission is reported, still served, and accepts files again later",
  async fn() {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", [...ALONE, ...BRISK], {
      cwd: folder.path,
      command: OBEDIENT_COMMAND,
    });
    const store = folder.at("storage_kashifm");
    await using honest = await Honest.beside(program);
    const before = await untilRecorded(program, store, honest);
    const misnamed: string[] = [];
    // The whole store, then only the visible folder, then only the one for temporary files.
    for (const [index, parts] of [PRIVATE, [""], ["/.p2p-peer/temporary"]].entries()) {
      for (const part of parts) await Deno.chmod(store + part, 0o555);
      try {
        const { length } = program.lines;
        const refused = randomFile(`refused-${index}.bin`, "eve", 60_000);
        // Refusals with the same sender and reason would be logged only once a minute.
        await servedDuring(honest, bring(program, dataOf(refused), `127.0.0.${60 + index}`));
        const [line] = await program.waitForLine(
          new RegExp(`^.*(${UNWRITABLE.source}).*$`, "i"),
          length,
        );
        if (FULL.test(line) || line.includes("no-space")) misnamed.push(line);
        ok(!(await program.files()).some((row) => row.file_id === refused.fileId && row.has_copy));
        deepStrictEqual(recordOf(store, honest.file.fileId), before);
      } finally {
        for (const part of PRIVATE) await Deno.chmod(store + part, 0o755);
      }
      await takes(program, `kept-${index}.bin`);
    }
    await honest.check();
    // This includes one whose removal failed because the folder became read-only during a write.
    await untilNoTemporary(program, store);
    deepStrictEqual(misnamed, [], "a permission problem must not be reported as a lack of space");
  },
});

/** Pushes a file repeatedly until it is kept. */
async function takes(program: Program, name: string): Promise<void> {
  const kept = randomFile(name, "eve", 60_000);
  await program.until(`${name} to be kept`, async () => {
    await bring(program, dataOf(kept), "127.0.0.66");
    return (await program.files()).some((row) => row.file_id === kept.fileId && row.has_copy);
  }, RESUMED_MS);
  deepStrictEqual(await program.content(kept.fileId), kept.content);
}

Deno.test({
  ...SANITIZED,
  name:
    "threat 14: a store that is removed while the peer runs is reported, and its files are no longer offered",
  async fn() {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", [...ALONE, ...BRISK], { cwd: folder.path });
    await using honest = await Honest.beside(program);
    const { length } = program.lines;
    await Deno.remove(folder.at("storage_kashifm"), { recursive: true });
    await honest.gossip();
    await program.waitForLine(/(WARNING|ERROR) .*(removed|missing|gone|no such)/i, length);
    await program.until("the removed files to be noticed", async () => {
      return (await program.files()).every((row) => !row.has_copy);
    });
    await honest.gossip();
  },
});

Deno.test({
  ...SANITIZED,
  name: "threat 14: a removed store accepts files again as soon as its folder is back",
  async fn() {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", [...ALONE, ...BRISK], { cwd: folder.path });
    await using honest = await Honest.beside(program);
    await Deno.remove(folder.at("storage_kashifm"), { recursive: true });
    await bring(program, dataOf(randomFile("lost.bin", "eve")), "127.0.0.66");
    await honest.gossip();
    await folder.folder("storage_kashifm");
    await takes(program, "kept.bin");
    await honest.gossip();
    strictEqual(await program.stop(), 0, program.report());
    await using again = await Program.peer("kashifm", ALONE, { cwd: folder.path });
    await again.until("the file added afterward", async () => {
      return (await again.files()).some((row) => row.file_name === "kept.bin" && row.has_copy);
    });
  },
});

Deno.test({
  ...SANITIZED,
  name: "threat 14: log output that cannot be written, as on a full disk, does not stop the peer",
  async fn() {
    await using folder = await Folder.make();
    const [port, httpPort] = [freePort(), freePort()];
    const command = ["sh", "-c", 'exec "$@" > /dev/full 2> /dev/full', "sh", ...COMMAND];
    const words = ["kashifm", "127.0.0.1", `${port}`, `${httpPort}`];
    await using program = new Program([...words, ...ALONE, ...BRISK], {
      cwd: folder.path,
      command,
    });
    program.port = port;
    program.httpPort = httpPort;
    await until("an HTTP response", async () => {
      if (!program.isRunning) throw new Error(`The peer exited with code ${await program.exit()}`);
      return await program.status().catch(() => undefined);
    });
    await using honest = await Honest.beside(program);
    await honest.check();
    await bring(program, dataOf(randomFile("liar.bin", "liar"), { data: "zz" }), "127.0.0.66");
    await honest.check();
    ok(program.isRunning);
  },
});

/** The program prints nothing here, so it cannot report a port of its own choice. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}
