// The doubles of foreign peers among themselves: every style can gossip with, fetch from and push to every other,
// and each quirk that a test of our own peer relies on really exists.

import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import {
  type ForeignFile,
  foreignFile,
  type ForeignOptions,
  ForeignPeer,
  type ForeignStyle,
  ownTimestamp,
  pythonStr,
  timestampSource,
} from "./foreign.ts";
import { until } from "../until.ts";

const STYLES: ForeignStyle[] = ["keeps-open", "closes-at-once", "same-connection", "reparses"];
const PAIRS = STYLES.flatMap((a) => STYLES.map((b) => [a, b] as const));
const SECONDS = 1750023401;

function ownFile(style: ForeignStyle, owner: string, sizeBytes = 20_000): ForeignFile {
  const content = new Uint8Array(sizeBytes).map((_, at) => at * 7 + owner.length);
  return foreignFile(`Übung from ${style}.bin`, content, owner, ownTimestamp(style, SECONDS));
}

/** A double that gives up soon, so that the waits of its style do not slow these tests down. */
function start(style: ForeignStyle, peerId: string, more: Partial<ForeignOptions> = {}) {
  return ForeignPeer.start({ style, peerId, patienceMs: 1_000, ...more });
}

/** Writes the pieces 20 ms apart, so that the other side reads each separately, and closes. */
async function write(to: ForeignPeer, ...pieces: (string | Uint8Array)[]): Promise<void> {
  using conn = await Deno.connect({ hostname: to.host, port: to.port });
  for (const piece of pieces) {
    await conn.write(typeof piece === "string" ? new TextEncoder().encode(piece) : piece);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function gossipText(port: unknown, peerId = "raw", id: string = crypto.randomUUID()): string {
  return JSON.stringify({ type: "GOSSIP", host: "127.0.0.1", port, id, peerId });
}

function types(peer: ForeignPeer): unknown[] {
  return peer.received.map(({ type }) => type);
}

Deno.test("gossip tells both sides about each other and about the files of the replier", async () => {
  await Promise.all(PAIRS.map(async ([asking, replying]) => {
    const file = ownFile(replying, "bob");
    await using alice = await start(asking, "alice");
    await using bob = await start(replying, "bob", { files: [file] });
    await alice.gossip(bob);
    const known = await until("bob to know alice", () => bob.peers.get("alice"));
    deepStrictEqual(known, { host: "127.0.0.1", port: alice.port });
    // The reply arrives on a connection that this asker has already closed.
    const hears = asking !== "closes-at-once" || replying !== "same-connection";
    if (hears) {
      const known = await until("alice to know the file", () => alice.catalogue.get(file.fileId));
      deepStrictEqual([...known.holders], ["bob"]);
      strictEqual(timestampSource(known.entry), file.timestamp);
      strictEqual(
        known.entry.file_size,
        replying === "same-connection" ? 20_000 : 20_000 / 2 ** 20,
      );
      strictEqual(alice.peers.get("bob")?.port, bob.port);
    }
    deepStrictEqual([...alice.lost, ...bob.lost], []);
  }));
});

Deno.test("every style fetches from every other, and understands that a file is not there", async () => {
  await Promise.all(PAIRS.map(async ([asking, answering]) => {
    const file = ownFile(answering, "bob");
    await using alice = await start(asking, "alice");
    await using bob = await start(answering, "bob", { files: [file], patienceMs: 100 });
    const fetched = await alice.get(bob, file.fileId);
    deepStrictEqual(fetched?.content, file.content, `${asking} from ${answering}`);
    strictEqual(fetched.message.file_name, file.name);
    strictEqual(await alice.get(bob, "0".repeat(64)), undefined);
    deepStrictEqual([...alice.files.keys()], [file.fileId]);
    deepStrictEqual([...alice.lost, ...bob.lost, ...alice.failures, ...bob.failures], []);
  }));
});

Deno.test("a push is kept and announced to all tracked peers", async () => {
  await Promise.all(PAIRS.map(async ([pushing, keeping]) => {
    const file = ownFile(pushing, "alice");
    await using alice = await start(pushing, "alice");
    await using bob = await start(keeping, "bob");
    await alice.gossip(bob);
    await until("bob to know alice", () => bob.peers.has("alice"));
    await alice.push(bob, file);
    const kept = await until("bob to keep it", () => bob.files.get(file.fileId));
    deepStrictEqual(kept.content, file.content);
    const known = await until("the news", () => alice.catalogue.get(file.fileId));
    deepStrictEqual([...known.holders], ["bob"]);
    await alice.delete(bob, file.fileId, "mallory");
    await until("the forged delete", () => types(bob).includes("DELETE"));
    ok(bob.files.has(file.fileId));
    await alice.delete(bob, file.fileId);
    await until("bob to delete it", () => !bob.files.has(file.fileId));
    deepStrictEqual([...alice.lost, ...bob.lost], []);
  }));
});

Deno.test("a gossip is forwarded once per id, and not to its originator", async () => {
  await using middle = await start("closes-at-once", "middle");
  await using far = await start("keeps-open", "far");
  await using near = await start("keeps-open", "near");
  await far.gossip(middle);
  await until("far to be known", () => far.peers.has("middle"));
  const text = gossipText(near.port, "near");
  await write(middle, text);
  await write(middle, text);
  await until("the forward and the replies", () => far.peers.has("near") && near.peers.has("far"));
  deepStrictEqual(types(far), ["GOSSIP_REPLY", "GOSSIP"]);
  deepStrictEqual(types(near).sort(), ["GOSSIP_REPLY", "GOSSIP_REPLY"]);
});

Deno.test("a peer that turns timestamps into floats forwards 1744169352 as 1744169352.0", async () => {
  const file = foreignFile("a", new Uint8Array(3), "alice", "1744169352");
  await using alice = await start("closes-at-once", "alice", { files: [file] });
  await using bob = await start("keeps-open", "bob");
  await alice.gossip(bob);
  await until("bob to know alice", () => bob.peers.has("alice"));
  await bob.get(alice, file.fileId);
  const { entry } = await until("the announcement", () => alice.catalogue.get(file.fileId));
  strictEqual(timestampSource(entry), "1744169352.0");
  strictEqual(entry.file_id, file.fileId);
});

Deno.test("each style loses what its model loses, and nothing else", async () => {
  const gossip = gossipText(9);
  const torn = new TextEncoder().encode(gossipText(9, "Jürgen"));
  const edge = torn.indexOf(0xc3) + 1;
  const inner = gossip.replace('"type"', '"ext":{},"type"');
  const brace = inner.indexOf("}") + 1;
  const cases: [string, (string | Uint8Array)[], Record<ForeignStyle, [number, number]>][] = [
    ["two objects in one write", [gossip + gossipText(9)], counts([0, 1], [0, 1], [1, 0], [0, 1])],
    ["two writes", [gossip, gossipText(9)], counts([2, 0], [1, 0], [1, 0], [1, 0])],
    [
      "a character across the edge of a read",
      [torn.subarray(0, edge), torn.subarray(edge)],
      counts([0, 1], [0, 1], [1, 0], [0, 1]),
    ],
    [
      "a read that ends in an inner brace",
      [inner.slice(0, brace), inner.slice(brace)],
      counts([1, 0], [0, 1], [1, 0], [1, 0]),
    ],
    ["a line feed at the end", [gossip + "\n"], counts([1, 0], [1, 0], [1, 0], [1, 0])],
    ["half a message", [gossip.slice(0, 40)], counts([0, 1], [0, 1], [0, 1], [0, 1])],
    ["nothing at all", [], counts([0, 0], [0, 0], [0, 0], [0, 0])],
    ["an unknown type", ['{"type":"HELLO"}'], counts([0, 1], [0, 1], [0, 1], [0, 1])],
  ];
  await Promise.all(cases.flatMap(([name, pieces, expected]) =>
    STYLES.map(async (style) => {
      await using peer = await start(style, "peer", { replies: false });
      await write(peer, ...pieces).catch(() => {}); // some close it early
      const seen = () => [peer.received.length, peer.lost.length];
      await until(
        `${style}: ${name}: ${expected[style]}`,
        () => `${seen()}` === `${expected[style]}`,
      )
        .catch((error) => {
          throw new Error(`${error.message}, saw ${seen()}: ${peer.lost}`);
        });
    })
  ));
});

/** Messages understood and lost, in the order of STYLES. */
function counts(...expected: [number, number][]): Record<ForeignStyle, [number, number]> {
  return Object.fromEntries(STYLES.map((style, at) => [style, expected[at]!])) as Record<
    ForeignStyle,
    [number, number]
  >;
}

Deno.test("a peer that serves one connection at a time makes everything else wait", async () => {
  await using peer = await start("reparses", "peer", { patienceMs: 200 });
  using _idle = await Deno.connect({ hostname: peer.host, port: peer.port });
  const began = performance.now();
  await write(peer, gossipText(9));
  await until("the gossip", () => peer.received.length === 1);
  ok(performance.now() - began >= 190);
});

Deno.test("a misbehaving source delivers nothing, or the wrong bytes", async () => {
  const file = ownFile("closes-at-once", "bob", 2_200_000);
  const answer = async (misbehave: ForeignOptions["misbehave"]) => {
    await using bob = await start("closes-at-once", "bob", { files: [file], misbehave });
    await using alice = await start("same-connection", "alice");
    return (await alice.get(bob, file.fileId))?.content;
  };
  strictEqual(await answer("truncate"), undefined);
  strictEqual(await answer("silent"), undefined);
  strictEqual(await answer("drop-above-4mb"), undefined);
  const corrupt = await answer("corrupt");
  strictEqual(corrupt?.filter((byte, at) => byte !== file.content[at]).length, 1);
});

Deno.test("a refused connection is recorded in failures and throws nothing", async () => {
  await using alice = await start("keeps-open", "alice");
  const gone = await start("keeps-open", "gone");
  await gone.stop();
  match(await alice.gossip(gone), /^[0-9a-f-]{36}$/);
  strictEqual(await alice.get(gone, "0".repeat(64)), undefined);
  strictEqual(alice.failures.length, 2);
});

Deno.test("timestamps read as Python's str() renders them", () => {
  const cases = {
    "1744170562": "1744170562",
    "1743970142.6140459": "1743970142.6140459",
    "1744169352.0": "1744169352.0",
    "1.5e-7": "1.5e-07",
    "1e16": "1e+16",
    "-0": "0",
    "1e999": "inf",
    '"Sun Jun 15 21:36:41 2025"': "Sun Jun 15 21:36:41 2025",
  };
  for (const [source, text] of Object.entries(cases)) strictEqual(pythonStr(source), text);
  strictEqual(ownTimestamp("reparses", SECONDS), '"Sun Jun 15 21:36:41 2025"');
});

Deno.test("until() names what it waited for in vain", async () => {
  await rejects(until("a miracle", () => false, 30), /30 ms in vain for a miracle/);
});
