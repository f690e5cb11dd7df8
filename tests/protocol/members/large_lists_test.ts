// Lists between new peers: packed, partial while the sender still reads its folder, and short whatever changed since.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { pack, unpack } from "../../../net/packing.ts";
import type { Effect } from "../../../protocol/effects.ts";
import {
  DEFAULT_LIMITS,
  MAX_GONE,
  MAX_UNPACKED_BYTES,
  PARTS_IN_FLIGHT,
} from "../../../protocol/limits.ts";
import { ProtocolError } from "../../../protocol/wire/errors.ts";
import { decodeMessage, type FileRecord } from "../../../protocol/wire/message.ts";
import { files, heldOf, Machine, newPeer, only, sent, type Who } from "../machine.ts";

/** Returns a peer that can take these lists. */
function able(peerId: string, last: number): Who {
  const who = newPeer(peerId, last);
  return { ...who, ext: { ...who.ext!, can: ["lists"] } };
}

/** Returns files as a data set has them: ids without a pattern, and names with one. */
const dataSet = (count: number): FileRecord[] =>
  Array.from({ length: count }, (_, i) => ({
    fileId: createHash("sha256").update(String(i)).digest("hex"),
    name: `image ${String(i).padStart(6, "0")}.png`,
    owner: "kashifm",
    timestamp: { text: String(1_744_170_000 + i), quoted: false },
    size: 0.004,
    sizeBytes: 4_000 + i % 1_000,
  }));

const idsOf = (records: readonly FileRecord[]) => records.map(({ fileId }) => fileId).sort();
const replies = (effects: readonly Effect[]) => sent(effects, "GOSSIP_REPLY");
const named = (effects: readonly Effect[]) =>
  replies(effects).flatMap(({ message }) => message.files.map(({ fileId }) => fileId));

/** Lets all sends succeed, and those that follow from that. Returns every effect. */
function deliver(machine: Machine, effects: readonly Effect[], ip: string): Effect[] {
  const all = [...effects];
  for (let at = 0; at < all.length; at++) {
    const effect = all[at]!;
    if (effect.kind !== "send") continue;
    const { to, peerId, ticket } = effect;
    const about = { ...(peerId ? { peerId } : {}), ...(ticket ? { ticket } : {}) };
    all.push(...machine.do({ kind: "sent", to, ip, ...about }));
  }
  return all;
}

/** Returns a machine that holds these files, and has met a peer. */
function meeting(held: readonly FileRecord[], who: Who, over = {}): Machine {
  const machine = new Machine({ pack, ...over });
  machine.gossip(who);
  machine.nowMs += 15_000;
  machine.do({ kind: "held", files: held.map((file) => heldOf(file, 4_000)), how: "loaded" });
  return machine;
}

Deno.test("a large list takes at most 100 bytes for each file, in messages that every peer of ours takes", () => {
  const who = able("a", 1);
  const held = dataSet(20_000);
  const machine = meeting(held, who);
  const effects = deliver(machine, machine.gossip(who, { want: true }), who.ip);
  deepStrictEqual(named(effects).sort(), idsOf(held));
  let bytes = 0;
  for (const { effect } of replies(effects)) {
    bytes += effect.bytes.length;
    ok(effect.bytes.length <= DEFAULT_LIMITS.maxMessageBytes, `${effect.bytes.length} bytes`);
  }
  ok(bytes / held.length <= 100, `${bytes / held.length} bytes for each file`);
});

Deno.test("at most a few parts of a list are on their way to a peer at a time", () => {
  const who = able("a", 1);
  const machine = meeting(dataSet(20_000), who);
  const first = machine.gossip(who, { want: true });
  strictEqual(replies(first).length, PARTS_IN_FLIGHT);
  strictEqual(replies(machine.wait(2_000)).length, 0, "until one is delivered");
  const [{ effect }] = replies(first) as [ReturnType<typeof replies>[number]];
  const { to, ticket } = effect;
  const next = machine.do({ kind: "sent", to, ip: who.ip, peerId: "a", ticket: ticket! });
  strictEqual(replies(next).length, 1);
});

Deno.test("the whole list is outside the reply budget for a proven peer, but not again and again", () => {
  const who = able("a", 1);
  const held = dataSet(20_000);
  const machine = meeting(held, who, { limits: { replyBytesPerMinute: 100_000 } });
  const wholes: number[] = [];
  for (let i = 0; i < 4; i++) {
    machine.nowMs += 10_000;
    const effects = deliver(machine, machine.gossip(who, { want: true }), who.ip);
    wholes.push(named(effects).length);
  }
  deepStrictEqual(wholes.slice(0, 2), [held.length, held.length]);
  ok(wholes[2]! < held.length, "the third within a minute waits");
});

