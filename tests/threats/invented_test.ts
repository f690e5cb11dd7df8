// Threats 23 and 24 in docs/SECURITY-TESTS.md: peers that do not exist, and peers that pose as others. However many are
// invented, the caps hold, earlier peers stay, and memory does not grow. A live peer keeps its slot when someone takes its
// name, and gets it back at once when it returns at another address.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { memoryMib } from "../hostile/gauge.ts";
import { Honest, HONEST_MS } from "../hostile/honest.ts";
import { Folder } from "../process/folder.ts";
import { named, start } from "../process/network.ts";
import { Program } from "../process/program.ts";
import { forEachOf, SANITIZED } from "../process/together.ts";
import { ForeignPeer } from "../wire/foreign.ts";
import { ALONE, bring, entryOf, randomFile, servedDuring, Source } from "./scene.ts";

const MAX_PEERS = 1_024;
const MAX_PER_ADDRESS = 256;
const FLAT_MIB = 30;
/** Limit from the peak of the earlier rounds to the minimum of the later ones, so that collector swings do not count. */
const FLAT_OVER_ROUNDS_MIB = 20;

/** Invents peers at ten addresses, with many gossips per connection. Nothing listens at the addresses they name. */
async function invent(program: Program, count: number, round: number): Promise<void> {
  const packets = Array.from({ length: count / 25 }, (_, i) => i);
  await forEachOf(packets, async (packet) => {
    const address = `127.0.0.${20 + packet % 10}`;
    const gossips = Array.from({ length: 25 }, (_, i) =>
      JSON.stringify({
        type: "GOSSIP",
        host: address,
        port: 20_000 + (packet * 25 + i) % 10_000,
        id: crypto.randomUUID(),
        peerId: `fake-${round}-${packet}-${i}`,
      }));
    await bring(program, gossips.join("\n"), address);
  }, 4);
}

async function assertCapped(program: Program, honest: Honest): Promise<void> {
  const peers = await program.peers();
  ok(peers.length <= MAX_PEERS, `Too many peers tracked: ${peers.length}`);
  const perHost = Map.groupBy(peers, ({ host }) => host);
  for (const [host, some] of perHost) {
    ok(some.length <= MAX_PER_ADDRESS, `Too many peers tracked at ${host}: ${some.length}`);
  }
  const names = new Set(peers.map(({ peerId }) => peerId));
  for (const { peerId } of honest.peers) ok(names.has(peerId), `${peerId} was displaced`);
}

Deno.test(
  "threat 23: of 5,000 invented peers, no more than the caps are tracked, honest ones stay, and memory stays flat",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", ALONE, { cwd: folder.path });
    await using honest = await Honest.beside(program);
    for (const _ of honest.peers) await honest.gossip();
    await servedDuring(honest, invent(program, 5_000, 1));
    await assertCapped(program, honest);
    const fakes = (await program.peers()).filter(({ peerId }) => peerId.startsWith("fake")).length;
    ok(fakes > MAX_PER_ADDRESS, `Only ${fakes} invented peers: too few to prove anything`);
    // Uncollected garbage varies by 30 MiB, but retained memory would remain after every round.
    const used = [await memoryMib(program.pid)];
    for (const round of [2, 3, 4]) {
      await servedDuring(honest, invent(program, 5_000, round));
      await assertCapped(program, honest);
      used.push(await memoryMib(program.pid));
    }
    const grown = Math.min(used[2]!, used[3]!) - Math.max(used[0]!, used[1]!);
    ok(grown < FLAT_OVER_ROUNDS_MIB, `Memory grew by ${grown} MiB: ${used}`);
    await honest.check();
  },
);

