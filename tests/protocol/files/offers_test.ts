// Copies that are offered instead of pushed: who is offered one, who fetches it, and what it may cost.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Effect } from "../../../protocol/effects.ts";
import { MAX_PUSH_TRIES } from "../../../protocol/limits.ts";
import { OFFER, RAW } from "../../../protocol/wire/capabilities.ts";
import type { FileRecord } from "../../../protocol/wire/message.ts";
import {
  events,
  fileOfNumber,
  heldOf,
  idOf,
  Machine,
  newPeer,
  oldPeer,
  only,
  type Overrides,
  receivers,
  refusals,
  sent,
  type Who,
} from "../machine.ts";

const EXT = { v: 1, node: "A".repeat(43), can: [RAW, OFFER] };
const peer = (n: number): Who => ({ ...newPeer(`p${n}`, n), ext: EXT });
const ours = fileOfNumber(1, { owner: "me" });
const theirs = (n: number, over: Partial<FileRecord> = {}) =>
  fileOfNumber(n, { owner: "p1", sizeBytes: 10, ...over });

const offers = (effects: readonly Effect[]) =>
  sent(effects, "ANNOUNCE").filter(({ message }) => message.ext?.offer);
const fetches = (effects: readonly Effect[]) => only(effects, "fetch");

/** Lets an offer arrive, or not. */
function deliver(machine: Machine, effects: readonly Effect[], kind: "sent" | "unreachable") {
  const [{ effect, to, peerId }] = offers(effects) as [ReturnType<typeof offers>[0]];
  const about = { to, ticket: effect.ticket!, peerId: peerId! };
  return kind === "sent"
    ? machine.do({ kind, ip: to.host, ...about })
    : machine.do({ kind, what: "ANNOUNCE", text: "refused", ...about });
}

function publishing(...peers: Who[]) {
  const machine = new Machine();
  machine.meet(...peers);
  return { machine, effects: machine.hold([ours], "published") };
}

/** A peer that knows another one, which offers files. */
function offered(over: Overrides = {}) {
  const machine = new Machine(over);
  machine.meet(peer(1), peer(2));
  const offer = (file: FileRecord, { from = peer(1), ip = "" } = {}) => {
    const ext = { ...EXT, offer: true } as const;
    return machine.message({ type: "ANNOUNCE", from: from.peerId, file, ext }, ip || from.ip);
  };
  return { machine, offer };
}

Deno.test("a published file is offered to a peer that can take an offer, and pushed to one that cannot", () => {
  const { effects } = publishing(peer(1), peer(2), peer(3));
  strictEqual(offers(effects).length, 1);
  deepStrictEqual(only(effects, "replicate"), []);
  const { message } = offers(effects)[0]!;
  deepStrictEqual([message.from, message.file.fileId], ["me", idOf(1)]);
  deepStrictEqual(receivers(effects, "ANNOUNCE").length, 4, "everybody hears of it besides");
  const { effects: old } = publishing(oldPeer("old", 1), {
    ...peer(2),
    ext: { ...EXT, can: [RAW] },
  });
  deepStrictEqual([offers(old).length, only(old, "replicate").length], [0, 1]);
});

Deno.test("a peer that cannot be reached is followed by the next one, each once per round", () => {
  const { machine, effects } = publishing(peer(1), peer(2), peer(3), peer(4));
  const asked = [offers(effects)[0]!.peerId];
  let last = effects;
  while (offers(last).length > 0) {
    last = deliver(machine, last, "unreachable");
    asked.push(...offers(last).map(({ peerId }) => peerId));
  }
  strictEqual(new Set(asked).size, MAX_PUSH_TRIES);
  strictEqual(asked.length, MAX_PUSH_TRIES);
  strictEqual(offers(machine.wait(30_000)).length, 1, "and again later");
});

