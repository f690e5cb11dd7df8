// One download against scripted sources: liars about sizes, empty answers, connections that close, late bytes. What is
// reported, who is blamed, and what is kept.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { Ranges } from "../../protocol/ranges.ts";
import { until } from "../until.ts";
import {
  ABSENT,
  contentOf,
  covered,
  download,
  honest,
  IN_HEX,
  MIB,
  type Script,
} from "./scripted.ts";

Deno.test("one source delivers a file in parts, each of which is asked for once", async () => {
  const content = contentOf(9 * MIB + 5);
  for (
    const announced of [undefined, content.length, 3 * MIB, 100 * MIB, Number.MAX_SAFE_INTEGER]
  ) {
    const { reports, asked } = await download({
      content,
      sources: { a: honest(content) },
      ...(announced === undefined ? {} : { announced }),
    });
    deepStrictEqual(reports, ["arrived a"], `${announced}`);
    ok(covered(asked.a) >= content.length);
  }
});

Deno.test("a source that says that the file is empty is the one to blame, and has one turn", async () => {
  const content = contentOf(20 * MIB);
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const { reports, asked } = await download({
    content,
    announced: content.length,
    sources: {
      first: (_offset, _length, n) => n === 0 ? { total: content.length, content } : "closes",
      liar: (offset) => offset > 0 ? ABSENT : { total: 0, content },
      slow: () => ({ total: content.length, content, after: gate }),
    },
    act: () => setTimeout(open, 50),
  });
  deepStrictEqual(reports.at(-1), "arrived slow");
  deepStrictEqual(reports.filter((report) => /mismatch|garbage|first absent/.test(report)), []);
  ok(asked.liar!.length <= 6, `${asked.liar!.length} requests to the liar`);
});

Deno.test("one word against many on the size: the many are right, and one against one is settled in turns", async () => {
  const content = contentOf(20 * MIB);
  const longer = contentOf(30 * MIB, 7);
  for (const others of [["b"], ["b", "c"]]) {
    const sources = Object.fromEntries(others.map((name) => [name, honest(content)]));
    const { reports } = await download({
      content,
      sources: { liar: honest(longer), ...sources },
    });
    ok(/^arrived [bc]$/.test(reports.at(-1)!), reports.join());
    deepStrictEqual(reports.filter((report) => / [bc] /.test(report)), [], "nobody else failed");
  }
});

Deno.test("an honest answer that comes while wrong content is verified is not mixed with it", async () => {
  const content = contentOf(20 * MIB);
  const wrong = contentOf(64 * MIB, 3);
  const { reports } = await download({
    content,
    announced: wrong.length,
    begun: { totalBytes: wrong.length, done: new Ranges([[0, 4 * MIB], [20 * MIB, 64 * MIB]]) },
    sources: { liar: honest(wrong), b: honest(content) },
  });
  strictEqual(reports.at(-1), "arrived b");
  deepStrictEqual(reports.filter((report) => / b /.test(report)), []);
});

Deno.test("content that is about to verify is not thrown away for what another source says of its size", async () => {
  const content = contentOf(64 * MIB);
  const longer = contentOf(65 * MIB, 7);
  const { promise: isComplete, resolve } = Promise.withResolvers<void>();
  const { reports, asked } = await download({
    content,
    announced: content.length,
    // What is there is hashed at the end, which takes a while.
    begun: { totalBytes: content.length, done: new Ranges([[16 * MIB, 64 * MIB]]) },
    sources: {
      a: honest(content),
      liar: () => ({ total: longer.length, content: longer, after: isComplete }),
    },
    act: ({ move }) =>
      void until("all of it", () => move.doneBytes === content.length).then(() => resolve()),
  });
  deepStrictEqual(reports, ["arrived a"]);
  strictEqual(covered(asked.a), 16 * MIB, "nothing is fetched again");
});

