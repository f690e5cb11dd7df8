// Content from several sources of which some send wrong bytes or wrong lists: what is fetched again, and who is blamed.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { contentOf, download, honest, listOf, MIB, type Script, type Told } from "./scripted.ts";

const content = contentOf(24 * MIB);
const NEVER = new Promise<void>(() => {});

/** Returns the content with a wrong byte in each of these chunks. */
function spoiled(...chunks: number[]): Uint8Array {
  const wrong = content.slice();
  for (const chunk of chunks) wrong[chunk * MIB + 5]! ^= 1;
  return wrong;
}

/** Chunks from one to another, inclusive. */
const chunks = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** A source with a list: that of its content, if nothing else is said. */
function listing(script: Script, list: Uint8Array | undefined): Script {
  return (offset, length, n, ext) => {
    if (!ext.chunks) return script(offset, length, n, ext);
    if (!list) return "closes";
    return { total: list.length, content: list, parts: { chunks: ext.chunks } };
  };
}

/** Answers the first request on its first connection, and nothing more there: 4 MiB, if it is asked first. */
function firstOnly(bytes: Uint8Array): Script {
  let connections = 0;
  return (_offset, _length, n) => {
    if (n === 0) connections++;
    const isHeld = connections === 1 && n > 0;
    return { total: bytes.length, content: bytes, ...(isHeld ? { after: NEVER } : {}) };
  };
}

/** Answers nothing until somebody asks for a list. */
function onlyForRepairs(bytes: Uint8Array): Script {
  let isRepair = false;
  return (_offset, _length, _n, ext) => {
    if (ext.chunks) isRepair = true;
    const list = listOf(bytes);
    if (ext.chunks) return { total: list.length, content: list, parts: { chunks: ext.chunks } };
    return { total: bytes.length, content: bytes, ...(isRepair ? {} : { after: NEVER }) };
  };
}

const repaired = (sources: Readonly<Record<string, Script>>, without: readonly string[] = []) =>
  download({
    content,
    announced: content.length,
    sources,
    withParts: Object.keys(sources).filter((name) => !without.includes(name)),
  });

const blamed = ({ reports }: Told) => reports.filter((report) => / mismatch$/.test(report)).sort();
const askedOf = ({ asked }: Told, name: string) =>
  (asked[name] ?? []).reduce((sum, [, length]) => sum + length, 0);

Deno.test("wrong chunks of one of two sources are fetched again, and nothing else; who sent them is blamed once it verifies", async () => {
  const told = await repaired({
    a: listing(firstOnly(content), listOf(content)),
    liar: listing(honest(spoiled(...chunks(0, 23))), undefined),
  });
  strictEqual(told.reports.at(-1), "arrived a");
  deepStrictEqual(blamed(told), ["source-failed liar mismatch"]);
  strictEqual(
    told.reports.findIndex((report) => / mismatch$/.test(report)),
    told.reports.length - 2,
  );
  ok(askedOf(told, "liar") >= 16 * MIB, "most came from the liar");
  // First 4 MiB, what was on its way when the liar was faster, and the liar's share.
  ok(askedOf(told, "a") <= 4 * MIB + 8 * MIB + 20 * MIB, `${askedOf(told, "a")} of the other one`);
});

Deno.test("a single wrong byte costs one chunk, also if all came from one source", async () => {
  const told = await repaired({
    flawed: honest(spoiled(17)),
    b: onlyForRepairs(content),
  });
  strictEqual(told.reports.at(-1), "arrived b");
  deepStrictEqual(blamed(told), ["source-failed flawed mismatch"]);
  const chunk = told.asked.b!.filter(([offset, length]) => offset === 17 * MIB && length === MIB);
  strictEqual(chunk.length, 1);
  const last = told.asked.b!.at(-1)!;
  deepStrictEqual(last, [17 * MIB, MIB], "nothing after it");
});

Deno.test("a list that fits wrong content convicts its source, without a byte being fetched for it", async () => {
  const wrong = spoiled(...chunks(4, 23));
  const told = await repaired({
    a: listing(firstOnly(content), listOf(content)),
    liar: listing(honest(wrong), listOf(wrong)),
  });
  strictEqual(told.reports.at(-1), "arrived a");
  deepStrictEqual(blamed(told), ["source-failed liar mismatch"], "once");
});

Deno.test("a list that was tried in vain convicts its source, and the next one is tried", async () => {
  const wrong = spoiled(...chunks(4, 23));
  const worse = wrong.slice();
  worse[20 * MIB + 9]! ^= 1;
  const told = await repaired({
    a: listing(firstOnly(content), listOf(content)),
    flawed: listing(honest(wrong), undefined),
    // Agrees with most of what is there, so it comes first.
    liar: listing(honest(worse), listOf(worse)),
  });
  strictEqual(told.reports.at(-1), "arrived a", told.reports.join());
  ok(blamed(told).includes("source-failed liar mismatch"), told.reports.join());
  ok(!blamed(told).includes("source-failed a mismatch"));
});

