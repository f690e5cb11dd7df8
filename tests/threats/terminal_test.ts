// Threat 33 in docs/SECURITY-TESTS.md: names that contain terminal commands, or that look like log lines. Peers put them
// wherever the protocol has space for text; the program's output, to a file and to a terminal, shows them escaped. Each such
// text has the word FORGED after its control characters, so that a text that is never printed cannot pass unnoticed.

import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { Honest } from "../hostile/honest.ts";
import { shout, type Target } from "../hostile/raw.ts";
import { HostileServer } from "../hostile/server.ts";
import { Folder } from "../process/folder.ts";
import { Program } from "../process/program.ts";
import { hasTerminal, Terminal } from "../process/terminal.ts";
import { SANITIZED } from "../process/together.ts";
import { bytesOf } from "../protocol/wire/stream.ts";
import { foreignFile } from "../wire/foreign.ts";
import { ALONE, ATTACKERS, GENEROUS, NAME, World } from "./world.ts";

const SECONDS = 1744170562;
const LINE = "12:34:56 INFO    FORGED";

/** Texts that affect a terminal, or end a line for some readers. Line editors send none of them. */
const EVIL: readonly string[] = [
  `x\u001b[4242m${LINE}`,
  `x\u001b[4242;4242H${LINE}`,
  `x\u001b]0;${LINE}\u0007`,
  `x\u001b]52;c;Zm9yZ2Vk\u001b\\${LINE}`,
  `x\u001bP4242q${LINE}\u001b\\`,
  `x\u001bc${LINE}`,
  `x\u009b4242m${LINE}`,
  `x\u009d0;${LINE}\u009c`,
  `x\r${LINE}`,
  `x\n${LINE}`,
  `x\r\n${LINE}\r\n`,
  `x\u000b${LINE}\u000c${LINE}`,
  `x\u0085${LINE}\u2028${LINE}\u2029${LINE}`,
  `x\u0008\u0008\u007f\t${LINE}\u0000`,
  `x\u202e${LINE}\u202c\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u202a\u202b\u202d`,
];

/** Control characters except line feed, direction marks, and characters that some software treats as line ends. */
const HARMFUL = String
  .raw`[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\u200e\u200f\u061c]`;
/** What no output may contain. A terminal's may contain carriage returns, and the line editor's `ESC [`. */
const FORBIDDEN = new RegExp(HARMFUL, "u");
const FORBIDDEN_IN_TERMINAL = new RegExp(
  String.raw`(?![\r\x1b])${HARMFUL}|\x1b(?!\[)|\x1b\[4242`,
  "u",
);
/** A line forged by a peer. */
const FORGED = /^\s*(\d\d:\d\d:\d\d \w+ +)?FORGED/;

function refuseIn(text: string, forbidden: RegExp): void {
  const at = text.search(forbidden);
  const shown = JSON.stringify(text.slice(Math.max(0, at - 60), at + 60));
  ok(at < 0, `A peer's control character was printed: ${shown}`);
  deepStrictEqual(text.split(/\r?\n/).filter((line) => FORGED.test(line)), []);
}

const hex64 = () => crypto.getRandomValues(new Uint8Array(32)).toHex();

/** Returns messages with this text in every field of every type, one field at a time. */
function messagesWith(evil: string, { host, port }: Target): Record<string, unknown>[] {
  const file = foreignFile("a", bytesOf(`about ${evil}`), "owner", `${SECONDS}`);
  const entry = {
    file_name: "name",
    file_size: 1,
    file_id: hex64(),
    file_owner: "owner",
    file_timestamp: SECONDS,
  };
  const entries: Record<string, unknown>[] = Object.keys(entry).map((key) => ({
    ...entry,
    file_id: hex64(),
    [key]: evil,
  }));
  const place = { host, port };
  const push = { type: "FILE_DATA", ...entry, file_name: evil };
  const gossip = { type: "GOSSIP", ...place, id: hex64(), peerId: "pest" };
  const reply = { type: "GOSSIP_REPLY", ...place, peerId: "pest", files: entries };
  const ext = { v: 1, node: evil, boot: evil, part: [1, 1, evil], rev: [evil, 1], want: [evil] };
  return [
    gossip,
    ...["host", "port", "id", "peerId"].map((key) => ({ ...gossip, [key]: evil })),
    { ...gossip, ext, [evil]: evil },
    reply,
    { ...reply, peerId: evil },
    { ...reply, files: [entry, evil], ext },
    { ...reply, files: evil },
    ...entries.map((entry) => ({ type: "ANNOUNCE", from: "pest", ...entry })),
    { type: "ANNOUNCE", from: evil, ...entry },
    { ...push, file_id: file.fileId, data: file.content.toHex() },
    { ...push, file_id: hex64(), data: "00" },
    { ...push, file_id: hex64(), file_owner: evil, data: evil },
    { type: "DELETE", from: evil, file_id: file.fileId },
    { type: "DELETE", from: "pest", file_id: evil },
    { type: "GET_FILE", file_id: evil },
    { type: evil, ...place },
    { [evil]: evil },
  ];
}