Deno.test("a source that contradicts two others on the size is left out, and nothing is fetched again", async () => {
  const content = contentOf(20 * MIB);
  const longer = contentOf(21 * MIB, 7);
  const { promise: agreed, resolve } = Promise.withResolvers<void>();
  let answers = 0;
  const counting: Script = () => {
    if (++answers === 4) resolve();
    return { total: content.length, content };
  };
  const { reports, asked } = await download({
    content,
    announced: content.length,
    sources: {
      a: counting,
      b: counting,
      liar: () => ({ total: longer.length, content: longer, after: agreed }),
    },
  });
  ok(/^arrived [ab]$/.test(reports.join()), reports.join());
  const requested = [...asked.a!, ...asked.b!].reduce((sum, [, length]) => sum + length, 0);
  ok(requested < 1.5 * content.length, `${requested} bytes were asked for`);
});

Deno.test("a newcomer's word on the size does not decide against the one that delivers", async () => {
  const content = contentOf(20 * MIB);
  const longer = contentOf(21 * MIB, 7);
  const { promise: never } = Promise.withResolvers<void>();
  const { promise: begun, resolve } = Promise.withResolvers<void>();
  const { reports } = await download({
    content,
    announced: content.length,
    sources: {
      a: (_o, _l, n) => {
        if (n > 0) resolve();
        return { total: content.length, content };
      },
      liar: () => ({ total: longer.length, content: longer, after: begun, piecesAfter: never }),
    },
  });
  strictEqual(reports.at(-1), "arrived a");
});

Deno.test("a source that trickles in its turn gives way to the next one, and each has one turn", async () => {
  const content = contentOf(20 * MIB);
  const wrong = contentOf(20 * MIB, 3);
  const { promise: never } = Promise.withResolvers<void>();
  const now = performance.now;
  let skewMs = 0;
  performance.now = () => now.call(performance) + skewMs;
  const dials = new Map<string, number>();
  const trickling = (name: string): Script => (_o, _l, n) => {
    if (n === 0) dials.set(name, (dials.get(name) ?? 0) + 1);
    const isTurn = dials.get(name)! > 1;
    return { total: wrong.length, content: wrong, ...(isTurn ? { piecesAfter: never } : {}) };
  };
  try {
    const { reports } = await download({
      content,
      announced: content.length,
      sources: { x: trickling("x"), y: trickling("y") },
      act: (running) => {
        let turns = 0;
        const look = setInterval(() => {
          skewMs += 16_000;
          if (++turns < 6) return;
          clearInterval(look);
          running.move.ended("Canceled here");
          running.move.stop();
        }, 300);
      },
    });
    strictEqual(reports.length, 1);
    for (const [name, count] of dials) ok(count <= 2, `${name} was dialed ${count} times`);
    strictEqual(dials.size, 2);
  } finally {
    performance.now = now;
  }
});

Deno.test("a size for which there is no space is the failure of the source that says it, and what is there stays", async () => {
  const content = contentOf(20 * MIB);
  const done = new Ranges([[0, 19 * MIB]]);
  const { reports, fate } = await download({
    content,
    announced: content.length,
    begun: { totalBytes: content.length, done },
    sources: { liar: (offset) => offset > 0 ? ABSENT : { total: 900e9, content } },
  });
  deepStrictEqual(reports, ["fetch-failed liar cut-short"]);
  strictEqual(fate, `kept ${19 * MIB}`);
});

Deno.test("what is there outlives an announcement of a smaller or an impossible size", async () => {
  const content = contentOf(8 * MIB);
  for (const announced of [1, MIB, Number.MAX_SAFE_INTEGER]) {
    const { reports, fate } = await download({
      content,
      announced,
      begun: { totalBytes: undefined, done: new Ranges([[0, 6 * MIB]]) },
      sources: { gone: () => "closes" },
    });
    deepStrictEqual(reports, ["fetch-failed gone absent"], `${announced}`);
    strictEqual(fate, `kept ${6 * MIB}`);
  }
});

Deno.test("a source that closes after it delivered something was cut short, and does not lack the file", async () => {
  const content = contentOf(20 * MIB);
  const { reports, fate } = await download({
    content,
    announced: content.length,
    sources: { a: (_o, _l, n) => n === 0 ? { total: content.length, content } : "closes" },
  });
  deepStrictEqual(reports, ["fetch-failed a cut-short"]);
  strictEqual(fate, `kept ${4 * MIB}`);
});

