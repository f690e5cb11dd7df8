// Threat 9 in docs/SECURITY-TESTS.md: content that does not match its id, from sources and in pushes. None of it is kept,
// announced, or served, the true content still arrives from elsewhere, and an honest peer is answered throughout.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Socket } from "node:net";
import { Honest } from "../hostile/honest.ts";
import { Folder } from "../process/folder.ts";
import { Program } from "../process/program.ts";
import { forEachOf, SANITIZED, together } from "../process/together.ts";
import { type ForeignFile, foreignFile, ForeignPeer } from "../wire/foreign.ts";
import {
  ALONE,
  ask,
  bring,
  dataOf,
  EAGER,
  entryOf,
  listed,
  type Message,
  randomFile,
  refusals,
  SECONDS,
  servedDuring,
  shownIn,
  Source,
} from "./scene.ts";

/** A lie about a file: what is sent instead of its FILE_DATA. */
type Lie = (file: ForeignFile) => Message | string;

const hexOf = (text: string) => new TextEncoder().encode(text).toHex();
const other = randomFile("other.bin", "liar");

/** Both shifted forms still hash to the file's id. Only the form of the timestamp gives them away. */
const LIES: readonly (readonly [name: string, Lie])[] = [
  ["a flipped bit", (file) => {
    const content = file.content.slice();
    content[content.length >> 1]! ^= 1;
    return dataOf(file, { data: content.toHex() });
  }],
  ["a byte moved from the timestamp to the content", (file) => {
    const data = file.content.toHex() + hexOf(SECONDS[0]!);
    return dataOf(file, { data, file_timestamp: Number(SECONDS.slice(1)) });
  }],
  ["a byte moved from the content to the timestamp", (file) => {
    const last = String.fromCharCode(file.content.at(-1)!);
    const data = file.content.subarray(0, -1).toHex();
    return dataOf(file, { data, file_timestamp: Number(last + SECONDS) });
  }],
  ["the same, with the timestamp as text", (file) => {
    const last = String.fromCharCode(file.content.at(-1)!);
    const data = file.content.subarray(0, -1).toHex();
    return dataOf(file, { data, file_timestamp: last + SECONDS });
  }],
  ["an odd number of digits", (file) => dataOf(file, { data: file.content.toHex().slice(0, -1) })],
  ["one digit too many", (file) => dataOf(file, { data: `${file.content.toHex()}0` })],
  ["text that is not hex", (file) => dataOf(file, { data: `zz${file.content.toHex().slice(2)}` })],
  ["hex with a space in it", (file) => dataOf(file, { data: ` ${file.content.toHex()}` })],
  ["a number", (file) => dataOf(file, { data: 1234 })],
  ["null", (file) => dataOf(file, { data: null })],
  ["a list", (file) => dataOf(file, { data: [...file.content] })],
  ["an object", (file) => dataOf(file, { data: { hex: file.content.toHex() } })],
  ["true", (file) => dataOf(file, { data: true })],
  ["no data at all", (file) => ({ type: "FILE_DATA", ...entryOf(file) })],
  ["half of the message", (file) => {
    const text = JSON.stringify(dataOf(file));
    return text.slice(0, text.length / 2);
  }],
  ["all but the last bracket", (file) => JSON.stringify(dataOf(file)).slice(0, -1)],
  ["nothing", () => ""],
  ["another file under this id", (file) => dataOf(file, { data: other.content.toHex() })],
  ["duplicate data, the bad one last", (file) => {
    const text = JSON.stringify(dataOf(file));
    return `${text.slice(0, -1)},"data":"${other.content.toHex()}"}`;
  }],
];

/** Returns a file whose last byte is a digit, so that it can be moved to the timestamp. */
function victim(index: number): ForeignFile {
  const content = randomFile("", "").content;
  content[content.length - 1] = "3".charCodeAt(0);
  return foreignFile(`victim-${index}.bin`, content, "victor", SECONDS);
}

/** Checks that none of these files is held, listed, announced, served, or left behind. */
async function assertNothingOf(program: Program, store: string, files: readonly ForeignFile[]) {
  const held = (await program.files()).filter((row) => row.has_copy).map((row) => row.file_id);
  const told = await listed(program);
  const shown = shownIn(store).filter((name) => name.startsWith("victim"));
  deepStrictEqual(shown, [], program.report());
  for (const [index, { fileId }] of files.entries()) {
    const what = LIES[index % LIES.length]![0];
    ok(!held.includes(fileId), `Held after ${what}`);
    ok(!told.has(fileId), `Listed after ${what}`);
    strictEqual((await ask(program, fileId))?.data ?? null, null, `Served after ${what}`);
  }
}

async function assertNoTemporary(program: Program, store: string): Promise<void> {
  const names = () => [...Deno.readDirSync(`${store}/.p2p-peer/temporary`)];
  await program.until("all temporary files to be removed", () => names().length === 0);
}

