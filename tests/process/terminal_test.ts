// What the terminal shows: no network input may garble the line being typed, forge a line, or reach the terminal
// as an escape sequence.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { foreignFile, ForeignPeer } from "../wire/foreign.ts";
import { Folder, randomBytes } from "./folder.ts";
import { ARROW_LEFT, ARROW_UP, CTRL_C, hasTerminal, meet, Terminal } from "./terminal.ts";
import { SANITIZED, together } from "./together.ts";

const SECONDS = 1750023401;
const ALONE = ["--no-bootstrap", "--auto-fetch", "0"];
const ignore = !hasTerminal;

Deno.test({
  ...SANITIZED,
  name: "arrow up recalls earlier commands, even after a restart",
  ignore,
  async fn() {
    await using folder = await Folder.make();
    {
      await using terminal = await Terminal.peer("kashifm", ALONE, folder);
      await terminal.command("peers", /peer/);
      await terminal.command("stats", /GOSSIP|free/);
      await terminal.until("an empty prompt", () => terminal.typed === "" || undefined);
      await terminal.type(ARROW_UP);
      await terminal.until("the last command", () => terminal.typed === "stats" || undefined);
      await terminal.type(ARROW_UP);
      await terminal.until("the command before it", () => terminal.typed === "peers" || undefined);
      await terminal.type("\u0015exit\r");
      strictEqual(await terminal.program.exit(), 0);
    }
    await using again = await Terminal.peer("kashifm", ALONE, folder);
    await again.type(ARROW_UP);
    await again.until(
      "the last command of the previous run",
      () => again.typed === "exit" || undefined,
    );
  },
});

/** Types, lets the network cause log lines, and checks that they appear intact above the prompt and the typed text. */
async function typeAndHear(keys: string, shown: string, column: number): Promise<void> {
  await using folder = await Folder.make();
  await using friend = await ForeignPeer.start({ style: "closes-at-once", peerId: "friend" });
  await using terminal = await Terminal.peer("kashifm", ALONE, folder);
  const { columns } = terminal.screen;
  const line = `p2p-peer> ${shown}`;
  const expected = Array.from(
    { length: Math.ceil(line.length / columns) },
    (_, row) => line.slice(row * columns, (row + 1) * columns),
  );
  /** Whether there is exactly one prompt, and it shows the typed text with the cursor in the right place. */
  const isShown = () => {
    const { rows } = terminal.screen;
    const prompts = rows.filter((row) => row.startsWith("p2p-peer>"));
    const at = rows.indexOf(prompts[0] ?? "");
    return prompts.length === 1 && rows.slice(at).join("\n") === expected.join("\n") &&
      terminal.screen.column === column && terminal.screen.row === rows.length - 1;
  };
  await terminal.until("an empty prompt", () => terminal.typed === "");
  await terminal.type(keys);
  await terminal.until("the typed text", isShown);
  await meet(friend, terminal);
  await terminal.sees(/^\S+ INFO +Peer friend joined at 127\.0\.0\.1:\d+$/, 0, 5_000);
  await terminal.sees(/^Synchronized/, 0, 5_000);
  await terminal.until("the typed text below the log, once", isShown, 5_000);
  await terminal.type("\r");
  await terminal.until("an empty prompt", () => terminal.typed === "");
}

Deno.test({
  ...SANITIZED,
  name: "a log line that arrives during typing leaves the typed text intact",
  ignore,
  fn: () => typeAndHear("list lo", "list lo", 17),
});

Deno.test({
  ...SANITIZED,
  name: "a log line leaves the cursor where it was, in the middle of the typed text",
  ignore,
  fn: () => typeAndHear(`list local${ARROW_LEFT.repeat(5)}`, "list local", 15),
});

Deno.test({
  ...SANITIZED,
  name: "a log line leaves typed text that is wider than the screen intact",
  ignore,
  fn: () => typeAndHear(`get ${"x".repeat(200)} end`, `get ${"x".repeat(200)} end`, 18),
});

