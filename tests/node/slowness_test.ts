// Why a download is slow, as far as that can be seen.

import { strictEqual } from "node:assert/strict";
import { type Moment, SlownessWatch } from "../../node/slowness.ts";

const MB = 1_000_000;

/** Returns the reason after a window in which this many megabytes came. */
function reasonFor({ mb, allMb = mb, limit = 0, rates = [1], diskMs = 0 }: {
  mb: number;
  allMb?: number;
  limit?: number;
  rates?: readonly number[];
  diskMs?: number;
}) {
  const watch = new SlownessWatch(1_000, { doneBytes: 50 * MB, allBytes: 70 * MB });
  watch.wrote(diskMs);
  const moment: Moment = {
    doneBytes: (50 + mb) * MB,
    allBytes: (70 + allMb) * MB,
    limit,
    rates,
  };
  watch.look(2_500, moment);
  strictEqual(watch.reason, undefined, "too early to tell");
  watch.look(3_000, moment);
  return watch.reason;
}

Deno.test("a download that is fast needs no explanation, unless a limit holds it up", () => {
  strictEqual(reasonFor({ mb: 41 }), undefined);
  strictEqual(reasonFor({ mb: 41, limit: 21 * MB }), "limit");
  strictEqual(reasonFor({ mb: 41, limit: 60 * MB }), undefined);
  strictEqual(reasonFor({ mb: 41, diskMs: 1_900 }), undefined);
});

Deno.test("a limit counts for all transfers together", () => {
  strictEqual(reasonFor({ mb: 2, allMb: 10, limit: 5 * MB }), "limit");
  strictEqual(reasonFor({ mb: 2, allMb: 2, limit: 5 * MB }), "sources");
});

Deno.test("the disk, the sources and the link are told apart", () => {
  strictEqual(reasonFor({ mb: 4, diskMs: 1_100, rates: [1, 1] }), "disk");
  strictEqual(reasonFor({ mb: 4, diskMs: 900, rates: [1.2, 1, 0.9] }), "link");
  strictEqual(reasonFor({ mb: 4, rates: [5, 1] }), "sources");
  strictEqual(reasonFor({ mb: 4, rates: [1, 0, 0] }), "sources");
  strictEqual(reasonFor({ mb: 0, rates: [] }), "sources");
});

Deno.test("each window stands for itself", () => {
  const watch = new SlownessWatch(0, { doneBytes: 0, allBytes: 0 });
  const look = (nowMs: number, mb: number) => {
    watch.look(nowMs, { doneBytes: mb * MB, allBytes: mb * MB, limit: 0, rates: [1] });
    return watch.reason;
  };
  watch.wrote(2_000);
  strictEqual(look(2_000, 1), "disk");
  strictEqual(look(4_000, 2), "sources");
  strictEqual(look(6_000, 90), undefined);
  strictEqual(look(8_000, 91), "sources");
});
