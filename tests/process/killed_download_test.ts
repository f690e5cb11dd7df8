// One large download from four sources, killed with SIGKILL again and again: each life continues where the one before was,
// and little comes twice. P2P_DOWNLOAD_KILLS sets the number of kills, P2P_DOWNLOAD_MIB the size, P2P_KILL_SEED the moments.

import { ok, strictEqual } from "node:assert/strict";
import { Random } from "../sim/random.ts";
import { EAGER, randomFile } from "../threats/scene.ts";
import { Folder } from "./folder.ts";
import { Program } from "./program.ts";
import { honest, Source } from "./source.ts";
import { SANITIZED } from "./together.ts";

const MIB = 1024 ** 2;
const KILLS = Number(Deno.env.get("P2P_DOWNLOAD_KILLS") ?? 5);
const SIZE = Number(Deno.env.get("P2P_DOWNLOAD_MIB") ?? 128) * MIB;
const SEED = Number(Deno.env.get("P2P_KILL_SEED") ?? Math.floor(Math.random() * 2 ** 31));
/** What each source sends per millisecond, in bytes. */
const SPEED = 5_000;
const SOURCES = 4;
/** What a source may have sent and the peer not read when it was killed, in bytes: the buffers of a connection. */
const UNREAD = 256 * 1024;

Deno.test(
  "a download from four sources that is killed again and again fetches hardly anything twice",
  SANITIZED,
  async () => {
    const random = new Random(SEED);
    await using folder = await Folder.make();
    await using all = new AsyncDisposableStack();
    const file = randomFile("large.bin", "hawk", SIZE);
    const sources = Array.from(
      { length: SOURCES },
      (_, i) => all.use(new Source(`s${i}`, file, honest, SPEED)),
    );
    const begin = async () => {
      const program = await Program.peer("kashifm", EAGER, { cwd: folder.path });
      for (const source of sources) await source.join(program);
      for (const source of sources) await source.announce(program);
      return program;
    };
    const sentBytes = () => sources.reduce((sum, { sentBytes }) => sum + sentBytes, 0);
    let before = 0;
    // A process takes 5 to 13 ms to die. What its kernel receives meanwhile, nobody could have kept.
    let lateBytes = 0;
    for (let kill = 1; kill <= KILLS; kill++) {
      await using program = await begin();
      // Each life has its share, so that all kills fall into the download.
      const share = (SIZE - before) / (KILLS + 2 - kill);
      const until = before + share * (0.5 + 0.5 * random.unit());
      // The peer is not asked: it would be busy with the answer when it is killed.
      await program.until(`${Math.round(until)} bytes`, () => sentBytes() >= until, 120_000);
      before = until;
      const atKill = sentBytes();
      await program.stop("SIGKILL");
      lateBytes += sentBytes() - atKill;
    }
    await using last = await begin();
    await last.holds(file.fileId, 240_000);
    strictEqual(
      await Deno.readFile(folder.at("storage_kashifm/large.bin")).then((b) => b.length),
      SIZE,
    );
    const twice = sentBytes() - SIZE - lateBytes;
    const text = `${twice} of ${SIZE} bytes came twice, and ${lateBytes} came after one of ` +
      `${KILLS} kills (P2P_KILL_SEED=${SEED})`;
    console.log(text);
    // At the end, the last parts are requested twice.
    ok(twice <= 0.005 * SIZE + KILLS * SOURCES * UNREAD + SOURCES * MIB, text);
  },
);