/** Starts a peer that puts the text into its answers, on the same connection. */
function pest(): Promise<HostileServer> {
  let turn = 0;
  return HostileServer.start((socket, message) => {
    const evil = EVIL[turn++ % EVIL.length]!;
    const answers = messagesWith(evil, { host: "127.0.0.1", port: 1 })
      .filter(({ type }) => type === (message?.type === "GET_FILE" ? "FILE_DATA" : evil));
    socket.end(JSON.stringify(answers[turn % answers.length]));
  });
}

/** Sends all texts from several addresses, as messages and as junk. */
async function tellEvil(program: Program, server: HostileServer): Promise<void> {
  for (const [i, evil] of EVIL.entries()) {
    const from = ATTACKERS[i % ATTACKERS.length]!;
    for (const message of messagesWith(evil, { host: "127.0.0.1", port: server.port })) {
      await shout(program, message, { from });
    }
    for (const junk of [evil, `{"type":"GOSSIP"}${evil}`, `{${evil}}`]) {
      await shout(program, junk, { from });
    }
  }
}

Deno.test(
  "threat 33: no control character from a peer reaches stdout or stderr, and no log line can be forged",
  SANITIZED,
  async () => {
    await using server = await pest();
    await using world = await World.make([
      ...GENEROUS,
      "--auto-fetch",
      "all",
      "--log-level",
      "TRACE",
    ]);
    await world.honest.during(tellEvil(world.program, server));
    await world.program.until("the pest to be asked for files", () => {
      return server.messages.some(({ type }) => type === "GET_FILE");
    });
    await world.honest.check();
    strictEqual(await world.program.stop(), 0);
    await using again = await Program.peer(NAME, [...ALONE, "--log-level", "TRACE"], {
      cwd: world.folder.path,
    });
    await again.until("the files from before the restart", async () => {
      return (await again.files()).filter(({ file_name: name }) => name.includes("FORGED"))
        .length >=
        EVIL.length;
    });
    strictEqual(await again.stop(), 0);
    for (const { text, err, lines } of [world.program, again]) {
      refuseIn(text, FORBIDDEN);
      refuseIn(err.join("\n"), FORBIDDEN);
      refuseIn(lines.join("\n"), FORBIDDEN);
    }
    for (const evil of EVIL) {
      throws(() => refuseIn(evil, FORBIDDEN), `the check must detect ${evil}`);
    }
    const told = world.program.lines.filter((line) => line.includes("FORGED"));
    ok(
      told.length >= EVIL.length,
      `Only ${told.length} lines show the texts: too few to prove anything`,
    );
  },
);

Deno.test({
  ...SANITIZED,
  name: "threat 33: in a terminal too, peer names are displayed, have no effect, and start no line",
  ignore: !hasTerminal,
  async fn() {
    await using folder = await Folder.make();
    await using server = await pest();
    const args = ["--no-bootstrap", "--auto-fetch", "all", "--min-free", "0"];
    await using terminal = await Terminal.peer(
      NAME,
      [...args, ...GENEROUS, "--log-level", "TRACE"],
      folder,
    );
    const { program } = terminal;
    await using honest = await Honest.beside(program);
    await honest.during(tellEvil(program, server));
    await program.until("files with such names", async () => {
      return (await program.files()).filter(({ file_name: name }) => name.includes("FORGED"))
        .length >=
        EVIL.length;
    });
    await terminal.command("list", /^[0-9a-f]{6,64} +.*FORGED/);
    await terminal.command("list local", /^[0-9a-f]{6,64} +.*FORGED/);
    await terminal.command("list remote", /^[0-9a-f]{6,64} /);
    await terminal.command("peers", /^\d+ peers?$/);
    await terminal.command("stats", /refused/);
    const [row] = (await program.files()).filter((file) => file.file_name.includes("FORGED"));
    await terminal.command(`get ${row!.file_id}`, /FORGED|here|have|download/i);
    await terminal.command(`delete ${row!.file_id}`, /FORGED|delete|remove/i);
    await honest.check();
    await terminal.type("exit\r");
    strictEqual(await program.exit(), 0);
    ok(terminal.screen.rows.some((row) => row.includes("FORGED")), "the text must be shown");
    refuseIn(terminal.text, FORBIDDEN_IN_TERMINAL);
    deepStrictEqual(terminal.screen.rows.filter((row) => FORGED.test(row)), []);
  },
});
