// Startup and shutdown of a peer: signals, stdin, bootstrap peers that do not answer, and a damaged store.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { foreignFile, ForeignPeer, ownTimestamp } from "../wire/foreign.ts";
import { Folder, randomBytes } from "./folder.ts";
import { type FileRow, Program } from "./program.ts";
import { forEachOf, SANITIZED } from "./together.ts";

const ALONE = ["--no-bootstrap", "--auto-fetch", "0"];
/** How long a stopping peer waits for transfers before it abandons them, in milliseconds. */
const ABANDONED_MS = 5_000;
const SECONDS = 1750023401;

Deno.test("a peer exits with code 0 on SIGTERM and 130 on SIGINT", SANITIZED, async () => {
  await forEachOf([["SIGTERM", 0], ["SIGINT", 130]] as const, async ([signal, code]) => {
    await using folder = await Folder.make();
    await using peer = await Program.peer("kashifm", ALONE, { cwd: folder.path });
    await using dummy = await Program.dummy([], { cwd: folder.path });
    strictEqual(await peer.stop(signal), code);
    strictEqual(await dummy.stop(signal), code);
    deepStrictEqual(peer.err, []);
    // Its ports and lock are free again, and its saved state is intact.
    JSON.parse(await Deno.readTextFile(folder.at("storage_kashifm", "metadata.json")));
    const { port, httpPort } = peer;
    await using again = await Program.peer("kashifm", ALONE, { cwd: folder.path, port, httpPort });
    strictEqual(await again.stop(signal), code);
  });
});

Deno.test(
  "a peer that is still scanning its folder for the first time stops immediately",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await Deno.mkdir(folder.at("storage_kashifm"));
    for (let i = 0; i < 32; i++) {
      const file = await Deno.create(folder.at("storage_kashifm", `${i}.bin`));
      await file.truncate(8 * 1024 ** 3); // sparse, but takes just as long to hash
      file.close();
    }
    await using peer = new Program(["kashifm", "127.0.0.1", "0", "0", ...ALONE], {
      cwd: folder.path,
    });
    await peer.until(
      "the store to be opened",
      () => exists(folder.at("storage_kashifm", ".p2p-peer")),
    );
    const began = performance.now();
    peer.signal("SIGTERM");
    strictEqual(await peer.exit(), 0);
    ok(performance.now() - began < 10_000, "not after 64 GiB");
    deepStrictEqual(peer.err, []);
  },
);

Deno.test(
  "a peer that waits for something while it starts stops on the first signal",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    // Reading the page waits until somebody writes to the pipe, as looking up a name may wait for a server.
    const pipe = folder.at("page.html");
    strictEqual((await new Deno.Command("mkfifo", { args: [pipe] }).output()).code, 0);
    const args = ["kashifm", "127.0.0.1", "0", "0", ...ALONE, "--legacy-page", pipe];
    await using peer = new Program(args, { cwd: folder.path });
    const writer = await Deno.open(pipe, { write: true }); // opens once the peer reads
    peer.signal("SIGTERM");
    strictEqual(await peer.exit(), 0);
    writer.close();
    deepStrictEqual(peer.err, []);
  },
);

const exists = (path: string) => Deno.stat(path).then(() => true, () => false);

Deno.test(
  "a hanging transfer delays the shutdown by 5 s at most, and not at all after a second signal",
  SANITIZED,
  async () => {
    await forEachOf([1, 2], async (signals) => {
      await using folder = await Folder.make();
      const file = foreignFile("hangs.bin", randomBytes(1_000), "mute", `${SECONDS}`);
      // Answers gossip, but never answers GET_FILE.
      await using dummy = await Program.dummy(["--misbehave", "silent"], { cwd: folder.path });
      await using peer = await Program.peer(
        "kashifm",
        ["--bootstrap", dummy.address, "--auto-fetch", "all", "--log-level", "DEBUG"],
        { cwd: folder.path },
      );
      await peer.waitForLine(/Sent GET_FILE/);
      await folder.write("storage_kashifm/mine.txt", file.content);
      await peer.until("a file of our own", async () => {
        return (await peer.files()).some(({ file_name }) => file_name === "mine.txt");
      });
      const began = performance.now();
      const { length } = peer.lines;
      peer.signal("SIGINT");
      if (signals === 2) {
        await peer.waitForLine(/./, length);
        ok(
          peer.isRunning,
          "the peer must still be waiting for the transfer, or this test proves nothing",
        );
        peer.signal("SIGINT");
      }
      strictEqual(await peer.exit(), 130);
      const tookMs = performance.now() - began;
      const limitMs = signals === 2 ? ABANDONED_MS * 0.8 : ABANDONED_MS * 2;
      ok(tookMs < limitMs, `Exited only after ${tookMs} ms. ${peer.report()}`);
      if (signals === 2) return;
      const saved = await Deno.readTextFile(folder.at("storage_kashifm", "metadata.json"));
      match(saved, /mine\.txt/);
    });
  },
);

