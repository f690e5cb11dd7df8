// Completion in real shells: commands, flags, words, and names of files that the running peer knows.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { SHELLS } from "../../cli/shell_completion.ts";
import { Folder } from "./folder.ts";
import { COMMAND, Program, surroundings } from "./program.ts";
import { SANITIZED } from "./together.ts";

/** Runs a script in a shell, where `p2p-peer` is this program. Resolves to what it printed. */
async function inShell(shell: string, script: string, folder: Folder): Promise<string> {
  const words = COMMAND.map((word) => `'${word}'`).join(" ");
  await Deno.mkdir(folder.at("bin"), { recursive: true });
  const program = folder.at("bin/p2p-peer");
  await Deno.writeTextFile(program, `#!/bin/sh\nexec ${words} "$@"\n`, { mode: 0o755 });
  const { PATH = "", ...env } = surroundings();
  const { stdout, stderr, success } = await new Deno.Command(shell, {
    args: ["-c", script],
    cwd: folder.path,
    env: { ...env, PATH: `${folder.at("bin")}:${PATH}` },
    clearEnv: true,
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  ok(success, text(stderr));
  strictEqual(text(stderr), "");
  return text(stdout).trimEnd();
}

async function has(shell: string): Promise<boolean> {
  try {
    await new Deno.Command(shell, { args: ["-c", "true"] }).output();
    return true;
  } catch {
    console.log(`Skipped: there is no ${shell}`);
    return false;
  }
}

/** Half-typed lines, and what they become. */
const CASES: readonly (readonly [line: readonly string[], found: readonly string[]])[] = [
  [["li"], ["limit", "list"]],
  [["get", "wi"], ["with space.txt"]],
  [["get", "--ou"], ["--output"]],
  [["log", "d"], ["debug"]],
  [["list", "re"], ["remote"]],
  [["completion", "f"], ["fish"]],
  [["limit", "d"], ["down"]],
  [["config", "s"], ["show"]],
  [["config", "--or"], ["--origin"]],
  [["update", "--ch"], ["--check"]],
];

/** Completes a line in a shell that can be asked without a terminal. */
const SCRIPTS: Readonly<Record<string, (line: readonly string[]) => string>> = {
  bash: (line) =>
    `source <(p2p-peer completion bash); COMP_WORDS=(p2p-peer ${line.join(" ")}); ` +
    `COMP_CWORD=${line.length}; _p2p_peer; for each in "\${COMPREPLY[@]}"; do eval "echo $each"; done`,
  fish: (line) => `p2p-peer completion fish | source; complete -C 'p2p-peer ${line.join(" ")}'`,
};

for (const [shell, script] of Object.entries(SCRIPTS)) {
  Deno.test({
    ...SANITIZED,
    name: `${shell} completes commands, flags, words, and names that the peer knows`,
    ignore: !await has(shell),
    async fn() {
      await using folder = await Folder.make();
      const args = ["--no-bootstrap", "--auto-fetch", "0", "--no-repl", "--min-free", "0"];
      await using peer = await Program.peer("ann", args, { cwd: folder.path });
      await folder.write("storage_ann/with space.txt", "text");
      await peer.until("it is shared", async () => (await peer.files()).length === 1);
      for (const [line, found] of CASES) {
        const lines = (await inShell(shell, script(line), folder)).split("\n");
        deepStrictEqual(lines.map((each) => each.split("\t")[0]).sort(), found, line.join(" "));
      }
    },
  });
}

for (const shell of SHELLS) {
  Deno.test({
    ...SANITIZED,
    name: `the completion for ${shell} is a valid script`,
    ignore: !await has(shell),
    async fn() {
      await using folder = await Folder.make();
      await inShell(shell, `p2p-peer completion ${shell} > script; ${shell} -n script`, folder);
    },
  });
}
