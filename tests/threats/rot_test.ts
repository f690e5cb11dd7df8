// Threats 16 and 17 in docs/SECURITY-TESTS.md: files that are changed behind the program's back, and a second process where
// only one may run. Damaged files are neither listed nor served, and intact ones stay. The second process says why it does
// not start, and the first one is unaffected.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { Honest } from "../hostile/honest.ts";
import { Folder } from "../process/folder.ts";
import { Program } from "../process/program.ts";
import { forEachOf, SANITIZED } from "../process/together.ts";
import { type ForeignFile, ForeignPeer } from "../wire/foreign.ts";
import { hasObedience, OBEDIENT_COMMAND } from "./disk.ts";
import { ALONE, ask, bring, dataOf, EAGER, listed, randomFile, servedDuring } from "./scene.ts";

const QUICK = ["--push-rate", "1000", "--push-burst", "1000", "--gossip-interval", "0.5"];

type Harm = (path: string, outside: string) => Promise<void>;

/** Damages a file as a bad disk would, without changing its modification time. */
async function flipBit(path: string): Promise<void> {
  const { mtime } = await Deno.stat(path);
  const content = await Deno.readFile(path);
  content[content.length >> 1]! ^= 1;
  await Deno.writeFile(path, content);
  await Deno.utime(path, mtime!, mtime!);
}

/** Changes that people make, which alter the modification time or remove the file. */
const HARMS: readonly (readonly [name: string, Harm])[] = [
  ["a flipped bit", async (path) => {
    await flipBit(path);
    await Deno.utime(path, new Date(), new Date());
  }],
  ["unlinked", (path) => Deno.remove(path)],
  ["one byte shorter", async (path) => await Deno.truncate(path, 1_999)],
  ["emptied", async (path) => await Deno.truncate(path, 0)],
  ["one byte longer", (path) => Deno.writeTextFile(path, "x", { append: true })],
  ["a link to other bytes", async (path, outside) => {
    await Deno.remove(path);
    await Deno.symlink(outside, path);
  }],
  ["a link to its own bytes", async (path) => {
    await Deno.rename(path, `${path.slice(0, path.lastIndexOf("/"))}/.moved`);
    await Deno.symlink(".moved", path);
  }],
  ["a folder", async (path) => {
    await Deno.remove(path);
    await Deno.mkdir(path);
  }],
  ["other content of the same size, renamed over it", async (path) => {
    await Deno.writeFile(`${path}.new`, randomFile("", "").content);
    await Deno.rename(`${path}.new`, path);
  }],
  ["a fifo", async (path) => {
    await Deno.remove(path);
    await new Deno.Command("mkfifo", { args: [path] }).output();
  }],
];

async function pushAll(program: Program, files: readonly ForeignFile[]): Promise<void> {
  for (const file of files) await bring(program, dataOf(file), "127.0.0.5");
  for (const { fileId } of files) await program.holds(fileId);
}

/** Waits until none of these files is listed or served in any way. */
async function untilGone(program: Program, files: readonly (readonly [string, ForeignFile])[]) {
  for (const [harm, { fileId, content }] of files) {
    await program.until(`"${harm}" to be noticed`, async () => {
      return !(await program.files()).some((row) => row.file_id === fileId && row.has_copy);
    });
    const answer = await ask(program, fileId);
    strictEqual(answer?.data ?? null, null, `Served after "${harm}"`);
    const url = `http://127.0.0.1:${program.httpPort}/api/v1/files/${fileId}/content`;
    const response = await fetch(url);
    const bytes = await response.bytes();
    ok(
      !response.ok && bytes.length < content.length,
      `Served over HTTP with status ${response.status} after "${harm}"`,
    );
  }
  const told = await listed(program);
  for (const [harm, { fileId }] of files) ok(!told.has(fileId), `Listed after "${harm}"`);
}

