// Threats 6 and 7 in docs/SECURITY-TESTS.md on the web port: connections that send nothing, and connections that read nothing.
// A real process closes them at their deadline using little memory, answers honest requests on both ports meanwhile, and
// keeps nothing of incomplete uploads. The 256 slots, the 64 per address, and the 10 s for the request head are defaults.
// The time that a body or a reader may stall is set below its default by an option, so that the tests do not take minutes.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { descriptors, memoryMib } from "../hostile/gauge.ts";
import { HONEST_MS } from "../hostile/honest.ts";
import { Raw } from "../hostile/raw.ts";
import { DEADLINE_MS } from "../process/program.ts";
import { Content, writeAll } from "../process/raw.ts";
import { SANITIZED, together } from "../process/together.ts";
import { until } from "../until.ts";
import {
  answerOf,
  ask,
  bearer,
  bytesOf,
  headText,
  openMany,
  share,
  temporaryIn,
  tokenOf,
  webOf,
} from "./web.ts";
import { ATTACKERS, GENEROUS, Peak, World } from "./world.ts";

const HEAD_MS = 10_000;
const IDLE_S = 4;
/** Factor by which all deadlines are extended, for slow machines. */
const FACTOR = 5;

const KINDS = ["no bytes", "a byte a second", "a stalled body", "a second head"] as const;
type Stall = typeof KINDS[number];

/** Opens stalled connections, cycling through addresses and kinds. */
async function stall(
  world: World,
  token: string,
  count: number,
  from: readonly string[],
  kinds: readonly Stall[] = KINDS,
): Promise<Raw[]> {
  const { program } = world;
  const raws = await openMany(world, count, from);
  const head = headText(program, { path: "/api/v1/status", headers: { Connection: "keep-alive" } });
  for (const [i, raw] of raws.entries()) {
    // Each address must get all kinds, even if there are as many addresses as kinds.
    const kind = kinds[Math.floor(i / from.length) % kinds.length]!;
    if (kind === "a byte a second") raw.drip(head, 1_000);
    if (kind === "a second head") raw.write(head + head.slice(0, 30));
    if (kind === "a stalled body") {
      raw.write(headText(program, {
        method: "POST",
        path: `/api/v1/files?name=stalled-${i}.bin`,
        headers: { ...bearer(token), "Content-Length": "1000000" },
      }));
      raw.write("its first bytes");
    }
  }
  return raws;
}

/** Counts the connections that are still open. */
const standing = (raws: readonly Raw[]) => raws.filter((raw) => !raw.ended && !raw.isClosed).length;

/** Uploads one piece every half second from its own address. The upload must complete, and the file be shared. */
async function slowUpload(
  { program }: World,
  token: string,
  name: string,
  count: number,
  from = "127.0.0.6",
): Promise<void> {
  const content = crypto.getRandomValues(new Uint8Array(count * 100));
  const pieces = Array.from({ length: count }, (_, i) => content.subarray(100 * i, 100 * i + 100));
  using raw = await Raw.open(webOf(program), { from });
  raw.write(headText(program, {
    method: "PUT",
    path: `/api/v1/files/by-name/${name}`,
    headers: { ...bearer(token), "Content-Length": `${content.length}` },
  }));
  raw.drip(pieces, 500);
  try {
    await raw.untilClosed(FACTOR * 500 * count + DEADLINE_MS);
  } catch (cause) {
    throw new Error(`${name} was not answered. ${program.report()}`, { cause });
  }
  ok(raw.text !== "", `${name} was cut off. ${program.report()}`);
  const { status, body } = answerOf(raw.text);
  strictEqual(status, 201, body);
  const [{ file_id: fileId }] = JSON.parse(body).files;
  deepStrictEqual(await program.content(fileId), content);
}

/** Makes one honest HTTP request, which must be answered within the deadline. */
async function honestly(
  { program }: World,
  from: string,
  deadlineMs = HONEST_MS,
): Promise<void> {
  let outcome: number | Error | undefined;
  ask(program, { path: "/api/v1/status", from }).then(
    ({ status }) => outcome = status,
    (error) => outcome = error,
  );
  await program.until(`an answer for ${from}`, () => outcome !== undefined, deadlineMs);
  if (outcome !== 200) throw new Error(`The request from ${from} failed`, { cause: outcome });
}

/** Makes honest requests on both ports until the attack is over, and once more afterward. */
async function during<T>(world: World, attack: Promise<T>, from = "127.0.0.7"): Promise<T> {
  let isOver = false;
  attack.finally(() => isOver = true).catch(() => {});
  const web = (async () => {
    while (!isOver) {
      await honestly(world, from);
      const due = performance.now() + 200;
      await until("the next request", () => performance.now() >= due);
    }
    await honestly(world, from);
  })();
  const [outcome] = await together<unknown>([world.honest.during(attack), web]);
  return outcome as T;
}

