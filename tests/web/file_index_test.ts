// The index behind the lists of files: it finds what a look at every file would find, however they came and went, and what
// it costs grows with what changed and what is shown.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import fc from "fast-check";
import { FileIndex, type Found, type Search } from "../../web/file_index.ts";
import { isPlain, isWider, matcherOf, type Words } from "../../web/file_search.ts";
import { sampleOf } from "../../web/risk_sample.ts";
import { isFound, nameKey, searchText, searchWords } from "../../web/file_rules.ts";
import { inSlices, type Sliced } from "../../web/slices.ts";
import type { ViewedFile } from "../../web/view.ts";
import { fileOf } from "./fixture.ts";

/** Runs work to its end and counts its pauses. */
function done<T>(work: Sliced<T>, count: () => void = () => {}): T {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
    count();
  }
}

/** A peer's files, by id, in order of arrival. */
class Files {
  readonly all = new Map<string, ViewedFile>();
  touched = new Set<string>();

  put(file: ViewedFile): void {
    this.all.set(file.file.fileId, file);
    this.touched.add(file.file.fileId);
  }

  remove(fileId: string): void {
    this.all.delete(fileId);
    this.touched.add(fileId);
  }

  take(): string[] {
    const touched = [...this.touched];
    this.touched = new Set();
    return touched;
  }

  files = () => this.all.values();
  file = (id: string) => this.all.get(id);
}

const idsOf = (found: Found) => Array.from({ length: found.total }, (_, i) => found.idAt(i));

const KEYS: Readonly<Record<string, (file: ViewedFile) => string | number>> = {
  name: ({ file }) => nameKey(file.name),
  size: ({ file }) => file.sizeBytes ?? file.size * 1024 ** 2,
  owner: ({ file }) => nameKey(file.owner),
  time: ({ file }) => Number(file.timestamp.text),
  holders: ({ holders }) => holders.length,
  known: ({ knownSince }) => knownSince ?? 0,
};

/** Finds by looking at every file. */
function looked(files: Iterable<ViewedFile>, { q = "", where, sort }: Search): string[] {
  const words = searchWords(q);
  const fit = [...files].filter(({ file, held, holders }) =>
    (where === undefined || (where === "here" && held) || (where === "elsewhere" && !held) ||
      (where === "mine" && file.owner === "us") || (where === "risk" && holders.length < 2)) &&
    isFound(words, searchText(`${file.name}\n${file.owner}`), file.fileId)
  );
  const keyOf = KEYS[sort?.replace("-", "") ?? ""] ?? (() => 0);
  fit.sort((a, b) => keyOf(a) < keyOf(b) ? -1 : keyOf(a) > keyOf(b) ? 1 : 0);
  if (sort?.startsWith("-")) fit.reverse();
  return fit.map(({ file }) => file.fileId);
}

const text = fc.string({
  unit: fc.constantFrom("a", "B", "é", "1", "2", " ", ".", "-", "_", "e\u0301", "ß", "K", "("),
  minLength: 1,
  maxLength: 8,
});
const file: fc.Arbitrary<ViewedFile> = fc.record({
  id: fc.nat(40),
  name: text,
  owner: fc.constantFrom("us", "bob", "Eve", "a-1"),
  sizeBytes: fc.option(fc.nat(5), { nil: undefined }),
  seconds: fc.nat(5),
  held: fc.boolean(),
  holders: fc.subarray(["us", "bob", "eve"]),
  knownSince: fc.nat(5),
}).map(({ id, name, owner, sizeBytes, seconds, held, holders, knownSince }) => ({
  file: fileOf({
    fileId: (id * 0x1010101).toString(16).padStart(64, "a1b2"),
    name,
    owner,
    sizeBytes: sizeBytes!,
    timestamp: { text: String(seconds), quoted: false },
  }),
  held,
  holders,
  knownSince,
}));
const search = fc.record({
  q: fc.constantFrom("", "a", "a1", "a1b", "a1b2", "a1b2a", "1 2", "a.", "é", "b-", "(", "ß", "k"),
  where: fc.constantFrom(undefined, "here", "elsewhere", "mine", "risk"),
  sort: fc.constantFrom(undefined, ...Object.keys(KEYS).flatMap((key) => [key, `-${key}`])),
}) as fc.Arbitrary<Search>;

