// Checks docs/SECURITY-TESTS.md, the table of which tests cover which threat. It is generated from the test names, so it
// cannot drift; `P2P_UPDATE_DOCS=1` regenerates it. A threat without a test, or a test without a threat, fails here.

import { deepStrictEqual, strictEqual } from "node:assert/strict";

/** Short titles of the threats, by number. */
const THREATS: ReadonlyMap<number, string> = new Map([
  [1, "messages that are split, concatenated, truncated, or followed by junk"],
  [2, "depth, width, length, and duplicate keys"],
  [3, "bytes that are not valid text"],
  [4, "names with a special meaning in JavaScript"],
  [5, "numbers that are invalid or misleading"],
  [6, "senders that stall"],
  [7, "readers that stall"],
  [8, "connection floods and file descriptor exhaustion"],
  [9, "content that does not match its id"],
  [10, "unsolicited pushes"],
  [11, "file names that are more than names"],
  [12, "several files with the same name"],
  [13, "links planted in the store"],
  [14, "disks that are full, read-only, or gone"],
  [15, "kills at any moment, and damaged metadata"],
  [16, "files changed or removed behind the store's back"],
  [17, "two processes on one store or one port"],
  [18, "deletions in someone else's name"],
  [19, "claims that contradict verified content"],
  [20, "being used to attack third parties (reflection)"],
  [21, "addresses that the peer must never dial"],
  [22, "gossip storms, loops, and replays"],
  [23, "endless invented peers and files"],
  [24, "names that belong to a live peer, and peers that move"],
  [25, "partitions, packet loss, churn, clock jumps, and sleep"],
  [26, "many peers that want one file, and its removal meanwhile"],
  [27, "foreign host names that resolve to this peer"],
  [28, "changes requested by pages of other sites"],
  [29, "guessed and stolen logins"],
  [30, "scripts in names"],
  [31, "files with active content in a browser"],
  [32, "deceptive headers, paths, ranges, and requests"],
  [33, "control characters in names"],
  [34, "lies about who can connect to whom, and peers that pass on connections"],
  [35, "peers announced on the local network that do not exist, or are elsewhere"],
]);

/** Folders with threat tests; those that need a browser have their own. */
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
    "# Threats and the tests that cover them",
    "",
    "Most tests run the program the way a user starts it; a few run its rules on a virtual network. Meanwhile, honest peers must",
    "keep getting answers. To run only these tests: `npx -y deno@2.9.6 test -A tests/threats`. The attacker's tools are in",
    "`tests/hostile/`. This page is generated from the test names (`tests/threats/table_test.ts`). Threats 27 to 32 concern",
    "browsers; what can only be observed in one (a script that does not run, a dialog that does not open) is tested in",
    "`tests/browser/` and skipped if no browser is installed.",
    "",
    "| | threat | what the tests show |",
    "|---|---|---|",
    ...rows,
    "",
    "See also `tests/protocol/wire/fuzz_test.ts` (ten thousand damaged streams; a million with `deno task fuzz`) and `tests/sim/`",
    "(invariants checked after every step of every run, hundreds of seeds; thousands with `deno task sim 2000`).",
    "",
  ].join("\n");
}

Deno.test("every threat has a test, and every test here covers a threat", async () => {
  const tests = await shown();
  const numbers = new Set(tests.map(({ threat }) => threat));
  deepStrictEqual([...numbers].sort((a, b) => a - b), [...THREATS.keys()]);
});

Deno.test("docs/SECURITY-TESTS.md is up to date", async () => {
  const text = pageOf(await shown());
  if (Deno.env.get("P2P_UPDATE_DOCS")) await Deno.writeTextFile(page, text);
  strictEqual(await Deno.readTextFile(page), text);
});
