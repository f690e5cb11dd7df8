// Threat 34 in docs/SECURITY-TESTS.md: peers that say that they cannot be dialed, and peers that pass on connections to them.
// (The rules are tested in tests/protocol/members/reach_test.ts, and with whole networks in tests/sim/reach.ts.)

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type net from "node:net";
import { Raw } from "../hostile/raw.ts";
import { HostileServer } from "../hostile/server.ts";
import type { Program } from "../process/program.ts";
import { until } from "../until.ts";
import { bring, entryOf, randomFile, refusals } from "./scene.ts";
import { ATTACKERS, World } from "./world.ts";

const EXT = { v: 1, node: "A".repeat(43), boot: "b", can: ["raw", "lists", "links", "relay"] };
/** Nobody listens there: it is above the ports that the system gives out. */
const NOWHERE = 65_533;

const who = (peerId: string, host: string, port = NOWHERE) => ({ peerId, host, port, ext: EXT });
const link = (peerId: string, host: string, port = NOWHERE) =>
  JSON.stringify({ type: "LINK", ...who(peerId, host, port) });

/** Asks the program for a file. Resolves to the status and the text of the answer. */
async function fetched(program: Program, fileId: string): Promise<[number, string]> {
  const url = `http://127.0.0.1:${program.httpPort}/api/v1/files/${fileId}/fetch?wait=true`;
  const answer = await fetch(url, { method: "POST", signal: AbortSignal.timeout(60_000) });
  return [answer.status, await answer.text()];
}

async function work(program: Program): Promise<Record<string, number>> {
  return (await program.status()).work as Record<string, number>;
}

Deno.test("threat 34: hundreds of kept connections take only their share, and honest peers are answered", async () => {
  await using world = await World.make(["--web-auth", "off"]);
  const { program, honest } = world;
  const raws: Raw[] = [];
  for (let i = 0; i < 320; i++) {
    const from = ATTACKERS[i % ATTACKERS.length]!;
    const raw = await Raw.open(program, { from });
    raw.write(link(`many-${i}`, from, 20_000 + i));
    raws.push(raw);
  }
  await until(
    "all were answered",
    () => raws.every((raw) => raw.isClosed || raw.ended || raw.text !== ""),
  );
  const { links } = await work(program);
  ok(links! > 0 && links! <= 4 * 32, `${links} of 320 are kept`);
  await honest.gossip();
  await honest.get();
  for (const raw of raws) raw.close();
  await program.until("no links", async () => (await work(program)).links === 0);
});

Deno.test("threat 34: a peer with a kept connection that never opens another costs seconds, and no file", async () => {
  await using world = await World.make(["--web-auth", "off"]);
  const { program, honest } = world;
  const file = randomFile("promised.bin", "mute");
  const host = ATTACKERS[0]!;
  using raw = await Raw.open(program, { from: host });
  raw.write(link("mute", host));
  await raw.untilText(/LINK/);
  const list = { type: "GOSSIP_REPLY", ...who("mute", host), files: [entryOf(file)] };
  await bring(program, list, host);
  const [status, text] = await fetched(program, file.fileId);
  ok(status >= 400 && /did not deliver/.test(text), text);
  ok(/"CONNECT"/.test(raw.text), "it was asked");
  await honest.gossip();
  await program.until("nothing waits", async () => (await work(program)).outbound === 0);
});

Deno.test("threat 34: strangers get no connection passed on, and make this peer open none", async () => {
  await using world = await World.make(["--web-auth", "off"]);
  const { program, sink } = world;
  const [host, other] = [ATTACKERS[0]!, ATTACKERS[1]!];
  await bring(program, { type: "GOSSIP", id: "1", ...who("victim", other, sink.port) }, other);
  await program.tracks("victim");
  await until("it was greeted", () => sink.messages.length > 0);
  const before = sink.connects;
  for (const ask of [{ to: "victim" }, { to: "nobody" }, { token: "0123456789abcdef0123" }]) {
    const raw = await world.say(JSON.stringify({ type: "CONNECT", ...ask, ext: EXT }), host);
    strictEqual(raw.text, "", JSON.stringify(ask));
  }
  strictEqual(sink.connects, before, "nobody was dialed");
  strictEqual(await refusals(program, /^unsolicited$/), 1);
});

/** A relay that says that it passes on a connection to "far", and then does what `act` does with each request. */
async function relayed(
  world: World,
  act: (socket: net.Socket, request: Record<string, unknown>) => void,
): Promise<HostileServer> {
  const host = ATTACKERS[0]!;
  const server = await HostileServer.start((socket, message) => {
    if (message?.type !== "CONNECT") return socket.end();
    socket.write(`${JSON.stringify({ type: "CONNECT", to: message.to, ext: EXT })}\n`);
    socket.on("data", (bytes) => act(socket, JSON.parse(new TextDecoder().decode(bytes))));
  }, { host });
  const { program } = world;
  const at = who("relay", host, server.port);
  await bring(program, { type: "GOSSIP", id: crypto.randomUUID(), ...at }, host);
  await program.tracks("relay");
  // It also brings the news of a peer that only it can reach.
  const far = { ...who("far", "127.0.0.77"), ext: { ...EXT, via: ["relay"] } };
  await bring(program, { type: "GOSSIP", id: crypto.randomUUID(), ...far }, host);
  await program.tracks("far");
  return server;
}