Deno.test("the index finds what a look at every file finds, in the same order, whatever came and went", () => {
  const step = fc.oneof(
    fc.record({ put: file }),
    fc.record({ remove: fc.nat(40) }),
    fc.record({ find: search }),
  );
  fc.assert(fc.property(fc.array(step, { maxLength: 120 }), search, (steps, last) => {
    const files = new Files();
    const index = new FileIndex("us");
    done(index.update("many", files));
    for (const step of [...steps, { find: last }]) {
      if ("put" in step) files.put(step.put);
      else if ("remove" in step) {
        const id = [...files.all.keys()][step.remove];
        if (id !== undefined) files.remove(id);
      } else {
        done(index.update(files.take(), files));
        deepStrictEqual(idsOf(done(index.find(step.find))), looked(files.files(), step.find));
      }
    }
  }));
});

Deno.test("a file that changes, leaves, or returns while all are read is in the index once", () => {
  const files = new Files();
  for (let i = 0; i < 1_000; i++) {
    files.put({ file: fileOf({ name: `${i}` }), held: false, holders: [] });
  }
  const ids = [...files.all.keys()];
  files.take();
  const index = new FileIndex("us");
  let pauses = 0;
  done(index.update("many", files), () => {
    if (++pauses !== 1) return;
    const back = files.file(ids[5]!)!;
    files.remove(ids[5]!); // read already
    files.put(back); // and read again
    files.remove(ids[6]!);
    files.remove(ids[900]!);
    files.put({ file: fileOf({ name: "new" }), held: true, holders: ["us"] });
  });
  done(index.update(files.take(), files));
  deepStrictEqual(
    idsOf(done(index.find({}))).sort(),
    [...files.all.keys()].sort(),
  );
});

const matches = (words: Words, name: string, owner: string, id: string) =>
  matcherOf(words, {
    ids: [id],
    names: [name],
    owners: [owner],
    isPlain: () => isPlain(name, owner),
    isAllPlain: isPlain(name, owner),
  })(0);

Deno.test("plain names are matched by the same rules as all others", () => {
  const q = fc.string({
    unit: fc.constantFrom("a", "B", "1", " ", ".", "-", "_", "é", "[", "\\", "k"),
    maxLength: 6,
  });
  fc.assert(fc.property(q, text, text, (q, name, owner) => {
    const words = searchWords(q);
    const id = "a1b2".padEnd(64, "0");
    strictEqual(
      matches(words, name, owner, id),
      isFound(words, searchText(`${name}\n${owner}`), id),
    );
  }));
});

Deno.test("a search that is wider than another finds all that the other finds", () => {
  const q = fc.string({ unit: fc.constantFrom("a", "1", "b", " ", "-"), maxLength: 7 });
  let wider = 0;
  fc.assert(
    fc.property(q, q, text, (a, b, name) => {
      const [wide, narrow] = [searchWords(a), searchWords(b)];
      if (!isWider(wide, narrow)) return;
      wider++;
      const id = "a1b1".padEnd(64, "a");
      const isFound = (words: Words) => matches(words, name, "b-1", id);
      if (isFound(narrow)) ok(isFound(wide), `${a} ${b}`);
    }),
    { numRuns: 5_000 },
  );
  ok(wider > 100, `${wider}`);
});

/** Counts how many files are looked at. */
class Counted extends Files {
  looks = 0;
  override files = () => {
    this.looks += this.all.size;
    return this.all.values();
  };
  override file = (id: string) => {
    this.looks++;
    return this.all.get(id);
  };
}

