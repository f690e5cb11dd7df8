// Whether a file matches the words of a search. The rules are those of `isFound` (file_rules.ts), but nothing is
// normalized for names in plain ASCII, nearly all: that is six times as fast, and needs no copy of any name. PURE.

import { isFound, MIN_ID_CHARS, searchText, type Word } from "./file_rules.ts";

const mayStartId = (id: string) => id.length >= MIN_ID_CHARS && /^[0-9a-f]+$/.test(id);

export type Words = readonly Word[];
/** What is searched, by place. */
export interface Searched {
  readonly ids: readonly string[];
  readonly names: readonly string[];
  readonly owners: readonly string[];
  /** Whether name and owner of the file are plain ASCII. */
  isPlain(place: number): boolean;
  /** Whether those of all files are. */
  readonly isAllPlain: boolean;
}

type Matcher = (place: number) => boolean;

const beyondAscii = /[^\0-\x7f]/;
/** Maximum number of owners remembered. Most networks have fewer. */
const MAX_OWNERS = 1_000;

/** Returns whether name and owner are plain ASCII. */
export const isPlain = (name: string, owner: string): boolean =>
  !beyondAscii.test(name) && !beyondAscii.test(owner);

/** Returns a function that tells whether all words are in the name or the owner, or start the id. */
export function matcherOf(words: Words, files: Searched): Matcher {
  const tests = words.map((word) => wordTest(word, files));
  // Called for every file, so no call is made that is not needed.
  const matches: Matcher = tests.length === 1 ? tests[0]! : (place) => {
    for (const test of tests) if (!test(place)) return false;
    return true;
  };
  if (files.isAllPlain) return matches;
  const { ids, names, owners } = files;
  return (place) =>
    files.isPlain(place)
      ? matches(place)
      : isFound(words, searchText(`${names[place]}\n${owners[place]}`), ids[place]!);
}

/** Returns a function that tells whether a word is in a plain name or owner, or starts the id. */
function wordTest({ text, id }: Word, { ids, names, owners }: Searched): Matcher {
  const pattern = patternOf(text);
  const isId = mayStartId(id);
  const known = new Map<string, boolean>();
  const isOwner = (owner: string): boolean => {
    if (known.size >= MAX_OWNERS) known.clear();
    const is = pattern.test(owner);
    known.set(owner, is);
    return is;
  };
  return (place) =>
    pattern.test(names[place]!) || (known.get(owners[place]!) ?? isOwner(owners[place]!)) ||
    (isId && ids[place]!.startsWith(id));
}

/** Returns the expression for a normalized word, whose spaces stand for a space or a run of separators. */
function patternOf(text: string): RegExp {
  const parts = text.split(" ").map((part) => part.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&"));
  return new RegExp(parts.join("(?: |[-_.]+)"), "i");
}

/** Returns whether everything that the second words find is also found by the first. */
export function isWider(wide: Words, narrow: Words): boolean {
  return wide.every((word) =>
    narrow.some(({ text, id }) =>
      text.includes(word.text) &&
      // A longer word may start an id that the shorter one was too short for.
      (!mayStartId(id) || (mayStartId(word.id) && id.startsWith(word.id)))
    )
  );
}
