// Enforces the rules in CONTRIBUTING.md by reading the sources as text: imports point one way, and the files that
// make decisions are pure (no clock, randomness, waiting, or I/O).

import assert from "node:assert/strict";

const root = new URL("../", import.meta.url);

/** Modules that each module may import, besides itself and npm packages. A trailing slash means a folder's own files. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  "protocol/": ["protocol/wire", "protocol/bounds", "protocol/members", "protocol/files"],
  "protocol/wire": ["protocol/"],
  "protocol/bounds": ["protocol/wire"],
  "protocol/members": ["protocol/", "protocol/wire", "protocol/bounds"],
  "protocol/files": ["protocol/", "protocol/wire", "protocol/bounds", "protocol/members"],
  net: ["protocol/", "protocol/wire"],
  node: ["net", "protocol/", "protocol/wire", "protocol/bounds"],
  storage: ["protocol/", "protocol/wire"],
  http: ["net", "protocol/", "protocol/wire"],
  cli: ["net", "protocol/", "protocol/wire"],
  "web/": [
    "web/api",
    "web/page",
    "web/browser",
    "web/shared",
    "web/style",
    "protocol/",
    "protocol/wire",
    "protocol/bounds",
    "release",
  ],
  "web/api": ["web/", "protocol/wire"],
  "web/page": ["web/", "web/api", "web/shared", "protocol/wire"],
  "web/browser": ["web/shared"],
  "web/shared": [],
  release: ["cli", "protocol/wire"],
  app: [
    "cli",
    "client",
    "http",
    "net",
    "node",
    "protocol/",
    "protocol/bounds",
    "protocol/files",
    "protocol/members",
    "protocol/wire",
    "release",
    "storage",
    "web/",
  ],
  client: ["cli", "protocol/wire", "release", "storage"],
  main: ["app", "cli", "client", "storage"],
};

/** Pure files outside `protocol/`. Everything in `protocol/` must be pure, without exception. */
const PURE_ELSEWHERE = [
  "app/newest_files.ts",
  "net/admission.ts",
  "net/dial_queue.ts",
  "release/platform.ts",
  "storage/candidates.ts",
  "storage/metadata.ts",
  "storage/names.ts",
  "storage/ownids.ts",
  "web/exposition_text.ts",
  "web/file_columns.ts",
  "web/file_index.ts",
  "web/file_order.ts",
  "web/file_rules.ts",
  "web/file_search.ts",
  "web/risk_sample.ts",
];

interface Source {
  readonly path: string;
  readonly text: string;
}

const MODULES = [
  "app",
  "cli",
  "client",
  "http",
  "net",
  "node",
  "protocol",
  "release",
  "storage",
  "web",
];

async function* sources(folder = ""): AsyncIterable<Source> {
  for await (const { name, isFile } of Deno.readDir(new URL(folder, root))) {
    const path = folder + name;
    if (!isFile) {
      if (folder !== "" || MODULES.includes(name)) yield* sources(`${path}/`);
    } else if (/(?<!\.d)\.(ts|tsx|js)$/.test(name) && name !== "p2p-peer.js") {
      // (The script of `deno task bundle` is written next to main.ts.)
      yield { path, text: await Deno.readTextFile(new URL(path, root)) };
    }
  }
}