Deno.test(
  "threat 6: 256 stalled web connections are closed at their deadline, honest ones are served, and a slow upload is kept",
  SANITIZED,
  async () => {
    await using world = await World.make(["--idle-timeout", `${IDLE_S}`]);
    const { program } = world;
    const token = await tokenOf(program);
    const before = await descriptors(program.pid);
    const slow = slowUpload(world, token, "longer-than-any-deadline.bin", 26);
    const raws = await stall(world, token, 256, ATTACKERS);
    try {
      ok(raws.length >= 240, `Only ${raws.length} of 256 connections were accepted`);
      await program.until("uploads to start", () => temporaryIn(world) > 1);
      await program.until("first answers", () => {
        return raws.filter(({ text }) => text.includes('"peerId"')).length >= 32;
      });
      ok(
        standing(raws) >= 128,
        `Only ${standing(raws)} connections are open: too few for an attack`,
      );
      const ends = together(raws.map((raw) => raw.untilClosed(FACTOR * HEAD_MS)));
      await during(world, together<unknown>([ends, slow]));
      // A connection that already got one response gets no second one for half a request head, except a timeout.
      for (const { text } of raws) ok(text.split('"peerId"').length <= 2, text);
    } finally {
      for (const raw of raws) raw.close();
      await slow.catch(() => {}); // reported above
    }
    await program.until(
      "the stalled uploads to be cleaned up",
      () => temporaryIn(world) === 0,
    );
    const names = (await program.files()).map(({ file_name: name }) => name);
    deepStrictEqual(names.filter((name) => name.startsWith("stalled")), []);
    await program.until("its descriptors to be released", async () => {
      return await descriptors(program.pid) <= before + 8;
    });
    await world.honest.check();
  },
);

Deno.test(
  "threat 6: when all slots are taken, stalled web connections give way; slow but steady uploads do not",
  SANITIZED,
  async () => {
    await using world = await World.make(GENEROUS);
    const token = await tokenOf(world.program);
    const uploads = Array.from(
      { length: 16 },
      (_, i) => slowUpload(world, token, `steady-${i}.bin`, 10),
    );
    const stalled = await stall(world, token, 256, ATTACKERS);
    try {
      await during(world, together(uploads));
      await world.honest.check();
    } finally {
      for (const raw of stalled) raw.close();
      await Promise.allSettled(uploads); // reported above
    }
    await world.program.until("their uploads to be cleaned up", () => temporaryIn(world) === 0);
  },
);

Deno.test(
  "threat 6: no single kind of stalled web connection holds up anyone, even from an honest client's own address",
  SANITIZED,
  async () => {
    for (const kind of KINDS) {
      await using world = await World.make(GENEROUS);
      const token = await tokenOf(world.program);
      for (const [count, from] of [[64, ["127.0.0.1"]], [256, ATTACKERS]] as const) {
        const raws = await stall(world, token, count, from, [kind]);
        try {
          await honestly(world, "127.0.0.1"); // by now, all that will be accepted have been
          ok(
            standing(raws) >= count / 2,
            `Only ${standing(raws)} of ${count} connections are open, with ${kind}`,
          );
          for (const honest of ["127.0.0.1", "127.0.0.2", "127.0.0.7"]) {
            await honestly(world, honest);
          }
          await world.honest.check();
        } catch (cause) {
          throw new Error(`Failed next to ${count} connections with ${kind} from ${from}`, {
            cause,
          });
        } finally {
          for (const raw of raws) raw.close();
        }
      }
    }
  },
);

/** Counts the descriptors that the process has open on this file of the store. */
async function openings(pid: number, name: string): Promise<number> {
  const { stdout } = await new Deno.Command("ls", { args: ["-l", `/proc/${pid}/fd`] }).output();
  return new TextDecoder().decode(stdout).split("\n").filter((line) => line.endsWith(name)).length;
}

/** Reads a response in small pieces with pauses, and checks that it is complete. */
async function readSlowly({ program }: World, fileId: string, content: Content): Promise<void> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: program.httpPort });
  await writeAll(conn, bytesOf(headText(program, { path: `/api/v1/files/${fileId}/content` })));
  const buffer = new Uint8Array(256 * 1024);
  const hash = createHash("sha256");
  let [sizeBytes, head, isBody] = [0, "", false];
  for (let count; (count = await conn.read(buffer)) !== null;) {
    let bytes = buffer.subarray(0, count);
    if (!isBody) {
      head += String.fromCharCode(...bytes.subarray(0, 4_096));
      const end = head.indexOf("\r\n\r\n");
      ok(end > 0, `The first piece does not contain the whole head: ${head}`);
      [bytes, head, isBody] = [bytes.subarray(end + 4), head.slice(0, end), true];
    }
    hash.update(bytes);
    sizeBytes += bytes.length;
    const due = performance.now() + 60;
    await until("the next read", () => performance.now() >= due);
  }
  deepStrictEqual([sizeBytes, hash.digest("hex")], [content.sizeBytes, content.hash()], head);
}

