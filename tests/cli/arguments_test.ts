// How a command line is interpreted: positionals, environment, config file, and which of them takes precedence.

import assert from "node:assert/strict";
import { ALL_NAMES } from "../../cli/help.ts";
import { SHELL_VERBS } from "../../cli/verbs.ts";
import { parseArguments, type Parsed, type RunConfig } from "../../cli/arguments.ts";
import { VERSION } from "../../cli/version.ts";
import { LAB_BOOTSTRAPS } from "../../cli/options.ts";

interface Around {
  readonly env?: Readonly<Record<string, string>>;
  /** Text of the config file `config.json`. */
  readonly file?: string;
}

function parse(line: string | readonly string[], { env = {}, file }: Around = {}): Parsed {
  const args = typeof line === "string" ? line.split(" ").filter((word) => word !== "") : line;
  return parseArguments(args, {
    env: (name) => env[name],
    hostname: () => "lab7.example.edu",
    readFile: (path) => {
      if (path === "config.json" && file !== undefined) return file;
      throw new Deno.errors.NotFound(path);
    },
  });
}

function run(line: string | readonly string[], around: Around = {}): RunConfig {
  const parsed = parse(line, around);
  assert.equal(parsed.command, "run", String(line));
  return (parsed as Extract<Parsed, { command: "run" }>).config;
}

const start = ({ peerId, host, port, httpPort }: RunConfig) => [peerId, host, port, httpPort];

Deno.test("three positionals are a peer id and two ports; with four, the second is the host", () => {
  assert.deepEqual(start(run("kashifm 8115 8116")), ["kashifm", undefined, 8115, 8116]);
  assert.deepEqual(start(run("kashifm eagle.cs.umanitoba.ca 8115 8116")), [
    "kashifm",
    "eagle.cs.umanitoba.ca",
    8115,
    8116,
  ]);
  assert.deepEqual(start(run(["with space", "::1", "0", "65535"])), [
    "with space",
    "::1",
    0,
    65535,
  ]);
});

Deno.test("the source with the highest precedence decides whom to join: no peer, the dummy, or a list", () => {
  const hosts = (line: string, around: Around = {}) =>
    run(line, around).bootstraps.map(({ host }) => host);
  const file = (text: string) => ({ file: text });
  const nobody = file('{"no-bootstrap": true}');
  assert.deepEqual(hosts("me 1 2 --config config.json", nobody), []);
  assert.deepEqual(hosts("me 1 2 --config config.json --bootstrap a:1", nobody), ["a"]);
  assert.deepEqual(hosts("me 1 2 --config config.json --environment DEV", nobody), ["127.0.0.1"]);
  const env = { env: { P2P_PEER_NO_BOOTSTRAP: "1" } };
  assert.deepEqual(hosts("me 1 2 --bootstrap a:1", env), ["a"]);
  assert.deepEqual(
    hosts("me 1 2 --config config.json", { ...env, ...file('{"bootstrap": "a:1"}') }),
    [],
  );
  assert.deepEqual(hosts("me 1 2 --no-bootstrap --environment DEV"), []);
});

Deno.test("option values are not positionals: a dummy can share a folder whose name is a number", () => {
  for (const line of ["dummy --port 18999 --files 8000", "dummy --files 8000 --port 18999"]) {
    const parsed = parse(line);
    assert.equal(parsed.command, "dummy", line);
    const { port, files } = (parsed as Extract<Parsed, { command: "dummy" }>).config;
    assert.deepEqual([port, files], [18_999, "8000"]);
  }
});

Deno.test("options may appear anywhere among the positionals", () => {
  const orders = [
    "--auto-fetch 5 kashifm 8115 8116",
    "kashifm --auto-fetch 5 8115 8116",
    "kashifm 8115 8116 --auto-fetch 5",
    "kashifm 8115 8116 --auto-fetch=5",
  ];
  for (const line of orders) {
    const config = run(line);
    assert.deepEqual([...start(config), config.autoFetch], ["kashifm", undefined, 8115, 8116, 5]);
  }
});

Deno.test("the run command takes the same positionals", () => {
  assert.deepEqual(start(run("run kashifm eagle 8115 8116")), ["kashifm", "eagle", 8115, 8116]);
  assert.deepEqual(start(run("run kashifm 8115 8116")), ["kashifm", undefined, 8115, 8116]);
  assert.deepEqual(start(run("run kashifm 8115 8116 --no-repl")), [
    "kashifm",
    undefined,
    8115,
    8116,
  ]);
});