Deno.test("after a change only the changed files are looked at again, and pauses grow linearly with the files", () => {
  const pausesOf = (n: number) => {
    const files = new Counted();
    for (let i = 0; i < n; i++) {
      // The same name over and over is the worst case for what compares names.
      files.put({
        file: fileOf({ name: "same.txt", fileId: i.toString(16).padStart(64, "0") }),
        held: i % 2 === 0,
        holders: ["us"],
      });
    }
    files.take();
    const index = new FileIndex("us");
    let pauses = 0;
    done(index.update("many", files), () => pauses++);
    done(index.find({ sort: "name", q: "same" }), () => pauses++);
    files.looks = 0;
    for (let i = 0; i < 10; i++) {
      files.put({ file: fileOf({ name: `later ${i}` }), held: true, holders: ["us"] });
    }
    done(index.update(files.take(), files), () => pauses++);
    strictEqual(done(index.find({ sort: "name" }), () => pauses++).total, n + 10);
    strictEqual(files.looks, 10);
    return pauses;
  };
  const [small, large] = [pausesOf(20_000), pausesOf(40_000)];
  ok(large < 2.4 * small, `${small} pauses for 20,000 files, ${large} for 40,000`);
});

Deno.test("a longer search only looks at what the shorter one found, and another page at nothing", () => {
  const files = new Files();
  for (let i = 0; i < 20_000; i++) {
    files.put({
      file: fileOf({ name: `report ${i}`, fileId: i.toString(16).padStart(64, "0") }),
      held: true,
      holders: ["us"],
    });
  }
  const index = new FileIndex("us");
  done(index.update("many", files));
  const pausesOf = (search: Search) => {
    let pauses = 0;
    done(index.find(search), () => pauses++);
    return pauses;
  };
  const first = pausesOf({ q: "report 1999" });
  const longer = pausesOf({ q: "report 19999" });
  ok(longer <= first / 10, `${first}, then ${longer}`);
  strictEqual(pausesOf({ q: "report 1999" }), 0);
  ok(pausesOf({ q: "report 1999", where: "here" }) > 0, "another filter is another search");
});

Deno.test("files at risk are sampled with the fewest holders first, and lost ones do not crowd out the others", () => {
  const files = new Files();
  const put = (name: string, holders: string[], lastHolders: string[] = []) =>
    files.put({
      file: fileOf({ name, fileId: name.padEnd(64, "0") }),
      held: false,
      holders,
      lastHolders,
    });
  for (let i = 0; i < 50; i++) put(`e${i}a`, []);
  for (let i = 0; i < 3; i++) put(`a${i}a`, [], ["eagle"]);
  for (let i = 0; i < 50; i++) put(`d${i}a`, ["x", "y"]);
  for (let i = 0; i < 5; i++) put(`b${i}a`, ["x"]);
  const index = new FileIndex("us");
  done(index.update("many", files));
  const sample = done(sampleOf(index.columns, 20));
  const { fileIds, ...counts } = sample;
  deepStrictEqual(counts, { total: 108, none: 50, away: 3, one: 5 });
  deepStrictEqual(fileIds.map((id) => id[0]).join(""), "eeeeebbbbbdddddddddd");
  strictEqual(done(sampleOf(index.columns, 1_000)).fileIds.length, 108);
});

Deno.test("long work gives way to everything else, and ends when nobody waits for it anymore", async () => {
  let steps = 0;
  const leaving = new AbortController();
  const work = function* (): Sliced<void> {
    for (;;) {
      steps++;
      yield;
    }
  };
  setTimeout(() => leaving.abort(new Error("left")), 0); // runs only if the work pauses
  const error = await inSlices(work(), leaving.signal).catch((error: Error) => error.message);
  strictEqual(error, "left");
  const before = steps;
  await new Promise((go) => setTimeout(go, 0));
  strictEqual(steps, before);
});
