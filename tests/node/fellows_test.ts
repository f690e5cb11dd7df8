// A download while others fetch the same file: what it asks them for, what it tells them, and what sources say of them.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import type { Ext } from "../../protocol/wire/ext.ts";
import { until } from "../until.ts";
import { ABSENT, contentOf, download, listOf, MIB, type Script } from "./scripted.ts";

const content = contentOf(24 * MIB);
const scene = { content, announced: content.length, withParts: ["a", "b"] };
const total = content.length;

/** A source whose first 4 MiB come at once, and the rest after `after`. */
const slow = (after: Promise<void>): Script => (_offset, _length, n) => ({
  total,
  content,
  ...(n === 0 ? {} : { after }),
});

/** A fellow that has a part, and sends what is asked of it as far as it has it. */
const having =
  (start: number, end: number, bytes = content): Script => (offset, length, _n, ext) => {
    if (!ext.have) return ABSENT;
    const has = offset >= start && offset < end;
    const sent = has ? Math.min(length, end - offset) : 0;
    return { total, content: bytes, sent, parts: { have: [[start, end]] } };
  };

Deno.test("a fellow is asked for what it has, and for nothing else", async () => {
  const { promise: after, resolve } = Promise.withResolvers<void>();
  const timers: ReturnType<typeof setTimeout>[] = [];
  const fellow: Script = (offset, length, n, ext) => {
    if (length > 0) timers.push(setTimeout(resolve, 200)); // after further requests
    return having(8 * MIB, 20 * MIB)(offset, length, n, ext);
  };
  const { reports, asked } = await download({
    ...scene,
    sources: { a: slow(after), f: fellow },
    fellows: ["f"],
  });
  for (const timer of timers) clearTimeout(timer); // of requests shortly before the end
  match(reports.join(), /^arrived [af]$/);
  for (const [offset, length] of asked.f!) {
    ok(offset >= 8 * MIB && offset + length <= 20 * MIB, `${offset} ${length}`);
  }
  ok(asked.f!.length > 0);
});

Deno.test("a fellow that gets more is asked for that soon, and tells of others", async () => {
  const { promise: after, resolve } = Promise.withResolvers<void>();
  let polls = 0;
  const { reports, asked } = await download({
    ...scene,
    sources: {
      a: slow(after),
      f: (offset, length, n, ext) => {
        if (length > 0) resolve();
        else polls++;
        const answer = having(8 * MIB, polls < 3 ? 8 * MIB : 20 * MIB)(offset, length, n, ext);
        const have: [number, number][] = polls < 3 ? [] : [[8 * MIB, 20 * MIB]];
        return typeof answer === "string" || "text" in answer
          ? answer
          : { ...answer, parts: { have, peers: ["g", "h"] } };
      },
    },
    fellows: ["f"],
  });
  deepStrictEqual(reports.filter((report) => /fellows/.test(report)), ["fellows g,h"], "once");
  match(reports.at(-1)!, /^arrived /);
  ok(polls >= 3 && asked.f!.length > 0);
});

Deno.test("requests say who we are and which whole chunks are here, but not those for small files or to others", async () => {
  const said: Ext[] = [];
  const listening: Script = (_offset, _length, _n, ext) => {
    said.push(ext);
    return { total, content };
  };
  await download({ ...scene, sources: { a: listening } });
  deepStrictEqual([said[0]!.have, said[0]!.peer], [[], "me"]);
  deepStrictEqual(said.at(-1)!.peer, "me");
  ok(said.at(-1)!.have!.every(([start, end]) => start % MIB === 0 && end % MIB === 0));
  said.length = 0;
  await download({ ...scene, sources: { a: listening }, withParts: [] });
  ok(said.length > 0 && said.every(({ have, peer }) => have === undefined && peer === undefined));
  said.length = 0;
  const small = contentOf(2 * MIB);
  const little: Script = (_o, _l, _n, ext) => {
    said.push(ext);
    return { total: small.length, content: small };
  };
  await download({ ...scene, content: small, announced: small.length, sources: { a: little } });
  ok(said.length > 0 && said.every(({ have, peer }) => have === undefined && peer === undefined));
});

Deno.test("what a source says to ask for next is asked for next", async () => {
  const { asked, reports } = await download({
    ...scene,
    sources: {
      a: (_offset, _length, n) => ({
        total,
        content,
        parts: n === 0 ? { peers: ["x"], next: [16 * MIB, 2 * MIB] } : { peers: ["x"] },
      }),
    },
  });
  deepStrictEqual(asked.a!.slice(0, 2).map(([offset]) => offset), [0, 16 * MIB]);
  deepStrictEqual(reports, ["fellows x", "arrived a"]);
});

Deno.test("a source may send a newcomer elsewhere: without content, and with what to ask for next", async () => {
  const { asked, reports } = await download({
    ...scene,
    sources: {
      a: (_offset, _length, n) =>
        n === 0
          ? { total, content, sent: 0, parts: { peers: ["x"], next: [20 * MIB, 4 * MIB] } }
          : { total, content },
    },
  });
  strictEqual(reports.at(-1), "arrived a");
  strictEqual(asked.a![1]![0], 20 * MIB);
});

Deno.test("a source that refers to others must deliver after all if they do not", async () => {
  const said: boolean[] = [];
  const { reports } = await download({
    ...scene,
    sources: {
      a: (_offset, _length, _n, { have }) => {
        said.push(have !== undefined);
        return have ? { total, content, sent: 0, parts: { peers: ["x"] } } : { total, content };
      },
    },
  });
  strictEqual(reports.at(-1), "arrived a");
  ok(said.includes(true) && said.includes(false));
});

