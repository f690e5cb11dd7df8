// Requests from strangers are bounded, and cost only as much as they return: lists come in pages, one at a time.

import assert from "node:assert/strict";
import { Turns } from "../../web/turns.ts";
import type { ViewedFile } from "../../web/view.ts";
import { appOver, fileOf, NOW } from "./fixture.ts";

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

Deno.test("without a limit, a list is a page of a hundred that points to the next", async () => {
  for (const n of [3_000, 6_000]) {
    const { files, seen } = counted(n);
    const app = appOver({ files });
    for (const [sort, last] of [["", 99], ["?sort=name", 99], ["?sort=-known", n - 100]] as const) {
      await (await app.request("/api/v1/files?limit=1")).body?.cancel(); // reads all files, once
      seen.holders = 0;
      const page = await (await app.request(`/api/v1/files${sort}`)).json();
      const next = `100-${files[last]!.file.fileId}`;
      assert.deepEqual([page.files.length, page.total, page.next], [100, n, next]);
      assert.equal(seen.holders, 100, `of ${n} files only the shown ones are computed`);
    }
  }
});

Deno.test("the page without JavaScript only computes the rows it shows, however many files there are", async () => {
  const { files, seen } = counted(5_000);
  const app = appOver({ files });
  await (await app.request("/")).body?.cancel();
  seen.holders = 0;
  await (await app.request("/")).body?.cancel();
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
