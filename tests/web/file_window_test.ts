// The rows that the page holds and draws, tested without a browser: whatever the user does, what is on the screen gets
// loaded, and no more than a bounded part of the list is kept.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { BLOCK, FileWindow, MAX_BLOCKS } from "../../web/browser/filewindow.js";
import { MAX_PX, rowsIn, scrollFor } from "../../web/browser/rowspace.js";
import type { FileRow } from "../../web/shared/types.d.ts";

const row = (name: string) =>
  ({ file_id: name.padEnd(64, "x"), file_name: name }) as unknown as FileRow;

/** A peer whose list changes, and that answers when it is told to. */
class Peer {
  list: FileRow[];
  readonly asked: string[] = [];
  isDown = false;
  #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.list = Array.from({ length: count }, (_, i) => row(`file ${i}`));
  }

  ask = async (
    { q }: { q: string },
    { start, limit, view, signal }: {
      start: string;
      limit: number;
      view: string;
      signal: AbortSignal;
    },
  ) => {
    this.asked.push(`${view} ${start.slice(0, 12)}`);
    const found = this.list.filter(({ file_name }) => file_name.includes(q));
    const [offset = "0", last] = start.split("-");
    const after = found.findIndex(({ file_id }) => file_id === last) + 1;
    const from = last === undefined || after === 0 ? Number(offset) : after;
    const files = found.slice(from, from + limit);
    const next = from + limit < found.length ? `${from + limit}-${files.at(-1)!.file_id}` : null;
    const isDown = this.isDown;
    await new Promise<void>((go) => this.#waiting.push(go));
    if (isDown) throw new Error("no answer");
    signal.throwIfAborted();
    return { files, total: found.length, next };
  };

  /** Answers everything that was asked, also what is asked because of the answers. */
  async answer(): Promise<void> {
    while (this.#waiting.length > 0) {
      for (const go of this.#waiting.splice(0)) go();
      await new Promise((go) => setTimeout(go, 0));
    }
  }
}

const ALL = { q: "", where: "all", sort: "-known" };

async function shown(count: number) {
  const peer = new Peer(count);
  let changes = 0;
  const files = new FileWindow(peer.ask, () => changes++);
  files.show(ALL);
  await peer.answer();
  return { peer, files, changes: () => changes };
}

const namesOf = (files: FileWindow, first: number, last: number) =>
  Array.from({ length: last - first }, (_, i) => files.at(first + i)?.file_name);

Deno.test("wherever the user scrolls, the rows there are loaded, and only a bounded number is kept", async () => {
  const scroll = fc.array(fc.nat(100_000 - 50), { minLength: 1, maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(scroll, async (places) => {
      const { peer, files } = await shown(100_000);
      for (const place of places) {
        files.need(place, place + 50);
        await peer.answer();
        deepStrictEqual(
          namesOf(files, place, place + 50),
          Array.from({ length: 50 }, (_, i) => `file ${place + i}`),
        );
        ok(files.loaded <= MAX_BLOCKS * BLOCK);
        strictEqual(files.placeOf(peer.list[place]!.file_id), place);
      }
    }),
    { numRuns: 20 },
  );
});

Deno.test("rows that are passed quickly are not waited for", async () => {
  const { peer, files } = await shown(100_000);
  for (let place = 1_000; place < 90_000; place += 1_000) files.need(place, place + 50);
  peer.asked.splice(0);
  await peer.answer();
  strictEqual(files.loaded, 2 * BLOCK, "only the first block and the last place");
  deepStrictEqual(namesOf(files, 89_000, 89_001), ["file 89000"]);
});

Deno.test("what is loaded next to other rows continues them, even if files came in between", async () => {
  const { peer, files } = await shown(1_000);
  peer.list.unshift(row("new a"), row("new b"));
  files.need(90, 140);
  await peer.answer();
  deepStrictEqual(
    namesOf(files, 98, 102),
    ["file 98", "file 99", "file 100", "file 101"],
  );
  ok(files.isStale, "and the page knows that the list has changed");
});

Deno.test("the rows of a search stay until those of the next one are there, and late answers are ignored", async () => {
  const { peer, files } = await shown(1_000);
  files.show({ ...ALL, q: "9" });
  ok(!files.isCurrent);
  strictEqual(files.at(0)?.file_name, "file 0");
  files.show({ ...ALL, q: "99" });
  files.show({ ...ALL, q: "999" });
  await peer.answer();
  deepStrictEqual([files.isCurrent, files.total, files.at(0)?.file_name], [true, 1, "file 999"]);
  strictEqual(files.get(row("file 0").file_id), undefined);
});

Deno.test("a row that changes while it is loading is shown as it is now", async () => {
  const { peer, files } = await shown(10);
  const old = peer.list[3]!;
  files.refresh();
  files.apply({ changed: [{ ...old, has_copy: true }], removed: [] });
  await peer.answer(); // with the older row
  strictEqual(files.at(3)?.has_copy, true);
  ok(files.isStale, "and it is read again");
});

Deno.test("files that come are counted while the rows stay, and files that go stay marked", async () => {
  const { peer, files } = await shown(250);
  const gone = peer.list.splice(7, 1)[0]!;
  peer.list.unshift(row("a"), row("b"), row("c"));
  files.apply({ changed: [row("a"), row("b"), row("c")], removed: [gone.file_id] });
  files.peek();
  await peer.answer();
  deepStrictEqual([files.news, files.total, files.at(7)], [3, 250, gone]);
  strictEqual(files.get(gone.file_id), undefined);
  files.refresh();
  await peer.answer();
  deepStrictEqual([files.news, files.total, files.at(0)?.file_name], [0, 252, "a"]);
});

Deno.test("without an answer the rows stay, and the next question may be answered", async () => {
  const { peer, files } = await shown(100);
  peer.isDown = true;
  files.refresh();
  await peer.answer();
  deepStrictEqual([files.hasFailed, files.isStale, files.total], [true, true, 100]);
  peer.isDown = false;
  files.refresh();
  await peer.answer();
  deepStrictEqual([files.hasFailed, files.isStale], [false, false]);
});

Deno.test("the rows on the screen are drawn where the scroll bar says, in tables of any length", () => {
  const total = fc.oneof(fc.nat(300), fc.integer({ min: 300_000, max: 5_000_000 }));
  fc.assert(fc.property(
    total,
    fc.constantFrom(40, 64),
    fc.integer({ min: 100, max: 2_000 }),
    fc.double({ min: 0, max: 1, noNaN: true }),
    (total, row, clientHeight, at) => {
      const height = Math.min(total * row, MAX_PX);
      const scrollTop = at * Math.max(0, height - clientHeight);
      const view = { scrollTop, clientHeight, row, total };
      const { first, last, above, below } = rowsIn(view, 8);
      ok(0 <= first && first <= last && last <= total);
      ok(last - first <= clientHeight / row + 18, "only what is near the screen");
      const drawn = above + (last - first) * row + below;
      ok(drawn > height - 1 && drawn < height + row, "the height hardly changes");
      // No gap on the screen.
      const bottom = Math.min(scrollTop + clientHeight, height);
      ok(above <= scrollTop + 1 && above + (last - first) * row >= bottom - 1);
      if (at === 0) strictEqual(first, 0);
      if (at === 1) strictEqual(last, total);
    },
  ));
});

Deno.test("the keyboard reaches every row, and does not scroll to rows on the screen", () => {
  fc.assert(fc.property(
    fc.integer({ min: 100, max: 2_000_000 }),
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.double({ min: 0, max: 1, noNaN: true }),
    (total, from, to) => {
      const before = {
        scrollTop: from * (Math.min(total * 40, MAX_PX) - 800),
        clientHeight: 800,
        row: 40,
        total,
      };
      const index = Math.min(total - 1, Math.floor(to * total));
      const after = { ...before, scrollTop: scrollFor(index, before, 32) };
      const { first, last } = rowsIn(after, 0);
      ok(first <= index && index < last, `${index} is not from ${first} to ${last}`);
      strictEqual(scrollFor(index, after, 32), after.scrollTop);
    },
  ));
});