Deno.test(
  "with --no-repl there is no prompt or color, nothing is read from stdin, and the peer runs on when that closes",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const args = [...ALONE, "--no-repl"];
    await using peer = await Program.peer("kashifm", args, { cwd: folder.path, stdin: "piped" });
    const writer = peer.stdin.getWriter();
    await writer.write(new TextEncoder().encode("exit\nhelp\n"));
    await writer.close();
    await folder.write("storage_kashifm/after.txt", "after");
    await peer.until("a file to be shared after stdin is closed", async () => {
      return (await peer.files()).some(({ file_name }) => file_name === "after.txt");
    });
    ok(peer.isRunning);
    strictEqual(await peer.stop(), 0);
    const text = peer.lines.join("\n");
    ok(!text.includes("Command Menu"), text);
    ok(!text.includes("\u001b"), "no escape sequences");
    ok(!text.includes("\r"), "no carriage returns");
  },
);

Deno.test(
  "a bootstrap peer that is down is reported once, retried, and joined when it comes up",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const down = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = down.addr;
    down.close();
    const args = ["--bootstrap", `127.0.0.1:${port}`, "--gossip-interval", "0.2"];
    await using peer = await Program.peer("kashifm", args, { cwd: folder.path });
    await peer.waitForLine(new RegExp(`127\\.0\\.0\\.1:${port}`));
    await peer.waitForLine(/no peer has answered/i);
    await peer.waitForLine(/^AUTO FETCH PROCESS COMPLETE/);
    {
      // Hangs up on every connection: as good as down, and it makes the attempts visible.
      using listener = Deno.listen({ hostname: "127.0.0.1", port });
      (await listener.accept()).close();
    }
    ok(peer.isRunning);
    strictEqual((await peer.status()).peers, 0);
    await using late = await ForeignPeer.start({ style: "closes-at-once", peerId: "late", port });
    await peer.tracks("late", late.port);
    await peer.waitForLine(/^Synchronized/);
    const said = peer.lines.filter((line) => /WARNING/.test(line) && line.includes(`:${port}`));
    strictEqual(said.length, 1, `Expected exactly one report. ${peer.report()}`);
  },
);

Deno.test(
  "a bootstrap peer that accepts connections but never answers delays nothing and is reported once",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using mute = await ForeignPeer.start({
      style: "closes-at-once",
      peerId: "mute",
      misbehave: "silent",
    });
    const args = ["--bootstrap", `127.0.0.1:${mute.port}`, "--gossip-interval", "0.2"];
    await using peer = await Program.peer("kashifm", args, { cwd: folder.path });
    await peer.until("several attempts", () => mute.received.length >= 3);
    await peer.waitForLine(/no peer has answered/i, 0, 10_000);
    await peer.waitForLine(/^AUTO FETCH PROCESS COMPLETE/);
    const said = peer.lines.filter((line) =>
      line.includes(`:${mute.port}`) && !/ Sent /.test(line)
    );
    ok(said.length <= 1, peer.report());
  },
);

Deno.test(
  "a mute bootstrap peer next to a good one delays neither synchronization nor the first fetch",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using mute = await ForeignPeer.start({
      style: "closes-at-once",
      peerId: "mute",
      misbehave: "silent",
    });
    const file = foreignFile("a.bin", randomBytes(1_000), "giver", `${SECONDS}`);
    await using giver = await ForeignPeer.start({
      style: "closes-at-once",
      peerId: "giver",
      files: [file],
    });
    await using joined = await Program.peer(
      "joined",
      ["--bootstrap", `127.0.0.1:${mute.port}`, "--bootstrap", `127.0.0.1:${giver.port}`],
      { cwd: folder.path },
    );
    await joined.waitForLine(/^Synchronized/, 0, 5_000);
    await joined.waitForLine(/^AUTO FETCH PROCESS COMPLETE \(1\b/, 0, 5_000);
  },
);