Deno.test(
  "threat 16: files that were changed, truncated, or replaced are neither listed nor served; others are",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await folder.write("outside.bin", randomFile("", "").content);
    await using program = await Program.peer("kashifm", [...ALONE, ...QUICK], { cwd: folder.path });
    await using honest = await Honest.beside(program);
    const files = HARMS.map(([name]) => randomFile(`${name}.bin`, "olga"));
    const whole = randomFile("whole.bin", "olga");
    await pushAll(program, [...files, whole]);
    for (const [index, [name, harm]] of HARMS.entries()) {
      await harm(folder.at("storage_kashifm", `${name}.bin`), folder.at("outside.bin"));
      ok(files[index]);
    }
    const pairs = files.map((file, index) => [HARMS[index]![0], file] as const);
    await servedDuring(honest, untilGone(program, pairs));
    ok((await listed(program)).has(whole.fileId));
    deepStrictEqual(await program.content(whole.fileId), whole.content);
    const told = honest.peers.flatMap(({ received }) => received)
      .filter(({ type }) => type === "DELETE");
    deepStrictEqual(told, [], "damage here must not cause a deletion elsewhere");

    // The original files again: a file changed here can come back from its owner only.
    await bring(program, dataOf(files[0]!), "127.0.0.5");
    await using olga = await ForeignPeer.start({ style: "closes-at-once", peerId: "olga" });
    await olga.gossip(program);
    ok(!(await program.files()).some((row) => row.file_id === files[0]!.fileId && row.has_copy));
    await forEachOf(files, (file) => olga.push(program, file));
    for (const file of files) {
      await program.holds(file.fileId);
      deepStrictEqual(await program.content(file.fileId), file.content);
    }
    await honest.check();
  },
);

Deno.test(
  "threat 16: a file requested at the moment it changes is served whole or reported missing, never wrong",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", [...ALONE, ...QUICK], { cwd: folder.path });
    await using honest = await Honest.beside(program);
    const files = Array.from({ length: 6 }, (_, i) => randomFile(`f${i}.bin`, "olga", 50_000));
    await pushAll(program, files);
    const attack = forEachOf(files, async (file) => {
      const path = folder.at("storage_kashifm", file.name);
      const content = file.content.slice();
      content[content.length - 1]! ^= 1;
      await Deno.writeFile(path, content);
      // Immediately, before any scan can have noticed it.
      const answer = await ask(program, file.fileId);
      const data = answer?.data ?? null;
      ok(data === null || data === file.content.toHex(), `Wrong content served for ${file.name}`);
    }, 1);
    await servedDuring(honest, attack);
    await untilGone(program, files.map((file) => ["changed", file] as const));
  },
);

Deno.test(
  "threat 16: a file damaged on disk is fetched again from a holder automatically",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const file = randomFile("rots.bin", "holder");
    await using holder = await ForeignPeer.start({
      style: "closes-at-once",
      peerId: "holder",
      files: [file],
    });
    await using program = await Program.peer("kashifm", [...EAGER, ...QUICK], { cwd: folder.path });
    await using honest = await Honest.beside(program);
    await holder.gossip(program);
    await program.holds(file.fileId);
    // Change times have a resolution of one second. (Rot on a real disk does not update them at all.)
    const { ctime } = await Deno.stat(folder.at("storage_kashifm", "rots.bin"));
    await program.until("the next second", () => Date.now() >= ctime!.getTime() + 1_000);
    await flipBit(folder.at("storage_kashifm", "rots.bin"));
    await program.until("the damage to be noticed", async () => {
      const row = (await program.files()).find(({ file_id: fileId }) => fileId === file.fileId);
      const asked = holder.received.filter(({ type }) => type === "GET_FILE").length;
      return row?.has_copy === false || asked > 1;
    });
    await program.holds(file.fileId, 60_000);
    deepStrictEqual(await program.content(file.fileId), file.content);
    await honest.check();
  },
);

