// Threat 1 in docs/SECURITY-TESTS.md: messages that arrive in pieces, concatenated, truncated, or followed by junk. Over real
// TCP, a real process handles each message once, as soon as it is complete, and an honest peer is answered meanwhile.
// Each message of a type has its own number, so that one handled twice cannot make up for one that was missed.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Raw } from "../hostile/raw.ts";
import { SANITIZED, together } from "../process/together.ts";
import { bytesOf, oneByOne, scan } from "../protocol/wire/stream.ts";
import { type ForeignFile, foreignFile } from "../wire/foreign.ts";
import { ATTACKERS, NAME, sum, World } from "./world.ts";

/** Number of simultaneous connections, below the limits per address and in total. */
const AT_ONCE = 200;
const TYPES = ["GET_FILE", "DELETE", "ANNOUNCE", "FILE_DATA", "GOSSIP_REPLY", "GOSSIP"] as const;
type Type = typeof TYPES[number];

/** Returns the file that messages with this number refer to. */
function fileOf(type: Type, n: number): ForeignFile {
  return foreignFile(`Käse ${n}`, bytesOf(`${type} ${n} {"}`), "teller 🧀", "1744170562");
}

/** Returns a message of this type, with multi-byte characters and the same length for every number. */
function messageOf({ honest, sink }: World, type: Type, n: number): Uint8Array {
  const file = fileOf(type, n);
  const entry = `"file_name":"Käse \\"${n}\\"}","file_size":123.0,"file_id":"${file.fileId}",` +
    `"file_owner":"${file.owner}","file_timestamp":${file.timestamp}`;
  const place = `"host":"${placeOf(n)}","port":${sink.port}`;
  const teller = `"host":"127.0.0.9","port":${sink.port},"peerId":"teller 🧀"`;
  return bytesOf(
    {
      GOSSIP: `{"type":"GOSSIP",${place},"id":"ü ${n}","peerId":"🧀{ ${n}"}`,
      GOSSIP_REPLY: `{"type": "GOSSIP_REPLY", ${teller}, "files": [ {${entry}} ]}`,
      GET_FILE: `{"type":"GET_FILE","file_id":"${honest.file.fileId}","é":[{"n":${n}}]}`,
      FILE_DATA: `{"type":"FILE_DATA",${entry},"data":"${file.content.toHex()}","x":"ß"}`,
      ANNOUNCE: `{"type":"ANNOUNCE","from":"teller 🧀",${entry}}`,
      DELETE: `{"type":"DELETE","from":"tellér","file_id":"${file.fileId}"}`,
    }[type],
  );
}

/** Returns the address for a number. All have the same length. */
const placeOf = (n: number) => `127.1.${Math.floor(n / 100)}.${100 + n % 100}`;

/** Opens connections from the attacker's addresses, and closes them after the work. */
async function onConnections(
  { program }: World,
  count: number,
  work: (raws: readonly Raw[]) => Promise<void>,
): Promise<void> {
  const raws = await Raw.openMany(program, count, ATTACKERS);
  try {
    strictEqual(raws.length, count, "all connections must be accepted");
    await work(raws);
  } finally {
    for (const raw of raws) raw.close();
  }
}

/** Checks that each message with these numbers was handled, and that the count of their type matches. */
async function seen(
  world: World,
  type: Type,
  numbers: readonly number[],
  before: number,
): Promise<void> {
  const count = async () => ((await world.counts()).received[type] ?? 0) - before;
  const of = `messages of type ${type}`;
  await world.program.until(`${numbers.length} ${of}`, async () => await count() >= numbers.length);
  await world.program.until(`the effect of each of the ${of}`, async () => {
    const listed = await world.listed();
    const tracked = await world.tracked();
    return numbers.every((n) => {
      if (type === "GOSSIP") return tracked.has(`🧀{ ${n}`) && repliesTo(world, n) >= 1;
      if (type === "FILE_DATA") return listed.get(fileOf(type, n).fileId)?.has_copy;
      return type === "GET_FILE" || type === "DELETE" || listed.has(fileOf(type, n).fileId);
    });
  });
  await world.honest.get();
  // The honest peer's own GET_FILE requests are counted too.
  if (type !== "GET_FILE") strictEqual(await count(), numbers.length, of);
  if (type === "GOSSIP") {
    for (const n of numbers) strictEqual(repliesTo(world, n), 1, `replies to gossip ${n}`);
  }
}

