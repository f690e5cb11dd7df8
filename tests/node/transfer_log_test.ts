// Transfers as people see them: each ends once, ended ones are remembered, and canceling ends whatever carries it.

import assert from "node:assert/strict";
import { type Transfer, TransferLog } from "../../node/transfer_log.ts";

function scene() {
  const clock = { nowMs: 1_000 };
  const ended: Transfer[] = [];
  const log = new TransferLog(() => clock.nowMs, (transfer) => ended.push(transfer));
  const begin = (kind: Transfer["kind"] = "fetch", fileId = "f") =>
    log.begin({ kind, fileId, name: "a.txt", peer: "bob", totalBytes: 10 });
  return { clock, ended, log, begin };
}

Deno.test("bytes are counted by direction, including those of transfers that fail or start over", () => {
  const { log, begin } = scene();
  const inbound = begin("fetch");
  const outbound = begin("serve");
  inbound.moved(5);
  inbound.restart();
  inbound.moved(3);
  outbound.moved(4);
  outbound.failed("gone");
  assert.deepEqual([log.bytesIn, log.bytesOut, inbound.doneBytes], [8, 4, 3]);
});

Deno.test("a transfer ends once, and stays among the recent ones with its time", () => {
  const { clock, ended, log, begin } = scene();
  const move = begin();
  clock.nowMs = 2_500;
  move.done();
  move.failed("too late to fail");
  move.cancel();
  assert.deepEqual([move.state, move.endedMs, move.why], ["done", 2_500, undefined]);
  assert.deepEqual([log.running, log.all(), ended], [[], [move], [move]]);
});

Deno.test("canceling is recorded first, then ends whatever carries the transfer, whose failure changes nothing", () => {
  const { begin } = scene();
  const move = begin();
  const seen: string[] = [];
  move.stop = () => {
    seen.push(move.state);
    move.failed("the connection broke");
  };
  move.cancel();
  assert.deepEqual([seen, move.state, move.why], [["cancelled"], "cancelled", "Canceled here"]);
});

Deno.test("a transfer that is about to succeed can no longer be canceled", () => {
  const { begin } = scene();
  const move = begin("upload");
  assert.equal(move.isCancellable, true);
  move.seal();
  move.cancel();
  assert.deepEqual([move.isCancellable, move.state], [false, "running"]);
  move.done();
  assert.equal(move.state, "done");
});

Deno.test("the last hundred ended transfers are remembered", () => {
  const { log, begin } = scene();
  const all = Array.from({ length: 250 }, () => begin());
  for (const move of all) move.done();
  assert.deepEqual(log.all(), all.slice(-100));
  assert.equal(log.get(all[0]!.id), undefined);
});

Deno.test("a fetch for which no peer could be asked is recorded, unless an attempt already was", () => {
  const { log, begin } = scene();
  begin("fetch", "tried").failed("bob has gone");
  log.neverBegan("tried", "a.txt", "None of the peers delivered it");
  log.neverBegan("untried", "b.txt", "No live peer holds it");
  assert.deepEqual(log.all().map(({ fileId, state, why }) => [fileId, state, why]), [
    ["tried", "failed", "bob has gone"],
    ["untried", "failed", "No live peer holds it"],
  ]);
});

Deno.test("a transfer that was done can be continued, as one, and no other can", () => {
  const { clock, log, begin } = scene();
  const move = begin("serve");
  move.moved(10);
  move.done();
  const failed = begin("serve");
  failed.failed("gone");
  clock.nowMs = 3_000;
  assert.ok(log.again(move, 7));
  assert.deepEqual([move.state, move.totalBytes, move.endedMs], ["running", 17, undefined]);
  assert.deepEqual([log.running, log.all()], [[move], [failed, move]]);
  assert.ok(!log.again(move, 1), "it is running");
  assert.ok(!log.again(failed, 1));
  move.moved(7);
  move.done();
  assert.deepEqual([log.bytesOut, move.doneBytes, move.endedMs], [17, 17, 3_000]);
  for (let i = 0; i < 100; i++) begin().done();
  assert.ok(!log.again(move, 1), "it was forgotten");
});