Deno.test("a source that keeps answering without content is garbage; one that fetches it again does not have it", async () => {
  const empty = await download({
    ...scene,
    sources: { a: () => ({ total, content, sent: 0, parts: { next: [0, MIB] } }) },
  });
  deepStrictEqual(empty.reports, ["fetch-failed a garbage"]);
  const lost = await download({ ...scene, sources: { a: having(0, MIB) } });
  deepStrictEqual(lost.reports, ["fetch-failed a absent"]);
});

Deno.test("a source that answers with a byte at a time is garbage", async () => {
  for (const parts of [{ next: [0, MIB] as const }, { peers: ["x"] }]) {
    const { reports, asked } = await download({
      ...scene,
      sources: { a: () => ({ total, content, sent: 1, parts }) },
    });
    strictEqual(reports.at(-1), "fetch-failed a garbage");
    ok(asked.a!.length <= 8, `${asked.a!.length}`);
  }
});

Deno.test("nobody sends less than it was asked for unless the request allows it", async () => {
  const { reports } = await download({
    ...scene,
    withParts: [],
    sources: { a: () => ({ total, content, sent: 5, parts: { next: [0, MIB] } }) },
  });
  deepStrictEqual(reports, ["fetch-failed a garbage"]);
});

Deno.test("a fellow that goes away, speaks of another size, or claims too much is dropped, and delays nothing", async () => {
  const cases: [string, Script][] = [
    ["absent", () => ABSENT],
    ["absent", () => ({ total: total + 1, content, sent: 0, parts: { have: [] } })],
    ["absent", () => "closes"],
    ["garbage", () => ({ total, content, sent: 0, parts: { have: [[0, total]] } })],
  ];
  for (const [failure, fellow] of cases) {
    const { promise: after, resolve } = Promise.withResolvers<void>();
    const { reports } = await download({
      ...scene,
      sources: { a: slow(after), f: fellow },
      fellows: ["f"],
      act: () => setTimeout(resolve, 700),
    });
    deepStrictEqual(reports, [`source-failed f ${failure}`, "arrived a"]);
  }
});

Deno.test("a fellow that sent wrong bytes is blamed once the whole verifies", async () => {
  const wrong = content.slice();
  for (let at = 8 * MIB; at < 20 * MIB; at += MIB) wrong[at]! ^= 1;
  const { promise: after, resolve } = Promise.withResolvers<void>();
  const list = listOf(content);
  const { reports } = await download({
    ...scene,
    sources: {
      a: (offset, length, n, ext) =>
        ext.chunks
          ? { total: list.length, content: list, parts: { chunks: ext.chunks } }
          : slow(after)(offset, length, n, ext),
      f: (offset, length, n, ext) => {
        if (length > 0) setTimeout(resolve, 200);
        return having(8 * MIB, 20 * MIB, wrong)(offset, length, n, ext);
      },
    },
    fellows: ["f"],
  });
  deepStrictEqual(reports, ["source-failed f mismatch", "arrived a"]);
});

Deno.test("what is here can be read by others while it arrives", async () => {
  const { promise: after, resolve } = Promise.withResolvers<void>();
  let seen: number | undefined;
  await download({
    ...scene,
    sources: { a: slow(after) },
    act: (running) =>
      void until("a part", () => (running.part?.done.bytes ?? 0) >= 4 * MIB).then(() => {
        const part = running.part!;
        strictEqual(part.sizeBytes, total);
        const reader = part.open();
        const buffer = new Uint8Array(MIB);
        reader.seek(3 * MIB - 7, MIB);
        seen = reader.readInto(buffer);
        deepStrictEqual(buffer, content.slice(3 * MIB - 7, 4 * MIB - 7));
        reader.close();
        resolve();
      }),
  });
  strictEqual(seen, MIB);
});

Deno.test("a fellow that holds the file by now and refers to others is not blamed, and delivers if they do not", async () => {
  const { promise: after } = Promise.withResolvers<void>();
  const asked: boolean[] = [];
  const { reports } = await download({
    ...scene,
    sources: {
      a: slow(after),
      f: (_offset, _length, _n, { have }) => {
        asked.push(have !== undefined);
        return have ? { total, content, sent: 0, parts: { peers: [] } } : { total, content };
      },
    },
    fellows: ["f"],
  });
  deepStrictEqual(reports, ["arrived f"]);
  ok(asked.includes(false));
});

Deno.test("fellows that have the rest complete a file whose only holder went away", async () => {
  const { reports } = await download({
    ...scene,
    sources: {
      a: (_offset, _length, n) => n === 0 ? { total, content } : "closes",
      f: having(0, 12 * MIB),
      g: having(8 * MIB, total),
    },
    fellows: ["f", "g"],
  });
  match(reports.at(-1)!, /^arrived [afg]$/);
  deepStrictEqual(reports.filter((report) => / [fg] /.test(report)), []);
});

Deno.test("a holder that answers with less, again and again, is asked so that it must not, before it is blamed", async () => {
  const { reports } = await download({
    ...scene,
    sources: {
      a: (_offset, _length, _n, { have }) =>
        have ? { total, content, sent: 0, parts: { next: [0, MIB] } } : { total, content },
    },
  });
  deepStrictEqual(reports, ["arrived a"]);
});
