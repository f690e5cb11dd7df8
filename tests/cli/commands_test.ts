// The prompt's commands over a fake peer: what each command calls, and what it answers.

import assert from "node:assert/strict";
import { COMMAND_NAMES, type Commands, menuText, runCommand, wordsOf } from "../../cli/commands.ts";
import { type FileRow, listLimit, type PeerRow, type Screen } from "../../cli/listings.ts";
import { nameMatcher } from "../../web/name_pattern.ts";
import type { FileRecord } from "../../protocol/wire/message.ts";

const ID = "0123456789abcdef".repeat(4);
const OTHER = "f".repeat(64);

const fileOf = (over: Partial<FileRecord> = {}): FileRecord => ({
  fileId: ID,
  name: "test.png",
  owner: "alice",
  timestamp: { text: "1744169352", quoted: false },
  size: 2,
  ...over,
});

const PEER: PeerRow = {
  peerId: "bob",
  address: "10.0.0.7:8115",
  silentSeconds: 4.2,
  bootstrap: false,
  extended: true,
  files: 3,
  note: "",
};

interface Fake extends Commands {
  readonly calls: unknown[][];
}

/** A peer that records the calls it gets and returns prepared answers. */
const DELETED = { everywhere: [], here: [], reached: 0, left: 0, slow: 0, slowMs: 0 };

function fake(over: Partial<Commands> = {}, rows: FileRow[] = [], peers: PeerRow[] = []): Fake {
  const calls: unknown[][] = [];
  const noting = <T>(name: string, answer: T) => (...args: unknown[]) => {
    calls.push([name, ...args]);
    return answer;
  };
  const get = noting("get", Promise.resolve({ source: "bob", path: undefined, name: "test.png" }));
  return {
    calls,
    files: ({ where, pattern }, limit) => {
      const isNamed = pattern === undefined ? () => true : nameMatcher(pattern);
      const found = rows.filter(({ file, held }) =>
        (where === undefined || held === (where === "local")) && isNamed(file.name)
      );
      return Promise.resolve({
        rows: found.slice(0, limit),
        total: found.length,
        known: rows.length,
      });
    },
    screen: () => undefined,
    isName: (text) => rows.some(({ file }) => file.name === text),
    peers: () => peers,
    get: (what, destination) => get(what, destination),
    connect: noting("connect", Promise.resolve({ peerId: "robin" })),
    push: noting("push", Promise.resolve({ file: fileOf(), isNew: true })),
    delete: noting(
      "delete",
      Promise.resolve({ ...DELETED, everywhere: ["test.png"], reached: 3 }),
    ),
    restore: noting("restore", Promise.resolve(fileOf())),
    deleted: () =>
      Promise.resolve({ rows: [{ file: fileOf(), sizeBytes: 5, secondsAgo: 300 }], total: 1 }),
    verify: noting("verify", Promise.resolve({ good: 3, damaged: [], gone: 0, unread: [] })),
    stats: () => [["up", "5 s"], ["peers", "2"]],
    login: () => "open http://here/#token=t",
    qr: noting("qr", Promise.resolve("a code")),
    limits: () => ({ down: 2_000_000, up: 0 }),
    setLimit: noting("setLimit", undefined),
    transfers: () => [],
    logLevel: () => "INFO",
    setLogLevel: noting("setLogLevel", Promise.resolve()),
    exit: noting("exit", undefined),
    ...over,
  };
}

const HERE: FileRow = {
  file: fileOf({ sizeBytes: 1500 }),
  held: true,
  holders: ["us", "bob"],
};
const AWAY: FileRow = {
  file: fileOf({ fileId: OTHER, name: "away.txt", owner: "carol" }),
  held: false,
  holders: [],
};

Deno.test("single and double quotes keep words together", () => {
  const table: [string, string[]][] = [
    ["", []],
    ["   ", []],
    ["get  a\tb ", ["get", "a", "b"]],
    ['get "my file.txt" dest', ["get", "my file.txt", "dest"]],
    ["get 'my file.txt'", ["get", "my file.txt"]],
    [`get "it's"`, ["get", "it's"]],
    [`get ""`, ["get", ""]],
    ["get it's", ["get", "it's"]],
    ["get /a/b.txt", ["get", "/a/b.txt"]],
  ];
  for (const [line, words] of table) assert.deepEqual(wordsOf(line), words, line);
});

