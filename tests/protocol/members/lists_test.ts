// GOSSIP_REPLY, outgoing: whole lists to peers that forget, changes to peers that remember, in pieces that the reader
// can digest, within the rate limit.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Effect } from "../../../protocol/effects.ts";
import {
  DEFAULT_LIMITS,
  FULL_LIST_MS,
  LEGACY_PART_BYTES,
  LEGACY_PIECE_FILES,
  ORIGINATOR_BURST,
  PART_BYTES,
  UNPROVEN_REPLY_BYTES,
} from "../../../protocol/limits.ts";
import { files, heldOf, idOf, Machine, newPeer, oldPeer, sent, type Who } from "../machine.ts";

const named = (effects: readonly Effect[]) =>
  sent(effects, "GOSSIP_REPLY").flatMap(({ message }) => message.files.map(({ fileId }) => fileId));
const parts = (effects: readonly Effect[]) =>
  sent(effects, "GOSSIP_REPLY").map(({ message }) => message.ext?.part);
const idsOf = (count: number, from = 1) => files(count, from).map(({ fileId }) => fileId);

function holding(count: number, over = {}): Machine {
  const machine = new Machine(over);
  machine.hold(files(count));
  return machine;
}

/** Receives the gossip of a peer that has been there before, some time later. */
function later(machine: Machine, who: Who, want = false): Effect[] {
  machine.nowMs += 15_000;
  return machine.gossip(who, { want });
}

/** Receives what a peer that stays says every half minute. */
const alive = (machine: Machine) => () =>
  void (machine.nowMs % 30_000 === 0 && machine.announce(oldPeer("a", 1), files(1)[0]!));

Deno.test("an old peer gets the whole list each time, in messages of at most 64 KiB", () => {
  const machine = holding(1000);
  for (let time = 0; time < 3; time++) {
    const effects = later(machine, oldPeer("a", 1));
    effects.push(...machine.wait(180_000, 1_000, alive(machine)));
    deepStrictEqual(named(effects), idsOf(1000).reverse(), "the newest first");
    const replies = sent(effects, "GOSSIP_REPLY");
    strictEqual(replies.length, Math.ceil(1000 / LEGACY_PIECE_FILES));
    for (const { effect: { bytes } } of replies) {
      ok(bytes.length <= LEGACY_PART_BYTES, `${bytes.length} bytes`);
      for (const byte of bytes) {
        if (byte < 0x20 || byte > 0x7e) throw new Error(`Byte ${byte} was sent`);
      }
      for (let edge = 4096; edge < bytes.length; edge += 4096) {
        ok(bytes[edge - 1] !== 0x7d, "} at the end of a read");
      }
    }
  }
});

Deno.test("a peer that fetches nothing does not keep others from learning of files", () => {
  const machine = holding(2000);
  machine.start();
  const silent = Array.from({ length: 20 }, (_, i) => oldPeer(`silent${i}`, i + 1));
  const slow = ["10.0.7.1", "10.0.7.2"]; // they request files and never read
  for (let i = 0; i < 260; i++) {
    machine.message({ type: "GET_FILE", fileId: idOf(i + 1) }, slow[i % 2]!, i);
  }
  const real = oldPeer("real", 99);
  const heard = new Set<string>();
  const hear = (effects: readonly Effect[]) => {
    for (const { message, to } of sent(effects, "GOSSIP_REPLY")) {
      if (to.host === real.ip) { for (const { fileId } of message.files) heard.add(fileId); }
    }
  };
  for (const peer of [...silent, real]) hear(machine.gossip(peer));
  for (let round = 0; round < 12; round++) {
    hear(machine.wait(30_000, 500));
    for (const peer of [...silent, real]) hear(machine.gossip(peer));
    ok(heard.size >= Math.min(2000, (round + 1) * LEGACY_PIECE_FILES), `${heard.size}`);
  }
});

