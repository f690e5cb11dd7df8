// docs/SECURITY-TESTS.md: which test shows which threat. Made from the names of the tests, so it cannot be wrong;
// `P2P_UPDATE_DOCS=1` writes it anew. A threat without a test, or a test of no threat, fails here.

import { deepStrictEqual, strictEqual } from "node:assert/strict";

/** The threats by their numbers, in short. */
const THREATS: ReadonlyMap<number, string> = new Map([
  [1, "messages cut, split, joined, and junk behind them"],
  [2, "depth, width, length and keys that stand twice"],
  [3, "bytes that are no text"],
  [4, "names that mean something to the language"],
  [5, "numbers that are none, or not what they seem"],
  [6, "senders that stall"],
  [7, "readers that stall"],
  [8, "floods of connections, and no descriptors left"],
  [9, "content that is not what its id says"],
  [10, "pushes that nobody asked for"],
  [11, "names of files that are more than names"],
  [12, "the same name for several files"],
  [13, "links planted in the store"],
  [14, "disks that are full, read-only or gone"],
  [15, "kills at any moment, and damaged memory of the store"],
  [16, "files changed or removed behind the store's back"],
  [17, "two processes on one store, or on one port"],
  [18, "deletions in somebody else's name"],
  [19, "claims that contradict what was verified"],
  [20, "strangers to whom we are to be led"],
  [21, "addresses that nobody may have us dial"],
  [22, "storms, loops and replays of gossip"],
  [23, "invented peers and files without end"],
  [24, "names that belong to a living peer, and peers that move"],
  [25, "partitions, loss, churn, clocks and sleep"],
  [26, "many who want one file, and its end meanwhile"],
  [27, "names of others that lead to this peer"],
  [28, "changes that pages of other sites ask for"],
  [29, "guessed and stolen logins"],
  [30, "script in names"],
  [31, "files that are more than files in a browser"],
  [32, "headers, paths, ranges and requests that are not what they seem"],
  [33, "control characters in names"],
]);

/** Where tests of threats are; those that need a browser have a folder of their own. */
const FOLDERS = ["./", "../browser/"].map((path) => new URL(path, import.meta.url));
const page = new URL("../../docs/SECURITY-TESTS.md", import.meta.url);

interface Shown {
  readonly threat: number;
  readonly name: string;
  readonly file: string;
}

async function shown(): Promise<Shown[]> {
  const found: Shown[] = [];
  const files = (await Promise.all(
    FOLDERS.map((folder) =>
      Array.fromAsync(Deno.readDir(folder), ({ name }) => new URL(name, folder))
    ),
  )).flat();
  for (const url of files) {
    const file = url.pathname.split("/").slice(-2).join("/").replace(/^threats\//, "");
    if (!file.endsWith("_test.ts") || file === "table_test.ts") continue;
    const text = await Deno.readTextFile(url);
    for (const [, threat, name] of text.matchAll(/["`]threat (\d+): ([^"`]+)["`]/g)) {
      found.push({ threat: Number(threat), name: name!.replace("${KILLS}", "200"), file });
    }
  }
  return found.sort((a, b) =>
    a.threat - b.threat || (a.file < b.file ? -1 : a.file > b.file ? 1 : 0)
  );
}

function pageOf(tests: readonly Shown[]): string {
  const rows = [...THREATS].map(([number, title]) => {
    const cells = tests.filter(({ threat }) => threat === number)
      .map(({ name, file }) => `${name} (\`${file}\`)`);
    return `| ${number} | ${title} | ${cells.join("<br>")} |`;
  });
  return [
    "# Threats, and the tests that show what becomes of them",
    "",
    "Each test runs the program as a user starts it, or the rules on a virtual network, beside honest peers that must be",
    "answered meanwhile. `npx -y deno@2.9.6 test -A tests/threats` runs them alone. The attacker's tools are in `tests/hostile/`. Made",
    "from the names of the tests (`tests/threats/table_test.ts`). 27 to 32 are about browsers; what needs one to be seen",
    "(script that does not run, no dialog) is in `tests/browser/` and skipped where there is none.",
    "",
    "| | threat | what is seen |",
    "|---|---|---|",
    ...rows,
    "",
    "Besides: `tests/protocol/wire/fuzz_test.ts` (ten thousand damaged streams; `deno task fuzz`: a million) and `tests/sim/` (invariants",
    "after every step of every run, hundreds of seeds; `deno task sim 2000`: thousands).",
    "",
  ].join("\n");
}

Deno.test("every threat has a test, and every test here a threat", async () => {
  const tests = await shown();
  const numbers = new Set(tests.map(({ threat }) => threat));
  deepStrictEqual([...numbers].sort((a, b) => a - b), [...THREATS.keys()]);
});

Deno.test("the page of threats says which tests show what", async () => {
  const text = pageOf(await shown());
  if (Deno.env.get("P2P_UPDATE_DOCS")) await Deno.writeTextFile(page, text);
  strictEqual(await Deno.readTextFile(page), text);
});