Deno.test("the menu starts with its title and shows every required command", () => {
  const menu = menuText();
  assert.match(menu, /^Command Menu\n/);
  const commands = [
    "list [local|remote] [pattern]",
    "peers",
    "connect <host:port>",
    "get",
    "push <path>",
    "delete [-y] <file_id>",
  ];
  commands.push(
    "restore [file_id|prefix|name]",
    "verify",
    "status",
    "transfers",
    "limit",
    "login",
    "qr [login]",
    "log <",
    "help",
    "exit",
  );
  for (const command of commands) assert.ok(menu.includes(`\n  ${command}`), command);
  assert.deepEqual(COMMAND_NAMES, [
    "list",
    "peers",
    "connect",
    "get",
    "push",
    "delete",
    "restore",
    "verify",
    "status",
    "transfers",
    "limit",
    "login",
    "qr",
    "log",
    "help",
    "exit",
  ]);
});

Deno.test("an empty line gets no answer", async () => {
  assert.equal(await runCommand("", fake()), "");
  assert.equal(await runCommand("  \t ", fake()), "");
});

Deno.test("list shows the full id, owner, size and holders of every file", async () => {
  const text = await runCommand("list", fake({}, [HERE, AWAY]));
  const words = [
    ID,
    "test.png",
    "alice",
    "1.50 kB",
    "us, bob",
    OTHER,
    "away.txt",
    "carol",
    "nobody",
  ];
  for (const word of [...words, "2 files"]) assert.ok(text.includes(word), `${word} in ${text}`);
});

Deno.test("list local shows what is stored here, and list remote what is not", async () => {
  const commands = fake({}, [HERE, AWAY]);
  const local = await runCommand("list local", commands);
  assert.ok(local.includes(ID) && !local.includes(OTHER) && local.includes("1 file"), local);
  const remote = await runCommand("LIST remote", commands);
  assert.ok(!remote.includes(ID) && remote.includes(OTHER), remote);
  assert.match(await runCommand("list", fake()), /No files/);
  assert.match(await runCommand("list local", fake({}, [AWAY])), /No files here/);
});

Deno.test("list with a pattern shows the names that contain it, or match it, in any case", async () => {
  const rows = ["Report-1.pdf", "report-2.txt", "holiday photo.JPG", "local.txt"].map((name) => ({
    ...AWAY,
    file: fileOf({ name }),
  }));
  const list = async (pattern: string) => {
    const text = await runCommand(`list ${pattern}`, fake({}, rows));
    return rows.map(({ file }) => file.name).filter((name) => text.includes(name));
  };
  const table: [string, string[]][] = [
    ["REPORT", ["Report-1.pdf", "report-2.txt"]],
    ["*.pdf", ["Report-1.pdf"]],
    ["report-?.*", ["Report-1.pdf", "report-2.txt"]],
    ["re*t", ["report-2.txt"]],
    ["holiday photo", ["holiday photo.JPG"]],
    ['"holiday photo"', ["holiday photo.JPG"]],
    ["remote .txt", ["report-2.txt", "local.txt"]],
    ["remote local", ["local.txt"]],
    ["*local*", ["local.txt"]],
  ];
  for (const [pattern, names] of table) assert.deepEqual(await list(pattern), names, pattern);
  assert.equal(await runCommand("list x\x1b", fake({}, rows)), 'No file matches "x\\u{1b}"');
  assert.equal(
    await runCommand("list local report", fake({}, rows)),
    'No file stored here matches "report"',
  );
});

Deno.test("patterns match like globs, and take time linear in pattern and name", () => {
  const table: [string, string, boolean][] = [
    ["*", "", true],
    ["?", "", false],
    ["?", "é", true],
    ["a*b*c", "aXXbYYc", true],
    ["a*b*c", "aXXbYY", false],
    ["*a", "banana", true],
    ["*an?", "banana", true],
    ["b[a]*", "banana", false],
    ["**", "x", true],
  ];
  for (const [pattern, name, is] of table) {
    assert.equal(nameMatcher(pattern)(name), is, `${pattern} ${name}`);
  }
  const name = "a".repeat(255);
  assert.equal(nameMatcher(`${"*a".repeat(100)}*b`)(name), false); // a regular expression never returns
});

