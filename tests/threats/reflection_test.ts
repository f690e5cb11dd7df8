// Threats 20 and 22 in docs/SECURITY-TESTS.md: a peer that is made to send traffic to a third party, or without end. Traffic is
// counted where it arrives, as connections, bytes, and messages; the budgets are those in docs/OPTIONS.md.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Honest } from "../hostile/honest.ts";
import { HostileServer } from "../hostile/server.ts";
import { Folder } from "../process/folder.ts";
import { Program } from "../process/program.ts";
import { forEachOf, SANITIZED } from "../process/together.ts";
import { type ForeignFile } from "../wire/foreign.ts";
import { until } from "../until.ts";
import {
  ALONE,
  bring,
  dataOf,
  listed,
  type Message,
  randomFile,
  servedDuring,
  Source,
} from "./scene.ts";

const REPLIES_PER_MINUTE = 30;
const REPLY_BYTES_PER_MINUTE = 4 * 1024 ** 2;
const UNPROVEN_DIALS_PER_MINUTE = 300;
const QUICK = ["--push-rate", "100000", "--push-burst", "100000"];

function gossipOf(place: { host: string; port: number }, peerId: string): Message {
  return { type: "GOSSIP", ...place, id: crypto.randomUUID(), peerId };
}

/** Sends many messages, several per connection, cycling through the addresses. */
function flood(program: Program, messages: readonly Message[], from: readonly string[]) {
  const packets = Array.from({ length: Math.ceil(messages.length / 20) }, (_, i) => ({
    text: messages.slice(20 * i, 20 * i + 20).map((message) => JSON.stringify(message)).join("\n"),
    from: from[i % from.length]!,
  }));
  return forEachOf(packets, ({ text, from }) => bring(program, text, from), 8);
}

/** Makes the program hold so many files that its list is large, as an amplification attack needs. */
async function holdMany(program: Program, count: number): Promise<void> {
  const files: ForeignFile[] = Array.from(
    { length: count },
    (_, i) => randomFile(`${i}-${"long name ".repeat(20)}.bin`, "olga", 10),
  );
  await forEachOf(files, (file) => bring(program, dataOf(file), "127.0.0.5"), 8);
  await program.until("all files to be held", async () => {
    return (await program.files()).filter((row) => row.has_copy).length >= count;
  });
}

/** Counts connections from the program. Honest peers each add one to answer what was forwarded to them. */
function caused(sink: HostileServer): number {
  const others = sink.messages.filter(({ peerId }) => String(peerId).startsWith("honest"));
  return sink.connects - others.length;
}

/** Waits for the immediate effects: once a later honest gossip is answered, those of the attack are on their way. */
async function untilQuiet(honest: Honest, sink: HostileServer): Promise<void> {
  for (let seen = -1; seen !== sink.connects;) {
    seen = sink.connects;
    const began = performance.now();
    await until("a quiet second", () => {
      if (sink.connects !== seen) return true;
      return performance.now() - began > 1_000;
    });
  }
  await honest.gossip();
}

Deno.test(
  "threat 20: 1,000 gossips that name a victim cause at most 30 connections and 4 MiB to it per minute",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", [...ALONE, ...QUICK], { cwd: folder.path });
    await using honest = await Honest.beside(program);
    await holdMany(program, 800);
    await using sink = await HostileServer.sink({ host: "127.0.0.77" });
    const gossips = Array.from(
      { length: 1_000 },
      (_, i) => gossipOf({ host: sink.host, port: sink.port }, `victim-${i}`),
    );
    const began = performance.now();
    const from = Array.from({ length: 10 }, (_, i) => `127.0.0.${20 + i}`);
    await servedDuring(honest, flood(program, gossips, from));
    await untilQuiet(honest, sink);
    const minutes = Math.ceil((performance.now() - began) / 60_000);
    ok(caused(sink) > 0, "an unknown address must get some answer");
    ok(
      caused(sink) <= REPLIES_PER_MINUTE * minutes,
      `Too many connections at the sink: ${caused(sink)}`,
    );
    ok(sink.bytes <= REPLY_BYTES_PER_MINUTE * minutes, `Too many bytes at the sink: ${sink.bytes}`);
    await honest.get();
  },
);