Deno.test(
  "threat 7: 20 web clients that never read their 200 MiB are closed, using little memory, and a slow reader gets its whole file",
  SANITIZED,
  async () => {
    const [idleMs, sizeMib] = [3_000, 200];
    await using world = await World.make(["--idle-timeout", "3"]);
    const { program } = world;
    const slow = new Content(24);
    const slowId = await share(world, "slow.bin", slow);
    const fileId = await share(world, "large.bin", new Content(sizeMib));
    await world.honest.check();
    const { pid } = program;
    const before = { memory: await memoryMib(pid), descriptors: await descriptors(pid) };
    const memory = new Peak(pid);
    const reading = readSlowly(world, slowId, slow);
    const raws = await openMany(world, 20, ATTACKERS, { reads: false });
    try {
      strictEqual(raws.length, 20);
      const head = headText(program, { path: `/api/v1/files/${fileId}/content` });
      for (const raw of raws) raw.write(head);
      await program.until("20 responses to start", async () => {
        return await openings(pid, "large.bin") >= 20;
      });
      const givenUp = program.until("the 20 connections to be abandoned", async () => {
        return await openings(pid, "large.bin") === 0;
      }, FACTOR * idleMs);
      await during(world, together<unknown>([givenUp, reading]));
      // They never get more than what was in the socket buffers.
      for (const raw of raws) raw.socket.resume();
      await together(raws.map((raw) => raw.untilClosed()));
      for (const raw of raws) ok(raw.socket.bytesRead < sizeMib * 1024 ** 2);
    } finally {
      for (const raw of raws) raw.close();
      await reading.catch(() => {}); // reported above
      await memory.stop();
    }
    await program.until("their descriptors to be released", async () => {
      return await descriptors(pid) <= before.descriptors + 8;
    });
    const grewMib = memory.mostMib - before.memory;
    ok(grewMib < 100, `Memory grew by ${grewMib} MiB`);
    await world.honest.check();
  },
);

/** Makes honest requests on both ports while this many connections never read their responses. */
async function besideDeaf(world: World, path: string, count: number, from: readonly string[]) {
  const raws = await openMany(world, count, from, { reads: false });
  try {
    for (const raw of raws) raw.write(headText(world.program, { path }));
    await honestly(world, "127.0.0.7");
    await world.honest.check();
    for (const honest of ["127.0.0.1", "127.0.0.2", "127.0.0.7"]) await honestly(world, honest);
  } catch (cause) {
    throw new Error(`Failed next to ${count} connections from ${from} that do not read ${path}`, {
      cause,
    });
  } finally {
    for (const raw of raws) raw.close();
  }
}

/** As many connections as there are slots, from other addresses and from the honest clients' own. */
const DEAF = [[256, ATTACKERS], [64, ["127.0.0.1"]]] as const;

Deno.test(
  "threat 7: requests, gossip, and pushes continue while web clients that never read content hold all slots",
  SANITIZED,
  async () => {
    await using world = await World.make(GENEROUS);
    const fileId = await share(world, "large.bin", new Content(32));
    for (const [count, from] of DEAF) {
      await besideDeaf(world, `/api/v1/files/${fileId}/content`, count, from);
    }
    await world.program.until("the connections to be closed", async () => {
      return await openings(world.program.pid, "large.bin") === 0;
    });
    await honestly(world, "127.0.0.1");
  },
);

Deno.test(
  "threat 7: event streams in all slots hold up no request, and new ones are accepted again once others close",
  SANITIZED,
  async () => {
    for (const [count, from] of DEAF) {
      await using world = await World.make(GENEROUS);
      const { program } = world;
      const raws = await openMany(world, count, from);
      try {
        for (const raw of raws) raw.write(headText(program, { path: "/api/v1/events" }));
        await program.until("a response for each", () => {
          return raws.every((raw) => raw.ended || raw.isClosed || raw.text.includes("\r\n\r\n"));
        });
        for (const honest of ["127.0.0.2", "127.0.0.1", "127.0.0.7"]) {
          await honestly(world, honest, 3 * 1_000); // allows for a slot that is released after 5 s
        }
        await world.honest.check();
        ok(raws.some((raw) => raw.text.startsWith("HTTP/1.1 200") && !raw.ended));
      } finally {
        for (const raw of raws) raw.close();
      }
      await program.until("a stream to be accepted again", async () => {
        using raw = await Raw.open(webOf(program), { from: from[0]! });
        raw.write(headText(program, { path: "/api/v1/events" }));
        await raw.untilText(/\r\n\r\n/);
        return raw.text.startsWith("HTTP/1.1 200");
      });
    }
  },
);
