// Unsolicited pushes: within rate, quota and catalogue bounds, under the name and owner heard first.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Effect } from "../../../protocol/effects.ts";
import {
  events,
  fileOfNumber,
  files,
  idOf,
  Machine,
  newPeer,
  oldPeer,
  only,
  receivers,
  refusals,
} from "../machine.ts";

const verdicts = (effects: readonly Effect[]) =>
  only(effects, "push-verdict").map((verdict) => verdict.verdict);
const offer = (machine: Machine, ip = "10.0.0.7") =>
  verdicts(machine.do({ kind: "push-offered", ip, connection: 1 }))[0];

Deno.test("one address may push fifty files in a burst and then ten per second", () => {
  const machine = new Machine();
  const taken = (ip: string) =>
    Array.from({ length: 200 }, () => offer(machine, ip)).filter((verdict) => verdict === "take")
      .length;
  strictEqual(taken("10.0.0.7"), 50);
  strictEqual(taken("10.0.0.8"), 50, "another address has its own limit");
  machine.nowMs = 1000;
  strictEqual(taken("10.0.0.7"), 10);
  const [refused] = only(
    machine.do({ kind: "push-offered", ip: "10.0.0.7", connection: 9 }),
    "push-verdict",
  );
  deepStrictEqual([refused?.connection, refused?.verdict === "refuse" && refused.reason], [
    9,
    "push-rate",
  ]);
});

Deno.test("a pushed file is kept, announced to all peers, and pushed no further", () => {
  const machine = new Machine();
  machine.meet(newPeer("a", 1), newPeer("b", 2));
  const arrived = machine.arrive(fileOfNumber(1), { ip: "10.0.0.1" });
  deepStrictEqual(only(arrived, "keep").map(({ held }) => held.pushed), [true]);
  strictEqual(machine.catalogue.heldCount, 0, "not until the store has it");
  const effects = machine.keep(arrived);
  deepStrictEqual(receivers(effects, "ANNOUNCE"), ["a", "b"]);
  deepStrictEqual(only(effects, "replicate"), []);
  strictEqual(machine.catalogue.pushedBytes, 10);
});

Deno.test("pushes stay within their quota even when many arrive at once", () => {
  const machine = new Machine({ limits: { pushQuotaBytes: 100 } });
  const arrivals = files(20).map((file) => machine.arrive(file, { sizeBytes: 30 }));
  const keeps = arrivals.flatMap((effects) => only(effects, "keep"));
  strictEqual(keeps.length, 3);
  ok(
    arrivals.slice(3).every((effects) =>
      only(effects, "drop").length === 1 && refusals(effects).includes("push-quota")
    ),
  );
  for (const effects of arrivals) machine.keep(effects);
  strictEqual(machine.catalogue.pushedBytes, 90);
  deepStrictEqual(refusals(machine.arrive(fileOfNumber(50), { sizeBytes: 11 })), ["push-quota"]);
  machine.keep(machine.arrive(fileOfNumber(51), { sizeBytes: 10 }));
  strictEqual(offer(machine), "refuse");
  machine.do({ kind: "lost", fileIds: [idOf(51)], why: "missing" });
  strictEqual(offer(machine), "take", "room again");
});

Deno.test("a push that the store could not keep returns its share of the quota", () => {
  const machine = new Machine({ limits: { pushQuotaBytes: 100 } });
  for (let i = 0; i < 10; i++) {
    strictEqual(only(machine.arrive(fileOfNumber(1), { sizeBytes: 80 }), "keep").length, 1, `${i}`);
    const failed = machine.do({
      kind: "keep-failed",
      fileId: idOf(1),
      fileName: "file 1",
      text: "disk full",
    });
    deepStrictEqual(events(failed, "keep-failed").map(({ text }) => text), ["disk full"]);
  }
});

Deno.test("downloads and our own files do not count against the quota", () => {
  const machine = new Machine({ limits: { pushQuotaBytes: 100 } });
  machine.reply(oldPeer("a", 1), files(1));
  machine.do({ kind: "want", fileId: idOf(1) });
  machine.keep(machine.arrive(fileOfNumber(1), { source: "a", sizeBytes: 500 }));
  machine.do({
    kind: "held",
    files: [{ file: fileOfNumber(2), sizeBytes: 500 }],
    how: "published",
  });
  strictEqual(machine.catalogue.heldBytes, 1000);
  strictEqual(machine.catalogue.pushedBytes, 0);
  strictEqual(offer(machine), "take");
});

Deno.test("tiny pushes do not grow the catalogue beyond its bound", () => {
  const machine = new Machine({ limits: { maxCatalogueEntries: 20 } });
  for (let i = 1; i <= 60; i++) {
    machine.nowMs += 1000;
    machine.keep(machine.arrive(fileOfNumber(i), { sizeBytes: 0 }));
  }
  ok(machine.catalogue.size <= 20, `${machine.catalogue.size} entries`);
});

Deno.test("a push changes nothing that was known before, except the timestamp that its content proved", () => {
  const machine = new Machine();
  machine.reply(oldPeer("a", 1), [fileOfNumber(1, { name: "first", owner: "first" })]);
  const timestamp = { text: "1744169352.0", quoted: false };
  const arrived = machine.arrive(fileOfNumber(1, { name: "x", owner: "thief", timestamp }), {
    ip: "10.6.6.6",
  });
  machine.keep(arrived);
  const { file } = machine.catalogue.get(idOf(1))!;
  deepStrictEqual([file.name, file.owner, file.timestamp], ["first", "first", timestamp]);
});

Deno.test("the same file from two peers at once is kept once", () => {
  const machine = new Machine();
  machine.reply(oldPeer("a", 1), files(1));
  machine.do({ kind: "want", fileId: idOf(1) });
  const pushed = machine.arrive(fileOfNumber(1), { ip: "10.0.0.2" });
  const fetched = machine.arrive(fileOfNumber(1), { ip: "10.0.0.1", source: "a" });
  deepStrictEqual([
    only(pushed, "keep").length,
    only(fetched, "keep").length,
    only(fetched, "drop").length,
  ], [1, 0, 1]);
  machine.keep(pushed);
  strictEqual(machine.peer.pendingDownloads, 0);
});

Deno.test("FILE_DATA without content is counted and does nothing", () => {
  const machine = new Machine();
  const effects = machine.message(
    { type: "FILE_DATA", hasContent: false, file: fileOfNumber(1) },
    "10.0.0.7",
  );
  deepStrictEqual(refusals(effects), ["unsolicited"]);
  strictEqual(machine.catalogue.size, 0);
});
