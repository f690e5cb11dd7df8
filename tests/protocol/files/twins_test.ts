// The same content under several ids: what peers say about it saves transfers if it is true, and is blamed on them if not.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Effect } from "../../../protocol/effects.ts";
import { MAX_DOWNLOADS, MAX_SOURCES } from "../../../protocol/limits.ts";
import { RAW } from "../../../protocol/wire/capabilities.ts";
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
  refusals,
  sent,
  type Who,
} from "../machine.ts";

const [SAME, OTHER] = ["a".repeat(64), "b".repeat(64)];
const EXT = { v: 1, node: "A".repeat(43), can: [RAW] };

/** A file of ten bytes, or of as many as given, that is said to have this content. */
const claimed = (n: number, sha256: string | null = SAME, sizeBytes = 10): FileRecord => ({
  ...fileOfNumber(n, { sizeBytes }),
  ...(sha256 === null ? {} : { sha256 }),
});

const peer = (n: number): Who => ({ ...newPeer(`p${n}`, n), ext: EXT });

function holdAs(machine: Machine, n: number, sha256 = SAME, sizeBytes = 10): Effect[] {
  const { file } = heldOf(fileOfNumber(n), sizeBytes);
  const files = [{ file: { ...file, sha256 }, sizeBytes }];
  return machine.do({ kind: "held", files, how: "restored" });
}

const want = (machine: Machine, n: number) => machine.do({ kind: "want", fileId: idOf(n) });

/** Lets the store find that the content is the same. */
function adopted(machine: Machine, effects: readonly Effect[]): Effect[] {
  const [{ file, twin, attempt }] = only(effects, "adopt") as [
    Extract<Effect, { kind: "adopt" }>,
  ];
  const adopted = { twin, attempt };
  return machine.do({ kind: "held", files: [heldOf(file)], how: "adopted", adopted });
}

/** Lets the store find that it is not. */
function notAdopted(machine: Machine, effects: readonly Effect[], isWrong = true): Effect[] {
  const [{ file: { fileId }, attempt }] = only(effects, "adopt") as [
    Extract<Effect, { kind: "adopt" }>,
  ];
  return machine.do({ kind: "not-adopted", fileId, attempt, isWrong });
}

Deno.test("a file whose content is here is not transferred, but shared under its id too", () => {
  const machine = new Machine();
  holdAs(machine, 1);
  machine.reply(peer(1), [claimed(2)]);
  const effects = want(machine, 2);
  deepStrictEqual(only(effects, "fetch"), []);
  const [adopt] = only(effects, "adopt");
  deepStrictEqual([adopt!.file.fileId, adopt!.twin], [idOf(2), idOf(1)]);
  deepStrictEqual(adopt!.timestamps, [fileOfNumber(2).timestamp]);
  const done = adopted(machine, effects);
  deepStrictEqual(events(done, "adopted").map(({ as }) => as.name), ["file 1"]);
  strictEqual(sent(done, "ANNOUNCE")[0]!.message.file.fileId, idOf(2));
  ok(machine.catalogue.get(idOf(2))!.held);
  strictEqual(machine.peer.pendingDownloads, 0);
});

Deno.test("one comparison after another: every file whose content is here is shared under its id", () => {
  const machine = new Machine();
  holdAs(machine, 1);
  const numbers = Array.from({ length: 3 * MAX_DOWNLOADS }, (_, i) => i + 2);
  machine.reply(peer(1), numbers.map((n) => claimed(n)));
  for (const n of numbers) {
    adopted(machine, want(machine, n));
    strictEqual(machine.remembered("comparisons with our own content"), 0);
    ok(machine.catalogue.get(idOf(n))!.held);
  }
});

Deno.test("content that does not verify for the id is fetched from the holders, and is not tried again", () => {
  for (const isWrong of [true, false]) {
    const machine = new Machine();
    holdAs(machine, 1);
    machine.reply(peer(1), [claimed(2), claimed(3)]);
    const effects = notAdopted(machine, want(machine, 2), isWrong);
    deepStrictEqual(only(effects, "fetch").map(({ source }) => source), ["p1"]);
    deepStrictEqual(refusals(effects), [], "nobody is blamed before the content is known");
    machine.failFetch(idOf(2), "p1", "unreachable");
    const again = machine.reply(peer(2), [claimed(2)]);
    strictEqual(
      only(again, "adopt").length,
      isWrong ? 0 : 1,
      "unreadable content may be read later",
    );
    // Another claim of the same peer costs nothing either.
    if (isWrong) deepStrictEqual(only(want(machine, 3), "adopt"), []);
  }
});

