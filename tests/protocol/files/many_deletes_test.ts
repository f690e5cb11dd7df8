// Deleting a data set: many files per DELETE for peers that can, the old pace for the others, and work that grows no
// faster than the number of files.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Effect } from "../../../protocol/effects.ts";
import { DeletionNotices } from "../../../protocol/files/deletion_notices.ts";
import {
  BATCH_DELETES_BURST,
  DEFAULT_LIMITS,
  DELETES_PER_MINUTE,
  MAX_BATCHES,
  MAX_BROADCAST_SENDS,
  MAX_EARLY_DELETES_PER_ADDRESS,
  MAX_IDS_PER_MESSAGE,
} from "../../../protocol/limits.ts";
import { PeerState } from "../../../protocol/state.ts";
import { BATCH_DELETE } from "../../../protocol/wire/capabilities.ts";
import { encodeMessage, type FileRecord } from "../../../protocol/wire/message.ts";
import {
  configOf,
  events,
  fileOfNumber,
  files,
  heldOf,
  idOf,
  Machine,
  newPeer,
  oldPeer,
  only,
  type Overrides,
  refusals,
  sent,
  type Who,
} from "../machine.ts";

const own = (count: number, from = 1): FileRecord[] =>
  files(count, from).map((file) => ({ ...file, owner: "me" }));

/** Returns a peer that takes many files per DELETE. */
function batchPeer(peerId: string, last: number, port = 6000): Who {
  const peer = newPeer(peerId, last, port);
  return { ...peer, ext: { ...peer.ext!, can: ["other-thing", BATCH_DELETE] } };
}

const patient: Overrides = { peerTimeoutMs: 1e9 };

/** A network in which every send arrives. Notes for each peer which ids it was told are deleted, and how often. */
class Told {
  readonly times = new Map<string, Map<string, number>>();
  messages = 0;
  most = 0;

  constructor(readonly machine: Machine) {}

  /** Lets all sends arrive, and those that follow. */
  deliver = (effects: readonly Effect[]): void => {
    for (let next = effects; next.length > 0;) {
      const sends = only(next, "send");
      this.most = Math.max(this.most, sends.length);
      for (const { peerId, message } of sent(next, "DELETE")) {
        this.messages++;
        const times = this.times.get(peerId!) ?? new Map<string, number>();
        this.times.set(peerId!, times);
        for (const fileId of [message.fileId, ...message.ext?.more ?? []]) {
          times.set(fileId, (times.get(fileId) ?? 0) + 1);
        }
      }
      next = sends.flatMap(({ to, peerId, ticket }) =>
        this.machine.do({
          kind: "sent",
          to,
          ip: to.host,
          ...(peerId ? { peerId } : {}),
          ...(ticket ? { ticket } : {}),
        })
      );
    }
  };

  count(peerId: string): number {
    return this.times.get(peerId)?.size ?? 0;
  }
}

Deno.test("peers that can take many files per DELETE hear of 100,000 deletions within seconds, each once", () => {
  const machine = new Machine(patient);
  const peers = [1, 2, 3].map((n) => batchPeer(`p${n}`, n));
  machine.meet(...peers);
  machine.meet(batchPeer("alias", 1)); // a second name at the address of p1
  machine.hold(own(100_000));
  machine.wait(200_000, 1_000);
  const told = new Told(machine);
  for (const { fileId } of own(100_000)) told.deliver(machine.do({ kind: "delete", fileId }));
  machine.wait(10_000, 250, told.deliver);
  for (const { peerId } of peers) {
    strictEqual(told.count(peerId), 100_000);
    ok([...told.times.get(peerId)!.values()].every((times) => times === 1));
  }
  strictEqual(told.count("alias"), 0);
  ok(told.messages <= 3 * (100_000 / MAX_IDS_PER_MESSAGE + 70), `${told.messages} messages`);
  strictEqual(machine.remembered("tombstones"), 100_000, "none is lost");
  deepStrictEqual(
    machine.peer.deletionProgress(idOf(100_000)),
    { reached: 3, left: 0, slow: 0, slowMs: 0 },
  );
});

