// Downloads: one per file, a few at once, one source after another, and auto-fetch.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Effect, FetchFailure } from "../../../protocol/effects.ts";
import {
  EXPRESS_DOWNLOADS,
  MAX_DOWNLOADS,
  MAX_DOWNLOADS_PER_SOURCE,
} from "../../../protocol/limits.ts";
import {
  events,
  fileOfNumber,
  files,
  heldOf,
  idOf,
  Machine,
  newPeer,
  oldPeer,
  only,
} from "../machine.ts";

const idsOf = (count: number, from = 1) => files(count, from).map(({ fileId }) => fileId);
const peers = (count: number) => Array.from({ length: count }, (_, i) => oldPeer(`p${i}`, i + 1));
const want = (machine: Machine, n: number) => machine.do({ kind: "want", fileId: idOf(n) });
const sources = (effects: readonly Effect[]) => only(effects, "fetch").map(({ source }) => source);

function fail(
  machine: Machine,
  n: number,
  source: string,
  failure: FetchFailure = "absent",
): Effect[] {
  return machine.failFetch(idOf(n), source, failure);
}

/** Returns a peer that knows several peers, each of which holds the first few files. */
function network(peerCount: number, fileCount: number, over = {}): Machine {
  const machine = new Machine(over);
  for (const peer of peers(peerCount)) machine.reply(peer, files(fileCount));
  return machine;
}

Deno.test("a file requested many times is fetched once, from a peer that holds it", () => {
  const machine = network(3, 1);
  const effects = Array.from({ length: 50 }, () => want(machine, 1)).flat();
  strictEqual(only(effects, "fetch").length, 1);
  const [fetch] = only(effects, "fetch");
  deepStrictEqual(fetch!.from, machine.membership.get(fetch!.source)!.address);
  deepStrictEqual(fetch!.timestamps, [fileOfNumber(1).timestamp]);
  strictEqual(machine.peer.pendingDownloads, 1);
});

Deno.test("when a source fails the next one is asked, each of them once", () => {
  for (
    const failure of [
      "unreachable",
      "absent",
      "mismatch",
      "cut-short",
      "too-slow",
      "garbage",
      "too-long",
    ] as const
  ) {
    const machine = network(4, 1);
    const asked = sources(want(machine, 1));
    let effects: Effect[] = [];
    for (let i = 0; i < 4; i++) {
      effects = fail(machine, 1, asked.at(-1)!, failure);
      strictEqual(events(effects, "attempt-failed").length, 1);
      asked.push(...sources(effects));
    }
    deepStrictEqual([...asked].sort(), ["p0", "p1", "p2", "p3"], failure);
    strictEqual(events(effects, "download-failed").length, 1);
    strictEqual(machine.peer.pendingDownloads, 0);
    const isBlamed = failure === "absent" || failure === "mismatch";
    strictEqual(machine.catalogue.get(idOf(1))!.holders.size, isBlamed ? 0 : 4, failure);
  }
});

Deno.test("a good source ends the download, and failures afterwards or elsewhere change nothing", () => {
  const machine = network(2, 1);
  const [source] = sources(want(machine, 1));
  deepStrictEqual(fail(machine, 1, source === "p0" ? "p1" : "p0"), [], "this source was not asked");
  const effects = machine.keep(machine.arrive(fileOfNumber(1), { source: source! }));
  deepStrictEqual(events(effects, "downloaded").map((event) => event.source), [source]);
  deepStrictEqual(fail(machine, 1, source!), []);
  strictEqual(machine.peer.pendingDownloads, 0);
});

Deno.test("a failure of our own store ends the download: no other source would help", () => {
  const machine = network(3, 1);
  const effects = fail(machine, 1, sources(want(machine, 1))[0]!, "storage");
  deepStrictEqual([sources(effects), events(effects, "download-failed").length], [[], 1]);
  const again = want(machine, 1);
  machine.arrive(fileOfNumber(1), { source: sources(again)[0]! });
  const failed = machine.do({
    kind: "keep-failed",
    fileId: idOf(1),
    fileName: "file 1",
    source: "p0",
    text: "disk full",
  });
  deepStrictEqual(events(failed, "download-failed").map(({ text }) => text), ["disk full"]);
  strictEqual(sources(want(machine, 1)).length, 1, "it may be requested again");
});

