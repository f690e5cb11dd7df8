// Peers that fetch the same file: who is told of whom, who is asked for parts, and what a request may get.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Effect } from "../../../protocol/effects.ts";
import { MAX_FELLOWS } from "../../../protocol/limits.ts";
import { Ranges } from "../../../protocol/ranges.ts";
import { PARTS, RAW } from "../../../protocol/wire/capabilities.ts";
import type { Ext } from "../../../protocol/wire/ext.ts";
import type { FileRecord } from "../../../protocol/wire/message.ts";
import {
  events,
  fileOfNumber,
  heldOf,
  idOf,
  Machine,
  newPeer,
  only,
  type Who,
} from "../machine.ts";

const MIB = 1024 ** 2;
const LARGE = fileOfNumber(1, { sizeBytes: 64 * MIB });
const fileId = idOf(1);

/** A peer that passes parts on, and holds these files. */
function join(machine: Machine, n: number, files: readonly FileRecord[] = []): Who {
  const who = newPeer(`p${n}`, n);
  const { peerId, host, port, ip } = who;
  const ext = { v: 1, node: "A".repeat(43), can: [RAW, PARTS] };
  machine.message({ type: "GOSSIP_REPLY", peerId, host, port, files, ext }, ip);
  return who;
}

function ask(machine: Machine, who: Pick<Who, "peerId" | "ip">, more: Partial<Ext>): Effect[] {
  const ext = { v: 1, have: [], peer: who.peerId, ...more };
  return machine.message({ type: "GET_FILE", fileId, ext }, who.ip);
}

/** A peer that holds the large file, and others that know it. */
function holding(others: number) {
  const machine = new Machine({});
  machine.do({ kind: "held", files: [heldOf(LARGE, 64 * MIB)], how: "loaded" });
  return { machine, others: Array.from({ length: others }, (_, i) => join(machine, i + 1)) };
}

const sharingOf = (effects: readonly Effect[]) => only(effects, "serve")[0]!.sharing;

Deno.test("peers that fetch the same file are told of each other, if they ask from their own address", () => {
  const { machine, others: [a, b, c] } = holding(3);
  deepStrictEqual(sharingOf(ask(machine, a!, { raw: [0, MIB] })), {
    peers: [],
    isRedirected: false,
  });
  deepStrictEqual(sharingOf(ask(machine, b!, { raw: [0, MIB] }))!.peers, ["p1"]);
  strictEqual(sharingOf(ask(machine, { ...c!, ip: a!.ip }, { raw: [0, MIB] })), undefined);
  strictEqual(sharingOf(ask(machine, { ...c!, peerId: "nobody" }, { raw: [0, MIB] })), undefined);
  deepStrictEqual([...sharingOf(ask(machine, a!, { raw: [MIB, MIB] }))!.peers], ["p2"]);
  machine.nowMs += 16_000;
  deepStrictEqual(sharingOf(ask(machine, c!, { raw: [0, MIB] }))!.peers, [], "they have gone");
});

Deno.test("each of many is given other parts, and the file leaves here about once", () => {
  const { machine, others } = holding(16);
  const given = new Ranges();
  let bytes = 0;
  const next = new Map(others.map(({ peerId }) => [peerId, [0, 4 * MIB] as readonly number[]]));
  let rounds = 0;
  while (given.bytes < 64 * MIB) {
    ok(++rounds < 100, "it ends");
    for (const who of others) {
      const raw = next.get(who.peerId);
      if (!raw) continue;
      const sharing = sharingOf(ask(machine, who, { raw }))!;
      if (!sharing.isRedirected) {
        bytes += raw[1]!;
        given.add(raw[0]!, raw[0]! + raw[1]!);
      }
      if (sharing.next) next.set(who.peerId, sharing.next);
      else next.delete(who.peerId);
    }
  }
  ok(bytes <= 1.1 * 64 * MIB, `${bytes / MIB} MiB`);
  const last = sharingOf(ask(machine, others[3]!, { raw: [0, MIB] }));
  deepStrictEqual([last!.isRedirected, last!.next], [true, undefined], "the others have it");
  const insisting = machine.message(
    { type: "GET_FILE", fileId, ext: { v: 1, raw: [0, MIB] } },
    others[3]!.ip,
  );
  strictEqual(sharingOf(insisting), undefined, "but it gets it if it insists");
});