/** Runs a test with a program that obeys file permissions, and one of its files made unreadable. */
async function withClosed(
  work: (program: Program, file: ForeignFile, path: string) => Promise<void>,
) {
  await using folder = await Folder.make();
  await using program = await Program.peer("kashifm", [...ALONE, ...QUICK], {
    cwd: folder.path,
    command: OBEDIENT_COMMAND,
  });
  await using honest = await Honest.beside(program);
  const file = randomFile("closed.bin", "olga");
  await pushAll(program, [file]);
  const path = folder.at("storage_kashifm", "closed.bin");
  await Deno.chmod(path, 0o000);
  await servedDuring(honest, work(program, file, path));
  await honest.check();
}

const obedient = { ...SANITIZED, ignore: !hasObedience };

Deno.test({
  ...obedient,
  name: "threat 16: a file that has become unreadable is neither served nor listed once requested",
  fn: () =>
    withClosed(async (program, file) => {
      strictEqual((await ask(program, file.fileId))?.data ?? null, null);
      await untilGone(program, [["chmod 000", file]]);
    }),
});

Deno.test({
  ...obedient,
  name: "threat 16: a file that has become unreadable is not listed, even if nobody requests it",
  fn: () => withClosed((program, file) => untilGone(program, [["chmod 000", file]])),
});

Deno.test({
  ...obedient,
  name: "threat 16: a file that is readable again and intact is offered again",
  fn: () =>
    withClosed(async (program, file, path) => {
      await ask(program, file.fileId);
      await untilGone(program, [["chmod 000", file]]);
      await Deno.chmod(path, 0o644);
      strictEqual((await program.holds(file.fileId)).file_owner, "olga");
      deepStrictEqual(await program.content(file.fileId), file.content);
    }),
});

Deno.test(
  "threat 17: a second process on the same store, through any path to it, exits with code 2 and harms nothing",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", [...ALONE, ...QUICK], { cwd: folder.path });
    await using honest = await Honest.beside(program);
    const store = folder.at("storage_kashifm");
    await Deno.symlink(store, folder.at("alias"));
    const ways = ["storage_kashifm", store, "alias", "./storage_kashifm/../storage_kashifm/"];
    const attack = forEachOf(ways, async (dir) => {
      const args = ["someone", "127.0.0.1", "0", "0", ...ALONE, "--dir", dir];
      const { code, err } = await Program.toEnd(args, { cwd: folder.path });
      strictEqual(code, 2, `${dir}: ${err.join("\n")}`);
      match(err.join("\n"), /in use|another|locked|already/i);
      strictEqual(err.length, 1, err.join("\n"));
    }, 2);
    await servedDuring(honest, attack);
    await honest.check();
    const { fileId, content } = honest.file;
    // A killed process leaves no lock behind that would keep its successor out.
    await program.stop("SIGKILL");
    await using heir = await Program.peer("kashifm", ALONE, { cwd: folder.path });
    deepStrictEqual(await heir.content(fileId), content);
  },
);

Deno.test(
  "threat 17: a second process on a port that is in use, even by one of our own peers, exits with code 2 and a message",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", [...ALONE, ...QUICK], { cwd: folder.path });
    await using honest = await Honest.beside(program);
    const [tcp, http] = [`${program.port}`, `${program.httpPort}`];
    const attack = forEachOf([[tcp, "0"], ["0", http], [http, "0"], ["0", tcp]], async (ports) => {
      const args = ["other", "127.0.0.1", ...ports, ...ALONE, "--dir", `other-${ports.join("-")}`];
      const { code, err } = await Program.toEnd(args, { cwd: folder.path });
      strictEqual(code, 2, err.join("\n"));
      strictEqual(err.length, 1, err.join("\n"));
      ok(err[0]!.includes(ports.find((port) => port !== "0")!), err[0]);
    }, 2);
    await servedDuring(honest, attack);
    await honest.check();
  },
);