Deno.test("a peer may have the name of a command", () => {
  for (const name of ["list", "dummy", "run", "dev", "help", "peers", "exit"]) {
    assert.deepEqual(start(run(`${name} 8115 8116`)), [name, undefined, 8115, 8116]);
  }
  for (const name of ["list", "dummy", "dev", "help"]) {
    assert.deepEqual(start(run(`${name} eagle 8115 8116`)), [name, "eagle", 8115, 8116]);
  }
});

Deno.test("a peer with the name of a command may have options after its ports", () => {
  for (const name of ["list", "dummy", "run", "dev"]) {
    const config = run(`${name} 8115 8116 --log-level DEBUG`);
    assert.deepEqual([...start(config), config.logLevel], [name, undefined, 8115, 8116, "DEBUG"]);
  }
});

Deno.test("run without arguments uses the login name and the default ports", () => {
  const config = run("run", { env: { LOGNAME: "kashifm" } });
  assert.deepEqual(start(config), ["kashifm", undefined, 8040, 8042]);
  assert.equal(config.storageDir, "./storage_kashifm");
  assert.deepEqual(config.bootstraps, LAB_BOOTSTRAPS);
  assert.equal(run("run", { env: { USER: "other" } }).peerId, "other");
  assert.equal(run("run").peerId, "lab7");
});

Deno.test("positionals can also be set in the environment and in the config file", () => {
  const env = {
    P2P_PEER_ID: "env",
    P2P_PEER_HOST: "envhost",
    P2P_PEER_PORT: "1001",
    P2P_PEER_HTTP_PORT: "1002",
  };
  const file = '{"peer-id": "file", "host": "filehost", "port": 2001, "http-port": "2002"}';
  const configured = "--config config.json";
  assert.deepEqual(start(run("run", { env })), ["env", "envhost", 1001, 1002]);
  assert.deepEqual(start(run(`run ${configured}`, { file })), ["file", "filehost", 2001, 2002]);
  assert.deepEqual(start(run(`run ${configured}`, { env, file })), ["env", "envhost", 1001, 1002]);
  assert.deepEqual(start(run(`me 1 2 ${configured}`, { env, file })), ["me", "envhost", 1, 2]);
  assert.deepEqual(start(run(`me here 1 2 ${configured}`, { env, file })), ["me", "here", 1, 2]);
});

Deno.test("a flag overrides the environment, which overrides the file, which overrides the default", () => {
  const table = [
    ["auto-fetch", "7", "8", 9, (config: RunConfig) => config.autoFetch, [7, 8, 9, 3]],
    ["log-level", "debug", "ERROR", "trace", ({ logLevel }: RunConfig) => logLevel, [
      "DEBUG",
      "ERROR",
      "TRACE",
      "INFO",
    ]],
    ["gossip-interval", "0.5", "2", 1.5, ({ gossipInterval }: RunConfig) => gossipInterval, [
      500,
      2000,
      1500,
      30_000,
    ]],
    ["dir", "/a", "/b", "/c", ({ storageDir }: RunConfig) => storageDir, [
      "/a",
      "/b",
      "/c",
      "./storage_me",
    ]],
    ["max-peers", "1", "2", 3, ({ limits }: RunConfig) => limits.maxPeers, [1, 2, 3, 1024]],
    ["min-free", "1KiB", "2kB", 0, ({ limits }: RunConfig) => limits.minFreeBytes, [
      1024,
      2000,
      0,
      undefined,
    ]],
    [
      "bootstrap",
      "a:1",
      "b:2,c:3",
      ["d:4"],
      (config: RunConfig) => config.bootstraps.map(({ host }) => host).join(),
      [
        "a",
        "b,c",
        "d",
        LAB_BOOTSTRAPS.map((
          { host },
        ) => host).join(),
      ],
    ],
    ["no-bootstrap", undefined, "true", true, (config: RunConfig) => config.bootstraps.length, [
      0,
      0,
      0,
      4,
    ]],
  ] as const;
  for (const [name, flag, inEnv, inFile, valueOf, expected] of table) {
    const env = { [`P2P_PEER_${name.toUpperCase().replaceAll("-", "_")}`]: inEnv };
    const file = JSON.stringify({ [name]: inFile });
    const flags = ["me", "1", "2", "--config", "config.json", `--${name}`, flag].filter((word) =>
      word !== undefined
    );
    const all = { env, file };
    assert.deepEqual(valueOf(run(flags, all)), expected[0], `${name} flag`);
    assert.deepEqual(valueOf(run("me 1 2 --config config.json", all)), expected[1], `${name} env`);
    assert.deepEqual(valueOf(run("me 1 2 --config config.json", { file })), expected[2], name);
    assert.deepEqual(valueOf(run("me 1 2")), expected[3], `${name} default`);
  }
});