Deno.test("who told a wrong SHA-256 is blamed once the content is verified, and nobody else", () => {
  const machine = new Machine();
  holdAs(machine, 1);
  machine.reply(peer(1), [claimed(2, null)]);
  machine.reply(peer(2), [claimed(2)]);
  machine.reply(peer(3), [claimed(2, OTHER)]);
  const [fetch] = only(notAdopted(machine, want(machine, 2)), "fetch");
  const [keep] = only(machine.arrive(fileOfNumber(2), { source: fetch!.source }), "keep");
  const file = { ...keep!.held.file, sha256: OTHER };
  const effects = machine.do({ kind: "held", files: [{ file, sizeBytes: 10 }], how: "fetched" });
  const refused = events(effects, "refused");
  deepStrictEqual(refused.map(({ who, reason }) => [who, reason]), [["p2", "wrong-claim"]]);
  strictEqual(machine.membership.get("p2")!.refusals, 1);
  strictEqual(machine.catalogue.get(idOf(2))!.file.sha256, OTHER);
});

Deno.test("a claim counts only from the address of the peer that holds the file", () => {
  const machine = new Machine();
  holdAs(machine, 1);
  machine.reply(peer(1), [claimed(3, null)]);
  machine.announce(peer(1), claimed(2), "10.0.9.9");
  machine.announce(peer(1), claimed(3), "10.0.9.9");
  for (const n of [2, 3]) strictEqual(machine.catalogue.get(idOf(n))!.file.sha256, undefined);
});

Deno.test("a claim that contradicts the size is not worth reading a file for", () => {
  const machine = new Machine();
  holdAs(machine, 1);
  machine.reply(peer(1), [claimed(2, SAME, 11)]);
  const effects = want(machine, 2);
  deepStrictEqual([only(effects, "adopt").length, only(effects, "fetch").length], [0, 1]);
});

Deno.test("once a file is no longer here, nothing is the same as it", () => {
  const machine = new Machine();
  holdAs(machine, 1);
  holdAs(machine, 4);
  machine.reply(peer(1), [claimed(2), claimed(3)]);
  machine.do({ kind: "lost", fileIds: [idOf(1)], why: "removed" });
  strictEqual(only(want(machine, 2), "adopt")[0]!.twin, idOf(4));
  machine.do({ kind: "lost", fileIds: [idOf(4)], why: "removed" });
  deepStrictEqual(only(want(machine, 3), "adopt"), []);
});

Deno.test("the same content is transferred once, however many ids are wanted at the same time", () => {
  const machine = new Machine();
  machine.reply(peer(1), [claimed(1), claimed(2), claimed(3), claimed(4, OTHER)]);
  const first = want(machine, 1);
  const later = [2, 3, 4].flatMap((n) => want(machine, n));
  deepStrictEqual(only(first, "fetch").map(({ file }) => file.fileId), [idOf(1)]);
  deepStrictEqual(only(later, "fetch").map(({ file }) => file.fileId), [idOf(4)]);
  const [keep] = only(machine.arrive(claimed(1), { source: "p1" }), "keep");
  const effects = machine.do({ kind: "held", files: [keep!.held], how: "fetched", source: "p1" });
  deepStrictEqual(only(effects, "adopt").map(({ file }) => file.fileId), [idOf(2), idOf(3)]);
  deepStrictEqual(only(effects, "fetch"), []);
});

Deno.test("if the first of several files with the same content fails, the next one is fetched", () => {
  const machine = new Machine();
  machine.reply(peer(1), [claimed(1), claimed(2)]);
  want(machine, 1);
  deepStrictEqual(want(machine, 2), []);
  const effects = machine.failFetch(idOf(1), "p1", "absent");
  deepStrictEqual(only(effects, "fetch").map(({ file }) => file.fileId), [idOf(2)]);
});

Deno.test("a batch does not ask for content that is here or on its way under another id", () => {
  const machine = new Machine();
  holdAs(machine, 9, OTHER);
  const can = [RAW, "batch-get"];
  const who = { ...peer(1), ext: { ...EXT, can } };
  machine.reply(who, [
    claimed(1),
    claimed(2),
    claimed(3, OTHER),
    claimed(4, null),
    claimed(5, null),
  ]);
  const busy = Array.from({ length: MAX_DOWNLOADS }, (_, i) => fileOfNumber(100 + i));
  for (const [i, file] of busy.entries()) machine.reply(oldPeer(`old${i}`, 50 + i), [file]);
  for (const { fileId } of busy) machine.do({ kind: "want", fileId });
  const effects = [1, 2, 3, 4, 5].flatMap((n) => want(machine, n));
  for (const [i, { fileId }] of busy.entries()) {
    effects.push(...machine.failFetch(fileId, `old${i}`, "absent"));
  }
  const batches = only(effects, "fetch-batch").map(({ files }) =>
    files.map(({ file }) => file.fileId)
  );
  const single = only(effects, "fetch").map(({ file }) => file.fileId);
  const asked = [...batches.flat(), ...single].filter((id) => id < idOf(100));
  deepStrictEqual(asked.toSorted(), [idOf(1), idOf(4), idOf(5)]);
  deepStrictEqual(only(effects, "adopt").map(({ file }) => file.fileId), [idOf(3)]);
});