Deno.test("peers that take one file per DELETE are paced as before, whatever else they can", () => {
  const machine = new Machine(patient);
  const peers = [
    oldPeer("old", 1),
    newPeer("earlier", 2),
    { ...batchPeer("elsewhere", 3), ip: "10.6.6.6" },
  ];
  machine.meet(...peers);
  machine.hold(own(1_000));
  machine.wait(60_000);
  const told = new Told(machine);
  for (const { fileId } of own(1_000)) told.deliver(machine.do({ kind: "delete", fileId }));
  machine.wait(10_000, 250, told.deliver);
  ok(told.count("old") <= DELETES_PER_MINUTE, `${told.count("old")} at once`);
  const { left, slow, slowMs } = machine.peer.deletionProgress(idOf(1_000))!;
  deepStrictEqual([left, slow], [3, 3]);
  ok(slowMs > 15 * 60_000 && slowMs <= 21 * 60_000, `${slowMs} ms`);
  machine.wait(21 * 60_000, 1_000, told.deliver);
  for (const peerId of ["old", "earlier"]) {
    strictEqual(told.count(peerId), 1_000, peerId);
    strictEqual([...told.times.get(peerId)!.values()].every((times) => times === 1), true);
  }
});

Deno.test("no call causes more sends than allowed, however many peers must hear of a data set", () => {
  const machine = new Machine({ ...patient, limits: { unprovenDialsPerMinute: 1e6 } });
  const peers = Array.from({ length: 200 }, (_, i) => batchPeer(`p${i}`, i + 1));
  machine.meet(...peers);
  machine.hold(own(5_000));
  machine.wait(60_000);
  const told = new Told(machine);
  for (const { fileId } of own(5_000)) {
    const effects = machine.do({ kind: "delete", fileId });
    ok(only(effects, "send").length <= MAX_BROADCAST_SENDS);
    told.deliver(effects);
  }
  machine.wait(10_000, 250, told.deliver);
  ok(told.most <= MAX_BATCHES, `${told.most} at once`);
  for (const { peerId } of peers) strictEqual(told.count(peerId), 5_000, peerId);
});

Deno.test("a person who deletes a data set causes steps in proportion to its files", () => {
  const stepsFor = (count: number) => {
    const state = new PeerState(configOf());
    const notices = new DeletionNotices(state);
    for (let n = 1; n <= 20; n++) {
      const { peerId, ip, ext, ...address } = batchPeer(`p${n}`, n);
      state.membership.hear({ peerId, address, also: [], ip, ext, isForwardable: true }, 0);
    }
    for (let n = 0; n < count; n++) notices.announce(idOf(n), []);
    for (let ms = 0; ms < 20_000; ms += 250) {
      state.nowMs = ms;
      notices.tick();
      for (let effects = state.takeEffects(); effects.length > 0; effects = state.takeEffects()) {
        for (const { ticket } of only(effects, "send")) {
          if (ticket?.for === "delete") notices.sendEnded(ticket.batch, true);
        }
      }
    }
    strictEqual(notices.progress(idOf(count - 1))!.reached, 20);
    return notices.steps;
  };
  const [one, two] = [stepsFor(20_000), stepsFor(40_000)];
  ok(two < 2.2 * one, `${one} steps for 20,000 files, ${two} for twice as many`);
  ok(one < 20_000 * 20 * 3, `${one} steps`);
});