Deno.test("a partial list takes nobody away as a holder, and the whole one follows once the folder is read", () => {
  const sender = able("me", 1);
  const receiver = new Machine({ peerId: "b", address: { host: "10.0.0.2", port: 6000 } });
  const before = dataSet(40);
  receiver.gossip(sender);
  receiver.reply({ ...sender, ext: { ...sender.ext!, boot: "last" } }, before, [1, 1, "r"], [
    0,
    40,
  ]);
  strictEqual(receiver.catalogue.holdingsOf("me"), 40);

  const who = able("b", 2);
  const machine = new Machine({ pack });
  machine.do({ kind: "loading" });
  machine.gossip(who);
  machine.nowMs += 15_000;
  machine.do({
    kind: "held",
    files: before.slice(0, 10).map((file) => heldOf(file)),
    how: "loaded",
  });
  const pass = (effects: readonly Effect[]) => {
    for (const { message } of replies(deliver(machine, effects, who.ip))) {
      receiver.message({ ...message, host: sender.host, port: sender.port }, sender.ip);
    }
  };
  pass(machine.gossip(who, { want: true }));
  strictEqual(receiver.catalogue.holdingsOf("me"), 40, "the others may still be there");
  deepStrictEqual(
    only(receiver.wait(20_000), "send").filter(({ what }) => what === "GOSSIP").length > 3,
    false,
    "it does not ask for a whole list that there is not yet",
  );
  machine.do({
    kind: "held",
    files: before.slice(10, 30).map((file) => heldOf(file)),
    how: "found",
  });
  machine.do({ kind: "complete", what: "folder" });
  pass(machine.wait(1_000));
  strictEqual(receiver.catalogue.holdingsOf("me"), 30, "ten are gone from the folder");
});

Deno.test("a peer of an earlier version is sent no list that looks whole before the folder is read", () => {
  const who = newPeer("b", 2);
  const machine = new Machine({ pack });
  machine.do({ kind: "loading" });
  machine.gossip(who);
  machine.nowMs += 15_000;
  const held = files(10).map((file) => heldOf(file));
  machine.do({ kind: "held", files: held, how: "loaded" });
  const effects = machine.gossip(who, { want: true });
  deepStrictEqual(replies(effects).map(({ message }) => message.ext?.part), [undefined]);
  strictEqual(named(effects).length, 10);
  machine.do({ kind: "complete", what: "folder" });
  machine.nowMs += 15_000;
  const later = deliver(machine, [...machine.wait(1_000), ...machine.gossip(who)], who.ip);
  ok(replies(later).some(({ message }) => message.ext?.part?.[1] === 1), "and the whole one then");
});

Deno.test("after a whole list, files that are gone are named, and the list is not sent again", () => {
  const who = able("a", 1);
  const held = dataSet(5_000);
  const machine = meeting(held, who);
  deliver(machine, machine.gossip(who, { want: true }), who.ip);
  const lost = held.slice(0, MAX_GONE).map(({ fileId }) => fileId);
  machine.do({ kind: "lost", fileIds: lost, why: "missing" });
  machine.nowMs += 15_000;
  const [reply, ...more] = replies(deliver(machine, machine.gossip(who), who.ip));
  strictEqual(more.length, 0);
  deepStrictEqual([...reply!.message.ext?.gone ?? []].sort(), lost.sort());
  const receiver = new Machine({ peerId: "a", address: { host: who.host, port: who.port } });
  const sender = able("me", 9);
  receiver.gossip(sender);
  receiver.reply(sender, held.slice(0, 500), [1, 1, "r"]);
  const { host, port } = sender;
  receiver.message(
    { ...reply!.message, host, port, ext: { ...sender.ext!, gone: lost } },
    sender.ip,
  );
  strictEqual(receiver.catalogue.holdingsOf("me"), 500 - MAX_GONE);
});

Deno.test("a round costs the same bytes, however many files there are", () => {
  const roundOf = (count: number) => {
    const who = able("a", 1);
    const machine = meeting(dataSet(count), who);
    deliver(machine, machine.gossip(who, { want: true }), who.ip);
    let bytes = 0;
    for (let i = 0; i < 100; i++) {
      machine.nowMs += 30_000;
      for (const { effect } of replies(machine.gossip(who))) bytes += effect.bytes.length;
    }
    return bytes;
  };
  const few = roundOf(100);
  const many = roundOf(10_000);
  ok(many < 1.1 * few, `${few} bytes with 100 files, ${many} with 10,000`);
});

Deno.test("a packed list is refused if it is none, or too long when it is unpacked", () => {
  const reply = (packed: string) =>
    new TextEncoder().encode(JSON.stringify({
      type: "GOSSIP_REPLY",
      host: "h",
      port: 1,
      peerId: "a",
      ext: { v: 1, packed },
      files: [],
    }));
  const refused = (packed: string) => {
    try {
      decodeMessage(reply(packed), false, unpack);
      return undefined;
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      return error.reason;
    }
  };
  strictEqual(refused("no base64 of anything"), "bad-field");
  strictEqual(refused(pack("no JSON")), "bad-field");
  strictEqual(refused(pack('{"files":[]}')), "bad-field");
  strictEqual(refused(pack(`["${"x".repeat(MAX_UNPACKED_BYTES)}"]`)), "bad-field");
  strictEqual(refused(pack("[]")), undefined);
});