Deno.test("bootstraps are asked before others", () => {
  for (let seed = 1; seed < 30; seed++) {
    const machine = new Machine({ seed, bootstraps: [{ host: "10.0.0.3", port: 6000 }] });
    for (const peer of peers(6)) machine.reply(peer, files(1));
    deepStrictEqual(sources(want(machine, 1)), ["p2"]);
    ok(sources(fail(machine, 1, "p2")).length === 1);
  }
});

Deno.test("a few downloads run at once, and the others wait their turn", () => {
  const machine = network(2, 20);
  const running = files(20).flatMap((_, i) =>
    only(want(machine, i + 1), "fetch").map(({ file }) => file)
  );
  strictEqual(running.length, MAX_DOWNLOADS);
  strictEqual(machine.peer.pendingDownloads, 20);
  for (let done = 0; done < 20; done++) {
    const next = machine.keep(machine.arrive(running[done]!, { source: "p0" }));
    running.push(...only(next, "fetch").map(({ file }) => file));
    ok(running.length - done - 1 <= MAX_DOWNLOADS);
  }
  deepStrictEqual(running.map(({ fileId }) => fileId), files(20).map(({ fileId }) => fileId));
});

Deno.test("a source that hangs holds up only the files that no other peer has", () => {
  const machine = new Machine();
  machine.reply(oldPeer("slow", 1), files(20));
  machine.reply(oldPeer("quick", 2), files(5, 21));
  const running = files(25).flatMap((_, i) => only(want(machine, i + 1), "fetch"));
  const from = (name: string) => running.filter(({ source }) => source === name);
  strictEqual(from("slow").length, MAX_DOWNLOADS_PER_SOURCE);
  for (let done = 0; done < 5; done++) {
    const { file } = from("quick")[done]!;
    running.push(...only(machine.keep(machine.arrive(file, { source: "quick" })), "fetch"));
    running.push(...only(machine.wait(1_000), "fetch"));
  }
  deepStrictEqual(from("quick").map(({ file }) => file.fileId), idsOf(5, 21));
  strictEqual(from("slow").length, MAX_DOWNLOADS_PER_SOURCE);
});

Deno.test("a bootstrap that hangs does not get all running downloads", () => {
  const [boot, hawk, third] = [newPeer("boot", 1), newPeer("hawk", 2), newPeer("third", 3)];
  const machine = new Machine({ bootstraps: [{ host: "10.0.0.1", port: 6000 }] });
  machine.start();
  for (const peer of [boot, hawk]) machine.reply(peer, files(10), [1, 1, "r"]);
  machine.reply(third, [fileOfNumber(50)], [1, 1, "r"]);
  const effects = files(10).flatMap((_, i) => want(machine, i + 1));
  deepStrictEqual(sources(effects), ["boot", "boot", "boot", "hawk"]);
});

Deno.test("a download that ended because a push brought the file is retried if the push cannot be kept", () => {
  const machine = new Machine();
  machine.reply(newPeer("eagle", 1), files(9), [1, 1, "r"]);
  for (const n of [1, 2, 3]) {
    want(machine, n);
    machine.arrive(fileOfNumber(n), { ip: "10.0.0.7" });
    machine.arrive(fileOfNumber(n), { source: "eagle" });
    machine.do({ kind: "keep-failed", fileId: idOf(n), fileName: "", text: "The disk is full" });
  }
  deepStrictEqual(sources(want(machine, 5)), ["eagle"]);
  strictEqual(machine.peer.pendingDownloads, 1);
  strictEqual(machine.peer.wishedDownloads, 3);
});

Deno.test("a file that is unknown or has no holder fails at once, with a reason", () => {
  const machine = network(1, 1);
  machine.announce(oldPeer("nobody", 9), fileOfNumber(5));
  for (const n of [5, 99]) {
    const [failed] = events(want(machine, n), "download-failed");
    ok(failed!.text.length > 10);
  }
  strictEqual(machine.peer.pendingDownloads, 0);
});