Deno.test(
  "threat 9: bad data from lying sources is not kept, and the file is fetched from another source",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", EAGER, { cwd: folder.path });
    const store = folder.at("storage_kashifm");
    await using honest = await Honest.beside(program);
    const files = LIES.map((_, index) => victim(index));
    // One liar per lie, because a peer that lies twice is avoided for a while.
    await using liars = new AsyncDisposableStack();
    const attack = together(files.map(async (file, index) => {
      const answer = (socket: Socket) => {
        const lie = LIES[index]![1](file);
        socket.end(typeof lie === "string" ? lie : JSON.stringify(lie));
      };
      const liar = liars.use(
        await Source.start(`liar-${index}`, answer, `127.0.1.${index + 1}`),
      );
      await liar.join(program, [entryOf(file)]);
      await program.until(
        `a request to the source of ${LIES[index]![0]}`,
        () => liar.asked(file.fileId) > 0,
      );
    }));
    await servedDuring(honest, attack);
    await assertNoTemporary(program, store);
    await assertNothingOf(program, store, files);

    await using good = await ForeignPeer.start({ style: "closes-at-once", peerId: "good", files });
    await good.gossip(program);
    for (const file of files) {
      await program.holds(file.fileId, 60_000);
      deepStrictEqual(await program.content(file.fileId), file.content);
    }
    await assertNoTemporary(program, store);
    await honest.check();
  },
);

Deno.test(
  "threat 9: a file that four sources corrupt and one serves correctly is fetched from that one, whoever is asked first",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", EAGER, { cwd: folder.path });
    await using honest = await Honest.beside(program);
    await using stack = new AsyncDisposableStack();
    const files = Array.from({ length: 6 }, (_, index) => victim(index));
    for (let i = 0; i < 4; i++) {
      const liar = await Source.start(`liar-${i}`, (socket, message) => {
        const file = files.find(({ fileId }) => fileId === message!.file_id)!;
        const lie = LIES[i]![1](file);
        socket.end(JSON.stringify(lie));
      }, `127.0.0.${10 + i}`);
      stack.use(liar);
      await liar.join(program);
    }
    const good = stack.use(
      await ForeignPeer.start({
        style: "closes-at-once",
        peerId: "good",
        files,
        forwards: false,
      }),
    );
    // All sources announce, so the liars come before or after the honest source.
    const announce = async (from: string, file: ForeignFile) =>
      await bring(program, { type: "ANNOUNCE", from, ...entryOf(file) });
    for (const [index, file] of files.entries()) {
      const holders = [0, 1, 2, 3].map((i) => `liar-${i}`);
      if (index % 2 === 0) await good.gossip(program);
      for (const holder of holders) await announce(holder, file);
    }
    await good.gossip(program);
    for (const file of files) {
      await servedDuring(honest, program.holds(file.fileId, 60_000));
      deepStrictEqual(await program.content(file.fileId), file.content);
    }
    await honest.check();
  },
);

Deno.test(
  "threat 9: pushes whose content does not match are refused and counted, and the true file is kept",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const args = [...ALONE, "--push-rate", "1000", "--push-burst", "1000"];
    await using program = await Program.peer("kashifm", args, { cwd: folder.path });
    const store = folder.at("storage_kashifm");
    await using honest = await Honest.beside(program);
    const files = LIES.map((_, index) => victim(index));
    const before = await refusals(program);
    await servedDuring(
      honest,
      forEachOf(
        files,
        (file) => bring(program, LIES[files.indexOf(file)]![1](file), "127.0.0.9"),
      ),
    );
    await assertNothingOf(program, store, files);
    await assertNoTemporary(program, store);
    // "nothing" is not a message, and a message that never ends may not be counted.
    const counted = await refusals(program) - before;
    ok(counted >= LIES.length - 3, `Only ${counted} refusals counted. ${program.report()}`);
    const announced = honest.peers[0]!.received.filter(({ type, file_name: name }) =>
      type === "ANNOUNCE" && String(name).startsWith("victim")
    );
    deepStrictEqual(announced, [], "files that were not kept must not be announced");

    await forEachOf(files, (file) => bring(program, dataOf(file), "127.0.0.9"));
    for (const file of files) {
      await program.holds(file.fileId);
      deepStrictEqual(await program.content(file.fileId), file.content);
    }
    await honest.check();
  },
);

Deno.test(
  "threat 9: a file listed under a timestamp that could be shifted is never fetched",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", EAGER, { cwd: folder.path });
    await using honest = await Honest.beside(program);
    const shifts = ["744170562", "31744170562", "1", '"31744170562"', '"1744170562"', "0.1"];
    const files = shifts.map((timestamp, index) =>
      foreignFile(`victim-${index}.bin`, randomFile("", "").content, "liar", timestamp)
    );
    const proof = randomFile("proof.bin", "liar");
    await using liar = await Source.start("liar", (socket, message) => {
      const file = [...files, proof].find(({ fileId }) => fileId === message!.file_id)!;
      socket.end(JSON.stringify(dataOf(file)));
    }, "127.0.0.9");
    await liar.join(program, [...files, proof].map(entryOf));
    await program.holds(proof.fileId);
    await forEachOf(files, (file) => bring(program, dataOf(file), "127.0.0.9"));
    const later = randomFile("later.bin", "liar");
    files.push(later);
    await liar.list(program, [...files, proof].map(entryOf));
    await program.holds(later.fileId);
    const held = (await program.files()).filter((row) => row.has_copy).map((row) => row.file_name);
    deepStrictEqual(held.filter((name) => name.startsWith("victim")), []);
    for (const { fileId, timestamp } of files.slice(0, -1)) {
      strictEqual(liar.asked(fileId), 0, `Requested a file with the timestamp ${timestamp}`);
    }
    await honest.check();
  },
);