Deno.test("list fills the terminal and no more, and says how many files are left out and what to do", async () => {
  const rows = Array.from({ length: 100_000 }, (_, i): FileRow => ({
    file: fileOf({
      fileId: i.toString(16).padStart(64, "0"),
      name: `experiment ${i} with a name that is rather long.csv`,
    }),
    held: true,
    holders: ["us", "bob", "carol", "a peer with a long name"],
  }));
  const lines = async (screen: Screen) =>
    (await runCommand("list", fake({ screen: () => screen }, rows))).split("\n");
  for (const columns of [40, 80, 120, 200]) {
    for (const height of [3, 24, 50]) {
      const shown = await lines({ columns, rows: height });
      const files = Math.max(5, height - 4);
      assert.equal(shown.length, files + 2);
      assert.ok(shown.slice(0, -1).every((line) => line.length <= columns), shown.join("\n"));
      const more = (100_000 - files).toLocaleString("en");
      assert.equal(shown.at(-1), `… and ${more} more; narrow with \`list PATTERN\``);
    }
  }
  const [, narrow] = await lines({ columns: 80, rows: 24 });
  assert.match(narrow!, /^0{12} {2}experiment 0 .*… +alice +~2\.10 MB +here +us, bob, ca…$/);
  const [, wide] = await lines({ columns: 220, rows: 24 });
  assert.match(wide!, /^0{64} {2}.*a peer with a long name$/, "whole ids where they fit");
  const plain = (await runCommand("list", fake({}, rows))).split("\n");
  assert.deepEqual([plain.length, listLimit(undefined)], [202, 200]);
  assert.match(plain.at(-1)!, /^… and 99,800 more/);
  const few = await runCommand("list", fake({ screen: () => ({ columns: 80, rows: 24 }) }, [HERE]));
  assert.match(few, /\n1 file$/);
});

Deno.test("list shows the SHA-256 of files: in the table where it fits, otherwise of a few below it", async () => {
  const sha256 = "ab".repeat(32);
  const row = { ...HERE, file: { ...HERE.file, sha256 } };
  const list = async (columns: number | undefined, ...rows: FileRow[]) => {
    const screen = () => columns === undefined ? undefined : { columns, rows: 24 };
    return (await runCommand("list", fake({ screen }, rows))).split("\n");
  };
  for (const columns of [undefined, 220]) {
    const [head, first, second, last] = await list(columns, row, HERE);
    assert.match(head!, / {2}holders +sha256$/);
    assert.match(first!, new RegExp(`  us, bob +${sha256}$`));
    assert.match(second!, / {2}us, bob +-$/);
    assert.equal(last, "2 files");
  }
  const narrow = await list(80, row, HERE);
  assert.deepEqual(narrow.slice(3), [
    "SHA-256, as sha256sum prints it:",
    `${sha256}  ${row.file.name}`,
    "2 files",
  ]);
  const many = await list(80, row, row, row, row);
  assert.equal(many.length, 6, "no space for them");
  assert.doesNotMatch((await list(220, HERE)).join("\n"), /sha256/i, "nobody said anything");
});

Deno.test("peers shows each live peer, its address, and when it was last heard", async () => {
  const rows = [PEER, {
    ...PEER,
    peerId: "boot",
    bootstrap: true,
    extended: false,
    note: "a note",
  }];
  const text = await runCommand("peers", fake({}, [], rows));
  const words = [
    "bob",
    "10.0.0.7:8115",
    "4 s ago",
    "boot",
    "bootstrap",
    "legacy",
    "a note",
    "2 peers",
  ];
  for (const word of words) assert.ok(text.includes(word), `${word} in ${text}`);
  assert.match(await runCommand("peers", fake()), /No peers/);
});

Deno.test("get passes on what was typed, whether prefix, name or id, and the destination", async () => {
  const commands = fake();
  await runCommand("get 0123", commands);
  await runCommand('get "my file.txt" /tmp/x', commands);
  await runCommand(`GET ${ID}`, commands);
  assert.deepEqual(commands.calls, [
    ["get", "0123", undefined],
    ["get", "my file.txt", "/tmp/x"],
    ["get", ID, undefined],
  ]);
  assert.match(await runCommand("get", commands), /^Usage: get /);
  assert.equal(commands.calls.length, 3);
});