Deno.test("who was offered a file has time to fetch it: once it holds it, nobody else is asked", () => {
  const { machine, effects } = publishing(peer(1), peer(2));
  const taker = offers(effects)[0]!.peerId!;
  deepStrictEqual(deliver(machine, effects, "sent").filter(({ kind }) => kind === "event"), []);
  deepStrictEqual(offers(machine.wait(50_000)), []);
  const effectsOfNews = machine.announce(peer(Number(taker.slice(1))), { ...ours, sizeBytes: 10 });
  deepStrictEqual(events(effectsOfNews, "replicated").map(({ peerId }) => peerId), [taker]);
  deepStrictEqual(offers(machine.wait(3_600_000, 10_000)), []);
});

Deno.test("who was offered a file and does not fetch it is followed by another one after a while", () => {
  const { machine, effects } = publishing(peer(1), peer(2));
  const [first] = offers(effects);
  deliver(machine, effects, "sent");
  machine.meet(peer(3)); // a peer that comes does not end its time
  deepStrictEqual(offers(machine.wait(50_000)), []);
  const later = offers(machine.wait(15_000));
  strictEqual(later.length, 1);
  ok(later[0]!.peerId !== first!.peerId);
});

Deno.test("a large file may take its time", () => {
  const machine = new Machine();
  machine.meet(peer(1), peer(2));
  const files = [heldOf(ours, 600_000_000)];
  deliver(machine, machine.do({ kind: "held", files, how: "published" }), "sent");
  deepStrictEqual(offers(machine.wait(600_000, 5_000)), []);
  strictEqual(offers(machine.wait(120_000, 5_000)).length, 1);
});

Deno.test("an offered copy is fetched, and counts as pushed", () => {
  const { machine, offer } = offered();
  const [fetch] = fetches(offer(theirs(5)));
  deepStrictEqual([fetch!.source, fetch!.maxBytes], ["p1", 10]);
  deepStrictEqual(fetches(offer(theirs(5))), [], "once");
  const [keep] = only(machine.arrive(theirs(5), { source: "p1" }), "keep");
  strictEqual(keep!.held.pushed, true);
  machine.do({ kind: "held", files: [keep!.held], how: "fetched", source: "p1" });
  strictEqual(machine.catalogue.pushedBytes, 10);
  deepStrictEqual(fetches(offer(theirs(5))), [], "it is here");
});

Deno.test("a copy that somebody here wants is not only a copy", () => {
  const { machine, offer } = offered();
  offer(theirs(5));
  machine.do({ kind: "want", fileId: idOf(5) });
  const [keep] = only(machine.arrive(theirs(5), { source: "p1" }), "keep");
  ok(!keep!.held.pushed);
  const { machine: other, offer: offerTo } = offered();
  for (const n of [11, 12, 13]) offerTo(theirs(n)); // the third one waits
  const first = other.do({ kind: "first", fileId: idOf(13) });
  strictEqual(fetches(first)[0]!.maxBytes, undefined, "a person put it first");
  ok(!only(other.arrive(theirs(13), { source: "p1" }), "keep")[0]!.held.pushed);
  const auto = offered({ autoFetch: Infinity });
  auto.machine.start();
  auto.machine.reply(peer(1), []);
  const [fetch] = fetches(auto.offer(theirs(6)));
  strictEqual(fetch!.maxBytes, undefined, "it would be fetched anyway");
});

Deno.test("an offered copy that does not come is not retried here, and its space counts no longer", () => {
  const { machine, offer } = offered({ limits: { pushQuotaBytes: 10 } });
  offer(theirs(5));
  deepStrictEqual(refusals(offer(theirs(6))), ["push-quota"], "what is on its way counts");
  const effects = machine.failFetch(idOf(5), "p1", "absent");
  strictEqual(events(effects, "download-failed")[0]!.willRetry, false);
  strictEqual(machine.peer.wishedDownloads, 0);
  deepStrictEqual(fetches(machine.wait(3_600_000, 60_000)), []);
  strictEqual(fetches(offer(theirs(6))).length, 1);
});

