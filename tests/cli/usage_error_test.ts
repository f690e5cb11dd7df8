// Bad input on the command line, in the environment or in the config file: one line that says what to change.

import assert from "node:assert/strict";
import { parseArguments } from "../../cli/arguments.ts";
import { UsageError } from "../../cli/values.ts";

interface Around {
  readonly env?: Readonly<Record<string, string>>;
  readonly file?: string;
}

/** Returns the message of the UsageError that these arguments cause; anything else fails the test. */
function complaint(args: readonly string[], { env = {}, file }: Around = {}): string {
  try {
    const parsed = parseArguments(args, {
      env: (name) => env[name],
      hostname: () => "lab7.example.edu",
      readFile: (path) => {
        if (path === "config.json" && file !== undefined) return file;
        throw new Deno.errors.NotFound(path);
      },
    });
    assert.fail(`accepted: ${args.join(" ")} as ${parsed.command}`);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const { message } = error;
    assert.ok(message !== "" && !/[\r\n\u2028]/.test(message), `not one line: ${message}`);
    assert.ok(!/\p{Cc}/u.test(message), `control characters in ${JSON.stringify(message)}`);
    return message;
  }
}

const START = ["me", "1", "2"];
const flag = (name: string, value: string) => complaint([...START, `--${name}`, value]);

Deno.test("an unknown option is named, with a suggestion", () => {
  assert.match(complaint([...START, "--auto-fetc", "3"]), /--auto-fetc\b.*--auto-fetch/);
  assert.match(complaint([...START, "--no-boostrap"]), /--no-boostrap.*--no-bootstrap/);
  assert.match(complaint([...START, "--xyzzy"]), /--xyzzy/);
  assert.match(complaint(["dummy", "--misbehav", "slow"]), /--misbehav\b.*--misbehave/);
});

Deno.test("an option without its value is named", () => {
  assert.match(complaint([...START, "--dir"]), /--dir/);
  assert.match(complaint([...START, "--auto-fetch"]), /--auto-fetch/);
});

Deno.test("each kind of invalid value is refused, naming its option", () => {
  const table: [string, readonly string[], RegExp][] = [
    ["auto-fetch", ["x", "-1", "1.5", "", " ", "1e9"], /whole number/],
    ["gossip-interval", ["x", "0", "-1", "", "Infinity", "NaN", "1e99"], /seconds/],
    ["log-level", ["LOUD", ""], /TRACE.*FATAL/],
    ["environment", ["TEST", ""], /PROD.*DEV/],
    ["durability", ["max"], /normal.*full/],
    ["max-file-size", ["x", "-1", "5xB", "", "GiB", "1..5", "5constructor", "1e3"], /size/],
    ["max-connections", ["0", "65537", "x"], /1 to 65536/],
    [
      "bootstrap",
      ["eagle", "eagle:", ":1", "eagle:0", "eagle:65536", "a b:1", "::1:1"],
      /host:port/,
    ],
    ["dir", [""], /text/],
  ];
  for (const [name, values, words] of table) {
    for (const value of values) {
      const message = flag(name, value);
      assert.ok(message.startsWith(`--${name} `), message);
      assert.match(message, words);
      if (value !== "") assert.ok(message.includes(`"${value}"`), message);
    }
  }
});

Deno.test("the source of a bad value is named: flag, variable or file", () => {
  assert.match(flag("auto-fetch", "x"), /^--auto-fetch must be/);
  const env = { P2P_PEER_AUTO_FETCH: "x" };
  assert.match(complaint(START, { env }), /^P2P_PEER_AUTO_FETCH must be/);
  const inFile = [...START, "--config", "config.json"];
  assert.match(
    complaint(inFile, { file: '{"auto-fetch": "x"}' }),
    /^"auto-fetch" in the config file/,
  );
  assert.match(
    complaint(inFile, { file: '{"max-peers": 1.5}' }),
    /^"max-peers" in the config file/,
  );
});

Deno.test("a switch is not a number, and a number is not a list", () => {
  const inFile = [...START, "--config", "config.json"];
  for (
    const file of ['{"auto-fetch": true}', '{"max-peers": ["5"]}', '{"gossip-interval": true}']
  ) {
    assert.match(complaint(inFile, { file }), /config file/, file);
  }
});

