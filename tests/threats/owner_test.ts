// Threats 18 and 19 in docs/SECURITY-TESTS.md: peers that speak in a file owner's name. A DELETE counts only from the owner
// at the owner's own address, never for files published here, and can be undone. Claims about a file that was verified here
// change nothing and are counted.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Honest } from "../hostile/honest.ts";
import type { Script } from "../hostile/server.ts";
import { assertSameBytes, Folder } from "../process/folder.ts";
import { named } from "../process/network.ts";
import { Program } from "../process/program.ts";
import { hasTerminal, Terminal } from "../process/terminal.ts";
import { forEachOf, SANITIZED } from "../process/together.ts";
import type { ForeignFile } from "../wire/foreign.ts";
import {
  ALONE,
  ask,
  bring,
  dataOf,
  EAGER,
  entryOf,
  listed,
  randomFile,
  refusals,
  servedDuring,
  Source,
} from "./scene.ts";

const OLGA = "127.0.0.5";
const MALLORY = "127.0.0.6";
const QUICK = ["--push-rate", "1000", "--push-burst", "1000"];

const nothing = () => {};

async function isHeld(program: Program, fileId: string): Promise<boolean> {
  return (await program.files()).some((row) => row.file_id === fileId && row.has_copy);
}

async function keep(program: Program, owner: Source, files: readonly ForeignFile[]) {
  await forEachOf(files, (file) => owner.send(program, dataOf(file)));
  for (const { fileId } of files) await program.holds(fileId);
}

const deleteOf = (file: { fileId: string }, from: unknown) => {
  return { type: "DELETE", from, file_id: file.fileId };
};

Deno.test(
  "threat 18: a DELETE in another peer's name, from a wrong address, or from nobody is rejected and counted",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", [...ALONE, ...QUICK], { cwd: folder.path });
    await using honest = await Honest.beside(program);
    await using olga = await Source.start("olga", nothing, OLGA);
    await using mallory = await Source.start("mallory", nothing, MALLORY);
    await olga.join(program);
    await mallory.join(program);
    const file = randomFile("olgas.bin", "olga");
    const stranger = randomFile("strangers.bin", "never seen");
    await keep(program, olga, [file, stranger]);
    await folder.write("storage_kashifm/mine.txt", "mine");
    const { file_id: mine } = await named(program, "mine.txt");

    const before = await refusals(program);
    const forged: [address: string, from: unknown, fileId: string][] = [
      [MALLORY, "mallory", file.fileId],
      [MALLORY, "olga", file.fileId],
      ["127.0.0.1", "olga", file.fileId],
      ["127.0.0.7", "olga", file.fileId],
      [OLGA, "mallory", file.fileId],
      [MALLORY, "nobody", file.fileId],
      [MALLORY, "OLGA", file.fileId],
      [MALLORY, "olga ", file.fileId],
      [MALLORY, "never seen", stranger.fileId],
      [MALLORY, "kashifm", mine],
      ["127.0.0.1", "kashifm", mine],
      [OLGA, "olga", mine],
      [OLGA, ["olga"], file.fileId],
      [MALLORY, null, file.fileId],
    ];
    const attack = forEachOf(forged, async ([address, from, fileId]) => {
      await bring(program, deleteOf({ fileId }, from), address);
    });
    await servedDuring(honest, attack);
    const counted = await program.until("all of them to be counted", async () => {
      const count = await refusals(program) - before;
      return count >= forged.length && count;
    }, 5_000).catch(async () => await refusals(program) - before);
    strictEqual(counted, forged.length, JSON.stringify(await program.status()));
    for (const fileId of [file.fileId, stranger.fileId, mine]) {
      ok(await isHeld(program, fileId), `${fileId} is gone`);
      ok((await ask(program, fileId))?.data, `${fileId} is not served`);
    }
    await honest.check();
  },
);

Deno.test(
  "threat 18: a peer that joins later under the owner's name from another address cannot delete the owner's files",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", [...ALONE, ...QUICK], { cwd: folder.path });
    await using honest = await Honest.beside(program);
    await using olga = await Source.start("olga", nothing, OLGA);
    await olga.join(program);
    const file = randomFile("olgas.bin", "olga");
    await keep(program, olga, [file]);
    // Mallory gossips as olga, claims her address from his own, and sends DELETE.
    await using mallory = await Source.start("olga", nothing, MALLORY);
    await servedDuring(honest, mallory.gossip(program));
    await mallory.send(program, deleteOf(file, "olga"));
    const claim = { type: "GOSSIP", ...olga.address, id: crypto.randomUUID(), peerId: "olga" };
    await bring(program, claim, MALLORY);
    await mallory.send(program, deleteOf(file, "olga"));
    await honest.gossip();
    ok(await isHeld(program, file.fileId), program.report());
    await olga.send(program, deleteOf(file, "olga"));
    await program.until(
      "the owner's DELETE to take effect",
      async () => !await isHeld(program, file.fileId),
    );
    await honest.check();
  },
);

