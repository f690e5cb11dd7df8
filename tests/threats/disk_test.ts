// Threat 14 in docs/SECURITY-TESTS.md: no disk space during fetches, incoming pushes, pushes from the prompt, and startup. A
// message says what is wrong, held files stay recorded and are still served, no partial files are left behind, and writing
// resumes automatically once there is space.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { Honest } from "../hostile/honest.ts";
import { Folder } from "../process/folder.ts";
import { Program } from "../process/program.ts";
import { hasTerminal, Terminal } from "../process/terminal.ts";
import { SANITIZED } from "../process/together.ts";
import { ForeignPeer } from "../wire/foreign.ts";
import {
  FULL,
  hasSmallDisk,
  metadataOf,
  recordOf,
  SmallDisk,
  untilNoTemporary,
  untilRecorded,
  UNWRITABLE,
} from "./disk.ts";
import { ALONE, bring, dataOf, EAGER, randomFile, servedDuring } from "./scene.ts";

const BRISK = ["--gossip-interval", "0.5", "--push-rate", "1000", "--push-burst", "1000"];
const RESUMED_MS = 30_000;
const noDisk = { ...SANITIZED, ignore: !hasSmallDisk };

function smallPeer(folder: Folder, disk: SmallDisk, args: readonly string[]): Promise<Program> {
  const all = [...args, ...BRISK, "--min-free", "0", "--dir", disk.dir];
  return Program.peer("kashifm", all, { cwd: folder.path });
}

async function assertKeptState(program: Program, store: string, honest: Honest, before: unknown) {
  await untilNoTemporary(program, store);
  deepStrictEqual(
    recordOf(store, honest.file.fileId),
    before,
    "the record of the held file must not change",
  );
  await program.holds(honest.file.fileId);
}

Deno.test({
  ...noDisk,
  name:
    "threat 14: a disk that fills up during fetches is reported, and the files arrive once there is space",
  async fn() {
    await using folder = await Folder.make();
    await using disk = await SmallDisk.mount(folder);
    await using program = await smallPeer(folder, disk, EAGER);
    await using honest = await Honest.beside(program);
    const before = await untilRecorded(program, disk.store, honest);
    await disk.fill(64 * 1024);
    const files = [300_000, 200_000].map((size, i) => randomFile(`large-${i}.bin`, "giver", size));
    await using giver = await ForeignPeer.start({
      style: "closes-at-once",
      peerId: "giver",
      files,
    });
    const { length } = program.lines;
    await giver.gossip(program);
    await servedDuring(honest, program.waitForLine(FULL, length));
    await assertKeptState(program, disk.store, honest, before);
    ok(
      !(await program.files()).some(({ file_name: name, has_copy: isHere }) =>
        isHere && name.startsWith("large")
      ),
    );

    await disk.free();
    for (const file of files) {
      await program.holds(file.fileId, RESUMED_MS);
      deepStrictEqual(await program.content(file.fileId), file.content);
    }
    await honest.check();
  },
});

Deno.test({
  ...noDisk,
  name:
    "threat 14: on a full disk, pushes are refused with an explanation, and accepted again once there is space",
  async fn() {
    await using folder = await Folder.make();
    await using disk = await SmallDisk.mount(folder);
    await using program = await smallPeer(folder, disk, ALONE);
    await using honest = await Honest.beside(program);
    const before = await untilRecorded(program, disk.store, honest);
    for (const [index, leftBytes] of [0, 4_096, 40_000].entries()) {
      await disk.fill(leftBytes);
      const { length } = program.lines;
      const refused = randomFile(`refused-${leftBytes}.bin`, "eve", 60_000);
      await servedDuring(honest, bring(program, dataOf(refused), `127.0.0.${60 + index}`));
      // Refusals because of a limit are logged once a minute, and all of them are counted.
      if (index === 0) await program.waitForLine(FULL, length);
      await program.until("the refusal to be counted", async () => {
        const { overload } = await program.status() as {
          overload: { reason: string; times: number }[];
        };
        return overload.some(({ reason, times }) => reason === "no-space" && times > index);
      });
      await assertKeptState(program, disk.store, honest, before);
      const rows = await program.files();
      ok(
        !rows.some((row) => row.file_id === refused.fileId && row.has_copy),
        "the refused file must not be held",
      );

      await disk.free();
      const kept = randomFile(`kept-${leftBytes}.bin`, "eve", 60_000);
      await program.until("a push to be kept again", async () => {
        await bring(program, dataOf(kept), "127.0.0.66");
        return (await program.files()).some((row) => row.file_id === kept.fileId && row.has_copy);
      }, RESUMED_MS);
    }
    await honest.check();
  },
});

