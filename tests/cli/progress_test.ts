// The line that shows a download: it says how far it is, and never is longer than the terminal is wide.

import assert from "node:assert/strict";
import fc from "fast-check";
import { progressLine } from "../../cli/progress.ts";

const progress = {
  name: "data.zip",
  doneBytes: 61_000_000,
  totalBytes: 100_000_000,
  bytesPerSecond: 10_000_000,
  sources: 1,
};

Deno.test("a download is a bar, a percentage, a speed and the time left", () => {
  assert.equal(
    progressLine(progress, 90),
    "data.zip [##################------------] 61 % · 10.0 MB/s · 4 s left · Ctrl-C cancels",
  );
  assert.match(progressLine({ ...progress, slow: "limit" }, 120), / · at the limit · /);
  assert.match(progressLine({ ...progress, sources: 3 }, 120), / · 4 s left · from 3 peers · /);
});

Deno.test("what is not known is left out", () => {
  const { totalBytes: _, ...unknown } = progress;
  assert.equal(
    progressLine({ ...unknown, totalBytes: undefined }, 90),
    "data.zip 61.0 MB · 10.0 MB/s · Ctrl-C cancels",
  );
  assert.ok(!progressLine({ ...progress, bytesPerSecond: 0 }, 90).includes("left"));
  assert.match(progressLine({ ...progress, doneBytes: 0, totalBytes: 0 }, 90), /\] 0 %/);
});

Deno.test("whatever is shown, it fits into one line and contains no control characters", () => {
  const any = fc.record({
    name: fc.string({ unit: "binary", maxLength: 60 }),
    doneBytes: fc.nat(),
    totalBytes: fc.option(fc.nat(), { nil: undefined }),
    bytesPerSecond: fc.nat(),
    sources: fc.nat(9),
  });
  fc.assert(fc.property(any, fc.integer({ min: 20, max: 200 }), (some, columns) => {
    const line = progressLine(some, columns);
    assert.ok(line.length <= columns, `${line.length} > ${columns}`);
    assert.ok(!/\p{Cc}/u.test(line));
  }));
});
