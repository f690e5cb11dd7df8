// The newest files for `list`, out of however many.

import assert from "node:assert/strict";
import fc from "fast-check";
import { newestFiles } from "../../app/newest_files.ts";
import type { EntryView } from "../../protocol/state.ts";
import { fileOf } from "../web/fixture.ts";

const entryOf = (sinceMs: number, i: number) =>
  ({ file: fileOf({ name: `${i}` }), held: i % 3 === 0, sinceMs }) as unknown as EntryView;

function found(entries: EntryView[], limit: number, fits: (entry: EntryView) => boolean) {
  let pauses = 0;
  const work = newestFiles({ all: () => entries }, limit, fits);
  for (;;) {
    const step = work.next();
    if (step.done) return { ...step.value, pauses };
    pauses++;
  }
}

Deno.test("the newest files come first, and of equally new ones the last to arrive", () => {
  fc.assert(fc.property(
    fc.array(fc.nat(20), { maxLength: 1_000 }),
    fc.integer({ min: 1, max: 30 }),
    (times, limit) => {
      const entries = times.map(entryOf);
      const fits = ({ held }: EntryView) => !held;
      const { entries: newest, total } = found(entries, limit, fits);
      const all = entries.filter(fits).reverse().sort((a, b) => b.sinceMs - a.sinceMs);
      assert.deepEqual(newest, all.slice(0, limit));
      assert.equal(total, all.length);
    },
  ));
});

Deno.test("pauses grow linearly with the files", () => {
  const pausesOf = (n: number) =>
    found(Array.from({ length: n }, (_, i) => entryOf(i, 1)), 20, () => true).pauses;
  const [small, large] = [pausesOf(20_000), pausesOf(40_000)];
  assert.ok(small > 10 && large <= 2.1 * small, `${small}, ${large}`);
});