Deno.test("a held file is not fetched again", () => {
  const machine = network(2, 1);
  machine.hold(files(1));
  deepStrictEqual(sources(want(machine, 1)), []);
  strictEqual(machine.peer.pendingDownloads, 0);
});

Deno.test("a file whose timestamp cannot prove its content is listed but never fetched", () => {
  for (
    const [text, quoted] of [["123", false], ["17441705621", false], ["yesterday", true], [
      "1744170562",
      true,
    ]] as const
  ) {
    const machine = new Machine({ autoFetch: Infinity });
    machine.reply(oldPeer("a", 1), [fileOfNumber(1, { timestamp: { text, quoted } })]);
    machine.start();
    const again = machine.reply(oldPeer("a", 1), [
      fileOfNumber(1, { timestamp: { text, quoted } }),
    ]);
    deepStrictEqual(sources(again), [], text);
    strictEqual(machine.catalogue.size, 1);
    const wanted = want(machine, 1);
    deepStrictEqual(sources(wanted), [], `${text}, requested by a person`);
    strictEqual(events(wanted, "download-failed").length, 1);
  }
});

Deno.test("all timestamps received are tried, except those that cannot prove content", () => {
  const machine = new Machine();
  const told = ["1744170562", "99", "1744170563.5"].map((text) => ({ text, quoted: false }));
  for (const [i, timestamp] of told.entries()) {
    machine.reply(oldPeer(`p${i}`, i + 1), [fileOfNumber(1, { timestamp })]);
  }
  deepStrictEqual(only(want(machine, 1), "fetch")[0]!.timestamps, [told[0], told[2]]);
});

Deno.test("thousands of downloads whose only source left all end, each with its failure", () => {
  const machine = new Machine({ autoFetch: 9_000 });
  machine.start();
  const effects = machine.reply(newPeer("a", 1), files(9_000), [1, 1, "r"]);
  effects.push(...machine.wait(400, 100));
  strictEqual(sources(effects).length, MAX_DOWNLOADS_PER_SOURCE);
  const ended = machine.wait(61_000);
  strictEqual(machine.membership.get("a"), undefined);
  for (const { file } of only(effects, "fetch")) {
    ended.push(...machine.failFetch(file.fileId, "a", "unreachable"));
  }
  strictEqual(events(ended, "download-failed").length, 9_000);
  strictEqual(machine.peer.pendingDownloads, 0);
  deepStrictEqual(events(ended, "auto-fetch-complete").map(({ pending }) => pending), [9_000]);
  strictEqual(machine.peer.wishedDownloads, 9_000);
});

/** Joins a network in which one peer holds this many files. */
function join(
  autoFetch: number,
  fileCount: number,
  prepare = (_: Machine) => {},
): { machine: Machine; effects: Effect[] } {
  const machine = new Machine({ autoFetch, bootstraps: [{ host: "10.0.0.1", port: 6000 }] });
  prepare(machine);
  machine.start();
  const effects = machine.reply(newPeer("p0", 1), files(fileCount), [1, 1, "r"]);
  return { machine, effects: [...effects, ...machine.wait(1_000, 100)] };
}

Deno.test("after joining, as many files are fetched as configured, and the end is reported", () => {
  const { machine, effects } = join(2, 10, (machine) => machine.hold(files(3)));
  const chosen = only(effects, "fetch").map(({ file }) => file);
  strictEqual(chosen.length, 2);
  ok(chosen.every(({ fileId }) => !machine.catalogue.get(fileId)!.held));
  machine.keep(machine.arrive(chosen[0]!, { source: "p0" }));
  const end = machine.failFetch(chosen[1]!.fileId, "p0", "absent");
  deepStrictEqual(events(end, "auto-fetch-complete"), [{
    name: "auto-fetch-complete",
    fetched: 1,
    failed: 0,
    pending: 1,
    reason: "done",
  }]);
  deepStrictEqual(
    sources(machine.reply(newPeer("p0", 1), files(5, 100))),
    [],
    "and no more after that",
  );
});