Deno.test("a variable for a switch must be true or false", () => {
  const env = { P2P_PEER_NO_REPL: "perhaps" };
  assert.match(complaint(START, { env }), /^P2P_PEER_NO_REPL must be true or false/);
});

Deno.test("positionals that do not fit are shown, with an example that does", () => {
  for (const words of [["me"], ["me", "1"], ["me", "host", "x", "1", "2"], ["a", "b"]]) {
    const message = complaint(words);
    assert.match(message, /<peer_id> \[host\] <p2p_port> <http_port>/);
    assert.ok(message.includes(`"${words.join(" ")}"`), message);
  }
  for (const [typed, meant] of [["dumy", "dummy"], ["lits", "list"], ["statuss", "status"]]) {
    assert.match(complaint([typed!]), new RegExp(`Did you mean "${meant}"`));
    assert.match(complaint([typed!, "a.txt", "b.txt"]), new RegExp(`Did you mean "${meant}"`));
  }
});

Deno.test("a command in the wrong place is recognized", () => {
  for (const name of ["verify", "login", "exit"]) {
    assert.match(complaint([name]), new RegExp(`^${name} is a command of the prompt`));
  }
  assert.match(complaint(["--dir", "x", "list"]), /Options come after the command: p2p-peer list/);
  assert.match(complaint(["help", "get", "push"]), /help takes one command/);
});

Deno.test("an invalid port is refused, saying which one", () => {
  assert.match(complaint(["me", "x", "8116"]), /P2P port.*"x"/);
  assert.match(complaint(["me", "8115", "65536"]), /HTTP port.*"65536"/);
  assert.match(complaint(["me", "host", "8115", "-1"]), /./);
  assert.match(complaint(["run"], { env: { P2P_PEER_PORT: "x" } }), /P2P port.*"x"/);
  assert.match(complaint(["dummy", "--port", "70000"]), /port.*"70000"/);
});

Deno.test("an unreadable peer id is refused", () => {
  for (const peerId of ["", "a\nb", "\u001b[31m", "x".repeat(129), "\ud800"]) {
    assert.match(complaint([peerId, "1", "2"]), /peer id/, JSON.stringify(peerId));
  }
});

Deno.test("a dummy names the option that it cannot accept", () => {
  assert.match(complaint(["dummy", "--misbehave", "politely"]), /--misbehave.*politely.*slow/);
  assert.match(complaint(["dummy", "--log-level", "LOUD"]), /log-level.*TRACE/);
  assert.match(complaint(["dummy", "words"]), /dummy.*words/);
});

Deno.test("a config file that cannot be read or is invalid is named", () => {
  const inFile = [...START, "--config", "config.json"];
  assert.match(complaint([...START, "--config", "missing.json"]), /missing\.json cannot be read/);
  const broken = ["", "{", "x", '{\n "auto-fetch": x\n}', '{"auto-fetch": 3,\n}', "\u001b[31m"];
  for (const file of broken) {
    assert.match(complaint(inFile, { file }), /config\.json is not JSON/, file);
  }
  for (const file of ["[]", "null", "1", '"x"']) {
    assert.match(complaint(inFile, { file }), /config\.json must contain a JSON object/, file);
  }
});

Deno.test("an unknown name in the config file is refused, with a suggestion", () => {
  const inFile = [...START, "--config", "config.json"];
  assert.match(complaint(inFile, { file: '{"auto-fetsch": 3}' }), /"auto-fetsch".*auto-fetch/);
  assert.match(complaint(inFile, { file: '{"xyzzy": 3}' }), /"xyzzy"/);
  assert.match(complaint(inFile, { file: '{"__proto__": 3}' }), /__proto__/);
  assert.match(complaint(inFile, { file: '{"config": "other"}' }), /"config"/);
  for (const value of ["null", "{}", "[1]"]) {
    assert.match(complaint(inFile, { file: `{"dir": ${value}}` }), /"dir"/, value);
  }
});

Deno.test("a value with line breaks or escape characters is shown on one line", () => {
  for (const value of ["a\nb", "a\r\nb", "\u001b[31mred", "\u2028"]) {
    complaint([...START, "--auto-fetch", value]);
    complaint([...START, "--bootstrap", value]);
    complaint([...START, "--log-level", value]);
    complaint([...START, "--max-file-size", value]);
    complaint(START, { env: { P2P_PEER_NO_REPL: value } });
    complaint(["me", value, "1", "x"]);
    complaint([`--${value}`, ...START]);
  }
});