Deno.test(
  "threat 23: one address cannot invent more peers than its share, and pushes nobody out",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const args = [...ALONE, "--max-peers", "100", "--max-peers-per-address", "40"];
    await using program = await Program.peer("kashifm", args, { cwd: folder.path });
    await using honest = await Honest.beside(program);
    for (const _ of honest.peers) await honest.gossip();
    await servedDuring(honest, invent(program, 1_000, 1));
    const peers = await program.peers();
    ok(peers.length <= 100, `Too many peers tracked: ${peers.length}`);
    for (const [host, some] of Map.groupBy(peers, (peer) => peer.host)) {
      ok(some.length <= 40, `Too many peers tracked at ${host}: ${some.length}`);
    }
    const names = peers.map(({ peerId }) => peerId);
    for (const { peerId } of honest.peers) ok(names.includes(peerId), `${peerId} was displaced`);
    await honest.check();
  },
);

Deno.test(
  "threat 23: a machine that invents 400 peers gets exactly 256 slots, the default",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", ALONE, { cwd: folder.path });
    await using honest = await Honest.beside(program);
    const [host, there] = ["127.0.0.88", 400];
    const at = async () => (await program.peers()).filter((peer) => peer.host === host).length;
    for (let i = 0; i < there; i++) {
      const names = { peerId: `invented-${i}`, host, port: 20_000 + i };
      await bring(program, { type: "GOSSIP", id: crypto.randomUUID(), ...names }, host);
    }
    await honest.gossip();
    strictEqual(await at(), 256);
    await honest.check();
  },
);

Deno.test(
  "threat 23: an honest peer that arrives when invented ones fill all slots is answered",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const args = [...ALONE, "--max-peers", "100", "--max-peers-per-address", "40"];
    await using program = await Program.peer("kashifm", args, { cwd: folder.path });
    await using honest = await Honest.beside(program);
    for (const _ of honest.peers) await honest.gossip();
    await servedDuring(honest, invent(program, 1_000, 1));
    await using late = await ForeignPeer.start({ style: "closes-at-once", peerId: "late" });
    await late.gossip(program);
    await program.until("an answer to a late peer", () => {
      return replies(late) > 0;
    }, HONEST_MS);
    await honest.check();
  },
);

Deno.test(
  "threat 23: lists and announcements of ever-new files stay within the catalogue's limit",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const args = [...ALONE, "--max-files", "2000"];
    await using program = await Program.peer("kashifm", args, { cwd: folder.path });
    await using honest = await Honest.beside(program);
    await using liar = await Source.start("liar", () => {}, "127.0.0.9");
    await liar.join(program);
    const template = entryOf(randomFile("invented.bin", "liar"));
    const invented = () => ({
      ...template,
      file_id: crypto.getRandomValues(new Uint8Array(32)).toHex(),
    });
    const lists = async () => {
      for (let i = 0; i < 10; i++) {
        await liar.list(program, Array.from({ length: 1_000 }, invented));
      }
      for (let i = 0; i < 200; i++) {
        await liar.send(program, { type: "ANNOUNCE", from: "liar", ...invented() });
      }
    };
    await servedDuring(honest, lists());
    const before = await memoryMib(program.pid);
    await servedDuring(honest, lists());
    const rows = await program.files();
    ok(rows.length <= 2_000, `Too many files in the catalogue: ${rows.length}`);
    ok(
      rows.length > 1_000,
      `Only ${rows.length} files in the catalogue: too few to prove anything`,
    );
    ok(
      rows.some((row) => row.file_id === honest.file.fileId && row.has_copy),
      "held files must stay",
    );
    const grown = await memoryMib(program.pid) - before;
    ok(grown < FLAT_MIB, `Memory grew by ${grown} MiB`);
    await honest.check();
  },
);

function replies(peer: ForeignPeer): number {
  return peer.received.filter(({ type, peerId }) => type === "GOSSIP_REPLY" && peerId === "kashifm")
    .length;
}