Deno.test("auto-fetch says why it fetched nothing", () => {
  const reasonOf = ({ effects }: { effects: Effect[] }) =>
    events(effects, "auto-fetch-complete").map(({ reason }) => reason);
  deepStrictEqual(reasonOf(join(5, 0)), ["nothing-missing"]);
  deepStrictEqual(reasonOf(join(0, 5)), ["off"]);
  deepStrictEqual(reasonOf(join(5, 3, (machine) => machine.hold(files(3)))), ["nothing-missing"]);
});

Deno.test("with auto-fetch of everything, files that appear later are fetched too, but not those removed here", () => {
  const { machine, effects } = join(Infinity, 3);
  strictEqual(sources(effects).length, 3);
  for (const file of files(3)) machine.keep(machine.arrive(file, { source: "p0" }));
  strictEqual(sources(machine.announce(newPeer("p0", 1), fileOfNumber(50))).length, 1);
  strictEqual(sources(machine.reply(newPeer("p0", 1), [fileOfNumber(51)])).length, 1);
  machine.do({ kind: "delete", fileId: idOf(1) });
  deepStrictEqual(sources(machine.reply(newPeer("p0", 1), files(3))), []);
  strictEqual(sources(want(machine, 1)).length, 1, "a person may request it again");
});

Deno.test("a peer that started alone fetches everything once others appear", () => {
  const machine = new Machine({ autoFetch: Infinity });
  machine.start();
  strictEqual(sources(machine.reply(newPeer("a", 1), files(2), [1, 1, "r"])).length, 2);
});

Deno.test("a deleted file is no longer fetched", () => {
  const machine = network(1, 6, {});
  machine.meet(oldPeer("owner", 50));
  for (let n = 1; n <= 6; n++) want(machine, n);
  const effects = [1, 6].flatMap((n) => machine.delete("owner", idOf(n), "10.0.0.50"));
  deepStrictEqual(events(effects, "download-failed").map(({ fileId }) => fileId), [
    idOf(1),
    idOf(6),
  ]);
  deepStrictEqual(
    only(effects, "fetch").map(({ file }) => file.fileId),
    [idOf(4)],
    "the next one takes its place",
  );
  strictEqual(machine.peer.pendingDownloads, 4);
});

Deno.test("a canceled download ends, late content is dropped, and the file is not fetched automatically", () => {
  const machine = network(2, 1, { autoFetch: Infinity });
  const [source] = sources(want(machine, 1));
  const effects = machine.do({ kind: "cancel", fileId: idOf(1) });
  deepStrictEqual(events(effects, "download-failed").map(({ text }) => text), [
    "The download was canceled",
  ]);
  strictEqual(machine.peer.pendingDownloads, 0);
  const late = machine.do({
    kind: "arrived",
    receipt: 7,
    held: heldOf(fileOfNumber(1)),
    ip: "10.0.0.1",
    source: source!,
  });
  deepStrictEqual(only(late, "drop").length, 1);
  deepStrictEqual(fail(machine, 1, source!), [], "nobody else is asked");
  deepStrictEqual(sources(machine.reply(oldPeer("p9", 9), files(1))), [], "not automatically");
  strictEqual(sources(want(machine, 1)).length, 1, "but on request");
});

Deno.test("canceling one download starts the next one in the queue", () => {
  const machine = network(1, MAX_DOWNLOADS + 1);
  for (let n = 1; n <= MAX_DOWNLOADS + 1; n++) want(machine, n);
  strictEqual(sources(machine.do({ kind: "cancel", fileId: idOf(1) })).length, 1);
});