Deno.test("a DELETE with many files removes those of its sender, in one effect for the store", () => {
  const machine = new Machine(patient);
  const owner = batchPeer("owner", 1);
  machine.meet(owner);
  machine.hold([...files(100), fileOfNumber(500, { owner: "other" })]);
  const ids = files(100).map(({ fileId }) => fileId);
  const message = (fileIds: readonly string[], ext = owner.ext!) =>
    ({
      type: "DELETE",
      from: "owner",
      fileId: fileIds[0]!,
      ext: { ...ext, more: fileIds.slice(1) },
    }) as const;
  const effects = machine.message(message([...ids, idOf(500), idOf(600)]), owner.ip);
  deepStrictEqual(only(effects, "trash"), [{ kind: "trash", fileIds: ids, why: "deleted" }]);
  deepStrictEqual(events(effects, "many-deleted").map(({ owner, files }) => [owner, files]), [
    ["owner", 100],
  ]);
  deepStrictEqual(refusals(effects), ["forged-delete"], "one file has another owner");
  deepStrictEqual([...machine.catalogue.all()].map(({ file }) => file.fileId), [idOf(500)]);
  ok(ids.every((fileId) => machine.catalogue.tombstones.has(fileId, machine.nowMs)));
  machine.reply(oldPeer("b", 2), [fileOfNumber(600), fileOfNumber(1)]);
  strictEqual(machine.catalogue.size, 1, "a file that was not known yet stays away as well");
});

Deno.test("only an owner at its own address, that says it can, names more than one file per DELETE", () => {
  const senders: [Who, string][] = [
    [newPeer("owner", 1), "10.0.0.1"],
    [oldPeer("owner", 1), "10.0.0.1"],
    [batchPeer("owner", 1), "10.6.6.6"],
    [{ ...batchPeer("owner", 1), ip: "10.6.6.6" }, "10.6.6.6"],
  ];
  for (const [owner, ip] of senders) {
    const machine = new Machine(patient);
    machine.meet(owner);
    machine.hold(files(3));
    const more = [idOf(2), idOf(3)];
    const ext = { v: 1, can: [BATCH_DELETE], more };
    machine.message({ type: "DELETE", from: "owner", fileId: idOf(1), ext }, ip);
    ok(more.every((fileId) => machine.catalogue.get(fileId)?.held), `${owner.ip} from ${ip}`);
  }
});

Deno.test("a data set is obeyed at once, but not several in a row, and what is not known stays bounded", () => {
  const machine = new Machine({ ...patient, limits: { maxCatalogueEntries: 300_000 } });
  const owner = batchPeer("owner", 1);
  machine.meet(owner);
  const count = BATCH_DELETES_BURST + 10_000;
  machine.reply(owner, files(count), [1, 1, "r"]);
  let refused = 0;
  const deleteAll = (from: number, to: number) => {
    for (let n = from; n < to; n += MAX_IDS_PER_MESSAGE) {
      const ids = files(Math.min(MAX_IDS_PER_MESSAGE, to - n), n).map(({ fileId }) => fileId);
      const effects = machine.message({
        type: "DELETE",
        from: "owner",
        fileId: ids[0]!,
        ext: { ...owner.ext!, more: ids.slice(1) },
      }, owner.ip);
      ok(effects.length <= 6, `${effects.length} effects of one DELETE`);
      for (const { times = 1 } of events(effects, "refused")) refused += times;
    }
  };
  deleteAll(1, count + 1);
  strictEqual(machine.remembered("tombstones"), BATCH_DELETES_BURST);
  strictEqual(refused, 10_000, "and each is counted");
  machine.wait(20_000);
  deleteAll(1, count + 1);
  strictEqual(machine.catalogue.size, 0, "later the rest");
  refused = 0;
  deleteAll(1_000_000, 1_000_000 + MAX_EARLY_DELETES_PER_ADDRESS + 5_000);
  strictEqual(machine.remembered("early deletions"), MAX_EARLY_DELETES_PER_ADDRESS);
  strictEqual(refused, 5_000);
});