Deno.test({
  ...noDisk,
  ignore: !hasSmallDisk || !hasTerminal,
  name:
    "threat 14: a push at the prompt on a full disk says what is wrong, and works once there is space",
  async fn() {
    await using folder = await Folder.make();
    await using disk = await SmallDisk.mount(folder);
    const args = [...ALONE, ...BRISK, "--min-free", "0", "--dir", disk.dir, "--log-level", "ERROR"];
    await using terminal = await Terminal.peer("kashifm", args, folder);
    await using honest = await Honest.beside(terminal.program);
    const before = await untilRecorded(terminal.program, disk.store, honest);
    const content = randomFile("", "", 100_000).content;
    await Deno.writeFile(folder.at("up.bin"), content);
    await disk.fill(8_192);
    const { mark } = terminal;
    await terminal.command(`push ${folder.at("up.bin")}`, FULL);
    ok(!terminal.screen.rows.slice(mark).some((row) => /^\s+at /.test(row)), "no stack trace");
    await honest.gossip();
    await honest.get();
    await assertKeptState(terminal.program, disk.store, honest, before);
    deepStrictEqual(
      await Deno.readFile(folder.at("up.bin")),
      content,
      "the original file must not change",
    );

    await disk.free();
    await terminal.command(`push ${folder.at("up.bin")}`, /up\.bin/);
    await terminal.program.until("the file to be held", async () => {
      return (await terminal.program.files()).some((row) =>
        row.file_name === "up.bin" && row.has_copy
      );
    });
    await honest.check();
  },
});

Deno.test({
  ...noDisk,
  name:
    "threat 14: held files survive a kill and restart on a full disk, or the peer says why it cannot start",
  async fn() {
    await using folder = await Folder.make();
    await using disk = await SmallDisk.mount(folder);
    await using program = await smallPeer(folder, disk, ALONE);
    await using honest = await Honest.beside(program);
    await disk.fill();
    await servedDuring(
      honest,
      bring(program, dataOf(randomFile("refused.bin", "eve", 60_000)), "127.0.0.66"),
    );
    await program.stop("SIGKILL");
    const args = [...ALONE, ...BRISK, "--min-free", "0", "--dir", disk.dir];
    await using again = new Program(["kashifm", "127.0.0.1", "0", "0", ...args], {
      cwd: folder.path,
    });
    await again.until("startup or exit", () => {
      return !again.isRunning || again.lines.some((line) => line.startsWith("HTTP address"));
    });
    if (again.isRunning) await again.stop();
    else match(again.err.join("\n"), FULL);
    await disk.free();
    await using last = await smallPeer(folder, disk, ALONE);
    await last.holds(honest.file.fileId);
    deepStrictEqual(await last.content(honest.file.fileId), honest.file.content);
  },
});

Deno.test({
  ...noDisk,
  name:
    "threat 14: a disk that is mounted read-only at startup is reported, and nothing is changed",
  async fn() {
    await using folder = await Folder.make();
    await using disk = await SmallDisk.mount(folder);
    {
      await using program = await smallPeer(folder, disk, ALONE);
      await using honest = await Honest.beside(program);
      await untilRecorded(program, disk.store, honest);
      strictEqual(await program.stop(), 0);
    }
    const before = metadataOf(disk.store);
    await disk.remount("ro");
    const args = ["kashifm", "127.0.0.1", "0", "0", ...ALONE, "--dir", disk.dir];
    const { code, err } = await Program.toEnd(args, { cwd: folder.path });
    strictEqual(code, 7, err.join("\n"));
    match(err.join("\n"), UNWRITABLE);
    ok(err.join("\n").includes("disk/store"), err.join("\n"));
    await disk.remount("rw");
    deepStrictEqual(metadataOf(disk.store), before);
  },
});

/** Pushes a file of this size. `holds` and `files` show whether it was kept. */
async function pushed(program: Program, name: string, sizeBytes: number): Promise<string> {
  const file = randomFile(name, "eve", sizeBytes);
  await bring(program, dataOf(file), "127.0.0.66");
  return file.fileId;
}

Deno.test({
  ...noDisk,
  ignore: !hasSmallDisk || !hasTerminal,
  name: "threat 14: on a completely full disk, deleted files make space for incoming ones",
  async fn() {
    await using folder = await Folder.make();
    await using disk = await SmallDisk.mount(folder);
    const args = [...ALONE, ...BRISK, "--min-free", "0", "--dir", disk.dir, "--log-level", "ERROR"];
    await using terminal = await Terminal.peer("kashifm", args, folder);
    const { program } = terminal;
    for (const name of ["a", "b"]) {
      await Deno.writeFile(folder.at(name), randomFile("", "", 300_000).content);
      const [, fileId] = await terminal.command(`push ${folder.at(name)}`, /Shared . as (\w{64})/);
      await terminal.command(`delete ${fileId}`, /Deleted/);
    }
    const trash = async () =>
      (await program.api<{ trash: { files: number } }>("status")).trash.files;
    await program.until("both in the trash", async () => await trash() === 2);
    await program.holds(await pushed(program, "more than is free.bin", 500_000));
    strictEqual(await trash(), 1, "the oldest must be purged, and the other kept");
  },
});

Deno.test({
  ...noDisk,
  name: "threat 14: incoming files never use the disk space reserved by --min-free",
  async fn() {
    await using folder = await Folder.make();
    await using disk = await SmallDisk.mount(folder);
    const args = [...ALONE, ...BRISK, "--min-free", "400KiB", "--dir", disk.dir];
    await using program = await Program.peer("kashifm", args, { cwd: folder.path });
    await program.holds(await pushed(program, "fits.bin", 300_000));
    const refused = await pushed(program, "does not.bin", 400_000);
    await program.waitForLine(/Less than 1 MiB would stay free/);
    await program.holds(await pushed(program, "small.bin", 10_000));
    ok(!(await program.files()).some(({ file_id, has_copy }) => file_id === refused && has_copy));
  },
});