/** A peer that is busy with as many large files as it downloads at once, all of them from one source. */
function busyWithLarge() {
  const machine = new Machine();
  const large = Array.from(
    { length: MAX_DOWNLOADS + 4 },
    (_, i) => fileOfNumber(i + 1, { sizeBytes: 1024 ** 3 }),
  );
  const small = [fileOfNumber(101, { sizeBytes: 1000 }), fileOfNumber(102, { sizeBytes: 1000 })];
  machine.reply(oldPeer("p0", 1), [...large, ...small, fileOfNumber(103, { sizeBytes: 1000 })]);
  machine.reply(oldPeer("p1", 2), [large.at(0)!, large.at(-1)!]);
  for (const { fileId } of large) machine.do({ kind: "want", fileId });
  return { machine, large };
}

const fetched = (effects: readonly Effect[]) =>
  only(effects, "fetch").map(({ file }) => file.fileId);

Deno.test("a small file that a person requests does not wait for large ones, and there are never too many", () => {
  const { machine } = busyWithLarge();
  ok(machine.remembered("requests for files") >= MAX_DOWNLOADS_PER_SOURCE);
  deepStrictEqual(fetched(want(machine, 101)), [idOf(101)]);
  deepStrictEqual(fetched(want(machine, 102)), [idOf(102)]);
  deepStrictEqual(fetched(want(machine, 103)), [], "only so many at a time");
  ok(machine.remembered("requests for files") <= MAX_DOWNLOADS + EXPRESS_DOWNLOADS);
  deepStrictEqual(fetched(fail(machine, 101, "p0", "absent")), [idOf(103)], "but the next one");
});

Deno.test("small files that nobody requested take no more than their share of a source", () => {
  const machine = new Machine({ autoFetch: Infinity });
  machine.start();
  const large = Array.from({ length: 4 }, (_, i) => fileOfNumber(i + 1, { sizeBytes: 1024 ** 3 }));
  machine.reply(oldPeer("p0", 1), large);
  strictEqual(machine.remembered("requests for files"), MAX_DOWNLOADS_PER_SOURCE);
  const effects = machine.announce(oldPeer("p0", 1), fileOfNumber(9, { sizeBytes: 1000 }));
  deepStrictEqual(fetched(effects), []);
});

Deno.test("what people request comes before all else, and what is requested again before that", () => {
  const machine = new Machine({ autoFetch: Infinity });
  machine.start();
  const large = (n: number) => fileOfNumber(n, { sizeBytes: 1024 ** 3 });
  const first = fetched(machine.reply(oldPeer("p0", 1), [1, 2, 3, 4, 5, 6].map(large)));
  for (const n of [7, 8, 9]) {
    machine.announce(oldPeer("p0", 1), large(n));
    want(machine, n);
  }
  want(machine, 8);
  want(machine, 6);
  const order: string[] = [];
  const running = first.map((fileId) => parseInt(fileId, 16));
  const waiting = [1, 2, 3, 4, 5].filter((n) => !running.includes(n));
  for (let i = 0; i < 6; i++) {
    const [next] = fetched(fail(machine, running.shift()!, "p0", "too-long"));
    order.push(next!);
    running.push(parseInt(next!, 16));
  }
  deepStrictEqual(order.slice(0, 4), [8, 7, 9, 6].map(idOf));
  deepStrictEqual(order.slice(4).toSorted(), waiting.map(idOf));
});

Deno.test("many large files that wait for a busy source hide neither small ones nor those of others", () => {
  const machine = new Machine();
  const large = Array.from(
    { length: 200 },
    (_, i) => fileOfNumber(i + 1, { sizeBytes: 1024 ** 3 }),
  );
  machine.reply(oldPeer("p1", 1), large);
  machine.reply(oldPeer("p2", 2), [
    fileOfNumber(301, { sizeBytes: 100 }),
    fileOfNumber(302, { sizeBytes: 1024 ** 3 }),
  ]);
  for (const { fileId } of large) machine.do({ kind: "want", fileId });
  const small = want(machine, 301);
  deepStrictEqual(fetched(small), [idOf(301)]);
  machine.keep(machine.arrive(fileOfNumber(301), { source: "p2" }));
  const other = [...want(machine, 302), ...machine.wait(10_000, 250)];
  deepStrictEqual(fetched(other), [idOf(302)]);
});