Deno.test("who sent a wrong list is blamed once the whole verifies, even if nobody needed it", async () => {
  const told = await repaired({
    a: listing(firstOnly(content), listOf(content)),
    flawed: listing(honest(spoiled(...chunks(0, 23))), undefined),
    liar: listing(onlyForRepairs(content), listOf(spoiled(1))),
  });
  match(told.reports.at(-1)!, /^arrived /);
  deepStrictEqual(blamed(told), ["source-failed flawed mismatch", "source-failed liar mismatch"]);
});

Deno.test("if the source of the list goes away, nobody is blamed, and what is right stays", async () => {
  let isListed = false;
  const vanishing: Script = (_offset, _length, _n, ext) => {
    const list = listOf(content);
    if (ext.chunks) {
      isListed = true;
      return { total: list.length, content: list, parts: { chunks: ext.chunks } };
    }
    return isListed ? "closes" : firstOnly(content)(0, 0, _n, ext);
  };
  const told = await repaired({
    a: vanishing,
    flawed: listing(
      (offset, length, n, ext) => isListed ? "closes" : honest(spoiled(12))(offset, length, n, ext),
      undefined,
    ),
  });
  deepStrictEqual(blamed(told), []);
  match(told.reports.at(-1)!, /^fetch-failed /);
  match(told.fate, /^kept /);
});

Deno.test("wrong chunks that came of a list whose source went away are not blamed on the next one", async () => {
  // Wrong are 10 to 12. The list of the one who leaves says the same of these, and lies about 2 and 20: it is tried first.
  const wrong = spoiled(10, 11, 12);
  const worse = spoiled(2, 10, 11, 12, 20);
  let isListed = false;
  const leaving: Script = (offset, _length, _n, ext) => {
    const list = listOf(worse);
    if (ext.chunks) return { total: list.length, content: list, parts: { chunks: ext.chunks } };
    if (!isListed) return { total: content.length, content, after: NEVER };
    return offset < 20 * MIB ? { total: content.length, content: worse } : "closes";
  };
  const told = await repaired({
    flawed: listing(honest(wrong), undefined),
    leaving: (offset, length, n, ext) => {
      if (ext.chunks) isListed = true;
      return leaving(offset, length, n, ext);
    },
    b: onlyForRepairs(content),
  });
  strictEqual(told.reports.at(-1), "arrived b", told.reports.join());
  deepStrictEqual(blamed(told), [
    "source-failed flawed mismatch",
    "source-failed leaving mismatch",
  ]);
});

Deno.test("without lists, one source after another delivers all of it", async () => {
  const wrong = spoiled(...chunks(0, 23));
  for (const without of [["a", "liar"], ["liar"]]) {
    const told = await repaired({
      a: listing(firstOnly(content), undefined),
      liar: listing(honest(wrong), undefined),
    }, without);
    strictEqual(told.reports.at(-1), "arrived a", told.reports.join());
    ok(!blamed(told).includes("source-failed a mismatch"));
  }
});

Deno.test("a list of another size, or instead of it content, is no list", async () => {
  const wrong = spoiled(...chunks(0, 23));
  const lists: Script[] = [
    (_o, _l, _n, { chunks }) => ({
      total: 32,
      content: new Uint8Array(32),
      ...(chunks ? { parts: { chunks } } : {}),
    }),
    () => ({ total: content.length, content: wrong }),
    () => ({ text: '{"type":"FILE_DATA","data":"6865' }),
  ];
  for (const list of lists) {
    const told = await repaired({
      a: listing(firstOnly(content), listOf(content)),
      liar: (offset, length, n, ext) =>
        ext.chunks ? list(offset, length, n, ext) : { total: content.length, content: wrong },
    });
    strictEqual(told.reports.at(-1), "arrived a", told.reports.join());
    deepStrictEqual(blamed(told), ["source-failed liar mismatch"]);
  }
});

Deno.test("the list that agrees most with what is there is tried first", async () => {
  let [isListed, askedLater] = [false, 0];
  const unlike = listOf(spoiled(...chunks(0, 23)));
  const liar: Script = (_offset, _length, _n, ext) => {
    if (ext.chunks) return { total: unlike.length, content: unlike, parts: { chunks: ext.chunks } };
    if (isListed) askedLater++;
    return { total: content.length, content, after: NEVER };
  };
  const b = onlyForRepairs(content);
  const told = await repaired({
    flawed: honest(spoiled(17)),
    b: (offset, length, n, ext) => {
      if (ext.chunks) isListed = true;
      return b(offset, length, n, ext);
    },
    liar,
  });
  strictEqual(told.reports.at(-1), "arrived b", told.reports.join());
  strictEqual(askedLater, 0);
});

Deno.test("what is known to be wrong somewhere is not passed on", async () => {
  const seen: boolean[] = [];
  let isHere = () => false;
  const b = onlyForRepairs(content);
  await download({
    content,
    announced: content.length,
    sources: {
      flawed: honest(spoiled(17)),
      b: (offset, length, n, ext) => {
        if (ext.chunks || offset === 17 * MIB) seen.push(isHere());
        return b(offset, length, n, ext);
      },
    },
    withParts: ["flawed", "b"],
    act: (running) => isHere = () => running.part !== undefined,
  });
  deepStrictEqual(seen.slice(-2), [false, false]);
});
