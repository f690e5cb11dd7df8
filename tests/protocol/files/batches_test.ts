// Small files fetched many at a time: what goes into a batch, and what becomes of a batch that fails.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import type { Effect } from "../../../protocol/effects.ts";
import {
  MAX_BATCH_FILE_BYTES,
  MAX_BATCH_FILES,
  MAX_DOWNLOADS,
  MAX_DOWNLOADS_PER_SOURCE,
} from "../../../protocol/limits.ts";
import { BATCH_GET, RAW } from "../../../protocol/wire/capabilities.ts";
import { events, fileOfNumber, idOf, Machine, newPeer, only } from "../machine.ts";

const CAN = { v: 1, node: "A".repeat(43), can: [RAW, BATCH_GET] };

const small = (count: number, from = 1) =>
  Array.from({ length: count }, (_, i) => fileOfNumber(from + i, { sizeBytes: 4_096 }));

/** A peer that knows sources which can send batches, each with these files. */
function network(sources: number, files = small(1_000), can = CAN): Machine {
  const machine = new Machine({});
  for (let n = 1; n <= sources; n++) {
    const who = newPeer(`p${n}`, n);
    machine.message(
      { type: "GOSSIP_REPLY", peerId: who.peerId, host: who.host, port: who.port, files, ext: can },
      who.ip,
    );
  }
  return machine;
}

const wantAll = (machine: Machine, files = small(1_000)): Effect[] =>
  files.flatMap(({ fileId }) => machine.do({ kind: "want", fileId }));

/** Every file that is being requested, by source. */
const requested = (effects: readonly Effect[]) =>
  effects.flatMap((effect) =>
    effect.kind === "fetch"
      ? [effect.file.fileId]
      : effect.kind === "fetch-batch"
      ? effect.files.map(({ file }) => file.fileId)
      : []
  );

Deno.test("small files that one message names are requested together", () => {
  const machine = new Machine({ autoFetch: Infinity });
  const { peerId, host, port, ip } = newPeer("p1", 1);
  const message = {
    type: "GOSSIP_REPLY",
    peerId,
    host,
    port,
    files: small(300),
    ext: CAN,
  } as const;
  const effects = machine.message(message, ip);
  const all = [...effects, ...machine.wait(2_000)];
  deepStrictEqual(only(all, "fetch"), []);
  deepStrictEqual(only(all, "fetch-batch").map(({ files }) => files.length), [256, 44]);
});

Deno.test("the first files go out at once, the others in whole batches as requests end", () => {
  const machine = network(1);
  const effects = wantAll(machine);
  strictEqual(only(effects, "fetch").length, MAX_DOWNLOADS_PER_SOURCE);
  strictEqual(only(effects, "fetch-batch").length, 0);
  const next = machine.keep(
    machine.arrive(fileOfNumber(1, { sizeBytes: 4_096 }), { source: "p1" }),
  );
  const [batch] = only(next, "fetch-batch");
  strictEqual(batch!.files.length, MAX_BATCH_FILES);
  strictEqual(batch!.source, "p1");
  const attempts = new Set(batch!.files.map(({ attempt }) => attempt));
  strictEqual(attempts.size, MAX_BATCH_FILES);
  const all = [...requested(effects), ...requested(next)];
  strictEqual(new Set(all).size, all.length, "nothing is requested twice");
});

Deno.test("large files, unknown sizes, and sources that cannot send batches are asked one by one", () => {
  const large = fileOfNumber(2, { sizeBytes: MAX_BATCH_FILE_BYTES + 1 });
  const { sizeBytes: _, ...unknown } = fileOfNumber(3, { sizeBytes: 1 });
  const files = [...small(1), large, unknown, ...small(3, 4)];
  const machine = network(1, files);
  wantAll(machine, files);
  const effects = machine.keep(machine.arrive(files[0]!, { source: "p1" }));
  deepStrictEqual(requested(effects), files.slice(3).map(({ fileId }) => fileId));
  const old = network(1, small(20), { ...CAN, can: [RAW] });
  wantAll(old, small(20));
  const single = old.keep(old.arrive(small(1)[0]!, { source: "p1" }));
  deepStrictEqual([only(single, "fetch").length, only(single, "fetch-batch").length], [1, 0]);
});

