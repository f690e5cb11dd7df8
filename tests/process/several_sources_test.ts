// One file from several real sources at once: fast and slow ones, liars, and ones that vanish.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { EAGER, randomFile, refusals } from "../threats/scene.ts";
import type { ForeignFile } from "../wire/foreign.ts";
import { Folder, randomBytes } from "./folder.ts";
import { Program } from "./program.ts";
import { type Content, honest, Source } from "./source.ts";
import { SANITIZED } from "./together.ts";

const MIB = 1024 ** 2;

/** A program that fetches everything, from sources that announce the same file, the first one first. */
async function scene(sources: readonly Source[]) {
  await using made = new AsyncDisposableStack();
  const folder = made.use(await Folder.make());
  for (const source of sources) made.use(source);
  const program = made.use(await Program.peer("kashifm", EAGER, { cwd: folder.path }));
  for (const source of sources) await source.join(program);
  for (const source of [...sources.slice(1), sources[0]!]) await source.announce(program);
  const kept = made.move();
  return { program, folder, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** Fetches the file from these sources. Resolves to how many answers were held against one of them. */
async function refusedUntilHeld(file: ForeignFile, sources: readonly Source[]): Promise<number> {
  await using running = await scene(sources);
  await running.program.holds(file.fileId, 60_000);
  return await refusals(running.program);
}

const sourcesOf = (file: ForeignFile, count: number, bytesPerMs?: number) =>
  Array.from({ length: count }, (_, i) => new Source(`s${i}`, file, honest, bytesPerMs));

Deno.test(
  "several slow sources deliver parts of one file, and little comes twice",
  SANITIZED,
  async () => {
    const file = randomFile("large.bin", "hawk", 48 * MIB);
    const sources = sourcesOf(file, 4, 20_000);
    await using running = await scene(sources);
    await running.program.holds(file.fileId, 60_000);
    for (const { name, sentBytes } of sources) {
      ok(sentBytes >= 4 * MIB, `${name} sent ${sentBytes} bytes`);
    }
    const { transfers } = await running.program.api<{
      transfers: { sources: { peer: string; bytes: number }[] }[];
    }>("transfers");
    const shares = transfers[0]!.sources;
    deepStrictEqual(shares.map(({ peer }) => peer).sort(), ["s0", "s1", "s2", "s3"]);
    strictEqual(shares.reduce((sum, { bytes }) => sum + bytes, 0), 48 * MIB);
    const sent = sources.reduce((sum, { sentBytes }) => sum + sentBytes, 0);
    ok(sent <= 48 * MIB + 4 * 2 * MIB, `${sent} bytes for ${48 * MIB}`);
  },
);

Deno.test(
  "a source that vanishes is replaced by the others, and is not blamed",
  SANITIZED,
  async () => {
    const file = randomFile("large.bin", "hawk", 40 * MIB);
    let answers = 0;
    const fleeting: Content = (of, offset, length) =>
      answers++ === 0 ? honest(of, offset, length) : undefined;
    const sources = [new Source("fleeting", file, fleeting, 20_000), ...sourcesOf(file, 2, 20_000)];
    strictEqual(await refusedUntilHeld(file, sources), 0);
  },
);

Deno.test(
  "when the parts of several sources do not fit, each delivers all of it until one is right, and the liar is blamed",
  SANITIZED,
  async () => {
    const file = randomFile("large.bin", "hawk", 24 * MIB);
    const lying: Content = (_of, _offset, length) => randomBytes(length);
    const liar = new Source("liar", file, lying, 20_000);
    const sources = [liar, ...sourcesOf(file, 2, 20_000)];
    ok(await refusedUntilHeld(file, sources) <= 1, "nobody else is blamed");
  },
);

Deno.test(
  "a source of another size than the others say is left out, whatever was announced",
  SANITIZED,
  async () => {
    const file = randomFile("large.bin", "hawk", 20 * MIB);
    const longer = { ...file, content: randomBytes(21 * MIB) };
    const odd = new Source("odd", longer, honest, 5_000);
    const sources = [...sourcesOf(file, 2, 20_000), odd];
    strictEqual(await refusedUntilHeld(file, sources), 0);
  },
);

Deno.test(
  "a size that was announced wrong does not keep a file from being fetched",
  SANITIZED,
  async () => {
    const file = randomFile("large.bin", "hawk", 3 * MIB);
    for (const claimed of [0, 500_000, 30 * MIB, Number.MAX_SAFE_INTEGER]) {
      await using folder = await Folder.make();
      await using program = await Program.peer("kashifm", EAGER, { cwd: folder.path });
      await using source = new Source("hawk", file);
      source.claimedBytes = claimed;
      await source.join(program);
      await source.announce(program);
      await program.holds(file.fileId, 30_000);
      strictEqual(await refusals(program), 0, `${claimed}`);
    }
  },
);

Deno.test("after SIGKILL, only what was on its way comes again", SANITIZED, async () => {
  await using folder = await Folder.make();
  const file = randomFile("large.bin", "hawk", 32 * MIB);
  const sources = sourcesOf(file, 3, 5_000);
  await using all = new AsyncDisposableStack();
  for (const source of sources) all.use(source);
  let killedAtBytes = 0;
  for (let kills = 0;; kills++) {
    await using program = await Program.peer("kashifm", EAGER, { cwd: folder.path });
    const doneBytes = async () => {
      const { transfers } = await program.api<{ transfers: { done_bytes: number }[] }>("transfers");
      return transfers[0]?.done_bytes ?? 0;
    };
    for (const source of sources) await source.join(program);
    for (const source of sources) await source.announce(program);
    if (kills === 3) {
      await program.holds(file.fileId, 60_000);
      break;
    }
    const before = killedAtBytes;
    await program.until("a part of it", async () => {
      killedAtBytes = await doneBytes();
      return killedAtBytes >= before + 4 * MIB;
    }, 30_000);
    await program.stop("SIGKILL");
  }
  const content = await Deno.readFile(folder.at("storage_kashifm/large.bin"));
  ok(content.every((byte, i) => byte === file.content[i]));
  deepStrictEqual(
    await Array.fromAsync(Deno.readDir(folder.at("storage_kashifm/.p2p-peer/partial"))),
    [],
  );
});

Deno.test(
  "one source's word on the size against another's: each delivers all of it in turn",
  SANITIZED,
  async () => {
    const file = randomFile("large.bin", "hawk", 20 * MIB);
    const longer = { ...file, content: randomBytes(30 * MIB) };
    const sources = [new Source("right", file), new Source("wrong", longer)];
    ok(await refusedUntilHeld(file, sources) <= 1, "nobody but the wrong one is blamed");
  },
);

Deno.test(
  "a source that says that the file is empty neither ends the download nor gets others blamed",
  SANITIZED,
  async () => {
    const file = randomFile("large.bin", "hawk", 20 * MIB);
    const nothing = { ...file, content: new Uint8Array() };
    const sources = [new Source("empty", nothing), ...sourcesOf(file, 2, 20_000)];
    strictEqual(await refusedUntilHeld(file, sources), 0);
  },
);
