// The options table: each option once, each with its environment variable and trade-off, each in the help.

import assert from "node:assert/strict";
import fc from "fast-check";
import { parseArguments } from "../../cli/arguments.ts";
import {
  allValues,
  envName,
  everyOption,
  LIMIT_OPTIONS,
  OPTIONS,
  POSITIONALS,
  valueOf,
} from "../../cli/options.ts";
import { addressOf, type Raw, UsageError } from "../../cli/values.ts";
import { DEFAULT_LIMITS } from "../../protocol/limits.ts";

const nowhere = { flags: {}, env: () => undefined, file: {} };

function helpText(): string {
  const shown = parseArguments(["help", "run"], {
    env: () => undefined,
    hostname: () => "lab7.example.edu",
    readFile: () => assert.fail("read a file"),
  });
  assert.equal(shown.command, "show");
  return (shown as { text: string }).text;
}

const unique = (names: readonly string[]) =>
  assert.equal(new Set(names).size, names.length, names.join());

Deno.test("each option has a name and a variable of its own, distinct from those of the positionals", () => {
  const names = everyOption().map(({ name }) => name);
  const positionals = Object.values(POSITIONALS);
  unique([...names, "config", ...positionals.map(({ key }) => key)]);
  unique([...names.map(envName), envName("config"), ...positionals.map(({ env }) => env)]);
  for (const name of names) assert.match(name, /^[a-z]+(-[a-z]+)*$/);
});

Deno.test("each tunable limit of the protocol has exactly one option", () => {
  const tuned = LIMIT_OPTIONS.map(({ limit }) => limit).sort();
  assert.deepEqual(tuned, Object.keys(DEFAULT_LIMITS).sort());
});

Deno.test("the variable is the option name in capitals", () => {
  assert.equal(envName("auto-fetch"), "P2P_PEER_AUTO_FETCH");
  assert.equal(envName("no-repl"), "P2P_PEER_NO_REPL");
});

Deno.test("the help shows every option, what it sets, and its default", () => {
  const help = helpText().replaceAll(/\s+/g, " ");
  for (const { name, argument, help: words, defaultText } of everyOption()) {
    assert.ok(help.includes(` --${name} ${argument ?? ""}`.trimEnd()), name);
    assert.ok(help.includes(words), `${name}: ${words}`);
    if (defaultText) {
      assert.ok(help.includes(`(default: ${defaultText})`), `${name}: ${defaultText}`);
    }
  }
  for (const words of ["--config", "--version", "Exit codes", "p2p-peer dummy", "DEV"]) {
    assert.ok(help.includes(words), words);
  }
});

Deno.test("every option says what gets better and what gets worse as its value changes", () => {
  for (const { name, tradeOff } of everyOption()) assert.match(tradeOff, /^\S.*\.$/, name);
  for (const { name, tradeOff } of LIMIT_OPTIONS) {
    assert.match(tradeOff, /^Higher: .+\. Lower: .+\.$/, name);
  }
});

Deno.test("without any source all values are the documented defaults", () => {
  const values = allValues(nowhere);
  assert.deepEqual(values.limits, DEFAULT_LIMITS);
  assert.equal(values.autoFetch, 3);
  assert.equal(values.gossipInterval, 30_000);
  assert.equal(values.peerTimeout, 60_000);
  assert.equal(values.logLevel, "INFO");
  assert.equal(values.durability, "normal");
  assert.deepEqual(
    values.bootstrap.map(({ host, port }) => `${host}:${port}`),
    ["silicon", "eagle", "grebe", "hawk"].map((name) => `${name}.cs.umanitoba.ca:8999`),
  );
});

Deno.test("a default typed in as shown gives the default", () => {
  for (const option of everyOption()) {
    const { name, argument, defaultText, fallback } = option;
    if (!argument || !/^[\d.]+[A-Za-z]*$/.test(defaultText ?? "")) continue;
    assert.equal(option.parse(defaultText!), fallback, name);
  }
});

Deno.test("sizes accept units of 1,000 and 1,024, in any case, with fractions", () => {
  const parse = (text: Raw) => {
    const option = LIMIT_OPTIONS.find(({ name }) => name === "max-file-size")!;
    return option.parse(text);
  };
  const table: [Raw, number][] = [
    ["500000", 500_000],
    [500_000, 500_000],
    ["0", 0],
    ["1k", 1000],
    ["1KB", 1000],
    ["1KiB", 1024],
    ["1.5MiB", 1_572_864],
    ["2mib", 2 * 1024 ** 2],
    ["8GiB", 8 * 1024 ** 3],
    ["8 GiB", 8 * 1024 ** 3],
    ["1TB", 1e12],
    ["7b", 7],
  ];
  for (const [text, bytes] of table) assert.equal(parse(text), bytes, String(text));
});