Deno.test({
  ...SANITIZED,
  ignore: !hasTerminal,
  name:
    "threat 18: the owner's DELETE from its own address removes the copy, and restore brings it back",
  async fn() {
    await using folder = await Folder.make();
    await using terminal = await Terminal.peer("kashifm", [...ALONE, ...QUICK], folder);
    const { program } = terminal;
    await using honest = await Honest.beside(program);
    await using olga = await Source.start("olga", nothing, OLGA);
    await olga.join(program);
    const file = randomFile("olgas.bin", "olga");
    await keep(program, olga, [file]);
    await olga.send(program, deleteOf(file, "olga"));
    await program.until("the copy to be gone", async () => !await isHeld(program, file.fileId));
    strictEqual((await ask(program, file.fileId))?.data ?? null, null);
    ok(!(await listed(program)).has(file.fileId));
    // Other peers' lists must not bring it back.
    await using holder = await Source.start("holder", nothing, MALLORY);
    await holder.join(program, [entryOf(file)]);
    await honest.gossip();
    ok(!await isHeld(program, file.fileId));

    await terminal.command(`restore ${file.fileId}`, /olgas\.bin/);
    await program.holds(file.fileId);
    deepStrictEqual(await program.content(file.fileId), file.content);
    strictEqual((await program.holds(file.fileId)).file_owner, "olga");
    await honest.check();
  },
});

Deno.test(
  "threat 18: when an owner deletes 90 files at once, at most 60 a minute are obeyed",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", [...ALONE, ...QUICK], { cwd: folder.path });
    await using honest = await Honest.beside(program);
    await using olga = await Source.start("olga", nothing, OLGA);
    await olga.join(program);
    const files = Array.from({ length: 90 }, (_, i) => randomFile(`olga-${i}.bin`, "olga", 300));
    await keep(program, olga, files);
    const began = performance.now();
    await servedDuring(
      honest,
      forEachOf(files, (file) => olga.send(program, deleteOf(file, "olga"))),
    );
    await honest.gossip();
    const left = (await program.files()).filter((row) => row.has_copy && row.file_owner === "olga");
    const minutes = (performance.now() - began) / 60_000;
    ok(
      left.length >= 90 - Math.ceil(60 * (1 + minutes)),
      `Only ${left.length} of 90 files are left`,
    );
    ok(left.length < 90, "the owner's DELETE messages must take effect");
    await honest.check();
  },
);

Deno.test(
  "threat 18: a DELETE with many files counts only from an owner that said it sends them, at its own address",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", [...ALONE, ...QUICK], { cwd: folder.path });
    await using honest = await Honest.beside(program);
    await using olga = await Source.start("olga", nothing, OLGA);
    await using mallory = await Source.start("mallory", nothing, MALLORY);
    await olga.join(program);
    await mallory.join(program);
    const files = Array.from({ length: 90 }, (_, i) => randomFile(`olga-${i}.bin`, "olga", 300));
    await keep(program, olga, files);
    const ids = files.map(({ fileId }) => fileId);
    const many = {
      type: "DELETE",
      from: "olga",
      file_id: "0".repeat(64),
      ext: { v: 1, can: ["batch-delete"], more: ids },
    };
    const left = async () =>
      (await program.files()).filter((row) => row.has_copy && row.file_owner === "olga").length;
    await mallory.send(program, many);
    await mallory.send(program, { ...many, from: "mallory" });
    await olga.send(program, many); // she has not said yet that she sends such messages
    await honest.gossip();
    strictEqual(await left(), 90);
    await olga.send(program, {
      type: "GOSSIP",
      ...olga.address,
      id: crypto.randomUUID(),
      peerId: "olga",
      ext: { v: 1, can: ["batch-delete"] },
    });
    await servedDuring(honest, olga.send(program, many));
    await program.until("all of them to be gone", async () => await left() === 0);
    await honest.check();
  },
);