Deno.test("whoever is alone gets what it asks for, and nobody is told to ask for anything", () => {
  const { machine, others: [a] } = holding(1);
  for (let at = 0; at < 64; at++) {
    const sharing = sharingOf(ask(machine, a!, { raw: [at * MIB, MIB] }));
    deepStrictEqual(sharing, { peers: [], isRedirected: false });
  }
  const again = sharingOf(ask(machine, a!, { raw: [0, MIB] }));
  deepStrictEqual(again, { peers: [], isRedirected: false });
});

Deno.test("a part that a peer was told to ask for is free again once it has gone", () => {
  const { machine, others: [a, b] } = holding(2);
  ask(machine, a!, { raw: [0, MIB] });
  strictEqual(sharingOf(ask(machine, b!, { raw: [2 * MIB, MIB] }))!.next![0], MIB);
  strictEqual(sharingOf(ask(machine, a!, { raw: [3 * MIB, MIB] }))!.next![0], 4 * MIB, "b has it");
  strictEqual(sharingOf(ask(machine, b!, { raw: [9 * MIB, MIB] }))!.next![0], MIB, "still");
  machine.nowMs += 10_000;
  const c = join(machine, 3);
  ask(machine, a!, { raw: [4 * MIB, MIB] });
  ask(machine, c, { raw: [20 * MIB, MIB] });
  machine.nowMs += 10_000;
  strictEqual(sharingOf(ask(machine, a!, { raw: [21 * MIB, MIB] }))!.next![0], MIB);
});

/** A peer that is fetching the large file from p1, whose first answer came. */
function fetching() {
  const machine = new Machine({});
  join(machine, 1, [LARGE]);
  const [fetch] = only(machine.do({ kind: "want", fileId }), "fetch");
  const { attempt } = fetch!;
  machine.do({ kind: "more-sources", fileId, attempt });
  return { machine, attempt, hasParts: fetch!.hasParts };
}

const fellowsIn = (effects: readonly Effect[]) =>
  only(effects, "fetch-also").filter(({ isFellow }) => isFellow).map(({ source }) => source);

Deno.test("peers that a source names are asked for parts: those that are known, can, and were not asked yet", () => {
  const { machine, attempt, hasParts } = fetching();
  strictEqual(hasParts, true);
  for (const n of [2, 3]) join(machine, n);
  machine.reply(newPeer("other", 50), []);
  const name = (peerIds: readonly string[]) =>
    machine.do({ kind: "fellows", fileId, attempt, peerIds });
  deepStrictEqual(fellowsIn(name(["p2", "stranger", "me", "other", "p1"])), ["p2"]);
  deepStrictEqual(fellowsIn(name(["p2", "p3"])), ["p3"]);
  deepStrictEqual(
    machine.do({ kind: "fellows", fileId, attempt: attempt + 1, peerIds: ["p3"] }),
    [],
  );
  for (let n = 10; n < 60; n++) join(machine, n);
  const all = Array.from({ length: 50 }, (_, i) => `p${i + 10}`);
  strictEqual(fellowsIn(name(all)).length, MAX_FELLOWS - 2);
});

Deno.test("who asks us for parts of what we are fetching gets them, and is asked in turn", () => {
  const { machine } = fetching();
  const who = join(machine, 2);
  const effects = ask(machine, who, { raw: [0, MIB] });
  const [part] = only(effects, "serve-part");
  deepStrictEqual([part!.fileId, part!.raw, part!.sharing!.peers], [fileId, [0, MIB], []]);
  deepStrictEqual(fellowsIn(effects), ["p2"]);
  machine.do({ kind: "served", ip: who.ip });
  deepStrictEqual(fellowsIn(ask(machine, who, { raw: [0, MIB] })), [], "once");
  const plain = machine.message({ type: "GET_FILE", fileId, ext: { v: 1, raw: [0, MIB] } }, who.ip);
  strictEqual(only(plain, "answer-absent").length, 1, "only who knows of parts gets them");
  machine.do({ kind: "cancel", fileId });
  strictEqual(only(ask(machine, who, { raw: [0, MIB] }), "answer-absent").length, 1);
});