const repliesTo = ({ repliedTo }: World, n: number) =>
  repliedTo.filter((address) => address.endsWith(placeOf(n))).length;

/** Checks that exactly one complete answer to GET_FILE was received. */
function answeredOnce({ honest }: World, { text }: Raw): void {
  const { data, type } = JSON.parse(text);
  strictEqual(type, "FILE_DATA");
  deepStrictEqual(Uint8Array.fromHex(data), honest.file.content);
}

/** Splits messages of one type at each position and sends the pieces separately. Then half-closes or stays silent. */
async function everySplit(world: World, type: Type): Promise<void> {
  const { length } = messageOf(world, type, 100);
  const cases = Array.from({ length: 2 * (length - 1) }, (_, i) => ({
    n: 100 + i,
    cut: 1 + (i >> 1),
    halfCloses: i % 2 === 0,
  }));
  const before = (await world.counts()).received[type] ?? 0;
  for (let at = 0; at < cases.length; at += AT_ONCE) {
    const batch = cases.slice(at, at + AT_ONCE);
    await onConnections(world, batch.length, async (raws) => {
      await together(raws.map((raw, i) => {
        return raw.writeAll(messageOf(world, type, batch[i]!.n).subarray(0, batch[i]!.cut));
      }));
      await world.honest.get(); // by now the process has received the first pieces
      await together(raws.map(async (raw, i) => {
        await raw.writeAll(messageOf(world, type, batch[i]!.n).subarray(batch[i]!.cut));
        if (batch[i]!.halfCloses) raw.halfClose();
        if (type === "GET_FILE") await raw.untilClosed();
      }));
      if (type === "GET_FILE") raws.forEach((raw) => answeredOnce(world, raw));
      const numbers = cases.slice(0, at + AT_ONCE).map(({ n }) => n);
      await seen(world, type, numbers, before);
    });
  }
}

Deno.test(
  "threat 1: a message of any type, split at any byte, is handled once, whether the sender half-closes or leaves the connection open",
  SANITIZED,
  async () => {
    await using world = await World.make();
    for (const type of TYPES) await everySplit(world, type);
    deepStrictEqual((await world.counts()).refused, {});
    // Old peers hear of the files pushed here at their own pace, and of one more after those, so only what is answered
    // at once is checked.
    await world.honest.gossip();
    await world.honest.get();
  },
);

/** Sends one message of each type and number with `write`, each on its own connection. Checks each is handled once. */
async function eachHandledOnce(
  world: World,
  numbers: readonly number[],
  write: (raw: Raw, message: Uint8Array, n: number) => void,
): Promise<void> {
  const { received } = await world.counts();
  const cases = TYPES.flatMap((type) => numbers.map((n) => ({ type, n })));
  await onConnections(world, cases.length, async (raws) => {
    for (const [i, { type, n }] of cases.entries()) write(raws[i]!, messageOf(world, type, n), n);
    const asked = raws.filter((_, i) => cases[i]!.type === "GET_FILE");
    await together(asked.map((raw) => raw.untilClosed()));
    asked.forEach((raw) => answeredOnce(world, raw));
    for (const type of TYPES) await seen(world, type, numbers, received[type] ?? 0);
  });
}

