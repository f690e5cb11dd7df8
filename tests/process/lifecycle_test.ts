// How a peer lives and ends: signals, stdin, bootstraps that do not answer, a store that was damaged meanwhile.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { foreignFile, ForeignPeer, ownTimestamp } from "../wire/foreign.ts";
import { Folder, randomBytes } from "./folder.ts";
import { type FileRow, Program } from "./program.ts";
import { forEachOf, SANITIZED } from "./together.ts";

const ALONE = ["--no-bootstrap", "--auto-fetch", "0"];
/** Transfers are finished or abandoned within 5 s. */
const ABANDONED_MS = 5_000;
const SECONDS = 1750023401;

Deno.test("SIGTERM ends a peer with exit code 0, and SIGINT with 130", SANITIZED, async () => {
  await forEachOf([["SIGTERM", 0], ["SIGINT", 130]] as const, async ([signal, code]) => {
    await using folder = await Folder.make();
    await using peer = await Program.peer("kashifm", ALONE, { cwd: folder.path });
    await using dummy = await Program.dummy([], { cwd: folder.path });
    strictEqual(await peer.stop(signal), code);
    strictEqual(await dummy.stop(signal), code);
    deepStrictEqual(peer.err, []);
    // What it gave up is free again, and what it saved is whole.
    JSON.parse(await Deno.readTextFile(folder.at("storage_kashifm", "metadata.json")));
    const { port, httpPort } = peer;
    await using again = await Program.peer("kashifm", ALONE, { cwd: folder.path, port, httpPort });
    strictEqual(await again.stop(signal), code);
  });
});

Deno.test(
  "a peer that still reads its folder for the first time ends at once",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await Deno.mkdir(folder.at("storage_kashifm"));
    for (let i = 0; i < 32; i++) {
      const file = await Deno.create(folder.at("storage_kashifm", `${i}.bin`));
      await file.truncate(8 * 1024 ** 3); // of holes, which take as long to hash
      file.close();
    }
    await using peer = new Program(["kashifm", "127.0.0.1", "0", "0", ...ALONE], {
      cwd: folder.path,
    });
    await peer.until(
      "it has opened its store",
      () => exists(folder.at("storage_kashifm", ".p2p-peer")),
    );
    const began = performance.now();
    peer.signal("SIGTERM");
    strictEqual(await peer.exit(), 0);
    ok(performance.now() - began < 10_000, "not after 64 GiB");
    deepStrictEqual(peer.err, []);
  },
);

const exists = (path: string) => Deno.stat(path).then(() => true, () => false);

Deno.test(
  "a transfer that hangs holds the end up for 5 s at most, and not at all after a second signal",
  SANITIZED,
  async () => {
    await forEachOf([1, 2], async (signals) => {
      await using folder = await Folder.make();
      const file = foreignFile("hangs.bin", randomBytes(1_000), "mute", `${SECONDS}`);
      // Answers gossip, and GET_FILE with a silence that lasts.
      await using dummy = await Program.dummy(["--misbehave", "silent"], { cwd: folder.path });
      await using peer = await Program.peer(
        "kashifm",
        ["--bootstrap", dummy.address, "--auto-fetch", "all"],
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
        ok(peer.isRunning, "still waits for the transfer, else this shows nothing");
        peer.signal("SIGINT");
      }
      strictEqual(await peer.exit(), 130);
      const tookMs = performance.now() - began;
      const limitMs = signals === 2 ? ABANDONED_MS * 0.8 : ABANDONED_MS * 2;
      ok(tookMs < limitMs, `Ended after ${tookMs} ms. ${peer.report()}`);
      if (signals === 2) return;
      const saved = await Deno.readTextFile(folder.at("storage_kashifm", "metadata.json"));
      match(saved, /mine\.txt/);
    });
  },
);