/** A peer that fetches a large file held by `p1`, of which others hold twins. */
function fetchingLarge() {
  const machine = new Machine();
  const large = 1024 ** 3;
  machine.reply(peer(1), [claimed(1, SAME, large)]);
  machine.reply(peer(2), [claimed(2, SAME, large)]);
  machine.reply(peer(3), [claimed(3, OTHER, large)]);
  machine.reply({ ...oldPeer("p4", 4) }, [claimed(4, null, large)]);
  const [fetch] = only(want(machine, 1), "fetch");
  const { attempt } = fetch!;
  const effects = machine.do({ kind: "more-sources", fileId: idOf(1), attempt });
  return { machine, attempt, effects };
}

Deno.test("peers that hold the same content under another id are further sources, asked for that id", () => {
  const { effects } = fetchingLarge();
  deepStrictEqual(
    only(effects, "fetch-also").map(({ source, askFor }) => [source, askFor]),
    [["p2", idOf(2)]],
  );
});

Deno.test("a source of a twin is not blamed for other content, and the claim does not count any more", () => {
  const { machine, attempt } = fetchingLarge();
  const failed = { fileId: idOf(1), source: "p2", attempt } as const;
  const effects = machine.do({
    kind: "source-failed",
    ...failed,
    failure: "mismatch",
    text: "lied",
  });
  deepStrictEqual(refusals(effects), []);
  ok(machine.catalogue.get(idOf(2))!.holders.has("p2"), "it still holds its own file");
  machine.reply(peer(6), [claimed(6, SAME, 1024 ** 3)]);
  const more = machine.do({
    kind: "source-failed",
    ...failed,
    failure: "cut-short",
    text: "ended",
  });
  deepStrictEqual(only(more, "fetch-also"), []);
});

Deno.test("if nobody holds a file itself any more, twins are asked", () => {
  const machine = new Machine();
  for (let n = 1; n <= MAX_SOURCES + 2; n++) machine.reply(peer(n), [claimed(n)]);
  want(machine, 1);
  const effects = machine.failFetch(idOf(1), "p1", "absent");
  const [fetch] = only(effects, "fetch");
  ok(fetch && fetch.askFor !== undefined && fetch.askFor !== idOf(1));
  ok(machine.catalogue.get(fetch.askFor)!.holders.has(fetch.source));
  machine.failFetch(idOf(1), fetch.source, "absent");
  ok(!machine.catalogue.get(fetch.askFor)!.holders.has(fetch.source), "it does not hold its file");
});

Deno.test("peers with extensions are told the SHA-256 of what is here, others are not", () => {
  const machine = new Machine();
  machine.reply(peer(1), []);
  machine.reply(oldPeer("old", 9), []);
  const effects = holdAs(machine, 1);
  const told = Object.fromEntries(
    sent(effects, "ANNOUNCE").map(({ peerId, message }) => [peerId, message.file.sha256]),
  );
  deepStrictEqual(told, { p1: SAME, old: undefined });
  const text = (who: Who) =>
    only(machine.gossip(who, { want: true }), "send").filter(({ what }) => what === "GOSSIP_REPLY")
      .map(({ bytes }) => new TextDecoder().decode(bytes)).join();
  ok(text(peer(2)).includes(`"file_ext":{"sha256":"${SAME}"}`));
  ok(!text(oldPeer("older", 8)).includes(SAME));
});

/** A peer whose own content is being compared with file 2. */
function comparing() {
  const machine = new Machine();
  holdAs(machine, 1);
  machine.reply(peer(1), [claimed(2)]);
  return { machine, effects: want(machine, 2) };
}

const trashed = (effects: readonly Effect[]) => only(effects, "trash");