Deno.test(
  "threat 20: reply bytes per minute to one destination are capped, even when it asks for them itself",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const budget = 60_000; // two or three pieces of the list

    const args = [...ALONE, ...QUICK, "--reply-bytes-per-minute", `${budget}`];
    await using program = await Program.peer("kashifm", args, { cwd: folder.path });
    await using honest = await Honest.beside(program);
    await holdMany(program, 800); // a list of more than 200 kB
    await using greedy = await HostileServer.sink({ host: "127.0.0.78" });
    for (let i = 0; i < 5; i++) {
      await bring(
        program,
        gossipOf({ host: greedy.host, port: greedy.port }, "greedy"),
        greedy.host,
      );
    }
    await program.until("a list", () => greedy.bytes > budget / 3);
    await untilQuiet(honest, greedy);
    ok(greedy.bytes <= budget + 10_000, `Too many bytes, including gossip: ${greedy.bytes}`);
    await honest.get();
  },
);

Deno.test(
  "threat 20: the first reply to an unproven address is small; whole lists follow later",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", [...ALONE, ...QUICK], { cwd: folder.path });
    await using honest = await Honest.beside(program);
    await holdMany(program, 800);
    await using sink = await HostileServer.sink({ host: "127.0.0.77" });
    const gossip = gossipOf({ host: sink.host, port: sink.port }, "victim");
    await untilQuiet(honest, sink); // announcements of all those files are ahead of any reply
    await bring(program, gossip, "127.0.0.20");
    await program.until("a dial to the sink", () => sink.connects > 0);
    await untilQuiet(honest, sink);
    const sentBytes = JSON.stringify(gossip).length;
    ok(
      sink.bytes <= 64 * 1024 + 4_096,
      `Too many bytes in the reply: ${sink.bytes} for ${sentBytes} sent`,
    );
    // A peer that proves its address gets the whole list.
    await program.until("a list", async () => (await listed(program)).size > 0);
    await honest.get();
  },
);

Deno.test(
  "threat 20: 1,000 gossips that name 1,000 different addresses cause at most 300 dials per minute in total",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", ALONE, { cwd: folder.path });
    await using honest = await Honest.beside(program);
    // Listens on all addresses of the loopback network at once.
    await using sink = await HostileServer.sink({ host: "0.0.0.0" });
    const gossips = Array.from({ length: 1_000 }, (_, i) => {
      const host = `127.7.${i >> 8}.${i & 255}`;
      return gossipOf({ host, port: sink.port }, `victim-${i}`);
    });
    const began = performance.now();
    const from = Array.from({ length: 10 }, (_, i) => `127.0.0.${20 + i}`);
    await servedDuring(honest, flood(program, gossips, from));
    await untilQuiet(honest, sink);
    const minutes = Math.ceil((performance.now() - began) / 60_000);
    ok(caused(sink) > 0);
    ok(
      caused(sink) <= UNPROVEN_DIALS_PER_MINUTE * minutes,
      `Too many dials to strangers: ${caused(sink)} in ${minutes} minutes`,
    );
    await honest.get();
  },
);

/** Starts two peers that answer each gossip with two new ones, under their own names. */
async function stormers(program: Program): Promise<[Source, Source]> {
  const pair: Source[] = [];
  for (const [i, host] of ["127.0.0.31", "127.0.0.32"].entries()) {
    pair.push(await Source.start(`storm-${i}`, () => {}, host));
  }
  for (const source of pair) {
    const seen = new Set<unknown>();
    const messages = source.server.messages;
    const push = messages.push.bind(messages);
    messages.push = (message) => {
      if (message.type === "GOSSIP" && !seen.has(message.id)) {
        seen.add(message.id);
        for (let i = 0; i < 2; i++) source.gossip(program).catch(() => {}); // the program may have stopped by then
      }
      return push(message);
    };
  }
  return pair as [Source, Source];
}

