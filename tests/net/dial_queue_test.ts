// Which dials start, which wait and which are hopeless: as a table, and for any order of events.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { DialQueue, type DialRank, MAX_WAITING_DIALS } from "../../net/dial_queue.ts";

const dial = (key: string, rank: DialRank = "news", voucher: "operator" | "remote" = "remote") => ({
  key,
  rank,
  voucher,
});

Deno.test("files start before answers and answers before news, each in order of arrival", () => {
  const queue = new DialQueue(1);
  strictEqual(queue.request(dial("first", "news"), 0), "start");
  for (const rank of ["news", "answer", "file"] as const) {
    for (const n of [1, 2]) strictEqual(queue.request(dial(`${rank} ${n}`, rank), 0), "wait");
  }
  const order: string[] = [];
  for (let next = queue.ended("news"); next; next = queue.ended(next.rank)) order.push(next.key);
  deepStrictEqual(order, ["file 1", "file 2", "answer 1", "answer 2", "news 1", "news 2"]);
});

Deno.test("news leaves the last two dials to files and answers", () => {
  const queue = new DialQueue(4);
  const turns = ["a", "b", "c"].map((key) => queue.request(dial(key), 0));
  deepStrictEqual(turns, ["start", "start", "wait"]);
  deepStrictEqual(
    ["d", "e", "f"].map((key) => queue.request(dial(key, "answer"), 0)),
    ["start", "start", "wait"],
  );
});

Deno.test("a silent address fails the dials waiting for it and is avoided for a while, except for files and by the operator", () => {
  const queue = new DialQueue(1);
  queue.request(dial("x"), 0);
  for (const key of ["x", "y", "x"]) queue.request(dial(key, "answer"), 0);
  deepStrictEqual(queue.silent("x", 1_000).map(({ key }) => key), ["x", "x"]);
  strictEqual(queue.ended("news")?.key, "y");
  strictEqual(queue.ended("answer"), undefined);
  strictEqual(queue.request(dial("x"), 5_999), "dead");
  strictEqual(queue.request(dial("x", "file"), 5_999), "start");
  queue.ended("file");
  strictEqual(queue.request(dial("x", "news", "operator"), 5_999), "start");
  queue.ended("news");
  strictEqual(queue.request(dial("x"), 6_000), "start");
  queue.ended("news");
  queue.silent("x", 7_000);
  queue.answered("x");
  strictEqual(queue.request(dial("x"), 7_001), "start");
});

Deno.test("a full queue refuses, and draining returns every waiting dial", () => {
  const queue = new DialQueue(1);
  queue.request(dial("open"), 0);
  for (let n = 0; n < MAX_WAITING_DIALS; n++) strictEqual(queue.request(dial(`${n}`), 0), "wait");
  strictEqual(queue.request(dial("one more"), 0), "full");
  strictEqual(queue.request(dial("other rank", "file"), 0), "wait");
  strictEqual(queue.drain().length, MAX_WAITING_DIALS + 1);
  strictEqual(queue.ended("news"), undefined);
});

Deno.test("in any order of events, no more dials are open than allowed, and every dial starts or is reported hopeless", () => {
  const rank = fc.constantFrom<DialRank>("file", "answer", "news");
  const event = fc.oneof(
    fc.record({ what: fc.constant("ask" as const), key: fc.constantFrom("a", "b", "c"), rank }),
    fc.record({ what: fc.constant("end" as const), silent: fc.boolean() }),
  );
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 5 }),
      fc.array(event, { maxLength: 200 }),
      (max, events) => {
        const queue = new DialQueue<ReturnType<typeof dial> & { id: number }>(max);
        const open: (ReturnType<typeof dial> & { id: number })[] = [];
        const settled = new Set<number>();
        let asked = 0;
        let nowMs = 0;
        for (const each of events) {
          nowMs += 100;
          if (each.what === "ask") {
            const request = { ...dial(each.key, each.rank), id: asked++ };
            const turn = queue.request(request, nowMs);
            if (turn === "start") open.push(request);
            else if (turn !== "wait") settled.add(request.id);
          } else if (open.length > 0) {
            const over = open.shift()!;
            settled.add(over.id);
            if (each.silent) {
              for (const { id } of queue.silent(over.key, nowMs)) settled.add(id);
            }
            const next = queue.ended(over.rank);
            if (next) open.push(next);
          }
          ok(open.length <= max);
          ok(open.filter((each) => each.rank === "news").length <= Math.max(1, max - 2));
        }
        while (open.length > 0) {
          const over = open.shift()!;
          settled.add(over.id);
          const next = queue.ended(over.rank);
          if (next) open.push(next);
        }
        strictEqual(settled.size, asked, "nothing is left behind");
      },
    ),
  );
});