Deno.test("get with too many words downloads nothing, and says how to type names with spaces", async () => {
  const commands = fake();
  assert.match(
    await runCommand("get my holiday photos.zip", commands),
    /put quotes around names with spaces/,
  );
  assert.deepEqual(commands.calls, []);
});

Deno.test("get says which file is stored here, whether it already was, and where the copy is", async () => {
  const answer = (source: string, path?: string) =>
    runCommand("get x", fake({ get: () => Promise.resolve({ source, path, name: "test.png" }) }));
  assert.match(await answer("bob"), /^test\.png is now stored here$/);
  assert.match(await answer(""), /^test\.png is already stored here$/);
  assert.match(await answer("bob", "/tmp/x"), /copied to \/tmp\/x$/);
});

Deno.test("push takes a path with spaces, quoted or not", async () => {
  const commands = fake();
  assert.equal(await runCommand("push /a/b.txt", commands), `Shared test.png as ${ID}`);
  await runCommand("push my file.txt", commands);
  await runCommand('push "my  file.txt"', commands);
  assert.deepEqual(commands.calls, [
    ["push", "/a/b.txt"],
    ["push", "my file.txt"],
    ["push", "my  file.txt"],
  ]);
  assert.match(await runCommand("push", commands), /^Usage: push /);
});

Deno.test("push takes the path as typed: trailing spaces count only when quoted or escaped", async () => {
  for (
    const [line, path] of [
      ["push a.txt ", "a.txt"],
      ['push "a.txt "', "a.txt "],
      ["push 'a.txt '", "a.txt "],
      ["push  two  spaces.txt", "two  spaces.txt"],
      ["push my\\ file.txt", "my file.txt"],
      ["push end\\ ", "end "],
      ['push say "hi".txt', 'say "hi".txt'],
    ]
  ) {
    const commands = fake();
    await runCommand(line!, commands);
    assert.deepEqual(commands.calls, [["push", path]], line);
  }
});

Deno.test("push of a file that is already shared says so", async () => {
  const commands = fake({ push: () => Promise.resolve({ file: fileOf(), isNew: false }) });
  assert.match(await runCommand("push a.txt", commands), /^test\.png is already shared/);
});

Deno.test("delete removes our own files everywhere and other peers' files here only, and says so", async () => {
  assert.match(await runCommand(`delete ${ID}`, fake()), /^Deleted test\.png: 3 peers notified\./);
  const everywhere = ["test.png"];
  const some = fake({
    delete: () => Promise.resolve({ ...DELETED, everywhere, reached: 1, left: 2 }),
  });
  assert.match(
    await runCommand(`delete ${ID}`, some),
    /^Deleted test\.png: 1 peer notified, 2 not reached yet and notified once they are\./,
  );
  const nobody = fake({
    delete: () => Promise.resolve({ ...DELETED, everywhere }),
  });
  assert.match(await runCommand(`delete ${ID}`, nobody), /there are no other peers to notify/);
  const commands = fake({
    delete: () => Promise.resolve({ ...DELETED, here: ["test.png"] }),
  });
  const text = await runCommand(`delete ${ID}`, commands);
  assert.match(text, /only/);
  assert.match(text, /another peer owns it/);
  assert.ok(!text.includes("everywhere"));
  assert.match(await runCommand("delete", commands), /^Usage: delete /);
});

Deno.test("delete takes several files, and says how long peers that take one at a time need", async () => {
  const many = fake({
    delete: (what) => {
      assert.deepEqual(what, [ID, "b c"]);
      return Promise.resolve({
        ...DELETED,
        everywhere: new Array(100_000).fill("x"),
        here: ["theirs", "too"],
        reached: 12,
        slow: 2,
        slowMs: 2_000 * 60_000,
      });
    },
  });
  assert.equal(
    await runCommand(`delete ${ID} "b c"`, many),
    "Deleted 100000 files: 12 peers notified, 2 without batch deletes notified at 50 files a minute, " +
      'within about 33 h. "restore" brings them back within 24 hours\n' +
      "Deleted only our copies of 2 files: other peers own them. No peer was notified, and they will not be downloaded again automatically",
  );
});