Deno.test("an empty variable counts as unset", () => {
  const env = { P2P_PEER_AUTO_FETCH: "", P2P_PEER_ID: "", P2P_PEER_PORT: "", LOGNAME: "me" };
  const config = run("run", { env });
  assert.deepEqual([config.autoFetch, ...start(config)], [3, "me", undefined, 8040, 8042]);
});

Deno.test("an environment variable can name the config file", () => {
  const env = { P2P_PEER_CONFIG: "config.json" };
  assert.equal(run("me 1 2", { env, file: '{"auto-fetch": "all"}' }).autoFetch, Infinity);
});

Deno.test("a flag overrides a variable that is set to false", () => {
  const env = { P2P_PEER_NO_REPL: "1" };
  assert.equal(run("me 1 2", { env }).noRepl, true);
  for (const no of ["false", "no", "0", "OFF"]) {
    assert.equal(run("me 1 2", { env: { P2P_PEER_NO_REPL: no } }).noRepl, false, no);
  }
  assert.equal(run("me 1 2 --no-repl", { env: { P2P_PEER_NO_REPL: "no" } }).noRepl, true);
  assert.equal(run("me 1 2").noRepl, false);
});

Deno.test("repeated bootstraps add up, and DEV means the local one unless others are given", () => {
  const hosts = (line: string, env = {}) =>
    run(line, { env }).bootstraps.map(({ host, port }) => `${host} ${port}`);
  assert.deepEqual(hosts("me 1 2 --bootstrap a:1 --bootstrap [::1]:2"), ["a 1", "::1 2"]);
  assert.deepEqual(hosts("me 1 2 --environment DEV"), ["127.0.0.1 8999"]);
  assert.deepEqual(hosts("me 1 2 --environment dev"), ["127.0.0.1 8999"]);
  assert.deepEqual(hosts("me 1 2", { P2P_PEER_ENVIRONMENT: "DEV" }), ["127.0.0.1 8999"]);
  assert.deepEqual(hosts("me 1 2 --environment DEV --bootstrap a:1"), ["a 1"]);
  assert.deepEqual(hosts("me 1 2 --no-bootstrap --bootstrap a:1"), []);
  assert.deepEqual(hosts("me 1 2 --environment PROD").length, 4);
});

Deno.test("--environment DEV overrides bootstraps from the environment, because it is shorthand for a flag", () => {
  const env = { P2P_PEER_BOOTSTRAP: "eagle:8999" };
  assert.deepEqual(run("me 1 2 --environment DEV", { env }).bootstraps, [
    { host: "127.0.0.1", port: 8999 },
  ]);
});

Deno.test("the storage folder is named after the peer, with special characters replaced, unless one is given", () => {
  const table = [
    ["kashifm", "./storage_kashifm"],
    ["TEST8!!!", "./storage_TEST8___"],
    ["../../x", "./storage_"],
    ["a/b", "./storage_a_b"],
    ["Zoë", "./storage_Zoë"],
  ] as const;
  for (const [peerId, dir] of table) {
    const { storageDir } = run([peerId, "1", "2"]);
    assert.ok(storageDir.startsWith(dir), storageDir);
    assert.ok(!/\/.*\/|\\/.test(storageDir), storageDir);
  }
  assert.equal(run("me 1 2 --dir /data/p2p").storageDir, "/data/p2p");
});

Deno.test("dev starts a peer next to a dummy, on this machine only", () => {
  const parsed = parse("dev");
  assert.equal(parsed.command, "dev");
  const { config } = parsed as Extract<Parsed, { command: "dev" }>;
  assert.deepEqual(start(config), ["dev", "127.0.0.1", 8115, 8116]);
  assert.deepEqual(config.bootstraps, [{ host: "127.0.0.1", port: 8999 }]);
});

Deno.test("a dummy has defaults, and its own options", () => {
  assert.deepEqual(parse("dummy"), {
    command: "dummy",
    config: {
      host: "127.0.0.1",
      port: 8999,
      files: undefined,
      misbehave: undefined,
      logLevel: "INFO",
    },
  });
  const line = "dummy --port 7000 --host 0.0.0.0 --files /tmp --misbehave slow --log-level debug";
  assert.deepEqual(parse(line), {
    command: "dummy",
    config: {
      host: "0.0.0.0",
      port: 7000,
      files: "/tmp",
      misbehave: "slow",
      logLevel: "DEBUG",
    },
  });
});