Deno.test("an offer is refused where a push would be", () => {
  const { machine, offer } = offered({ limits: { pushQuotaBytes: 100, pushBurst: 5 } });
  deepStrictEqual(refusals(offer(theirs(5, { sizeBytes: 101 }))), ["push-quota"]);
  machine.do({ kind: "unwanted", fileIds: [idOf(6)] });
  const file = theirs(6, { owner: "somebody" });
  deepStrictEqual(refusals(offer(file)), ["unwanted-push"]);
  strictEqual(fetches(offer(theirs(7))).length, 1);
  machine.failFetch(idOf(7), "p1", "absent");
  const many = [8, 9, 10, 11].flatMap((n) => offer(theirs(n)));
  deepStrictEqual([fetches(many).length, refusals(many)], [2, ["push-rate", "push-rate"]]);
});

Deno.test("an offer counts only from the address of the peer that makes it, and with an exact size", () => {
  const { offer } = offered();
  deepStrictEqual(fetches(offer(theirs(5), { ip: "10.6.6.6" })), []);
  const { sizeBytes: _, ...unknown } = theirs(6);
  deepStrictEqual(fetches(offer(unknown)), []);
  const stranger = { ...peer(9), ip: "10.6.6.7" };
  deepStrictEqual(fetches(offer(theirs(7), { from: stranger })), [], "nobody knows it");
});

Deno.test("a file that its owner deleted, or that is larger than said, does not come by an offer", () => {
  const { machine, offer } = offered({ limits: { pushQuotaBytes: 15 } });
  machine.announce(peer(1), theirs(5));
  machine.delete("p1", idOf(5), peer(1).ip);
  deepStrictEqual(fetches(offer(theirs(5))), []);
  offer(theirs(6));
  const effects = machine.arrive(theirs(6), { source: "p1", sizeBytes: 20 });
  deepStrictEqual([only(effects, "keep"), refusals(effects)], [[], ["push-quota"]]);
});

Deno.test("copies take two places at most, and neither a person's small file nor a large one waits for them", () => {
  const { machine, offer } = offered();
  const big = { sizeBytes: 5_000_000 };
  const started = [11, 12, 13, 14].flatMap((n) => fetches(offer(theirs(n, n % 2 ? big : {}))));
  strictEqual(started.length, 2);
  machine.reply(peer(2), [fileOfNumber(50, { sizeBytes: 1024 ** 3 }), theirs(51)]);
  for (const n of [50, 51]) {
    deepStrictEqual(
      fetches(machine.do({ kind: "want", fileId: idOf(n) })).map(({ file }) => file.fileId),
      [idOf(n)],
    );
  }
});

Deno.test("offered copies are fetched one by one, each with its own limit, and never as content that is here", () => {
  const { machine, offer } = offered();
  machine.do({
    kind: "held",
    files: [{ file: { ...fileOfNumber(1), sizeBytes: 10, sha256: "a".repeat(64) }, sizeBytes: 10 }],
    how: "restored",
  });
  const effects = [21, 22, 23].flatMap((n) => offer(theirs(n, { sha256: "a".repeat(64) })));
  deepStrictEqual([only(effects, "adopt"), only(effects, "fetch-batch")], [[], []]);
  ok(fetches(effects).every(({ maxBytes }) => maxBytes === 10));
});

Deno.test("a copy that takes too long is given up, and its place and its space are free again", () => {
  const { machine, offer } = offered({ limits: { pushQuotaBytes: 10 } });
  const [fetch] = fetches(offer(theirs(5)));
  deepStrictEqual(only(machine.wait(59_000), "stop-fetch"), []);
  const effects = machine.wait(5_000);
  deepStrictEqual(only(effects, "stop-fetch").map(({ attempt }) => attempt), [fetch!.attempt]);
  strictEqual(fetches(offer(theirs(6))).length, 1);
});
