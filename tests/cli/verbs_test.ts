// The table of commands, and what is suggested for mistyped ones.

import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { EXIT_CODES } from "../../cli/failures.ts";
import { parseShell } from "../../cli/shell_arguments.ts";
import { nearest, SHELL_VERBS, verbOf, VERBS } from "../../cli/verbs.ts";

Deno.test("every command has one name, a line that says what it does, and a place where it works", () => {
  const names = VERBS.flatMap(({ name, aliases = [] }) => [name, ...aliases]);
  strictEqual(new Set(names).size, names.length);
  for (const { name, prompt, shell, help, brief, examples = [] } of VERBS) {
    ok(prompt !== undefined || shell !== undefined, name);
    ok(/^[a-z].*[^.]$/.test(help), help);
    if (shell !== undefined) ok((brief ?? help).length <= 67, `${name}: ${brief ?? help}`);
    for (const [line] of examples) ok(line.includes(name), line);
  }
  strictEqual(verbOf("stats")?.name, "status");
  strictEqual(verbOf("nothing"), undefined);
});

Deno.test("the exit codes are different, and those that scripts rely on", () => {
  const codes = Object.fromEntries(
    Object.entries(EXIT_CODES).map(([kind, [code]]) => [kind, code]),
  );
  deepStrictEqual(codes, {
    unexpected: 1,
    usage: 2,
    "not-found": 3,
    unreachable: 4,
    integrity: 5,
    refused: 6,
    storage: 7,
    partly: 8,
    canceled: 130,
  });
});

Deno.test("a mistyped word gets the name that is most like it, and nonsense gets none", () => {
  const names = ["list", "peers", "get", "push", "delete", "status", "transfers", "dummy"];
  const table: [string, string | undefined][] = [
    ["lst", "list"],
    ["lits", "list"],
    ["gte", "get"],
    ["dumy", "dummy"],
    ["delte", "delete"],
    ["transfer", "transfers"],
    ["transf", "transfers"],
    ["stat", "status"],
    ["xyzzy", undefined],
    ["q", undefined],
  ];
  for (const [typed, meant] of table) strictEqual(nearest(typed, names), meant, typed);
  strictEqual(nearest("", names), undefined);
});

const parse = (line: readonly string[], env: Record<string, string> = {}) =>
  parseShell(verbOf(line[0]!)!, line.slice(1), (name) => env[name]);

Deno.test("flags of the shell may be anywhere, and say what they are about", () => {
  const get = parse(["get", "a b", "-o", ".", "c", "--json"]);
  deepStrictEqual([get.words, get.output, get.format], [["a b", "c"], ".", "json"]);
  const push = parse(["push", "-", "--name", "x.txt", "--text"]);
  deepStrictEqual([push.words, push.as, push.format], [["-"], "x.txt", "text"]);
  deepStrictEqual(parse(["get", "--", "-o"]).words, ["-o"]);
  strictEqual(parse(["delete", "-y", "x"]).isSure, true);
  strictEqual(parse(["list"]).format, undefined);
  const env = { P2P_PEER_DIR: "there", P2P_PEER_TOKEN: "secret", NO_COLOR: "1" };
  const status = parse(["status"], env);
  deepStrictEqual([status.dir, status.token, status.isPlain], ["there", "secret", true]);
  // A token in the environment is meant for any peer; a folder is not that of a peer elsewhere.
  const other = parse(["status", "--url", "http://eagle:1"], env);
  deepStrictEqual([other.dir, other.token], [undefined, "secret"]);
  for (const { name } of SHELL_VERBS) strictEqual(parse([name]).name, name);
});

Deno.test("what does not fit is refused in words", () => {
  throws(() => parse(["status", "now"]), /status takes no words, got "now"/);
  throws(() => parse(["list", "--json", "--text"]), /one of --json and --text/);
  throws(() => parse(["list", "--color", "red"]), /--color must be one of auto/);
  throws(() => parse(["list", "--jsno"]), /--jsno/);
  throws(() => parse(["list", "-o", "x"]), /-o/);
  throws(() => parse(["get", "x", "-o"]), /argument missing/);
});