/** Runs a peer until its store holds one file of its own and one of another peer, then stops it. */
async function fillStore(folder: Folder): Promise<FileRow[]> {
  await using peer = await Program.peer("kashifm", ALONE, { cwd: folder.path });
  await using friend = await ForeignPeer.start({ style: "keeps-open", peerId: "friend" });
  await folder.write("storage_kashifm/mine.bin", randomBytes(5_000));
  const timestamp = ownTimestamp("keeps-open", SECONDS);
  await friend.push(peer, foreignFile("theirs.bin", randomBytes(5_000), "friend", timestamp));
  const files = await peer.until("both files", async () => {
    const held = (await peer.files()).filter(({ has_copy }) => has_copy);
    return held.length === 2 && held;
  });
  strictEqual(await peer.stop(), 0);
  return files;
}

/** Returns what must survive the restart, in a comparable order. */
function essence(files: readonly FileRow[]) {
  return files.map(({ file_id, file_owner, file_name, file_timestamp, has_copy }) => {
    return { file_id, file_owner, file_name, file_timestamp, has_copy };
  }).sort((a, b) => a.file_id < b.file_id ? -1 : 1);
}

const namesIn = (path: string) => [...Deno.readDirSync(path)].map(({ name }) => name).sort();

Deno.test(
  "a damaged metadata.json is set aside and reported, and the same ids and owners are restored",
  SANITIZED,
  async () => {
    const damages: [name: string, (text: string) => string, alsoGone?: string][] = [
      ["garbage", () => "\u0000 no JSON"],
      ["empty", () => ""],
      [
        "cut, without the last good one",
        (text) => text.slice(0, text.length / 2),
        "metadata.last-good.json",
      ],
    ];
    await forEachOf(damages, async ([name, damage, alsoGone]) => {
      await using folder = await Folder.make();
      const store = folder.at("storage_kashifm");
      const before = await fillStore(folder);
      const damaged = damage(await Deno.readTextFile(`${store}/metadata.json`));
      await Deno.writeTextFile(`${store}/metadata.json`, damaged);
      if (alsoGone) await Deno.remove(`${store}/.p2p-peer/${alsoGone}`);

      await using peer = await Program.peer("kashifm", ALONE, { cwd: folder.path });
      await peer.waitForLine(/metadata\.json.*(damaged|aside)/);
      await peer.until(
        `two files, with metadata.json as ${name}`,
        async () => (await peer.files()).length >= 2,
      );
      deepStrictEqual(essence(await peer.files()), essence(before), name);
      const [aside, ...others] = namesIn(store).filter((name) =>
        /^metadata.json.damaged-/.test(name)
      );
      deepStrictEqual(others, []);
      strictEqual(await Deno.readTextFile(`${store}/${aside}`), damaged);
      strictEqual(await peer.stop(), 0);
      JSON.parse(await Deno.readTextFile(`${store}/metadata.json`));
    });
  },
);

Deno.test(
  "if the owners of the files can no longer be determined, none is lost and none published as ours",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const store = folder.at("storage_kashifm");
    await fillStore(folder);
    await Deno.writeTextFile(`${store}/metadata.json`, "{");
    for (const name of namesIn(`${store}/.p2p-peer`)) {
      if (/journal|last-good/.test(name)) await Deno.remove(`${store}/.p2p-peer/${name}`);
    }
    await using peer = await Program.peer("kashifm", ALONE, { cwd: folder.path });
    await peer.waitForLine(/metadata\.json.*(damaged|aside)/);
    // This must hold for the scan at startup and for later scans.
    await folder.write("storage_kashifm/new.txt", "new");
    await peer.until("a new file to be shared", async () => {
      return (await peer.files()).some(({ file_name }) => file_name === "new.txt");
    });
    const ours = (await peer.files()).filter(({ file_owner }) => file_owner === "kashifm");
    ok(!ours.some(({ file_name }) => file_name === "theirs.bin"), peer.report());
    for (const name of ["mine.bin", "theirs.bin"]) ok(namesIn(store).includes(name), name);
  },
);