Deno.test("a fellow that fails is not blamed unless it sent rubbish, and is asked again only if it asks us", () => {
  const { machine, attempt } = fetching();
  const who = join(machine, 2);
  const name = () => machine.do({ kind: "fellows", fileId, attempt, peerIds: ["p2"] });
  const fail = (failure: "absent" | "mismatch") =>
    machine.do({ kind: "source-failed", fileId, attempt, source: "p2", failure, text: "failed" });
  name();
  deepStrictEqual(fail("absent").map(({ kind }) => kind), []);
  deepStrictEqual(fellowsIn(name()), []);
  deepStrictEqual(fellowsIn(ask(machine, who, { raw: [0, MIB] })), ["p2"]);
  const effects = fail("mismatch");
  strictEqual(events(effects, "refused").length, 1);
  strictEqual(machine.peer.pendingDownloads, 1);
});

Deno.test("a fellow that has completed the file helps as a holder", () => {
  const { machine, attempt } = fetching();
  const who = join(machine, 2);
  machine.do({ kind: "fellows", fileId, attempt, peerIds: ["p2"] });
  const effects = machine.announce(who, LARGE);
  deepStrictEqual(only(effects, "fetch-also").map(({ source, isFellow }) => [source, isFellow]), [
    ["p2", undefined],
  ]);
});

Deno.test("the list of chunks goes to whoever asks for it, if the file is here", () => {
  const { machine, others: [a] } = holding(1);
  const [serve] = only(ask(machine, a!, { raw: [0, 9], chunks: MIB }), "serve");
  deepStrictEqual([serve!.chunks, serve!.sharing], [MIB, undefined]);
  const { machine: other } = fetching();
  const who = join(other, 2);
  const effects = ask(other, who, { raw: [0, 9], chunks: MIB });
  strictEqual(only(effects, "answer-absent").length, 1, "what is on its way proves nothing");
});

Deno.test("more peers than are remembered all get content", () => {
  const { machine, others } = holding(100);
  const next = new Map<string, readonly number[]>();
  const empty = new Map<string, number>();
  for (let round = 0; round < 6; round++) {
    for (const who of others) {
      const sharing = sharingOf(ask(machine, who, { raw: next.get(who.peerId) ?? [0, 4 * MIB] }))!;
      if (sharing.next) next.set(who.peerId, sharing.next);
      const misses = sharing.isRedirected ? (empty.get(who.peerId) ?? 0) + 1 : 0;
      empty.set(who.peerId, misses);
      ok(misses <= 3 || !sharing.next, `${who.peerId} got nothing ${misses} times`);
    }
  }
});
Deno.test("what was given counts as not given once all who asked have gone: perhaps without it", () => {
  const { machine, others: [a, b] } = holding(2);
  ask(machine, a!, { raw: [0, 64 * MIB] });
  ask(machine, b!, { raw: [0, MIB] });
  strictEqual(sharingOf(ask(machine, b!, { raw: [0, MIB] }))!.isRedirected, true);
  machine.nowMs += 20_000;
  join(machine, 3);
  for (const who of [a!, b!]) {
    strictEqual(
      sharingOf(ask(machine, who, { raw: [0, MIB] }))!.isRedirected,
      who === b,
      who.peerId,
    );
  }
  strictEqual(sharingOf(ask(machine, b!, { raw: [5 * MIB, MIB] }))!.isRedirected, false);
});

Deno.test("what is given is remembered in whole chunks, however small the requests are", () => {
  const { machine, others: [a, b] } = holding(2);
  ask(machine, a!, { raw: [0, 1] });
  for (let at = 0; at < 64; at += 2) ask(machine, b!, { raw: [at * MIB + 5, 1] });
  const free = new Set<number>();
  for (let i = 0; i < 40; i++) {
    const { next } = sharingOf(ask(machine, a!, { raw: [i * MIB, MIB] }))!;
    if (!next) break;
    strictEqual(next[0] % MIB, 0);
    free.add(next[0]);
  }
  ok(free.size > 3);
});

Deno.test("a list of chunks is made for peers only", () => {
  const { machine } = holding(1);
  const stranger = { peerId: "x", ip: "10.7.7.7" };
  strictEqual(
    only(ask(machine, stranger, { raw: [0, 9], chunks: MIB }), "answer-absent").length,
    1,
  );
});

Deno.test("people read of the first request for a file, and not of each part or question that follows", () => {
  const { machine, others: [a] } = holding(1);
  const told = (raw: readonly number[]) => events(ask(machine, a!, { raw }), "request").length;
  deepStrictEqual([told([0, MIB]), told([MIB, MIB]), told([0, 0]), told([])], [1, 0, 0, 1]);
});
