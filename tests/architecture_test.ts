// Holds the house to its plan (CONTRIBUTING.md): imports point one way, and the files that decide are pure:
// no clock, no chance, no waiting, no I/O. Reads the sources as text.

import assert from "node:assert/strict";

const root = new URL("../", import.meta.url);

/** Which rooms a room may import from, besides itself and npm packages. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  storage: ["protocol"],
  web: ["protocol"],
  cli: ["protocol"],
  moving: [],
  node: ["moving", "protocol", "transfers"],
  transfers: ["moving", "protocol"],
  requests: ["node", "protocol", "storage"],
  timers: [],
  looking: ["timers"],
  service: ["looking", "moving", "node", "protocol", "requests", "storage", "timers"],
  view: ["cli", "moving", "protocol", "requests", "service", "storage", "web"],
  face: ["cli", "protocol"],
  listening: ["cli", "protocol"],
  door: ["protocol"],
  session: [
    "cli",
    "door",
    "face",
    "listening",
    "node",
    "protocol",
    "service",
    "storage",
    "view",
    "web",
  ],
  main: ["cli", "session", "storage"],
};

/** The files that may touch the system; all others in protocol/ and storage/ that are listed as pure may not. */
const PROTOCOL_IO = ["tcp.ts", "connection.ts", "dialer.ts", "exchange.ts"];
const STORAGE_PURE = ["metadata.ts", "names.ts", "candidates.ts", "ownids.ts"];

interface Source {
  readonly path: string;
  readonly text: string;
}

async function* sources(): AsyncIterable<Source> {
  for (
    const folder of [
      "",
      "protocol/",
      "storage/",
      "web/",
      "web/api/",
      "web/page/",
      "web/browser/",
      "view/",
      "door/",
      "cli/",
    ]
  ) {
    for await (const { name, isFile } of Deno.readDir(new URL(folder, root))) {
      // The script of `deno task bundle` stands beside main.ts.
      if (!isFile || !/\.(ts|tsx|js)$/.test(name) || name === "p2p-peer.js") continue;
      const path = folder + name;
      yield { path, text: await Deno.readTextFile(new URL(path, root)) };
    }
  }
}