Deno.test(
  "a storage folder that disappears is recreated, and files are kept again",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using peer = await Program.peer("kashifm", ALONE, { cwd: folder.path });
    await folder.write("storage_kashifm/mine.txt", "mine");
    const held = async () => (await peer.files()).filter((file) => file.has_copy);
    await peer.until("a file of our own", async () => (await held()).length === 1);
    await Deno.remove(folder.at("storage_kashifm"), { recursive: true });
    await peer.waitForLine(/ERROR .*storage_kashifm was removed\. It was created again, empty/);
    await peer.until("nothing held", async () => (await held()).length === 0);
    await using friend = await ForeignPeer.start({ style: "closes-at-once", peerId: "friend" });
    await friend.gossip(peer);
    const file = foreignFile("pushed.bin", randomBytes(2_000), "friend", `${SECONDS}`);
    await peer.until("a pushed file to be kept", async () => {
      await friend.push(peer, file);
      return (await held()).some(({ file_id }) => file_id === file.fileId);
    });
    strictEqual(await peer.stop("SIGTERM"), 0);
    match(await Deno.readTextFile(folder.at("storage_kashifm", "metadata.json")), /pushed\.bin/);
  },
);

Deno.test(
  "a peer that cannot save its metadata on shutdown exits with code 7",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using peer = await Program.peer("kashifm", ALONE, { cwd: folder.path });
    // A file cannot replace a directory named metadata.json.
    const metadata = folder.at("storage_kashifm", "metadata.json");
    await peer.until("metadata", () => Deno.lstat(metadata).then(() => true, () => undefined));
    await Deno.remove(metadata);
    await Deno.mkdir(`${metadata}/in-the-way`, { recursive: true });
    strictEqual(await peer.stop("SIGTERM"), 7);
    ok(peer.lines.some((line) => line.includes("metadata.json")), peer.report());
  },
);

Deno.test(
  "a quiet network logs hardly anything, an announcement to all is one line, and everything else is at DEBUG",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const args = ["--gossip-interval", "0.5", "--auto-fetch", "0", "--min-free", "0"];
    await using all = new AsyncDisposableStack();
    const start = async (name: string, ...more: string[]) =>
      all.use(await Program.peer(name, [...args, ...more], { cwd: folder.path }));
    const eagle = await start("eagle", "--no-bootstrap");
    const others: Program[] = [];
    for (let i = 0; i < 4; i++) others.push(await start(`p${i}`, "--bootstrap", eagle.address));
    const status = async () =>
      await eagle.status() as { peers: number; received: { GOSSIP: number } };
    await eagle.until("all peers", async () => (await status()).peers === 4);
    await eagle.until(
      "they are synchronized",
      () => others.every(({ text }) => /Synchronized/.test(text)),
    );
    const before = eagle.lines.length;
    const { received } = await status();
    // As many as in two minutes with the usual interval, from as many peers.
    await eagle.until(
      "rounds of gossip",
      async () => (await status()).received.GOSSIP > received.GOSSIP + 16,
    );
    deepStrictEqual(eagle.lines.slice(before), []);
    await folder.write("storage_eagle/new.txt", "new");
    await eagle.waitForLine(/INFO +Sending ANNOUNCE to 4 peers$/);
    const said = eagle.lines.slice(before);
    ok(said.length <= 3, said.join("\n"));
  },
);

Deno.test("with --log-format json, every line is an object", SANITIZED, async () => {
  await using folder = await Folder.make();
  const args = [...ALONE, "--log-format", "json"];
  await using peer = new Program(["kashifm", "127.0.0.1", "0", "0", ...args], { cwd: folder.path });
  await peer.waitForLine(/"text":"AUTO FETCH PROCESS COMPLETE/);
  strictEqual(await peer.stop(), 0);
  for (const line of peer.out) {
    const { time, level, text } = JSON.parse(line);
    ok(Number.isFinite(Date.parse(time)) && /^[A-Z]+$/.test(level) && text.length > 0, line);
  }
});