function batchOf(machine: Machine) {
  wantAll(machine);
  const effects = machine.keep(machine.arrive(small(1)[0]!, { source: "p1" }));
  return only(effects, "fetch-batch")[0]!;
}

Deno.test("when a batch stops, the file whose turn it was failed, and the others are requested again without blame", () => {
  const machine = network(1);
  const { files, source } = batchOf(machine);
  const [first, ...rest] = files;
  const failed = machine.do({
    kind: "fetch-failed",
    fileId: first!.file.fileId,
    source,
    attempt: first!.attempt,
    failure: "cut-short",
    text: "stopped partway through",
  });
  strictEqual(events(failed, "attempt-failed").length, 1);
  const effects = machine.do({
    kind: "fetch-unasked",
    files: rest.map(({ file: { fileId }, attempt }) => ({ fileId, attempt })),
  });
  strictEqual(events(effects, "attempt-failed").length, 0);
  strictEqual(only(effects, "fetch-batch").length, 1);
  ok(!requested(effects).includes(first!.file.fileId), "its only source failed");
  const stale = machine.do({
    kind: "fetch-unasked",
    files: rest.map(({ file: { fileId }, attempt }) => ({ fileId, attempt })),
  });
  deepStrictEqual(stale, [], "late reports are ignored");
});

Deno.test("files that a batch does not deliver are asked elsewhere, with never more than the allowed requests", () => {
  const machine = network(2);
  const started = wantAll(machine);
  let running = only(started, "fetch").length;
  const begun = machine.keep(machine.arrive(small(1)[0]!, { source: "p1" }));
  running += only(begun, "fetch-batch").length - 1;
  ok(running <= MAX_DOWNLOADS);
  const { files, source } = only(begun, "fetch-batch")[0]!;
  const effects = files.slice(0, 100).flatMap(({ file: { fileId }, attempt }) =>
    machine.do({ kind: "fetch-failed", fileId, source, attempt, failure: "absent", text: "none" })
  );
  strictEqual(requested(effects).length, 0, "all requests are taken");
  const end = files.slice(100).flatMap(({ file: { fileId }, attempt }) =>
    machine.do({ kind: "fetch-failed", fileId, source, attempt, failure: "absent", text: "none" })
  );
  for (const effect of end) {
    if (effect.kind === "fetch" || effect.kind === "fetch-batch") ok(effect.source !== source);
  }
  ok(requested(end).length > 0);
});

Deno.test("a deleted or canceled file of a batch is stopped, and the batch goes on", () => {
  const machine = network(1);
  const { files } = batchOf(machine);
  const { attempt, file: { fileId } } = files[5]!;
  const effects = machine.do({ kind: "cancel", fileId });
  deepStrictEqual(only(effects, "stop-fetch").map(({ attempt }) => attempt), [attempt]);
  strictEqual(requested(effects).length, 0, "the request still runs");
});

Deno.test("a batch is served in order, and says which files are not here", () => {
  const machine = new Machine({});
  machine.hold(small(3));
  const get = (ext: object) =>
    machine.message({ type: "GET_FILE", fileId: idOf(1), ext: { v: 1, ...ext } }, "10.0.0.7");
  const [serve] = only(get({ raw: [0, 9], more: [idOf(9), idOf(3)] }), "serve-batch");
  deepStrictEqual(
    serve!.files.map(({ fileId, file }) => [fileId, file?.name]),
    [[idOf(1), small(1)[0]!.name], [idOf(9), undefined], [idOf(3), small(1, 3)[0]!.name]],
  );
  strictEqual(only(get({ more: [idOf(3)] }), "serve").length, 1, "in hex there is only one");
});