Deno.test("whatever else brings the file while it is compared, it stays, once", () => {
  for (const how of ["pushed", "found", "adopted"] as const) {
    const { machine, effects } = comparing();
    if (how === "pushed") machine.keep(machine.arrive(fileOfNumber(2)));
    else {
      const file = { ...fileOfNumber(2), sizeBytes: 10, sha256: SAME };
      const adopted = how === "adopted" ? { adopted: { twin: idOf(1), attempt: 0 } } : {};
      machine.do({ kind: "held", files: [{ file, sizeBytes: 10 }], how, ...adopted });
    }
    ok(machine.catalogue.get(idOf(2))!.held);
    deepStrictEqual(trashed(adopted(machine, effects)), [], how);
    ok(machine.catalogue.get(idOf(2))!.held, how);
  }
});

Deno.test("a file that is compared while it is being kept as a push is not thrown away", () => {
  const { machine, effects } = comparing();
  const keep = machine.arrive(fileOfNumber(2));
  adopted(machine, effects);
  deepStrictEqual(trashed(machine.keep(keep)), []);
  ok(machine.catalogue.get(idOf(2))!.held);
});

Deno.test("who made a claim is distrusted even if the file is gone by the time that it turns out wrong", () => {
  const machine = new Machine();
  holdAs(machine, 1);
  machine.reply(peer(1), [claimed(2), claimed(3)].map((file) => ({ ...file, owner: "p1" })));
  const effects = want(machine, 2);
  machine.delete("p1", idOf(2), peer(1).ip);
  notAdopted(machine, effects);
  deepStrictEqual(only(want(machine, 3), "adopt"), []);
});

Deno.test("our own content is not read for many files at a time", () => {
  const machine = new Machine();
  holdAs(machine, 1);
  for (let n = 2; n < 20; n++) {
    machine.reply(peer(n), [{ ...claimed(n), owner: `p${n}` }]);
    want(machine, n);
    machine.delete(`p${n}`, idOf(n), peer(n).ip);
  }
  ok(machine.remembered("comparisons with our own content") <= MAX_DOWNLOADS);
});

Deno.test("a claim lets a file wait for another one of the same size only, and not for long", () => {
  const machine = new Machine();
  machine.reply(peer(1), [claimed(1), claimed(2), claimed(3, SAME, 77)]);
  want(machine, 1);
  deepStrictEqual(only(want(machine, 3), "fetch").map(({ file }) => file.fileId), [idOf(3)]);
  deepStrictEqual(want(machine, 2), []);
  const later = machine.wait(70_000, 5_000);
  deepStrictEqual(only(later, "fetch").map(({ file }) => file.fileId), [idOf(2)]);
});

Deno.test("a person does not wait for what only others want", () => {
  const machine = new Machine({ autoFetch: Infinity });
  machine.start();
  machine.reply(peer(1), [claimed(1)]);
  machine.reply(peer(2), [claimed(2)]);
  deepStrictEqual(only(want(machine, 2), "fetch").map(({ file }) => file.fileId), [idOf(2)]);
});

Deno.test("a source that comes to hold the file itself is not blamed for what it was asked before", () => {
  const { machine, attempt } = fetchingLarge();
  machine.reply(peer(2), [claimed(1, SAME, 1024 ** 3), claimed(2, SAME, 1024 ** 3)]);
  const failed = { fileId: idOf(1), source: "p2", attempt } as const;
  const effects = machine.do({
    kind: "source-failed",
    ...failed,
    failure: "mismatch",
    text: "lied",
  });
  deepStrictEqual(refusals(effects), []);
  ok(machine.catalogue.get(idOf(1))!.holders.has("p2"));
});

Deno.test("nobody is distrusted because two claims contradict each other", () => {
  const { machine, attempt } = fetchingLarge();
  machine.do({
    kind: "source-failed",
    fileId: idOf(1),
    source: "p2",
    attempt,
    failure: "mismatch",
    text: "sent something else",
  });
  holdAs(machine, 9, OTHER);
  machine.reply(peer(1), [claimed(1, SAME, 1024 ** 3), claimed(5, OTHER)]);
  strictEqual(only(want(machine, 5), "adopt").length, 1, "p1 told the truth about 1, and about 5");
});

Deno.test("a look at all files for the same content is for people and for large files", () => {
  const machine = new Machine({ autoFetch: Infinity });
  machine.start();
  machine.reply(peer(2), [claimed(2)]);
  machine.do({ kind: "lost", fileIds: [], why: "removed" });
  machine.failFetch(idOf(2), "p2", "unreachable");
  machine.reply(peer(1), [claimed(1)]);
  const effects = machine.failFetch(idOf(1), "p1", "absent");
  deepStrictEqual(only(effects, "fetch").filter(({ askFor }) => askFor !== undefined), []);
});