Deno.test({
  ...SANITIZED,
  name: "control characters in names from the network are escaped before they reach the terminal",
  ignore,
  async fn() {
    await using folder = await Folder.make();
    // Title, color, clear screen, C1 sequence, forged line, bell, right-to-left override.
    const evil =
      "\u001b]0;TITLE\u0007\u001b[31mRED\u001b[2J\u009b1mC1\r\nFORGED line\u0008\u202etxt.exe";
    const files = [
      foreignFile(`name ${evil}`, randomBytes(100), "friend", `${SECONDS}`),
      foreignFile("b.bin", randomBytes(100), `owner ${evil}`, `${SECONDS}`),
      foreignFile("c.bin", randomBytes(100), "friend", `${SECONDS}`),
    ];
    await using terminal = await Terminal.peer(
      "kashifm",
      ["--no-bootstrap", "--auto-fetch", "all", "--log-level", "TRACE"],
      folder,
    );
    const { program } = terminal;
    await using friend = await ForeignPeer.start({
      style: "closes-at-once",
      peerId: "friend",
      files: [files[0]!, files[2]!],
    });
    await using liar = await ForeignPeer.start({
      style: "closes-at-once",
      peerId: `peer ${evil}`,
      files: [files[1]!],
    });
    await liar.gossip(program);
    await meet(friend, terminal);
    await liar.announce(program, files[1]!);
    await friend.announce(program, files[1]!, `from ${evil}`);
    await friend.push(program, files[1]!);
    await friend.delete(program, files[0]!.fileId, `from ${evil}`);
    using raw = await Deno.connect({ hostname: "127.0.0.1", port: program.port });
    await raw.write(new TextEncoder().encode(JSON.stringify({ type: `type ${evil}` })));
    await raw.write(
      new TextEncoder().encode(`{"type":"GET_FILE","file_id":${JSON.stringify(evil)}}`),
    );
    await raw.write(new TextEncoder().encode(`not JSON ${evil}`));
    await program.holds(files[0]!.fileId);
    await program.holds(files[2]!.fileId);
    await terminal.command("list", /^[0-9a-f]{6} .*\bc\.bin\b/);
    await terminal.command("peers", /^\d+ peers?$/);
    await terminal.command("stats", /refused/);
    // The malicious name is still shown, in readable form.
    const name = /name .*1b.*TITLE/i;
    ok(terminal.screen.rows.some((row) => name.test(row)), terminal.screen.rows.join("\n"));
    const { text } = terminal;
    ok(!text.includes("\u001b]"), "the title must not be set");
    ok(
      !text.includes("\u001b[31mRED") && !text.includes("\u001b[2J"),
      "neither color nor clearing may get through",
    );
    for (const char of "\u0007\u0008\u009b\u202e") {
      ok(!text.includes(char), `${JSON.stringify(char)} must not get through`);
    }
    ok(
      !terminal.screen.rows.some((row) => row.startsWith("FORGED")),
      "the forged text must not get its own row",
    );
    strictEqual(
      (await Array.fromAsync(Deno.readDir(folder.at("storage_kashifm"))))
        // deno-lint-ignore no-control-regex -- this test looks for them
        .filter(({ name }) => /[\u0000-\u001f\u007f-\u009f\u202e]/.test(name)).length,
      0,
    );
  },
});

Deno.test({
  ...SANITIZED,
  name:
    "Ctrl-C clears a half-typed line, twice on an empty one it exits with code 130, and the exit command with 0",
  ignore,
  async fn() {
    const cases = [[CTRL_C + CTRL_C, 130], [`get somethi${CTRL_C}exit\r`, 0], [
      "exit\r",
      0,
    ]] as const;
    await together(cases.map(async ([keys, code]) => {
      await using folder = await Folder.make();
      await using terminal = await Terminal.peer("kashifm", ALONE, folder);
      await terminal.until("an empty prompt", () => terminal.typed === "" || undefined);
      await terminal.type(keys);
      strictEqual(await terminal.program.exit(), code);
      const stopping = terminal.screen.rows.filter((row) => row.includes("Stopping"));
      deepStrictEqual(stopping, ["Stopping"]);
      const { row, column, rows } = terminal.screen;
      deepStrictEqual(
        [rows[row], column],
        ["", 0],
        "the shell's prompt must start on a fresh line",
      );
    }));
  },
});

Deno.test({
  ...SANITIZED,
  name: "with --no-repl, a terminal shows plain lines and no prompt",
  ignore,
  async fn() {
    await using folder = await Folder.make();
    await using terminal = await Terminal.peer(
      "kashifm",
      [...ALONE, "--no-repl"],
      folder,
      /^0 files/,
    );
    await folder.write("storage_kashifm/mine.txt", "mine");
    await terminal.sees(/mine\.txt/);
    ok(!terminal.text.includes("p2p-peer>"));
    ok(!terminal.text.includes("Command Menu"));
  },
});