Deno.test("a peer that comes back with a deleted data set is reminded of all of it, in few messages and once", () => {
  const machine = new Machine({ ...patient, limits: { maxCatalogueEntries: 300_000 } });
  machine.hold(own(50_000));
  for (const { fileId } of own(50_000)) machine.do({ kind: "delete", fileId });
  machine.wait(3_600_000, 60_000);
  const back = batchPeer("back", 1);
  machine.meet(back);
  const told = new Told(machine);
  told.deliver(machine.reply(back, own(30_000), [1, 2, "r"]));
  told.deliver(machine.reply(back, own(20_000, 30_001), [2, 2, "r"]));
  machine.wait(5_000, 250, told.deliver);
  strictEqual(told.count("back"), 50_000);
  ok(told.messages <= 60, `${told.messages} messages`);
  told.deliver(machine.reply(back, own(30_000), [1, 1, "s"])); // it had no time yet
  ok([...told.times.get("back")!.values()].every((times) => times <= 2));
});

Deno.test("an old peer that fails once still hears of the rest, one that fails for ten minutes when it lists them", () => {
  for (const failsMs of [30_000, 700_000]) {
    const machine = new Machine(patient);
    machine.meet(oldPeer("old", 1));
    machine.hold(own(400));
    const told = new Told(machine);
    const fail = (effects: readonly Effect[]) => {
      for (const { to, peerId, ticket, what } of only(effects, "send")) {
        if (ticket?.for !== "delete") continue;
        machine.do({ kind: "unreachable", to, what, peerId: peerId!, ticket, text: "" });
      }
    };
    for (const { fileId } of own(400)) fail(machine.do({ kind: "delete", fileId }));
    machine.wait(failsMs, 1_000, fail);
    machine.wait(1_800_000, 1_000, told.deliver);
    const isShort = failsMs < 60_000;
    strictEqual(told.count("old"), isShort ? 400 : 0);
    if (isShort) continue;
    told.deliver(machine.reply(oldPeer("old", 1), own(10)));
    strictEqual(told.count("old"), 10);
  }
});

Deno.test("a file that is restored before everybody heard of its deletion is left out of the rest", () => {
  const machine = new Machine(patient);
  machine.meet(batchPeer("new", 1), oldPeer("old", 2));
  machine.hold(own(200));
  const told = new Told(machine);
  const effects = own(200).flatMap(({ fileId }) => machine.do({ kind: "delete", fileId }));
  machine.do({ kind: "held", files: [heldOf(own(1, 150)[0]!)], how: "restored" });
  told.deliver(effects);
  machine.wait(300_000, 1_000, told.deliver);
  for (const peerId of ["new", "old"]) {
    strictEqual(told.count(peerId), 199, peerId);
    strictEqual(told.times.get(peerId)!.has(idOf(150)), false);
  }
});

Deno.test("the longest DELETE fits into the message that every peer accepts, also with the longest name", () => {
  const more = files(MAX_IDS_PER_MESSAGE - 1).map(({ fileId }) => fileId);
  const bytes = encodeMessage({
    type: "DELETE",
    from: "\u00e9".repeat(128),
    fileId: idOf(0),
    ext: {
      v: 1,
      node: "n".repeat(43),
      boot: "b".repeat(32),
      can: new Machine().peer.ext.can!,
      more,
    },
  });
  ok(bytes.length <= DEFAULT_LIMITS.maxMessageBytes, `${bytes.length} bytes`);
  const modest = new Machine({ limits: { maxMessageBytes: DEFAULT_LIMITS.maxMessageBytes - 1 } });
  deepStrictEqual(
    modest.peer.ext.can,
    ["raw", "offer", "links", "relay"],
    "a peer that accepts less does not say that it can",
  );
});

Deno.test("whoever deletes the most makes space for its own deletions only", () => {
  // (Tombstones.add is tested with many addresses in tombstones_test.ts.)
  const machine = new Machine(patient);
  const owner = batchPeer("owner", 1);
  machine.meet(owner);
  machine.hold(own(1));
  machine.do({ kind: "delete", fileId: idOf(1) });
  machine.reply(owner, files(10, 2), [1, 1, "r"]);
  machine.message({ type: "DELETE", from: "owner", fileId: idOf(2), ext: owner.ext! }, owner.ip);
  strictEqual(machine.remembered("addresses that deleted files"), 2);
});