Deno.test(
  "threat 1: messages that arrive byte by byte are each handled once, and others are answered meanwhile",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const work = eachHandledOnce(world, [500, 501, 502], (raw, message, n) => {
      raw.drip(oneByOne(message), n - 499);
    });
    for (let i = 0; i < 3; i++) await world.honest.get(); // the process is busy with the other types
    await work;
    deepStrictEqual((await world.counts()).refused, {});
    await world.honest.check();
  },
);

Deno.test(
  "threat 1: junk after a message costs the connection, not the message, and is counted",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const junk = ["}", "]", "x", "\0", "\ufeff{}", "{x", "{]", "[".repeat(70_000), "\x16\x03\x01"];
    const numbers = junk.map((_, i) => 500 + i);
    await eachHandledOnce(world, numbers, (raw, message, n) => {
      raw.write(new Uint8Array([...message, ...bytesOf(junk[n - 500]!)]));
    });
    await world.program.until("each piece of junk to be counted", async () => {
      return sum((await world.counts()).refused) === junk.length * TYPES.length;
    });
    await world.honest.check();
  },
);

Deno.test(
  "threat 1: concatenated messages of all types are each handled once, whatever whitespace separates them",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const before = (await world.counts()).received;
    const glue = ["", "\n", " \r\n\t ", " ".repeat(3_000)];
    for (const [i, between] of glue.entries()) {
      const types = i % 2 === 0 ? TYPES : TYPES.toReversed();
      const pieces = types.map((type) => [...messageOf(world, type, 500 + i), ...bytesOf(between)]);
      answeredOnce(world, await world.say(Uint8Array.from(pieces.flat())));
    }
    const numbers = glue.map((_, i) => 500 + i);
    for (const type of TYPES) await seen(world, type, numbers, before[type] ?? 0);
    deepStrictEqual((await world.counts()).refused, {});
    await world.honest.check();
  },
);

Deno.test(
  "threat 1: a truncated message has no effect, wherever it stops and however the connection ends",
  SANITIZED,
  async () => {
    await using world = await World.make();
    const { received } = await world.counts();
    for (const type of TYPES) {
      const message = messageOf(world, type, 500);
      await onConnections(world, 60, async (raws) => {
        await together(raws.map(async (raw, i) => {
          const end = 1 + Math.floor(i * (message.length - 2) / (raws.length - 1));
          await raw.writeAll(message.subarray(0, end));
          if (i % 3 === 0) raw.reset();
          else if (i % 3 === 1) raw.halfClose();
          else raw.close();
          if (i % 3 === 1) await raw.untilClosed();
          strictEqual(raw.receivedBytes, 0, `a truncated ${type} must not be answered`);
        }));
      });
    }
    await world.honest.check();
    const after = (await world.counts()).received;
    for (const type of ["DELETE", "ANNOUNCE"]) strictEqual(after[type], received[type], type);
    const files = [...(await world.listed()).values()].map(({ file_owner: owner }) => owner);
    const strangers = [...files, ...await world.tracked()].filter((n) => !n.startsWith("honest-"));
    deepStrictEqual(strangers, [], "peers and file owners from truncated messages must not appear");
    const temporary = world.folder.at(`storage_${NAME}`, ".p2p-peer", "temporary");
    deepStrictEqual(
      [...Deno.readDirSync(temporary)],
      [],
      "truncated pushes must leave nothing behind",
    );
  },
);

Deno.test("threat 1: 64 KiB in one-byte writes cost the scanner at most two steps per byte", () => {
  const filler = "ä{[\\\\,: ".repeat(6_000);
  for (const type of ["GOSSIP", "FILE_DATA", "nothing that is known"]) {
    const bytes = bytesOf(`{"type":"${type}","x":"${filler}","data":"${"0f".repeat(99)}"}`);
    ok(bytes.length > 48_000 && bytes.length <= 65_536, `${bytes.length}`);
    const { steps, log } = scan(oneByOne(bytes));
    ok(steps <= 2 * bytes.length, `Too many steps: ${steps} for ${bytes.length} bytes`);
    deepStrictEqual(log, scan([bytes]).log);
  }
});