Deno.test("restore names the file it restored", async () => {
  const commands = fake();
  assert.equal(await runCommand(`restore ${ID}`, commands), "Restored test.png");
  assert.deepEqual(commands.calls, [["restore", ID]]);
  assert.equal(await runCommand("restore my file.txt", commands), "Restored test.png");
  assert.deepEqual(commands.calls[1], ["restore", "my file.txt"]);
});

Deno.test("restore without an argument shows what can be restored, and how", async () => {
  const lines = (await runCommand("restore", fake())).split("\n");
  assert.match(lines[1]!, new RegExp(`^${ID} +test\\.png +5 B +5 min ago$`));
  assert.match(lines[2]!, /^To restore one, type: restore /);
  const empty = fake({ deleted: () => Promise.resolve({ rows: [], total: 0 }) });
  assert.match(await runCommand("restore", empty), /^No files were deleted here/);
  const many = fake({
    screen: () => ({ columns: 60, rows: 10 }),
    deleted: (limit) => {
      const row = { file: fileOf(), sizeBytes: 5, secondsAgo: 300 };
      return Promise.resolve({ rows: Array(limit).fill(row), total: 50_000 });
    },
  });
  const shown = (await runCommand("restore", many)).split("\n");
  assert.equal(shown.length, 1 + 6 + 2);
  assert.ok(shown.every((line) => line.length <= 60), shown.join("\n"));
  assert.match(shown[1]!, /^0123456789ab {2}test\.png/);
  assert.equal(shown.at(-2), "… and 49,994 more");
});

Deno.test("verify says how many files are good, which are damaged, where those are kept, and what happens next", async () => {
  assert.equal(await runCommand("verify", fake()), "3 files verified, none damaged");
  const damaged = [
    { file: fileOf({ name: "a\x1b.png" }), keptAt: "/store/damaged/1-a.png", isFetched: true },
    {
      file: fileOf({ name: "b.png", fileId: OTHER }),
      keptAt: "/store/damaged/2-b.png",
      isFetched: false,
    },
  ];
  const verify = () => Promise.resolve({ good: 1, damaged, gone: 2, unread: [] });
  const lines = (await runCommand("verify", fake({ verify }))).split("\n");
  assert.equal(lines.length, 4);
  assert.match(lines[0]!, /^a\\u\{1b\}\.png .*no longer shared; downloading it again.*\/1-a\.png$/);
  assert.match(lines[1]!, /downloaded again once a peer has it.*\/2-b\.png$/);
  assert.deepEqual(lines.slice(2), [
    "2 files changed or disappeared during verification",
    "1 file verified, 2 damaged",
  ]);
});

Deno.test("verify names the first few files that it could not read, and says what to do", async () => {
  const unread = Array.from({ length: 7 }, (_, i) => ({
    file: fileOf({ name: `${i}\x1b.png` }),
    why: "Cannot read it: too many open files",
  }));
  const verify = () => Promise.resolve({ good: 2, damaged: [], gone: 0, unread });
  const lines = (await runCommand("verify", fake({ verify }))).split("\n");
  assert.equal(lines[0], "Could not verify 0\\u{1b}.png: Cannot read it: too many open files");
  assert.deepEqual(lines.slice(5), [
    `7 files could not be verified; type "verify" to try again`,
    "2 files verified, none damaged",
  ]);
});

Deno.test("stats shows the figures in aligned rows", async () => {
  const lines = (await runCommand("stats", fake())).split("\n");
  assert.equal(lines.length, 2);
  const columns = lines.map((line) => /^ *(\w+) +/.exec(line)![0].length);
  assert.equal(columns[0], columns[1], JSON.stringify(lines));
});

Deno.test("log accepts a level in any case, and lists the levels", async () => {
  const commands = fake();
  assert.match(await runCommand("log debug", commands), /DEBUG/);
  assert.match(await runCommand("log loud", commands), /trace\|debug\|info\|warning\|error\|fatal/);
  assert.equal(await runCommand("log", commands), "The log level is INFO");
  assert.deepEqual(commands.calls, [["setLogLevel", "DEBUG"]]);
});

Deno.test("exit stops the peer, help does not", async () => {
  const commands = fake();
  assert.equal(await runCommand("help", commands), menuText());
  assert.deepEqual(commands.calls, []);
  await runCommand("exit", commands);
  assert.deepEqual(commands.calls, [["exit"]]);
});