/** Returns the code without comments and strings, so that words in prose do not count. */
function codeOf(text: string): string {
  return text
    .replaceAll(/\/\*[\s\S]*?\*\//g, "")
    .replaceAll(/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'/g, '""')
    .replaceAll(/\/\/.*$/gm, "");
}

/** Returns a file's module: `net`, `protocol/wire`, `main`, or `protocol/` for a file directly in that folder. */
function moduleOf(path: string): string {
  const [top, second, third] = path.split("/");
  if (second === undefined) return top!.replace(/\.tsx?$/, "");
  if (top !== "protocol" && top !== "web") return top!;
  return third === undefined ? `${top}/` : `${top}/${second}`;
}

function importsOf(text: string): string[] {
  return [...text.matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g)].map((match) => match[1]!);
}

Deno.test("imports point one way", async () => {
  const wrong: string[] = [];
  const used = new Map<string, Set<string>>();
  for await (const { path, text } of sources()) {
    const module = moduleOf(path);
    const allowed = ARROWS[module];
    assert.ok(
      allowed,
      `${path} belongs to no known module. Add its module to ARROWS and CONTRIBUTING.md`,
    );
    for (const target of importsOf(text)) {
      if (!target.startsWith(".")) continue;
      const reached = new URL(target, new URL(path, root)).href.slice(root.href.length);
      const targetModule = moduleOf(reached);
      if (targetModule === module) continue;
      used.set(module, (used.get(module) ?? new Set()).add(targetModule));
      if (!allowed.includes(targetModule)) wrong.push(`${path} -> ${reached}`);
    }
  }
  assert.deepEqual(wrong, []);
  const unused = Object.entries(ARROWS).flatMap(([module, targets]) =>
    targets.filter((target) => !used.get(module)?.has(target)).map((to) => `${module} -> ${to}`)
  );
  assert.deepEqual(unused, [], "Remove import rules that no file needs");
});

Deno.test("no module imports itself indirectly", async () => {
  const imports = new Map<string, string[]>();
  for await (const { path, text } of sources()) {
    const targets = importsOf(text).filter((target) => target.startsWith("."));
    const reached = targets.map((target) => new URL(target, new URL(path, root)).href);
    imports.set(path, reached.map((href) => href.slice(root.href.length)));
  }
  const done = new Set<string>();
  const visit = (path: string, above: readonly string[]): string[] | undefined => {
    const from = above.indexOf(path);
    if (from >= 0) return [...above.slice(from), path];
    if (done.has(path)) return undefined;
    for (const target of imports.get(path) ?? []) {
      const cycle = visit(target, [...above, path]);
      if (cycle) return cycle;
    }
    done.add(path);
  };
  for (const path of imports.keys()) assert.deepEqual(visit(path, []), undefined);
});

Deno.test("nothing is imported from registries that restricted networks cannot reach", async () => {
  const config = JSON.parse(await Deno.readTextFile(new URL("deno.json", root)));
  const targets = Object.values<string>(config.imports);
  for await (const { text } of sources()) targets.push(...importsOf(text));
  assert.deepEqual(targets.filter((target) => /^(jsr:|https?:)/.test(target)), []);
  for (const target of Object.values<string>(config.imports)) {
    assert.match(target, /^npm:.+@\d+\.\d+\.\d+$/, "Dependencies must be pinned");
  }
  const browser = JSON.parse(await Deno.readTextFile(new URL("web/browser/deno.json", root)));
  for (const [name, target] of Object.entries(browser.imports)) {
    assert.equal(
      target,
      config.imports[name],
      `${name} must be type-checked in the version that is served`,
    );
  }
});

Deno.test("the executable contains what the program needs, in the tested versions, and no test tools", async () => {
  const read = async (name: string) => JSON.parse(await Deno.readTextFile(new URL(name, root)));
  const [all, shipped] = [(await read("deno.lock")).npm, (await read("main.lock")).npm];
  for (const [name, { integrity }] of Object.entries<{ integrity: string }>(shipped)) {
    assert.equal(all[name]?.integrity, integrity, `${name}: run "deno task lock"`);
  }
  const names = Object.keys(shipped).join();
  assert.match(names, /\bhono@/);
  assert.doesNotMatch(names, /playwright|axe-core|fast-check|jsqr/);
});

Deno.test("protocol/ is pure throughout, and so are the listed files elsewhere", async () => {
  const impure =
    /\b(Deno\.|Date\.now|new Date\(\)|Math\.random|performance\.|crypto\.|setTimeout|setInterval|console\.|fetch\(|process\.)|\basync\b|\bawait\b|\bPromise\b/;
  const wrong: string[] = [];
  const found = new Set<string>();
  for await (const { path, text } of sources()) {
    if (!path.startsWith("protocol/") && !PURE_ELSEWHERE.includes(path)) continue;
    found.add(path);
    assert.match(text, /PURE/, `${path} must say PURE in its opening comment`);
    const nodeImports = importsOf(text).filter((target) => target.startsWith("node:"));
    if (nodeImports.length > 0) wrong.push(`${path}: ${nodeImports}`);
    codeOf(text).split("\n").forEach((line, index) => {
      const match = impure.exec(line);
      if (match) wrong.push(`${path}:${index + 1}: ${match[0]}`);
    });
  }
  assert.deepEqual(wrong, []);
  for (const path of PURE_ELSEWHERE) assert.ok(found.has(path), path);
  assert.ok(found.size > 25, "Too few files found in protocol/");
});

Deno.test("only two files open TCP sockets of the lab protocol: one listens, one dials", async () => {
  const found: string[] = [];
  for await (const { path, text } of sources()) {
    // app/addresses.ts only probes for free ports, http/upstream.ts only connects to its own Unix socket, and
    // net/turns.ts to itself.
    const isOther = ["app/addresses.ts", "http/upstream.ts", "net/turns.ts"].includes(path);
    if (/Deno\.(connect|listen)\b|\.accept\(\)/.test(codeOf(text)) && !isOther) {
      found.push(path);
    }
  }
  assert.deepEqual(found.sort(), ["net/dialer.ts", "net/listener.ts"]);
});

Deno.test("nothing that the program loads uses Intl, whose tables cost 6 MB of memory", async () => {
  const texts = new Map<string, string>();
  for await (const { path, text } of sources()) texts.set(path, text);
  // Browser code is served, not run, except for the modules that the program shares with it.
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
  const isSent = (path: string) => /^web\/(browser|shared)\//.test(path);
  for (const path of texts.keys()) if (!isSent(path)) share(path);
  assert.ok(shared.has("web/shared/words.js"));
  for (const [path, text] of texts) {
    if (isSent(path) && !shared.has(path)) continue;
    const asked = codeOf(text).match(/\bIntl\.|\.toLocale\w*\(|\.localeCompare\(/g) ?? [];
    // The one locale-specific date formatter is created on first use, and the program never uses it.
    assert.deepEqual(asked, path === "web/shared/words.js" ? ["Intl."] : [], path);
  }
  assert.match(texts.get("web/shared/words.js")!, /^ {2}exact \?\?= new Intl\.DateTimeFormat/m);
});

Deno.test("every file opens with a comment that says what it is for", async () => {
  for await (const { path, text } of sources()) {
    const lines = text.split("\n");
    const opening = lines.findIndex((line) => !line.startsWith("//"));
    assert.ok(
      opening >= 1 && opening <= 16,
      `${path} must open with 2 to 12 lines of comment, but has ${opening}`,
    );
  }
});

Deno.test("permissions are defined once, and only commands that need it may run processes", async () => {
  const { tasks, permissions } = JSON.parse(await Deno.readTextFile(new URL("deno.json", root)));
  const program = {
    net: true,
    read: true,
    write: true,
    env: true,
    sys: ["hostname", "networkInterfaces", "statfs", "osUptime"],
  };
  assert.deepEqual(permissions.default, program);
  // An update starts the new executable to see whether it starts. main.ts gives that right up for everything else.
  assert.deepEqual(permissions.executable, { ...program, run: true });
  assert.deepEqual(Object.keys(permissions), ["default", "executable", "tests"]);
  const mayRun = [
    "test",
    "test:compiled",
    "bench",
    "soak",
    "fuzz",
    "sim",
    "sim:large",
    "kills",
    "kills:download",
    "compile:all",
    "release:sign",
    "release:key",
  ];
  for (const [name, command] of Object.entries<string>(tasks)) {
    assert.doesNotMatch(command, /--allow|-A\b/, name);
    assert.equal(/-P=tests\b/.test(command), mayRun.includes(name), name);
  }
  const flags =
    "--v8-flags=--max-semi-space-size=2,--no-opt,--no-concurrent-recompilation,--heap-growing-percent=30"; // docs/BENCHMARKS.md says why
  for (const name of ["start", "dev", "dummy", "compile"]) {
    const words = (tasks[name] as string).split(" ").filter((word) =>
      /^(-P|--v8-flags)/.test(word)
    );
    assert.deepEqual(words, [flags, name === "compile" ? "-P=executable" : "-P"], name);
  }
});

/** Modules that refer to Deno. Another runtime would have to replace what they use, which CONTRIBUTING.md lists. */
const USES_DENO = ["app", "cli", "client", "http", "main", "net", "release", "storage"];

Deno.test("only the listed modules refer to Deno, so that another runtime needs to replace nothing else", async () => {
  const found = new Set<string>();
  for await (const { path, text } of sources()) {
    const code = text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$|\s\/\/ .*$/gm, "").replace(
      /`[^`]*`/g,
      "``",
    );
    if (/\bDeno\./.test(code)) found.add(moduleOf(path));
  }
  assert.deepEqual([...found].sort(), USES_DENO);
});

Deno.test("the lock of the executable names every package of deno.json, or compiling it stops", async () => {
  const read = async (name: string) => JSON.parse(await Deno.readTextFile(new URL(name, root)));
  const { imports } = await read("deno.json");
  const { workspace: { dependencies } } = await read("main.lock");
  const named = Object.values<string>(imports).filter((name) => name.startsWith("npm:"));
  assert.deepEqual(
    [...new Set(named)].filter((name) => !dependencies.includes(name)),
    [],
    'run "deno task lock"',
  );
});