Deno.test("any text for a number gives a number within its bounds or a UsageError", () => {
  const numeric = everyOption().filter(({ argument }) =>
    /<(N|size|seconds)\b/.test(argument ?? "")
  );
  assert.ok(numeric.length > 15);
  const typed = fc.oneof(
    fc.string({ maxLength: 12 }),
    fc.constantFrom("0x10", "1e3", "١", "-0", "٣", "1_000", "+5"),
    fc.double().map(String),
    fc.integer(),
  );
  fc.assert(fc.property(fc.constantFrom(...numeric), typed, (option, raw) => {
    let value: unknown;
    try {
      value = option.parse(raw);
    } catch (error) {
      assert.ok(error instanceof UsageError, String(error));
      return;
    }
    assert.ok(
      typeof value === "number" && value >= 0 &&
        (Number.isFinite(value) || option.name === "auto-fetch"),
      `${option.name} ${raw}: ${value}`,
    );
  }));
});

Deno.test("fractions of seconds are allowed", () => {
  assert.equal(OPTIONS.gossipInterval.parse("0.25"), 250);
  assert.equal(OPTIONS.peerTimeout.parse(1.5), 1500);
});

Deno.test("an address is a name or an IP address with a port", () => {
  assert.deepEqual(addressOf("eagle.cs.umanitoba.ca:8999"), {
    host: "eagle.cs.umanitoba.ca",
    port: 8999,
  });
  assert.deepEqual(addressOf("[2001:db8::1]:1"), { host: "2001:db8::1", port: 1 });
  assert.deepEqual(addressOf(" 127.0.0.1:65535 "), { host: "127.0.0.1", port: 65535 });
  for (const bad of ["", "x", "x:", "x:0", "x:65536", "x:1:2", "http://x:1", "[x]:1", "a b:1"]) {
    assert.throws(() => addressOf(bad), UsageError, bad);
  }
});

Deno.test("an allowed host is a bare name: no port, no path, no wildcard", () => {
  const hosts = OPTIONS.allowedHost.parse;
  assert.deepEqual(hosts("files.example.org, lab-7"), ["files.example.org", "lab-7"]);
  for (const bad of ["a b", "https://a.example", "a.example:80", "a/b", "*.a", "é"]) {
    assert.throws(() => hosts(bad), /must be a host name such as files\.example\.org/, bad);
  }
});

Deno.test("a base path is a plain path without its final slash, and does not collide with the pages' own paths", () => {
  const path = OPTIONS.basePath.parse;
  assert.deepEqual(["/peer", "/lab/peer-7/", "/", "/~me/p.2p"].map(path), [
    "/peer",
    "/lab/peer-7",
    "",
    "/~me/p.2p",
  ]);
  const bad = [
    "peer",
    "//peer",
    "/a//b",
    "/..",
    "/a b",
    "/a;b",
    "/é",
    "/api",
    "/api/x",
    "/lib",
    "/browser/",
    "/shared",
  ];
  for (const text of bad) assert.throws(() => path(text), /must be a path such as \/peer/, text);
});

Deno.test("a trusted proxy is an IP address, in any spelling", () => {
  const ips = OPTIONS.trustedProxy.parse;
  assert.deepEqual(ips("10.0.0.7, ::ffff:10.0.0.8,::1"), ["10.0.0.7", "10.0.0.8", "::1"]);
  for (const bad of ["proxy.example", "10.0.0.0/8", "10.0.0.7:80"]) {
    assert.throws(() => ips(bad), /must be an IP address such as 10\.0\.0\.7/, bad);
  }
});

Deno.test("auto-fetch accepts a number or all", () => {
  assert.equal(OPTIONS.autoFetch.parse("all"), Infinity);
  assert.equal(OPTIONS.autoFetch.parse("ALL"), Infinity);
  assert.equal(OPTIONS.autoFetch.parse("0"), 0);
});

Deno.test("a value is read from the first source that has it; the others are ignored", () => {
  const env = (name: string) => name === "P2P_PEER_AUTO_FETCH" ? "rubbish" : undefined;
  const sources = { flags: { "auto-fetch": "5" }, env, file: { "auto-fetch": "rubbish" } };
  assert.equal(valueOf(OPTIONS.autoFetch, sources), 5);
});
