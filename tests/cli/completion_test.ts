// What Tab makes of a half-typed line, and names with spaces as the last words of a command.

import { deepStrictEqual } from "node:assert/strict";
import { completionsOf, wordsWithName } from "../../cli/completion.ts";

const FILES = [
  { name: "a.txt", fileId: "ab12" + "0".repeat(60) },
  { name: "my long name.pdf", fileId: "cd34" + "0".repeat(60) },
  { name: "my list.txt", fileId: "ab99" + "0".repeat(60) },
  { name: 'a "quoted" name', fileId: "ee" + "0".repeat(62) },
  { name: "a\x1bb", fileId: "ff" + "0".repeat(62) },
];
const FOLDERS: Record<string, string[]> = {
  ".": ["results/", "report.pdf", ".hidden", "my file.txt"],
  "results/": ["one.csv", "two.csv"],
  "~/": ["home.txt"],
};
const there = {
  files: () => FILES,
  entries: (folder: string) => {
    const names = FOLDERS[folder];
    if (!names) throw new Deno.errors.NotFound(folder);
    return names;
  },
};

Deno.test("Tab completes commands, ids, names, paths and words, and quotes names with spaces", () => {
  const table: [string, string[], string][] = [
    ["li", ["list ", "limit "], "li"],
    ["", ["list ", "peers ", "connect "], ""],
    ["get a.", ["a.txt"], "a."],
    ["GET a.", ["a.txt"], "a."],
    ["get my l", ['"my long name.pdf"', '"my list.txt"'], "my l"],
    ["get my lo", ['"my long name.pdf"'], "my lo"],
    ['get "my lo', ['"my long name.pdf"'], '"my lo'],
    ["get 'my lo", ["'my long name.pdf'"], "'my lo"],
    ["get ab1", [FILES[0]!.fileId], "ab1"],
    ["delete a.txt my li", ['"my list.txt"'], "my li"],
    ["get x 'a ", [`'a "quoted" name'`], "'a "],
    ['get x "a "q', [], 'x "a "q'],
    ["get a ", [`'a "quoted" name'`], "a "],
    ["get zzz", [], "zzz"],
    ["push r", ["report.pdf", "results/"], "r"],
    ["push results/o", ["results/one.csv"], "results/o"],
    ["push my f", ["my file.txt"], "my f"],
    ['push "my f', ['"my file.txt'], '"my f'],
    ["push .h", [".hidden"], ".h"],
    ["push ~/", ["~/home.txt"], "~/"],
    ["push nowhere/x", [], "nowhere/x"],
    ["log de", ["debug "], "de"],
    ["list re", ["remote "], "re"],
    ["limit u", ["up "], "u"],
    ["peers x", [], "x"],
    ["nonsense x", [], "x"],
  ];
  for (const [line, found, replaced] of table) {
    const [all, end] = completionsOf(line, there);
    deepStrictEqual([line === "" ? all.slice(0, 3) : all, end], [found, replaced], line);
  }
});

Deno.test("many files are offered as a few", () => {
  const files = () =>
    Array.from({ length: 100_000 }, (_, i) => ({ name: `f${i}`, fileId: `${i}` }));
  deepStrictEqual(completionsOf("get f", { ...there, files })[0].length, 50);
});

Deno.test("the last words may be a name with spaces, if it is known", () => {
  const isName = (text: string) => FILES.some(({ name }) => name === text);
  const table: [string, string[]][] = [
    ["my list.txt", ["my list.txt"]],
    ["a.txt my list.txt", ["a.txt", "my list.txt"]],
    ["my other.txt", ["my", "other.txt"]],
    ["my", ["my"]],
    ["", [""]],
  ];
  for (const [line, words] of table) {
    deepStrictEqual(wordsWithName(line.split(" "), isName), words, line);
  }
});