Deno.test("wrong content of one source is its own; wrong content of several is settled in turns", async () => {
  const content = contentOf(20 * MIB);
  const wrong = contentOf(20 * MIB, 3);
  const alone = await download({ content, sources: { liar: honest(wrong) } });
  deepStrictEqual(alone.reports, ["fetch-failed liar mismatch"]);
  strictEqual(alone.fate, "removed");
  const { reports } = await download({
    content,
    announced: content.length,
    sources: { liar: honest(wrong), b: honest(content), c: honest(content) },
  });
  ok(/^arrived [bc]$/.test(reports.at(-1)!));
  deepStrictEqual(reports.filter((report) => / [bc] /.test(report)), []);
});

Deno.test("a source that answers in hex is asked for hex only if it is the first one and nobody else is left", async () => {
  const content = contentOf(12 * MIB);
  const only = await download({ content, sources: { old: () => IN_HEX } });
  deepStrictEqual([only.reports, only.isOver], [[], false]);
  const { reports, isOver } = await download({
    content,
    announced: content.length,
    sources: {
      a: (_o, _l, n) => n === 0 ? { total: content.length, content } : "closes",
      old: () => ({ ...IN_HEX, after: new Promise((go) => setTimeout(go, 50)) }),
    },
  });
  strictEqual(isOver, true);
  deepStrictEqual(reports, ["source-failed a cut-short", "fetch-failed old cut-short"]);
});

Deno.test("a download that nobody wants any longer ends at once, is reported once, and keeps what is there", async () => {
  const content = contentOf(12 * MIB);
  const { promise: never } = Promise.withResolvers<void>();
  const { reports, fate } = await download({
    content,
    announced: content.length,
    sources: {
      a: (_o, _l, n) => ({
        total: content.length,
        content,
        ...(n > 0 ? { piecesAfter: never } : {}),
      }),
    },
    act: ({ move }) =>
      void until("the first part", () => move.doneBytes >= 4 * MIB).then(() => {
        move.ended("Canceled here");
        move.stop();
      }),
  });
  deepStrictEqual(reports, ["fetch-failed a storage"]);
  strictEqual(fate, `kept ${4 * MIB}`);
});

Deno.test("a source that holds the content under another id delivers parts of it, or all of it", async () => {
  const content = contentOf(40 * MIB);
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  const slow: Script = (_offset, _length, n) => ({
    total: content.length,
    content,
    ...(n === 0 ? { piecesAfter: gate } : {}),
  });
  const twin: Script = (_offset, _length, n) => {
    if (n === 1) open();
    return { total: content.length, content };
  };
  const both = await download({ content, sources: { a: slow, b: twin }, elsewhere: ["b"] });
  match(both.reports.join(), /^arrived [ab]$/);
  ok(both.asked.b!.length > 1);
  const alone = await download({ content, sources: { b: honest(content) }, elsewhere: ["b"] });
  deepStrictEqual(alone.reports, ["arrived b"]);
});

Deno.test("a source of other content under another id changes neither the size nor who is asked alone", async () => {
  const content = contentOf(40 * MIB);
  for (const other of [contentOf(40 * MIB, 5), contentOf(41 * MIB, 5), contentOf(3 * MIB, 5)]) {
    const { reports, asked } = await download({
      content,
      announced: content.length,
      sources: { a: honest(content), b: honest(other) },
      elsewhere: ["b"],
    });
    strictEqual(reports.at(-1), "arrived a", `${other.length}`);
    deepStrictEqual(reports.filter((report) => / a /.test(report)), []);
    if (other.length !== content.length) strictEqual(asked.b!.length, 1);
  }
});

Deno.test("if only other content is left, nobody but its source is named", async () => {
  const content = contentOf(40 * MIB);
  const other = contentOf(40 * MIB, 5);
  const { reports, fate } = await download({
    content,
    announced: content.length,
    sources: {
      a: (_offset, _length, n) => n === 0 ? { total: content.length, content } : "closes",
      b: honest(other),
    },
    elsewhere: ["b"],
  });
  strictEqual(reports.at(-1), "fetch-failed b mismatch", reports.join());
  strictEqual(fate, "removed");
});

Deno.test("a twin that answers in hex is not asked for the file itself", async () => {
  const { reports, isOver } = await download({
    content: contentOf(MIB),
    sources: { b: () => IN_HEX },
    elsewhere: ["b"],
  });
  deepStrictEqual([reports, isOver], [["fetch-failed b cut-short"], true]);
});