Deno.test("a file is listed to an old peer only if it is held then, under its current name", () => {
  const machine = holding(200);
  const old = oldPeer("old", 1);
  machine.gossip(old);
  machine.do({ kind: "delete", fileId: idOf(190) });
  for (let time = 0; time < 5; time++) {
    const renamed = files(100, 80).map((file) => ({ ...file, name: `${time}` }));
    machine.do({ kind: "held", files: renamed.map(heldOf), how: "found" });
  }
  const told = sent(machine.wait(90_000, 1_000, alive(machine)), "GOSSIP_REPLY")
    .flatMap(({ message }) => message.files);
  ok(!told.some(({ fileId }) => fileId === idOf(190)));
  strictEqual(told.length, new Set(told.map(({ fileId }) => fileId)).size, "each once");
});

Deno.test("a piece stays within its size whatever our own name and host are", () => {
  for (let length = 40; length <= 255; length += 43) {
    const machine = new Machine({
      peerId: "ü".repeat(128),
      address: { host: "h".repeat(253), port: 65535 },
      boot: "b".repeat(32),
    });
    const label = { name: "n".repeat(length), owner: "o".repeat(100) };
    machine.hold(files(1200).map((file) => ({ ...file, ...label })));
    for (const { effect } of sent(machine.gossip(oldPeer("a", 1)), "GOSSIP_REPLY")) {
      ok(effect.bytes.length <= LEGACY_PART_BYTES, `${effect.bytes.length} bytes`);
    }
  }
});

Deno.test("a peer that remembers gets the whole list once, then additions, then nothing", () => {
  const machine = holding(5);
  const peer = newPeer("a", 1);
  const first = machine.gossip(peer, { want: true });
  deepStrictEqual([named(first), parts(first).map((part) => part?.slice(0, 2))], [idsOf(5), [[
    1,
    1,
  ]]]);
  deepStrictEqual([named(later(machine, peer)), parts(later(machine, peer))], [[], [undefined]]);
  machine.hold(files(2, 6));
  deepStrictEqual(named(later(machine, peer)), idsOf(2, 6));
  deepStrictEqual(named(later(machine, peer)), []);
});

Deno.test("it gets the whole list again when it asks, restarts, moves, when a file was removed, or after a while", () => {
  const peer = newPeer("a", 1);
  const restarted = { ...peer, ext: { ...peer.ext!, boot: "boot2" } };
  const cases: [string, (machine: Machine) => Effect[]][] = [
    ["it asks", (machine) => later(machine, peer, true)],
    ["it restarts", (machine) => later(machine, restarted)],
    ["it moves", (machine) => later(machine, { ...peer, port: 7000 })],
    ["something left", (machine) => {
      machine.do({ kind: "lost", fileIds: [idOf(9)], why: "missing" });
      return later(machine, peer);
    }],
    ["a while", (machine) => {
      for (let ms = 0; ms < FULL_LIST_MS - 15_000; ms += 15_000) {
        strictEqual(named(later(machine, peer)).length, 0);
      }
      return later(machine, peer);
    }],
  ];
  for (const [name, act] of cases) {
    const machine = holding(5);
    machine.hold(files(1, 9));
    machine.gossip(peer, { want: true });
    const effects = act(machine);
    deepStrictEqual(named(effects).slice(0, 5), idsOf(5), name);
    deepStrictEqual(parts(effects).map((part) => part?.slice(0, 2)), [[1, 1]], name);
  }
});

Deno.test("what did not reach a peer that remembers is sent again", () => {
  const peer = newPeer("a", 1);
  const fail = (machine: Machine, effects: readonly Effect[]) => {
    for (const { to, peerId } of sent(effects, "GOSSIP_REPLY")) {
      machine.do({
        kind: "unreachable",
        what: "GOSSIP_REPLY",
        to,
        text: "reset",
        ...(peerId ? { peerId } : {}),
      });
    }
  };
  const whole = holding(5);
  fail(whole, whole.gossip(peer, { want: true }));
  deepStrictEqual(named(later(whole, peer)), idsOf(5), "a whole list was lost");
  const changes = holding(5);
  changes.gossip(peer, { want: true });
  changes.hold(files(1, 6));
  fail(changes, later(changes, peer));
  ok(named(later(changes, peer)).includes(idOf(6)), "a change was lost");
});