Deno.test(
  "without a terminal there is no prompt and no colour, and the end of stdin ends nothing",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using peer = await Program.peer("kashifm", ALONE, { cwd: folder.path, stdin: "piped" });
    const writer = peer.stdin.getWriter();
    await writer.write(new TextEncoder().encode("exit\nhelp\n"));
    await writer.close();
    await folder.write("storage_kashifm/after.txt", "after");
    await peer.until("a file shared after the end of stdin", async () => {
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
  "a bootstrap that is down is said once, tried again, and joined when it comes up",
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
      // Hangs up: as good as down, and it shows that there are tries.
      using listener = Deno.listen({ hostname: "127.0.0.1", port });
      (await listener.accept()).close();
    }
    ok(peer.isRunning);
    strictEqual((await peer.status()).peers, 0);
    await using late = await ForeignPeer.start({ style: "closes-at-once", peerId: "late", port });
    await peer.tracks("late", late.port);
    await peer.waitForLine(/^Synchronized/);
    const said = peer.lines.filter((line) => /WARNING/.test(line) && line.includes(`:${port}`));
    strictEqual(said.length, 1, `Said once. ${peer.report()}`);
  },
);

Deno.test(
  "a bootstrap that takes connections and never answers holds nothing up, and is said once",
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
    await peer.until("several tries", () => mute.received.length >= 3);
    await peer.waitForLine(/no peer has answered/i, 0, 10_000);
    await peer.waitForLine(/^AUTO FETCH PROCESS COMPLETE/);
    const said = peer.lines.filter((line) =>
      line.includes(`:${mute.port}`) && !/ Sent /.test(line)
    );
    ok(said.length <= 1, peer.report());
  },
);

Deno.test(
  "a mute bootstrap beside a good one delays neither synchronization nor the first fetch",
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

/** Lets a peer take in a file of its own and one of somebody else, and stop. */
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

/** What must be the same again, in an order that can be compared. */
function essence(files: readonly FileRow[]) {
  return files.map(({ file_id, file_owner, file_name, file_timestamp, has_copy }) => {
    return { file_id, file_owner, file_name, file_timestamp, has_copy };
  }).sort((a, b) => a.file_id < b.file_id ? -1 : 1);
}

const namesIn = (path: string) => [...Deno.readDirSync(path)].map(({ name }) => name).sort();

Deno.test(
  "a damaged metadata.json is set aside and said, and the same ids and owners come back",
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
        `two files, when it was ${name}`,
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
  "when nothing tells any more whose the files are, none is lost and none published as ours",
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
    // Both by what the scan finds at the start and by what it finds later.
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
  "a storage folder that goes away is made anew, and files are kept again",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using peer = await Program.peer("kashifm", ALONE, { cwd: folder.path });
    await folder.write("storage_kashifm/mine.txt", "mine");
    const held = async () => (await peer.files()).filter((file) => file.has_copy);
    await peer.until("a file of our own", async () => (await held()).length === 1);
    await Deno.remove(folder.at("storage_kashifm"), { recursive: true });
    await peer.waitForLine(/ERROR .*storage_kashifm was removed; it is made again/);
    await peer.until("nothing held", async () => (await held()).length === 0);
    await using friend = await ForeignPeer.start({ style: "closes-at-once", peerId: "friend" });
    await friend.gossip(peer);
    const file = foreignFile("pushed.bin", randomBytes(2_000), "friend", `${SECONDS}`);
    await peer.until("a push that is kept", async () => {
      await friend.push(peer, file);
      return (await held()).some(({ file_id }) => file_id === file.fileId);
    });
    strictEqual(await peer.stop("SIGTERM"), 0);
    match(await Deno.readTextFile(folder.at("storage_kashifm", "metadata.json")), /pushed\.bin/);
  },
);

Deno.test("a stop that could not save what is known ends with exit code 7", SANITIZED, async () => {
  await using folder = await Folder.make();
  await using peer = await Program.peer("kashifm", ALONE, { cwd: folder.path });
  // A folder in the place of metadata.json cannot be replaced by a file.
  const metadata = folder.at("storage_kashifm", "metadata.json");
  await peer.until("metadata", () => Deno.lstat(metadata).then(() => true, () => undefined));
  await Deno.remove(metadata);
  await Deno.mkdir(`${metadata}/in-the-way`, { recursive: true });
  strictEqual(await peer.stop("SIGTERM"), 7);
  ok(peer.lines.some((line) => line.includes("metadata.json")), peer.report());
});