Deno.test("an unknown command is answered with a suggestion, in sentences", async () => {
  assert.match(
    await runCommand("delte x", fake()),
    /Unknown command "delte"\. Did you mean "delete"\?/,
  );
  assert.match(await runCommand("PEERZ", fake()), /"peers"/);
  const strange = await runCommand("xyzzy", fake());
  assert.match(strange, /^Unknown command "xyzzy"[.;,] /);
  assert.match(strange, /"help"/);
  for (const name of ["constructor", "__proto__", "toString"]) {
    assert.match(await runCommand(name, fake()), /^Unknown command/);
  }
});

Deno.test("an error is answered with one line, never an exception", async () => {
  const failing = fake({
    get: () => Promise.reject(new Error("No file with this id is known\nat line 5")),
    delete: () => {
      throw new Error("The file is not here");
    },
    files: () => {
      throw "a string";
    },
  });
  assert.equal(await runCommand("get x", failing), "No file with this id is known\\u{a}at line 5");
  assert.equal(await runCommand("delete x", failing), "The file is not here");
  assert.equal(await runCommand("list", failing), "a string");
});

Deno.test("control characters from the network are escaped in every answer", async () => {
  const evil = "evil\u001b[2J\u0007\r\u202e";
  const file = fileOf({ name: evil, owner: evil });
  const rows = [{ file, held: false, holders: [evil] }];
  const peers = [{ ...PEER, peerId: evil, address: evil, note: evil }];
  const commands = fake(
    {
      get: () => Promise.resolve({ source: evil, path: evil, name: evil }),
      push: () => Promise.resolve({ file, isNew: true }),
      delete: () => Promise.resolve({ ...DELETED, here: [evil], everywhere: [evil] }),
      restore: () => Promise.resolve(file),
      stats: () => [["refused", evil]],
    },
    rows,
    peers,
  );
  const lines = ["list", "peers", "get x", "push x", "delete x", "restore x", "stats", `${evil}`];
  for (const line of lines) {
    const text = await runCommand(line, commands);
    assert.ok(
      !/[\p{Cc}\p{Cf}]/u.test(text.replaceAll("\n", "")),
      `${line}: ${JSON.stringify(text)}`,
    );
    assert.ok(text.includes("evil"), line);
  }
});

Deno.test("limit shows how fast content moves at most, and sets it; anything else is answered with what to type", async () => {
  const commands = fake();
  const shown = "  received from peers  at most 2.00 MB/s\n  sent to peers        no limit";
  assert.equal(await runCommand("limit", commands), shown);
  assert.equal(await runCommand("limit up", commands), shown);
  assert.deepEqual(commands.calls, []);
  assert.equal(await runCommand("limit down 2MiB", commands), shown);
  await runCommand("limit up off", commands);
  await runCommand("limit up 0", commands);
  assert.deepEqual(commands.calls, [
    ["setLimit", "down", 2 * 1024 ** 2],
    ["setLimit", "up", 0],
    ["setLimit", "up", 0],
  ]);
  for (const line of ["limit sideways", "limit down 1 MiB", "limit 5MiB"]) {
    assert.match(await runCommand(line, commands), /^Usage: limit /, line);
  }
  assert.match(await runCommand("limit down fast", commands), /^A limit must be a size such as/);
  assert.match(await runCommand("limit down 5", commands), /^A limit must be 0 .* at least 10KiB/);
  assert.equal(commands.calls.length, 3);
});

Deno.test("get shows how far it is, in a line as wide as the terminal, and removes the line at the end", async () => {
  const shown: (string | undefined)[] = [];
  const commands = fake({
    screen: () => ({ columns: 60, rows: 24 }),
    get: (_what, _destination, onProgress) => {
      const progress = { name: "a.zip", doneBytes: 5, totalBytes: 10, bytesPerSecond: 1 };
      onProgress({ ...progress, sources: 1 });
      onProgress(undefined);
      return Promise.resolve({ source: "bob", path: undefined, name: "a.zip" });
    },
  });
  await runCommand("get a.zip", commands, () => {}, (line) => shown.push(line));
  assert.equal(shown.length, 2);
  assert.match(shown[0]!, /^a\.zip \[#+-+\] 50 % · 1 B\/s · 5 s left · Ctrl-C cancels$/);
  assert.ok(shown[0]!.length <= 60);
  assert.equal(shown[1], undefined);
});
