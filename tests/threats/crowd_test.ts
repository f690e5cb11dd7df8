// Threat 26 in docs/SECURITY-TESTS.md: many requests for one file at the same moment, and a file that disappears while it is
// being sent. The source sees one transfer, whoever asks. A transfer in progress arrives whole or visibly cut off, and later
// requests are answered with "I don't have it".

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Socket } from "node:net";
import { Honest } from "../hostile/honest.ts";
import { Raw } from "../hostile/raw.ts";
import { Folder } from "../process/folder.ts";
import { Program } from "../process/program.ts";
import { hasTerminal, Terminal } from "../process/terminal.ts";
import { SANITIZED, together } from "../process/together.ts";
import type { ForeignFile } from "../wire/foreign.ts";
import { ALONE, ask, bring, dataOf, EAGER, entryOf, randomFile, Source } from "./scene.ts";

const QUICK = ["--push-rate", "1000", "--push-burst", "1000"];

/** Sends the file in two halves, the second one only when released. */
class HeldBack {
  readonly #waiting: (() => void)[] = [];

  answer(socket: Socket, file: ForeignFile): void {
    const text = JSON.stringify(dataOf(file));
    socket.write(text.slice(0, text.length / 2));
    this.#waiting.push(() => socket.end(text.slice(text.length / 2)));
  }

  letGo(): void {
    for (const go of this.#waiting.splice(0)) go();
  }
}

/** Requests the file over the wire or HTTP. Resolves to its bytes in hex, or to "not here". */
async function wanted(program: Program, fileId: string, how: "wire" | "http") {
  if (how === "wire") {
    const data = (await ask(program, fileId))?.data ?? null;
    return data === null ? "not here" : data as string;
  }
  const url = `http://127.0.0.1:${program.httpPort}/api/v1/files/${fileId}/content`;
  const response = await fetch(url);
  const bytes = await response.bytes();
  if (!response.ok) strictEqual(response.status, 404);
  return response.ok ? bytes.toHex() : "not here";
}

Deno.test(
  "threat 26: 50 gets of a file that is being fetched cause one transfer, and each returns the whole file or a clear refusal",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", [...EAGER, ...QUICK], { cwd: folder.path });
    await using honest = await Honest.beside(program);
    const file = randomFile("wanted.bin", "source", 300_000);
    const back = new HeldBack();
    await using source = await Source.start("source", (socket) => back.answer(socket, file));
    await source.join(program, [entryOf(file)]);
    await program.until("a transfer", () => source.asked(file.fileId) > 0);
    const gets = together(Array.from({ length: 50 }, (_, i) => {
      return wanted(program, file.fileId, i % 2 === 0 ? "wire" : "http");
    }));
    // More lists and announcements during the transfer must not start another one.
    for (let i = 0; i < 5; i++) {
      await source.list(program, [entryOf(file)]);
      await source.send(program, { type: "ANNOUNCE", from: "source", ...entryOf(file) });
    }
    await honest.gossip();
    back.letGo();
    for (const got of await gets) ok(got === "not here" || got === file.content.toHex());
    await program.holds(file.fileId);
    strictEqual(source.asked(file.fileId), 1);
    const after = await together(Array.from({ length: 50 }, (_, i) => {
      return wanted(program, file.fileId, i % 2 === 0 ? "wire" : "http");
    }));
    for (const got of after) ok(got === file.content.toHex());
    strictEqual(source.asked(file.fileId), 1);
    await honest.check();
  },
);

Deno.test({
  ...SANITIZED,
  ignore: !hasTerminal,
  name:
    "threat 26: ten gets at the prompt during a transfer, and a push of the same file, cause only that transfer",
  async fn() {
    await using folder = await Folder.make();
    const args = [...ALONE, ...QUICK, "--log-level", "ERROR"];
    await using terminal = await Terminal.peer("kashifm", args, folder);
    const { program } = terminal;
    await using honest = await Honest.beside(program);
    const file = randomFile("wanted.bin", "source", 300_000);
    const back = new HeldBack();
    await using source = await Source.start("source", (socket) => back.answer(socket, file));
    await source.join(program, [entryOf(file)]);
    await program.until("the file list", async () => {
      return (await program.files()).some((row) => row.file_id === file.fileId);
    });
    for (let i = 0; i < 10; i++) await terminal.type(`get ${file.fileId}\r`);
    await program.until("a transfer", () => source.asked(file.fileId) > 0);
    await honest.gossip();
    await honest.get();
    back.letGo();
    await program.holds(file.fileId);
    await bring(program, dataOf(file));
    await honest.gossip();
    strictEqual(source.asked(file.fileId), 1);
    deepStrictEqual(await program.content(file.fileId), file.content);
    const copies = [...Deno.readDirSync(folder.at("storage_kashifm"))]
      .filter(({ name }) => name.includes("wanted"));
    strictEqual(copies.length, 1, "there must be one copy on disk");
  },
});

/** Starts reading, and pauses until told to continue. */
async function slowGet(program: Program, fileId: string): Promise<Raw> {
  const raw = await Raw.open(program);
  raw.send({ type: "GET_FILE", file_id: fileId });
  await raw.untilText(/"data"/);
  raw.socket.pause();
  return raw;
}

/** Reads to the end. The result is the whole content, or a message that is recognizably cut off. */
async function finish(raw: Raw, file: ForeignFile): Promise<"whole" | "cut"> {
  raw.socket.resume();
  await raw.untilClosed(60_000);
  try {
    strictEqual(JSON.parse(raw.text).data, file.content.toHex());
    return "whole";
  } catch (error) {
    if (error instanceof SyntaxError) return "cut";
    throw error;
  }
}

Deno.test(
  "threat 26: a file that its owner deletes, or that is unlinked, while being sent arrives whole or is visibly cut off",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", [...ALONE, ...QUICK], { cwd: folder.path });
    await using honest = await Honest.beside(program);
    await using owner = await Source.start("owner", () => {}, "127.0.0.5");
    await owner.join(program);
    const files = ["deleted.bin", "unlinked.bin"].map((name) =>
      randomFile(name, "owner", 8_000_000)
    );
    for (const file of files) {
      await owner.send(program, dataOf(file));
      await program.holds(file.fileId);
    }
    const [deleted, unlinked] = files as [ForeignFile, ForeignFile];
    using one = await slowGet(program, deleted.fileId);
    using two = await slowGet(program, unlinked.fileId);
    await owner.send(program, { type: "DELETE", from: "owner", file_id: deleted.fileId });
    await Deno.remove(folder.at("storage_kashifm", unlinked.name));
    for (const { fileId } of files) {
      await program.until("the file to be gone", async () => {
        return !(await program.files()).some((row) => row.file_id === fileId && row.has_copy);
      });
      for (const how of ["wire", "http"] as const) {
        strictEqual(await wanted(program, fileId, how), "not here");
      }
    }
    await honest.check();
    strictEqual(
      await finish(one, deleted),
      "whole",
      "an open file must survive the removal of its name",
    );
    strictEqual(
      await finish(two, unlinked),
      "whole",
      "an open file must survive the removal of its name",
    );
    await honest.check();
  },
);