/** Code without comments and strings, so that words in prose do not count. */
function codeOf(text: string): string {
  return text
    .replaceAll(/\/\*[\s\S]*?\*\//g, "")
    .replaceAll(/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'/g, '""')
    .replaceAll(/\/\/.*$/gm, "");
}

const roomOf = (path: string) => path.split("/")[0]!.replace(/\.tsx?$/, "");

function importsOf(text: string): string[] {
  return [...text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map((match) => match[1]!);
}

Deno.test("Imports point one way through the house", async () => {
  const wrong: string[] = [];
  for await (const { path, text } of sources()) {
    const room = roomOf(path);
    const allowed = ARROWS[room];
    assert.ok(allowed, `${path} is in no room of the plan; add it to ARROWS and CONTRIBUTING.md`);
    for (const target of importsOf(text)) {
      if (!target.startsWith(".")) continue;
      const reached = new URL(target, new URL(path, root)).href.slice(root.href.length);
      const targetRoom = roomOf(reached);
      if (targetRoom !== room && !allowed.includes(targetRoom)) wrong.push(`${path} -> ${reached}`);
    }
  }
  assert.deepEqual(wrong, []);
});

Deno.test("Nothing is imported from registries that closed networks cannot reach", async () => {
  const config = JSON.parse(await Deno.readTextFile(new URL("deno.json", root)));
  const targets = Object.values<string>(config.imports);
  for await (const { text } of sources()) targets.push(...importsOf(text));
  assert.deepEqual(targets.filter((target) => /^(jsr:|https?:)/.test(target)), []);
  for (const target of Object.values<string>(config.imports)) {
    assert.match(target, /^npm:.+@\d+\.\d+\.\d+$/, "Dependencies are pinned");
  }
  const browser = JSON.parse(await Deno.readTextFile(new URL("web/browser/deno.json", root)));
  for (const [name, target] of Object.entries(browser.imports)) {
    assert.equal(target, config.imports[name], `${name} is checked in the version that is served`);
  }
});

Deno.test("The executable has in it what the program needs, in the versions that are tested, and no tools of tests", async () => {
  const read = async (name: string) => JSON.parse(await Deno.readTextFile(new URL(name, root)));
  const [all, shipped] = [(await read("deno.lock")).npm, (await read("main.lock")).npm];
  for (const [name, { integrity }] of Object.entries<{ integrity: string }>(shipped)) {
    assert.equal(all[name]?.integrity, integrity, `${name}: run "deno task lock"`);
  }
  const names = Object.keys(shipped).join();
  assert.match(names, /\bhono@/);
  assert.doesNotMatch(names, /playwright|axe-core|fast-check|jsqr/);
});

Deno.test("The files that decide are pure", async () => {
  const impure =
    /\b(Deno\.|Date\.now|new Date\(\)|Math\.random|performance\.|crypto\.|setTimeout|setInterval|console\.|fetch\(|process\.)|\basync\b|\bawait\b|\bPromise\b/;
  const wrong: string[] = [];
  let checked = 0;
  for await (const { path, text } of sources()) {
    const [room, name] = path.split("/");
    const isPure = room === "protocol"
      ? !PROTOCOL_IO.includes(name!)
      : room === "storage" && STORAGE_PURE.includes(name!);
    if (!isPure) continue;
    checked++;
    assert.match(text, /PURE/, `${path} says in its first lines that it is pure`);
    const nodeImports = importsOf(text).filter((target) => target.startsWith("node:"));
    if (nodeImports.length > 0) wrong.push(`${path}: ${nodeImports}`);
    codeOf(text).split("\n").forEach((line, index) => {
      const found = impure.exec(line);
      if (found) wrong.push(`${path}:${index + 1}: ${found[0]}`);
    });
  }
  assert.deepEqual(wrong, []);
  assert.ok(checked > 15, "The pure files were found");
});

Deno.test("Only two files touch TCP sockets: one listens, one dials", async () => {
  const found: string[] = [];
  for await (const { path, text } of sources()) {
    // listening.ts only tries which ports are free, http/upstream.ts only connects to its own Unix socket.
    const isOther = path === "listening.ts" || path === "http/upstream.ts";
    if (/Deno\.(connect|listen)\b|\.accept\(\)/.test(codeOf(text)) && !isOther) {
      found.push(path);
    }
  }
  assert.deepEqual(found.sort(), ["net/dialer.ts", "net/listener.ts"]);
});

Deno.test("Nothing that the program loads asks Intl, whose tables cost it 6 MB of memory", async () => {
  const texts = new Map<string, string>();
  for await (const { path, text } of sources()) texts.set(path, text);
  // Browser code is sent, not run, but for the modules that the program shares with it.
  const shared = new Set<string>();
  const share = (from: string) => {
    for (const target of importsOf(texts.get(from)!)) {
      if (!/^\.\.?\/.*\.js$/.test(target)) continue;
      const reached = new URL(target, new URL(from, root)).href.slice(root.href.length);
      if (from === "web/assets.ts" || shared.has(reached)) continue;
      shared.add(reached);
      share(reached);
    }
  };
  for (const path of texts.keys()) if (!path.startsWith("web/browser/")) share(path);
  assert.ok(shared.has("web/shared/words.js"));
  for (const [path, text] of texts) {
    if (path.startsWith("web/browser/") && !shared.has(path)) continue;
    const asked = codeOf(text).match(/\bIntl\.|\.toLocale\w*\(|\.localeCompare\(/g) ?? [];
    // The one date in the reader's own form is made by the first who asks, and the program never does.
    assert.deepEqual(asked, path === "web/shared/words.js" ? ["Intl."] : [], path);
  }
  assert.match(texts.get("web/shared/words.js")!, /^ {2}exact \?\?= new Intl\.DateTimeFormat/m);
});

Deno.test("Every file says in its first lines what it is for", async () => {
  for await (const { path, text } of sources()) {
    const lines = text.split("\n");
    const opening = lines.findIndex((line) => !line.startsWith("//"));
    assert.ok(
      opening >= 1 && opening <= 16,
      `${path} opens with 2 to 12 lines of comment, has ${opening}`,
    );
  }
});

Deno.test("Permissions are defined once, and only what must may run processes", async () => {
  const { tasks, permissions } = JSON.parse(await Deno.readTextFile(new URL("deno.json", root)));
  const program = {
    net: true,
    read: true,
    write: true,
    env: true,
    sys: ["hostname", "networkInterfaces", "statfs"],
  };
  assert.deepEqual(permissions.default, program);
  assert.deepEqual(Object.keys(permissions), ["default", "tests"]);
  const mayRun = ["test", "bench", "soak", "fuzz", "sim"];
  for (const [name, command] of Object.entries<string>(tasks)) {
    assert.doesNotMatch(command, /--allow|-A\b/, name);
    assert.equal(/-P=tests\b/.test(command), mayRun.includes(name), name);
  }
  const flags = "--v8-flags=--max-semi-space-size=2,--no-opt,--no-concurrent-recompilation"; // docs/BENCHMARKS.md says why
  for (const name of ["start", "dev", "dummy", "compile"]) {
    const words = (tasks[name] as string).split(" ").filter((word) =>
      /^(-P|--v8-flags)/.test(word)
    );
    assert.deepEqual(words, [flags, "-P"], name);
  }
});

/** Modules that name the runtime. Another one would have to provide what they use; CONTRIBUTING.md lists it. */
const USES_DENO = [
  "cli/host.ts",
  "http/upstream.ts",
  "http/gateway.ts",
  "face.ts",
  "listening.ts",
  "looking.ts",
  "main.ts",
  "net/connection.ts",
  "net/dialer.ts",
  "net/exchange.ts",
  "net/listener.ts",
  "requests.ts",
  "session.ts",
  "storage/atomic.ts",
  "storage/errors.ts",
  "storage/identity.ts",
  "storage/intake.ts",
  "storage/journal.ts",
  "storage/layout.ts",
  "storage/leftovers.ts",
  "storage/looks.ts",
  "storage/placing.ts",
  "storage/reader.ts",
  "storage/reconcile.ts",
  "storage/removals.ts",
  "storage/snapshots.ts",
  "storage/store.ts",
  "storage/trash.ts",
  "app/prompt_commands.ts",
  "app/status.ts",
];

Deno.test("Only these modules name Deno, so that another runtime has to replace nothing else", async () => {
  const found: string[] = [];
  for await (const { path, text } of sources()) {
    const code = text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$|\s\/\/ .*$/gm, "").replace(
      /`[^`]*`/g,
      "``",
    );
    if (/\bDeno\./.test(code)) found.push(path);
  }
  assert.deepEqual(found.sort(), USES_DENO);
});
