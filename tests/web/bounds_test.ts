// Requests from strangers are bounded, and cost only as much as they return: lists come in pages, one at a time.

import assert from "node:assert/strict";
import fc from "fast-check";
import { selection } from "../../web/api/selection.ts";
import { Turns } from "../../web/turns.ts";
import type { ViewedFile } from "../../web/view.ts";
import { appOver, fileOf, NOW } from "./fixture.ts";

Deno.test("a sorted page equals that part of the fully sorted list, wherever it starts", () => {
  const key = fc.oneof(fc.nat(5), fc.nat(1_000));
  fc.assert(
    fc.property(
      fc.array(key, { maxLength: 200 }),
      fc.nat(220),
      fc.integer({ min: 1, max: 60 }),
      fc.constantFrom(1, -1),
      fc.boolean(),
      (keys, from, limit, sign, isText) => {
        const items = keys.map((key, i) => ({ key, i }));
        const keyOf = ({ key }: { key: number }) => isText ? String(key).padStart(4, "0") : key;
        const fits = ({ key }: { key: number }) => key % 3 !== 0;
        const whole = items.filter(fits).toSorted((a, b) => sign * (a.key - b.key));
        const page = selection(items, fits, { from, limit }, { keyOf, sign });
        assert.deepEqual(page, { items: whole.slice(from, from + limit), total: whole.length });
        const unordered = selection(items, fits, { from, limit }, undefined);
        assert.deepEqual(unordered.items, items.filter(fits).slice(from, from + limit));
        assert.equal(unordered.total, whole.length);
      },
    ),
  );
});

Deno.test("comparisons grow linearly with the files, not quadratically, in whatever order they come", () => {
  const orders: Readonly<Record<string, (i: number, n: number) => number>> = {
    rising: (i) => i,
    falling: (i, n) => n - i,
    same: () => 7,
    two: (i) => i % 2,
    mixed: (i, n) => (i * 7919) % n,
  };
  for (const [name, keyAt] of Object.entries(orders)) {
    const readsOf = (n: number) => {
      let reads = 0;
      // A key that counts its comparisons.
      const keyOf = (i: number) => ({ valueOf: () => (reads++, keyAt(i, n)) }) as unknown as number;
      const items = Array.from({ length: n }, (_, i) => i);
      const window = { from: n / 2, limit: 10 };
      assert.equal(selection(items, () => true, window, { keyOf, sign: 1 }).items.length, 10);
      return reads;
    };
    // Depends on chance: 4 comparisons per item and side on average; quadratic cost would be 20,000.
    for (const n of [20_000, 40_000]) assert.ok(readsOf(n) < 60 * n, `${name} of ${n}`);
  }
});

/** Files that count how often their holders are computed. */
function counted(n: number) {
  const seen = { holders: 0 };
  const files = Array.from({ length: n }, (_, i): ViewedFile => ({
    file: fileOf({ name: `${i}.txt`, fileId: i.toString(16).padStart(64, "0") }),
    held: i % 2 === 0,
    get holders() {
      seen.holders++;
      return ["us"];
    },
  }));
  return { files, seen };
}

Deno.test("without a limit, a list is a page of a thousand that points to the next", async () => {
  for (const n of [3_000, 6_000]) {
    const { files, seen } = counted(n);
    const app = appOver({ files });
    for (const sort of ["", "?sort=name", "?sort=-time"]) {
      seen.holders = 0;
      const page = await (await app.request(`/api/v1/files${sort}`)).json();
      assert.deepEqual([page.files.length, page.total, page.next], [1_000, n, 1_000]);
      assert.equal(seen.holders, 1_000, `of ${n} files only the shown ones are computed`);
    }
  }
});

Deno.test("the page without JavaScript only computes the rows it shows, however many files there are", async () => {
  const { files, seen } = counted(5_000);
  const response = await appOver({ files }).request("/");
  await response.body?.cancel();
  assert.ok(seen.holders < 200, `${seen.holders}`);
});

Deno.test("older pages get at most ten thousand files, those held here first", async () => {
  const { files } = counted(12_001);
  const app = appOver({ files });
  const lists = [
    await (await app.request("/api/list")).json(),
    (await (await app.request("/stats.json")).json()).files,
  ];
  for (const list of lists) {
    assert.equal(list.length, 10_000);
    assert.deepEqual(
      list.map(({ has_copy }: { has_copy: boolean }) => has_copy).lastIndexOf(true),
      6_000,
    );
  }
});

Deno.test("deleted files come in contiguous pages, and only the requested page is read", async () => {
  const deleted = Array.from({ length: 450 }, (_, i) => ({
    file: fileOf({ name: `${i}.txt` }),
    sizeBytes: i,
    deletedAt: NOW - i,
  }));
  const app = appOver({ deleted });
  const seen: string[] = [];
  const sizes: number[] = [];
  for (let start: number | null = 0; start !== null;) {
    const page: { files: { file_name: string }[]; total: number; next: number | null } =
      await (await app.request(`/api/v1/files/deleted?start=${start}`)).json();
    assert.equal(page.total, 450);
    sizes.push(page.files.length);
    seen.push(...page.files.map(({ file_name }) => file_name));
    start = page.next;
  }
  assert.deepEqual(sizes, [200, 200, 50]);
  assert.deepEqual(seen, deleted.map(({ file }) => file.name));
  for (const query of ["limit=0", "limit=1001", "start=-1", "limit=x"]) {
    const response = await app.request(`/api/v1/files/deleted?${query}`);
    assert.equal(response.status, 400, query);
    assert.match((await response.json()).hint, /from 1 to 1000/);
  }
});

Deno.test("lists are built one at a time, in the order requested, even after one fails", async () => {
  const turns = new Turns();
  const log: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = turns.take(async () => {
    log.push("first begins");
    await gate.promise;
    log.push("first ends");
    throw new Error("broken");
  });
  const second = turns.take(() => void log.push("second"));
  const third = turns.take(() => (log.push("third"), 3));
  gate.resolve();
  await assert.rejects(first, /broken/);
  await second;
  assert.equal(await third, 3);
  assert.deepEqual(log, ["first begins", "first ends", "second", "third"]);
});

Deno.test("an expensive list makes the next one wait as long as it took, and nothing else waits", async () => {
  const { now } = performance;
  let nowMs = 1_000;
  performance.now = () => nowMs;
  const { setTimeout: wait } = globalThis;
  const rests: number[] = [];
  globalThis.setTimeout = ((go: () => void, ms: number) => {
    rests.push(ms);
    nowMs += ms;
    go();
    return 0;
  }) as unknown as typeof wait;
  try {
    const turns = new Turns();
    await turns.take(() => void (nowMs += 400));
    assert.deepEqual(rests, [], "the first request gets its list at once");
    await turns.take(() => void (nowMs += 5));
    await turns.take(() => {});
    assert.deepEqual(rests, [400], "a cheap list causes no wait");
    await turns.take(() => void (nowMs += 100));
    nowMs += 1_000;
    await turns.take(() => {});
    assert.deepEqual(rests, [400], "nor does one from long ago");
  } finally {
    performance.now = now;
    globalThis.setTimeout = wait;
  }
});