Deno.test("threat 34: what a relay alters is not kept, and its source is not blamed for it", async () => {
  await using world = await World.make(["--web-auth", "off"]);
  const { program } = world;
  const file = randomFile("altered.bin", "far");
  const head = { ...entryOf(file), size_bytes: 2_000, type: "FILE_DATA" };
  let asked = 0;
  await using _relay = await relayed(world, (socket, { type, ext }) => {
    if (type !== "GET_FILE") return socket.end();
    asked++;
    const { raw, more } = ext as { raw?: number[]; more?: string[] };
    strictEqual(more, undefined);
    ok(raw);
    const line = JSON.stringify({ ...head, ext: { v: 1, raw: [0, 2_000, 2_000] } });
    socket.write(`${line}\n`);
    socket.write(file.content.toReversed());
  });
  const far = { ...who("far", "127.0.0.77"), ext: { ...EXT, via: ["relay"] } };
  const list = { type: "GOSSIP_REPLY", ...far, files: [{ ...entryOf(file), size_bytes: 2_000 }] };
  await bring(program, list, ATTACKERS[0]!);
  const [status] = await fetched(program, file.fileId);
  ok(status >= 400, `${status}`);
  ok(
    ![...(await world.listed()).values()].some(({ has_copy, file_id }) =>
      has_copy && file_id === file.fileId
    ),
  );
  strictEqual(await refusals(program, /^(content-mismatch|bad-answer)$/), 0);
  const peers = await program.api<{ peers: { peerId: string; backed_off: unknown }[] }>("peers");
  deepStrictEqual(peers.peers.find(({ peerId }) => peerId === "far")?.backed_off, null);
});

Deno.test("threat 34: a relay that drops or delays everything costs seconds, and others are served meanwhile", async () => {
  await using world = await World.make(["--web-auth", "off", "--idle-timeout", "2"]);
  const { program, honest } = world;
  const file = randomFile("dropped.bin", "far");
  let asked = 0;
  await using _relay = await relayed(world, () => asked++); // takes everything, and answers nothing
  const far = { ...who("far", "127.0.0.77"), ext: { ...EXT, via: ["relay"] } };
  const list = { type: "GOSSIP_REPLY", ...far, files: [{ ...entryOf(file), size_bytes: 2_000 }] };
  await bring(program, list, ATTACKERS[0]!);
  const getting = fetched(program, file.fileId);
  await honest.gossip();
  await honest.get();
  const [status, text] = await getting;
  ok(status >= 400 && /did not deliver/.test(text), text);
  ok(asked > 0, "the relay was asked");
});

Deno.test("threat 34: what a relay replays is not taken for something new", async () => {
  await using world = await World.make(["--web-auth", "off"]);
  const { program } = world;
  const files = [randomFile("first.bin", "far", 2_000), randomFile("second.bin", "far", 2_000)];
  const recorded: Uint8Array[] = [];
  let replayed = 0;
  await using _relay = await relayed(world, (socket, { type, file_id }) => {
    if (type !== "GET_FILE") return socket.end();
    const [first] = files;
    if (recorded.length === 0) {
      const head = { ...entryOf(first!), size_bytes: 2_000, type: "FILE_DATA" };
      const line = JSON.stringify({ ...head, ext: { v: 1, raw: [0, 2_000, 2_000] } });
      recorded.push(new TextEncoder().encode(`${line}\n`), first!.content);
    } else {
      ok(file_id !== first!.fileId, "the first file is here");
      replayed++;
    }
    for (const bytes of recorded) socket.write(bytes);
    // And in the owner's name, what the owner may have said elsewhere.
    socket.write(JSON.stringify({ type: "DELETE", peerId: "far", file_id: first!.fileId }));
  });
  const far = { ...who("far", "127.0.0.77"), ext: { ...EXT, via: ["relay"] } };
  const entries = files.map((file) => ({ ...entryOf(file), size_bytes: 2_000 }));
  await bring(program, { type: "GOSSIP_REPLY", ...far, files: entries }, ATTACKERS[0]!);
  const [status, text] = await fetched(program, files[0]!.fileId);
  strictEqual(status, 200, text);
  const [again] = await fetched(program, files[1]!.fileId);
  ok(again >= 400 && replayed > 0, `${again}`);
  const held = [...(await world.listed()).values()]
    .filter(({ has_copy }) => has_copy).map(({ file_id }) => file_id);
  deepStrictEqual([files[0]!, files[1]!].map(({ fileId }) => held.includes(fileId)), [true, false]);
});

Deno.test("threat 34: a peer that names others' addresses as its own aims no traffic at them, and gives nobody its rights", async () => {
  await using world = await World.make(["--web-auth", "off"]);
  const { program, sink } = world;
  const [host, victim] = [ATTACKERS[0]!, ATTACKERS[1]!];
  // Nobody listens at its own address, and the sink does at the other one.
  const liar = { ...who("liar", host, sink.port), ext: { ...EXT, also: [victim] } };
  for (let i = 0; i < 200; i++) {
    await bring(program, { type: "GOSSIP", id: crypto.randomUUID(), ...liar }, host);
  }
  await program.tracks("liar");
  await world.honest.gossip();
  ok(sink.connects <= 30, `${sink.connects} connections to somebody who never spoke`);
  ok(sink.messages.every((message) => JSON.stringify(message).length <= 4_096));
});