Deno.test(
  "threat 24: an impostor is answered and moves nobody, and the conflict is shown",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", ALONE, { cwd: folder.path });
    await using honest = await Honest.beside(program);
    await using alice = await ForeignPeer.start({ style: "closes-at-once", peerId: "alice" });
    await alice.gossip(program);
    await program.tracks("alice", alice.port);
    const { length } = program.lines;
    await using twin = await ForeignPeer.start({ style: "same-connection", peerId: "alice" });
    await using far = await Source.start("alice", () => {}, "127.0.0.40");
    await using keyed = await Source.start("alice", () => {}, "127.0.0.41");
    const node = crypto.getRandomValues(new Uint8Array(32)).toBase64({
      alphabet: "base64url",
      omitPadding: true,
    });
    const attack = (async () => {
      await twin.gossip(program);
      await far.gossip(program);
      const gossip = { type: "GOSSIP", ...keyed.address, peerId: "alice" };
      await keyed.send(program, { ...gossip, id: crypto.randomUUID(), ext: { v: 1, node } });
      await program.until("an answer to each impostor", () => {
        return replies(twin) > 0 && far.received("GOSSIP_REPLY").length > 0 &&
          keyed.received("GOSSIP_REPLY").length > 0;
      });
    })();
    await servedDuring(honest, attack);
    await honest.gossip();
    const routes = (await program.peers()).filter(({ peerId }) => peerId === "alice");
    deepStrictEqual(routes.map(({ host, port }) => ({ host, port })), [
      { host: "127.0.0.1", port: alice.port },
    ]);
    ok(
      program.lines.slice(length).some((line) =>
        /WARNING.*alice|alice.*(conflict|another address|already|two)/i.test(line)
      ),
      `The name conflict is not shown. ${program.report()}`,
    );
    await honest.check();
  },
);

Deno.test(
  "threat 24: a peer that returns on another port is reachable there at once, with or without extensions",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    // The peer timeout exceeds all deadlines, so no peer is rediscovered because it was forgotten first.
    const args = ["--auto-fetch", "all", "--peer-timeout", "600"];
    await using program = await start(folder, "kashifm", [], { args });
    await using honest = await Honest.beside(program);
    {
      await using alice = await ForeignPeer.start({ style: "closes-at-once", peerId: "alice" });
      await alice.gossip(program);
      await program.tracks("alice", alice.port);
    }
    const files = [randomFile("news.bin", "alice")];
    await using again = await ForeignPeer.start({
      style: "closes-at-once",
      peerId: "alice",
      files,
    });
    await again.gossip(program);
    await program.tracks("alice", again.port, 15_000);
    await program.holds(files[0]!.fileId);

    // One of our own peers, killed and restarted: it keeps its key.
    await using bob = await start(folder, "bob", [program], { args });
    await program.tracks("bob", bob.port);
    await bob.stop("SIGKILL");
    await using returned = await start(folder, "bob", [program], { args });
    await program.tracks("bob", returned.port, 15_000);
    await folder.write("storage_bob/of bob.txt", "of bob");
    await named(program, "of bob.txt");
    await honest.check();
  },
);

Deno.test(
  "threat 24: with the same key, the new address takes over although the old one still listens",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const args = [...ALONE, "--peer-timeout", "600"];
    await using program = await Program.peer("kashifm", args, { cwd: folder.path });
    await using honest = await Honest.beside(program);
    const node = new Uint8Array(32).fill(7).toBase64({ alphabet: "base64url", omitPadding: true });
    await using old = await Source.start("carol", () => {}, "127.0.0.50");
    await using fresh = await Source.start("carol", () => {}, "127.0.0.50");
    for (const source of [old, fresh]) {
      const gossip = { type: "GOSSIP", ...source.address, peerId: "carol" };
      await source.send(program, { ...gossip, id: crypto.randomUUID(), ext: { v: 1, node } });
      await program.tracks("carol", source.server.port, 15_000);
    }
    const mute = { type: "GOSSIP", ...old.address, id: crypto.randomUUID(), peerId: "carol" };
    await old.send(program, mute);
    await honest.gossip();
    const [carol] = (await program.peers()).filter(({ peerId }) => peerId === "carol");
    strictEqual(
      carol?.port,
      fresh.server.port,
      "without the key, the old peer must now count as an impostor",
    );
    await honest.check();
  },
);
