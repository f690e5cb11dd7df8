// Peers that send bad data or garbage: what is rejected is counted by reason and by peer, a liar is avoided for a
// while and its row says why, and no other peer is affected.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { Raw, shout } from "../hostile/raw.ts";
import { foreignFile, ForeignPeer } from "../wire/foreign.ts";
import { until } from "../until.ts";
import { Folder, randomBytes } from "./folder.ts";
import { Program } from "./program.ts";
import { hasTerminal, meet, Terminal } from "./terminal.ts";
import { SANITIZED } from "./together.ts";

const SECONDS = 1750023401;
const file = (name: string, owner: string) =>
  foreignFile(name, randomBytes(2_000), owner, `${SECONDS}`);

interface Row {
  readonly peerId: string;
  readonly refused: number;
  readonly backed_off: { readonly seconds: number; readonly why: string } | null;
}

const rowOf = async (program: Program, peerId: string): Promise<Row | undefined> =>
  (await program.api<{ peers: Row[] }>("peers")).peers.find((row) => row.peerId === peerId);

Deno.test({
  ...SANITIZED,
  name:
    "a liar is avoided and its row says why; others keep serving, and the liar is still answered",
  ignore: !hasTerminal,
  async fn() {
    await using folder = await Folder.make();
    const lies = ["a.bin", "b.bin", "c.bin"].map((name) => file(name, "liar"));
    await using liar = await ForeignPeer.start({
      style: "closes-at-once",
      peerId: "liar",
      files: lies,
      misbehave: "corrupt",
    });
    const true_ = file("true.bin", "honest");
    await using honest = await ForeignPeer.start({
      style: "closes-at-once",
      peerId: "honest",
      files: [true_],
    });
    await using terminal = await Terminal.peer(
      "kashifm",
      ["--no-bootstrap", "--auto-fetch", "0"],
      folder,
    );
    const { program } = terminal;
    await meet(liar, terminal);
    await meet(honest, terminal);
    for (const name of ["a.bin", "b.bin"]) {
      await terminal.command(`get ${name}`, /did not deliver it/);
    }
    const row = await program.until("a row that says why", async () => {
      const row = await rowOf(program, "liar");
      return row?.backed_off ? row : undefined;
    });
    match(row.backed_off!.why, /sent bytes that do not match/);
    ok(row.backed_off!.seconds > 0 && row.backed_off!.seconds <= 30);
    strictEqual(row.refused, 2, "its bad responses must be counted");
    strictEqual((await rowOf(program, "honest"))?.backed_off, null);
    const { refused } = await program.api<{ refused: Record<string, number> }>("status");
    deepStrictEqual(refused, { "content-mismatch": 2 });
    await terminal.command(
      "peers",
      /^liar .*avoided for \d+ s: it sent bytes that do not match/,
    );
    await terminal.command("get true.bin", /^Successfully downloaded file from honest$/);
    const replies = () => liar.received.filter(({ type }) => type === "GOSSIP_REPLY").length;
    const before = replies();
    await liar.gossip(terminal);
    await until("an answer to the liar's gossip", () => replies() > before);
    // An explicit get still asks it.
    const asked = () => liar.received.filter(({ type }) => type === "GET_FILE").length;
    const gets = asked();
    await terminal.command("get c.bin", /did not deliver it/);
    strictEqual(asked(), gets + 1);
  },
});

Deno.test("rejected input is counted by reason and by sender", SANITIZED, async () => {
  await using folder = await Folder.make();
  await using peer = await Program.peer("kashifm", ["--no-bootstrap"], { cwd: folder.path });
  for (let i = 0; i < 3; i++) await shout(peer, "rubbish", { from: "127.0.0.5" });
  await shout(peer, '{"type":"HELLO"}', { from: "127.0.0.6" });
  {
    using raw = await Raw.open(peer, { from: "127.0.0.6" });
    raw.write('{"type":"FILE_DATA","data":"zz"}');
    await raw.untilClosed();
  }
  const expected = {
    "127.0.0.5": { "not-json": 3 },
    "127.0.0.6": { "unknown-type": 1, "bad-hex": 1 },
  };
  await peer.until("all rejections to be counted", async () => {
    const { refused_by_peer: rows } = await peer.api<
      { refused_by_peer: { peer: string; reasons: Record<string, number> }[] }
    >("status");
    const found = Object.fromEntries(rows.map(({ peer, reasons }) => [peer, reasons]));
    return JSON.stringify(found) === JSON.stringify(expected) && found;
  });
  const { refused } = await peer.api<{ refused: Record<string, number> }>("status");
  deepStrictEqual(refused, { "not-json": 3, "unknown-type": 1, "bad-hex": 1 });
});
