// Which known files a file in the folder may be: the likely ones, and no more of them when many are alike.

import assert from "node:assert/strict";
import { type Candidate, CandidateIndex, MAX_TRIES } from "../../storage/candidates.ts";
import { recordOf, sha256 } from "./fixture.ts";

const TIME = 1_744_169_352;

function known(i: number, over: Partial<Candidate> = {}, name = `file ${i}`): Candidate {
  const content = String(i).padStart(20, "0");
  const file = recordOf(content, { name, timestamp: `${TIME + i}` });
  return { file: { ...file, sizeBytes: 20 }, otherTimestamps: [], ...over };
}

const hashed = (i: number): Candidate =>
  known(i, { sha256: sha256(String(i).padStart(20, "0")), home: `file ${i}` });

const cluesOf = (i: number, name = `file ${i}`) => ({
  name,
  sizeBytes: 20,
  mtimeMs: (TIME + i) * 1000,
  sha256: sha256(String(i).padStart(20, "0")),
});

/** Returns the number of candidates examined for this many files of the same size. */
function stepsOf(files: number, of: (i: number) => Candidate): number {
  const all = Array.from({ length: files }, (_, i) => of(i));
  const index = new CandidateIndex(all);
  for (let i = 0; i < files; i++) {
    assert.ok(index.likely(cluesOf(i)).includes(all[i]!), `file ${i} is among its own candidates`);
  }
  return index.steps;
}

for (const [what, of] of [["were here before", hashed], ["were only told of", known]] as const) {
  Deno.test(`each of many files of the same size that ${what} costs as much as one`, () => {
    const [once, twice] = [stepsOf(1_000, (i) => of(i)), stepsOf(2_000, (i) => of(i))];
    assert.ok(twice <= 2.1 * once, `${once} steps for 1,000 files, ${twice} for 2,000`);
    assert.ok(once <= 1_000 * 2 * MAX_TRIES, `${once} steps for 1,000 files`);
  });
}

Deno.test("any single clue finds a file among many of the same size", () => {
  const many = Array.from({ length: 500 }, (_, i) => known(i));
  const index = new CandidateIndex([...many, hashed(999)]);
  const has = (clues: Parameters<typeof index.likely>[0], i: number) =>
    index.likely(clues).some(({ file }) => file.fileId === known(i).file.fileId);
  assert.ok(has({ ...cluesOf(400), mtimeMs: 0 }, 400), "by its name");
  assert.ok(has(cluesOf(400, "other name"), 400), "by its time");
  assert.ok(has({ ...cluesOf(999, "other name"), mtimeMs: 0 }, 999), "by its content");
  assert.ok(!has({ ...cluesOf(7), sha256: sha256("x") }, 999), "not if its content is different");
  assert.equal(index.likely({ ...cluesOf(400, "x"), mtimeMs: 0 }).length, MAX_TRIES);
});

Deno.test("the state of a file's candidates changes when another one is added, and only then", () => {
  const clues = cluesOf(1);
  const before = new CandidateIndex([known(1), known(2)]);
  assert.equal(before.state(clues), new CandidateIndex([known(1), known(2)]).state(clues));
  assert.notEqual(
    before.state(clues),
    new CandidateIndex([known(1), known(2), known(3)]).state(clues),
  );
  assert.equal(before.hasAny(clues), true);
  assert.equal(new CandidateIndex([]).hasAny(clues), false);
});