Deno.test("a dummy also reads the log level from the environment", () => {
  const parsed = parse("dummy", { env: { P2P_PEER_LOG_LEVEL: "ERROR" } });
  assert.equal((parsed as Extract<Parsed, { command: "dummy" }>).config.logLevel, "ERROR");
});

Deno.test("help and version are shown without starting anything", () => {
  const shown = (line: string) => {
    const parsed = parse(line);
    assert.equal(parsed.command, "show", line);
    return (parsed as { text: string }).text;
  };
  for (const line of ["run --help", "me 1 2 --help", "help run"]) {
    assert.match(shown(line), /Usage: p2p-peer <peer_id> \[host\]/, line);
  }
  for (const line of ["--help", "-h", "", "help"]) {
    const rows = shown(line).split("\n");
    assert.match(rows[0]!, /^p2p-peer kashifm 8115 8116 /, "an example comes first");
    assert.ok(rows.length <= 24 && rows.every((row) => row.length <= 80), rows.join("\n"));
    for (const { name, isHidden = false } of SHELL_VERBS) {
      assert.equal(rows.some((row) => row.startsWith(`  ${name} `)), !isHidden, name);
    }
  }
  for (const { name } of SHELL_VERBS) {
    for (const line of [`${name} --help`, `help ${name}`]) {
      assert.match(shown(line), new RegExp(`^Usage: p2p-peer ${name}\\b`));
      assert.match(shown(line), /--json .*\n[^]*Exit codes:/);
    }
  }
  for (const name of ALL_NAMES) assert.match(shown(`help ${name}`), /Usage: p2p-peer /);
  assert.throws(() => parse("help lst"), /Unknown command "lst". Did you mean "list"\?/);
  for (const line of ["--version", "-V"]) {
    assert.deepEqual(parse(line), { command: "show", text: `${VERSION}\n` });
  }
  const dummy = parse("dummy --help");
  assert.match((dummy as { text: string }).text, /--misbehave/);
});

Deno.test("an IPv6 address may be in brackets wherever a host is expected", () => {
  assert.equal(run("me [::1] 8115 8116").host, "::1");
  assert.equal(run("me 8115 8116 --listen-host [::]").listenHost, "::");
  assert.equal(run("me 8115 8116 --web-host [::1]").webHost, "::1");
});

Deno.test("without a login name the peer is named after its machine and marked as unnamed", () => {
  const env = { LOGNAME: "", USER: "" };
  const unnamed = run("run", { env });
  assert.deepEqual([unnamed.peerId, unnamed.isNamed], ["lab7", false]);
  assert.equal(unnamed.storageDir, "./storage_lab7");
  assert.deepEqual([run("me 8115 8116").peerId, run("me 8115 8116").isNamed], ["me", true]);
  assert.equal(run("run", { env: { LOGNAME: "kashifm" } }).isNamed, true);
});

Deno.test("update takes an address of a folder, and nothing else", () => {
  const update = (line: string) => {
    const parsed = parse(line);
    return parsed.command === "update" ? parsed.update : assert.fail(parsed.command);
  };
  assert.deepEqual(update("update"), {
    from: undefined,
    token: undefined,
    isCheck: false,
    isJson: false,
  });
  assert.deepEqual(update("update --check --json --from http://eagle:8116/download/"), {
    from: "http://eagle:8116/download",
    token: undefined,
    isCheck: true,
    isJson: true,
  });
  for (const from of ["eagle:8116", "ftp://eagle/", "/tmp/dist", ""]) {
    assert.throws(() => parse(["update", "--from", from]), /--from takes an address such as/, from);
  }
  assert.throws(() => parse("update now"), /update takes no words, got "now"/);
  // Whatever its name, this starts a peer.
  assert.equal(run("update 8115 8116").peerId, "update");
});

Deno.test("config check finds variables that set nothing", () => {
  const check = (...names: string[]) =>
    parseArguments(["config", "check"], {
      env: (name) => names.includes(name) ? "1" : undefined,
      envNames: () => ["PATH", ...names],
      hostname: () => "lab7",
      readFile: () => "",
    });
  assert.equal(check("P2P_PEER_TOKEN", "P2P_PEER_HTTP_PORT", "P2P_PEER_WEB_HOST").command, "show");
  assert.throws(
    () => check("P2P_PEER_HTTPPORT"),
    /The variable P2P_PEER_HTTPPORT sets no option\. Did you mean P2P_PEER_HTTP_PORT\?/,
  );
});