Deno.test(
  "threat 22: two peers that answer every gossip with two new ones get at most two messages a second",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", ALONE, { cwd: folder.path });
    await using honest = await Honest.beside(program);
    const [one, two] = await stormers(program);
    await using stack = new AsyncDisposableStack();
    stack.use(one);
    stack.use(two);
    await one.gossip(program);
    await two.gossip(program);
    const stormed = () =>
      [...one.server.messages, ...two.server.messages].filter(({ peerId }) =>
        !String(peerId).startsWith("honest")
      ).length;
    await program.until("the storm to start", () => stormed() >= 8);
    const began = performance.now();
    const seconds = () => (performance.now() - began) / 1_000;
    const calm = until("the counting period to end", () => seconds() >= 15, 30_000);
    const before = stormed();
    await servedDuring(honest, calm);
    const count = stormed() - before;
    // Each peer's burst of five may still be in progress. Each gossip causes a reply and a forward to the other peer.
    ok(count <= 20 + 2 * seconds(), `Too many messages: ${count} in ${seconds()} s`);
    await honest.check();
  },
);

Deno.test(
  "threat 22: a gossip is handled once however often it arrives, and our own is ignored when it comes back",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", ALONE, { cwd: folder.path });
    await using honest = await Honest.beside(program);
    await using loud = await Source.start("loud", () => {}, "127.0.0.33");
    await using listener = await Source.start("listener", () => {}, "127.0.0.34");
    await listener.join(program);
    await loud.join(program);
    const own = await program.until("the program's own gossip", () => {
      return listener.received("GOSSIP").find(({ peerId }) => peerId === "kashifm");
    });
    // Honest peers answer too, once the gossip is forwarded to them.
    const replies = () =>
      loud.received("GOSSIP_REPLY").filter(({ peerId }) => peerId === "kashifm").length;
    await program.until("the first answer", () => replies() === 1);
    const forwarded = (id: unknown) =>
      listener.received("GOSSIP").filter((gossip) => gossip.id === id).length;
    const replayed = crypto.randomUUID();
    const attack = forEachOf(Array.from({ length: 200 }, (_, i) => i), async (i) => {
      await loud.gossip(program, replayed);
      await bring(program, own, i % 2 === 0 ? "127.0.0.33" : "127.0.0.35");
    }, 8);
    await servedDuring(honest, attack);
    await program.until("the second answer", () => replies() === 2);
    // A later gossip from another peer has been handled, so no effect of the replays is still pending.
    await honest.gossip();
    strictEqual(replies(), 2, "there must be one reply per id");
    ok(forwarded(replayed) <= 1, `The replayed gossip was forwarded ${forwarded(replayed)} times`);
    ok(forwarded(own.id) <= 1, "the program's own gossip must not be forwarded");
    deepStrictEqual((await program.peers()).filter(({ peerId }) => peerId === "kashifm"), []);
    await honest.check();
  },
);

Deno.test(
  "threat 22: ever-changing names and ids do not get one address forwarded more often",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", ALONE, { cwd: folder.path });
    await using honest = await Honest.beside(program);
    await using listener = await Source.start("listener", () => {}, "127.0.0.34");
    await listener.join(program);
    await using loud = await Source.start("loud", () => {}, "127.0.0.33");
    const gossips = Array.from({ length: 600 }, (_, i) => gossipOf(loud.address, `loud-${i}`));
    await servedDuring(honest, flood(program, gossips, ["127.0.0.33"]));
    await untilQuiet(honest, listener.server);
    const heard =
      listener.received("GOSSIP").filter(({ peerId }) => String(peerId).startsWith("loud")).length;
    ok(heard <= 100, `Too many forwarded: ${heard} of 600, to a peer that requested none`);
    await honest.check();
  },
);
