// What Tab makes of a half-typed line at the prompt: commands, ids, names and paths. PURE but for the folder that is looked into.
// Invariant: what is put into the line is what the command takes: names with spaces are quoted, and nothing invisible is typed.

import { visible } from "../protocol/wire/text.ts";
import { LEVELS } from "./log.ts";
import { PROMPT_VERBS, verbOf } from "./verbs.ts";

/** Maximum number of completions offered for a word. */
const MAX_COMPLETIONS = 50;
/** Maximum number of names that are looked at in a folder. */
const MAX_ENTRIES = 10_000;

/** What there is to complete to. */
export interface Completable {
  /** Names and ids of files. */
  readonly files: () => Iterable<{ readonly name: string; readonly fileId: string }>;
  /** Names in a folder, those of folders with a final slash. Throws if it cannot be read. */
  readonly entries: (folder: string) => Iterable<string>;
}

/** Completions, and the end of the line that they replace. */
export type Completions = readonly [found: string[], replaced: string];

/** Returns what a line may become. */
export function completionsOf(line: string, there: Completable): Completions {
  const [, name = "", rest] = /^\s*(\S*)(?:\s+(.*))?$/s.exec(line) ?? [];
  if (rest === undefined) {
    const names = PROMPT_VERBS.map((verb) => verb.name).filter((each) => each.startsWith(name));
    return [names.map((each) => `${each} `), name];
  }
  switch (verbOf(name.toLowerCase())?.completes) {
    case "file":
    case "deleted":
      return fileCompletions(rest, there);
    case "path":
      return pathCompletions(rest, there);
    case "level":
      return wordCompletions(rest, LEVELS.map((level) => level.toLowerCase()));
    case "where":
      return wordCompletions(rest, ["local", "remote"]);
    case "direction":
      return wordCompletions(rest, ["down", "up"]);
    default:
      return [[], rest];
  }
}

function wordCompletions(rest: string, words: readonly string[]): Completions {
  if (rest.includes(" ")) return [[], rest];
  return [words.filter((word) => word.startsWith(rest)).map((word) => `${word} `), rest];
}

/** An unquoted name may have spaces, so every beginning of a word may be that of the name. The longest wins. */
function fileCompletions(rest: string, there: Completable): Completions {
  const quote = /(?:^|\s)(["'])([^"']*)$/.exec(rest);
  const starts = quote
    ? [rest.length - quote[2]!.length]
    : [0, ...[...rest.matchAll(/\s+/g)].map(({ index, 0: { length } }) => index + length)];
  for (const start of starts) {
    const typed = rest.slice(start);
    const replaced = quote ? quote[1]! + typed : typed;
    const found = new Set<string>();
    for (const { name, fileId } of there.files()) {
      if (quote && name.includes(quote[1]!)) continue; // it cannot be typed in these quotes
      if (name.startsWith(typed) && visible(name, name.length) === name) {
        found.add(quoted(name, quote?.[1]));
      } else if (/^[0-9a-f]+$/.test(typed) && fileId.startsWith(typed)) found.add(fileId);
      if (found.size >= MAX_COMPLETIONS) break;
    }
    if (found.size > 0) return [[...found], replaced];
  }
  return [[], rest];
}

/** Returns a name as it has to be typed. A quote that was typed already is kept. */
function quoted(name: string, quote: string | undefined): string {
  if (quote !== undefined) return `${quote}${name}${quote}`;
  if (!/[\s"']/.test(name)) return name;
  return name.includes('"') ? `'${name}'` : `"${name}"`;
}

/** A path may have spaces: it is all that follows the command. */
function pathCompletions(rest: string, there: Completable): Completions {
  const [, quote = "", path = ""] = /^(["']?)(.*)$/s.exec(rest) ?? [];
  const slash = path.lastIndexOf("/") + 1;
  const [folder, start] = [path.slice(0, slash), path.slice(slash)];
  const found: string[] = [];
  let looked = 0;
  try {
    for (const name of there.entries(folder === "" ? "." : folder)) {
      if (++looked > MAX_ENTRIES || found.length >= MAX_COMPLETIONS) break;
      const isHidden = name.startsWith(".") && !start.startsWith(".");
      if (isHidden || !name.startsWith(start) || visible(name, name.length) !== name) continue;
      found.push(`${quote}${folder}${name}`);
    }
  } catch {
    // There is no such folder, or it is not ours to read: nothing to offer.
  }
  return [found.sort(), rest];
}

/** Splits what follows a command into its words. The last one may be a name with spaces, if `isName` knows it. */
export function wordsWithName(
  words: readonly string[],
  isName: (text: string) => boolean,
): readonly string[] {
  for (let at = 0; at < words.length - 1; at++) {
    const name = words.slice(at).join(" ");
    if (isName(name)) return [...words.slice(0, at), name];
  }
  return words;
}