Deno.test("a gossip that asks for another peer's list is answered like any other", () => {
  const machine = holding(5);
  const peer = newPeer("a", 1);
  machine.gossip(peer);
  machine.nowMs += 15_000;
  const others = { v: 1, boot: peer.ext!.boot!, want: ["b", "Me", "me "] };
  deepStrictEqual(named(machine.gossip({ ...peer, ext: others })), []);
});

Deno.test("a peer that restarts in the middle of a list gets it from the beginning", () => {
  const machine = holding(4000, { limits: { replyBytesPerMinute: 600_000 } });
  const peer = newPeer("a", 1);
  const begun = machine.gossip(peer, { want: true });
  ok(named(begun).length > 0 && named(begun).length < 4000);
  machine.nowMs = 70_000;
  const restarted = { ...peer, ext: { ...peer.ext!, boot: "boot2" } };
  const effects = machine.gossip(restarted, { want: true });
  effects.push(
    ...machine.wait(180_000, 1000, () => machine.nowMs % 20_000 === 0 && machine.gossip(restarted)),
  );
  const got = new Set(named(effects));
  strictEqual(got.size, 4000, "files listed to the peer since it restarted");
});

Deno.test("an unproven peer gets one small piece, and one more each time that it asks", () => {
  const machine = holding(4000);
  const fake = { ...newPeer("a", 1), ip: "10.6.6.6" };
  const first = sent(machine.gossip(fake), "GOSSIP_REPLY");
  strictEqual(first.length, 1);
  ok(first[0]!.effect.bytes.length <= UNPROVEN_REPLY_BYTES);
  deepStrictEqual(named(machine.wait(50_000)), [], "nothing more until it asks");
  const second = sent(machine.gossip(fake), "GOSSIP_REPLY");
  strictEqual(second.length, 1);
  ok(second[0]!.effect.bytes.length <= PART_BYTES);
  // Once it is proven, it gets all the rest.
  const rest = [...machine.gossip(newPeer("a", 1)), ...machine.wait(2_000)];
  const all = [...first, ...second, ...sent(rest, "GOSSIP_REPLY")].flatMap(({ message }) =>
    message.files
  );
  strictEqual(new Set(all.map(({ fileId }) => fileId)).size, 4000);
});

Deno.test("replies and bytes per minute to one destination are limited, and the rest of its list follows later", () => {
  const asks = new Machine();
  for (let i = 0; i < 50; i++) {
    // Many names at one address are one originator and one destination.
    strictEqual(
      sent(asks.gossip(oldPeer(`p${i}`, 1)), "GOSSIP_REPLY").length,
      i < ORIGINATOR_BURST ? 1 : 0,
      `${i}`,
    );
  }
  const machine = holding(30_000);
  const effects = machine.gossip(newPeer("a", 1), { want: true });
  const bytes = (some: readonly Effect[]) =>
    sent(some, "GOSSIP_REPLY").reduce((sum, { effect }) => sum + effect.bytes.length, 0);
  effects.push(...machine.wait(59_000, 1000, alive(machine)));
  ok(bytes(effects) <= DEFAULT_LIMITS.replyBytesPerMinute && named(effects).length > 10_000);
  effects.push(...machine.wait(61_000, 1000, alive(machine)));
  deepStrictEqual(named(effects), idsOf(30_000), "each file once, in order");
});

Deno.test("a reply contains our name, and every file name as received", () => {
  const machine = new Machine();
  const odd = {
    ...files(1)[0]!,
    name: 'a"}ü\u2028🧀',
    owner: "__proto__",
    timestamp: { text: "1744169352.0", quoted: false },
  };
  machine.hold([odd]);
  const [reply] = sent(machine.gossip(oldPeer("a", 1)), "GOSSIP_REPLY");
  const { peerId, host, port, files: [file] } = reply!.message;
  deepStrictEqual([peerId, host, port], ["me", "10.9.9.9", 5000]);
  deepStrictEqual([file?.name, file?.owner, file?.timestamp], [odd.name, odd.owner, odd.timestamp]);
  ok(new TextDecoder().decode(reply!.effect.bytes).includes('"file_timestamp":1744169352.0,'));
});