Deno.test(
  "threat 19: announcements and lists that contradict a verified file change nothing and are counted",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", [...EAGER, ...QUICK], { cwd: folder.path });
    await using honest = await Honest.beside(program);
    await using olga = await Source.start("olga", nothing, OLGA);
    await using mallory = await Source.start("mallory", nothing, MALLORY);
    await olga.join(program);
    await mallory.join(program);
    const file = randomFile("olgas.bin", "olga");
    await keep(program, olga, [file]);
    const essence = async () => {
      const row = await program.holds(file.fileId);
      return [row.file_name, row.file_owner, row.file_timestamp, row.size_bytes];
    };
    const before = await essence();
    const lies = [
      { file_owner: "mallory" },
      { file_owner: "kashifm", file_name: "yours.bin" },
      { file_owner: "mallory", file_timestamp: 1744170563 },
      { file_owner: "mallory", file_size: 99_999, size_bytes: 5 },
    ];
    const refusedBefore = await refusals(program);
    const attack = forEachOf(lies, async (lie) => {
      const entry = { ...entryOf(file), ...lie };
      await mallory.send(program, { type: "ANNOUNCE", from: "mallory", ...entry });
      await mallory.list(program, [entry]);
      await mallory.send(program, { ...dataOf(file), ...lie });
    });
    await servedDuring(honest, attack);
    deepStrictEqual(await essence(), before);
    const counted = await refusals(program) - refusedBefore;
    ok(counted >= 2 * lies.length, `${counted}: ${JSON.stringify(await program.status())}`);
    const answer = await ask(program, file.fileId);
    deepStrictEqual([answer?.file_owner, answer?.file_name], ["olga", "olgas.bin"]);
    await mallory.send(program, deleteOf(file, "mallory"));
    await honest.gossip();
    ok(
      await isHeld(program, file.fileId),
      "claiming ownership must not let Mallory delete the file",
    );
    await honest.check();
  },
);

Deno.test(
  "threat 19: when two peers list one id under different owners, the first owner stays, even if the second delivers the content",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", [...ALONE, ...QUICK], { cwd: folder.path });
    await using honest = await Honest.beside(program);
    const file = randomFile("olgas.bin", "olga");
    await using olga = await Source.start("olga", nothing, OLGA);
    await using mallory = await Source.start("mallory", nothing, MALLORY);
    await olga.join(program, [entryOf(file)]);
    const owner = async () => {
      const row = (await program.files()).find(({ file_id: fileId }) => fileId === file.fileId);
      return row?.file_owner;
    };
    await program.until("olga's list", owner);
    await mallory.join(program);
    const before = await refusals(program);
    const forged = { ...entryOf(file), file_owner: "mallory" };
    await servedDuring(honest, mallory.list(program, [forged]));
    await mallory.send(program, { type: "ANNOUNCE", from: "mallory", ...forged });
    strictEqual(await owner(), "olga");
    await mallory.send(program, dataOf(file, { file_owner: "mallory" }));
    await program.until("the content", () => isHeld(program, file.fileId));
    strictEqual(await owner(), "olga");
    ok(await refusals(program) - before >= 2, JSON.stringify(await program.status()));
    await honest.check();
  },
);

Deno.test(
  "threat 19: a peer that tells the SHA-256 of content that is here gets nothing believed, and is blamed once the file is known",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", [...EAGER, ...QUICK], { cwd: folder.path });
    await using honest = await Honest.beside(program);
    await folder.write("storage_kashifm/mine.bin", randomFile("mine.bin", "kashifm").content);
    const mine = await program.until(
      "our own file",
      async () =>
        (await program.files()).find(({ file_name, sha256 }) => file_name === "mine.bin" && sha256),
    );
    const file = randomFile("mallorys.bin", "mallory"); // of the same size
    const answer: Script = (socket) => socket.end(JSON.stringify(dataOf(file)));
    await using mallory = await Source.start("mallory", answer, MALLORY);
    const before = await refusals(program);
    const claim = { ...entryOf(file), size_bytes: 2_000, file_ext: { sha256: mine.sha256 } };
    await servedDuring(honest, mallory.join(program, [claim]));
    const row = await program.holds(file.fileId);
    ok(row.sha256 !== mine.sha256);
    strictEqual(row.here_as, null);
    assertSameBytes(await program.content(file.fileId), file.content, "what Mallory holds");
    const { refused } = await program.status() as { refused: Record<string, number> };
    strictEqual(refused["wrong-claim"], 1, `${await refusals(program) - before}`);
    await honest.check();
  },
);
