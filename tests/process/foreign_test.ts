// A real process among peers of other implementations, in each of the four styles seen in the field, in both
// directions, and on a copy of a real peer's store.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import {
  type ForeignFile,
  foreignFile,
  ForeignPeer,
  type ForeignStyle,
  ownTimestamp,
  timestampSource,
} from "../wire/foreign.ts";
import { until } from "../until.ts";
import {
  assertSameBytes,
  copyFieldStore,
  fieldFile,
  Folder,
  hasFieldStore,
  randomBytes,
} from "./folder.ts";
import { Program } from "./program.ts";
import { SANITIZED, together } from "./together.ts";

const STYLES: ForeignStyle[] = ["keeps-open", "closes-at-once", "same-connection", "reparses"];
const SECONDS = 1744170562;

/** Starts a peer that joins through these peers, or alone if there are none. */
function start(
  folder: Folder,
  bootstraps: readonly ForeignPeer[],
  autoFetch: string,
  more: readonly string[] = [],
): Promise<Program> {
  const join = bootstraps.length === 0
    ? ["--no-bootstrap"]
    : bootstraps.flatMap(({ port }) => ["--bootstrap", `127.0.0.1:${port}`]);
  return Program.peer(
    "kashifm",
    [...join, "--auto-fetch", autoFetch, "--gossip-interval", "1", "--log-level", "DEBUG", ...more],
    { cwd: folder.path },
  );
}

/** Returns a file owned by a peer of this style, with a timestamp in that style's format. */
function ownFile(style: ForeignStyle, name = `Übung from ${style}.bin`, sizeBytes = 30_000) {
  return foreignFile(name, randomBytes(sizeBytes), style, ownTimestamp(style, SECONDS));
}

Deno.test({
  ...SANITIZED,
  name:
    "peers of each style fetch test.png and bitcoin.pdf intact from a peer that uses the field store",
  ignore: !hasFieldStore(),
  async fn() {
    await using folder = await Folder.make();
    await copyFieldStore(await folder.folder("storage_kashifm"));
    await using peer = await start(folder, [], "0");
    const files = await peer.until("the nine files marked as held, and four more", async () => {
      const held = (await peer.files()).filter(({ has_copy }) => has_copy);
      return held.length >= 13 && held;
    });
    strictEqual(files.length, 13);
    deepStrictEqual(files.filter(({ file_owner }) => file_owner === "kashifm"), []);
    // bitcoin.pdf is one of the four whose entries do not say that they are held.
    const wanted = await Promise.all(["test.png", "bitcoin.pdf"].map(async (name) => {
      const [file, ...others] = files.filter(({ file_name }) => file_name === name);
      strictEqual(others.length, 0);
      return { name, fileId: file!.file_id, content: await fieldFile(name) };
    }));
    await together(STYLES.map(async (style) => {
      await using foreign = await ForeignPeer.start({ style, peerId: style });
      await foreign.gossip(peer);
      for (const { name, fileId, content } of wanted) {
        await until(`${style} to learn of ${name}`, () => foreign.catalogue.has(fileId));
        const got = await foreign.get(peer, fileId);
        ok(got, `${style} did not get ${name}: ${foreign.lost} ${foreign.failures}`);
        assertSameBytes(got.content, content, `${name} at ${style}`);
      }
      deepStrictEqual(foreign.lost, []);
    }));
  },
});

Deno.test(
  "files of each style are fetched, verified, and passed on with their original timestamps",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const files = new Map(STYLES.map((style) => [style, ownFile(style)]));
    // Its owner used an integer, but the peer that relays it turns all numbers into floats.
    const rendered = { ...foreignFile("rendered.bin", randomBytes(999), "far away", `${SECONDS}`) };
    rendered.timestamp = `${SECONDS}.0`;
    await using peers = new AsyncDisposableStack();
    const holders = await Promise.all(STYLES.map(async (style) => {
      const own = style === "keeps-open" ? [files.get(style)!, rendered] : [files.get(style)!];
      return peers.use(await ForeignPeer.start({ style, peerId: style, files: own }));
    }));
    await using peer = await start(folder, holders, "all");
    const expected = [...files.values(), rendered];
    for (const file of expected) {
      const row = await peer.holds(file.fileId);
      strictEqual(row.file_owner, file.owner);
      strictEqual(row.file_name, file.name);
      assertSameBytes(
        await Deno.readFile(folder.at("storage_kashifm", file.name)),
        file.content,
        file.name,
      );
      assertSameBytes(await peer.content(file.fileId), file.content, `${file.name} by HTTP`);
    }
    await using reader = await ForeignPeer.start({ style: "same-connection", peerId: "reader" });
    await reader.gossip(peer);
    for (const file of expected) {
      const { entry } = await until(file.name, () => reader.catalogue.get(file.fileId));
      strictEqual(timestampSource(entry), file.timestamp, `timestamp of ${file.name}`);
      strictEqual(entry.file_owner, file.owner);
    }
    for (const holder of [...holders, reader]) {
      deepStrictEqual(holder.lost, [], `what ${holder.peerId} could not read`);
    }
  },
);

Deno.test(
  "a holder that truncates, corrupts, hangs, or gives up costs one attempt, and another delivers",
  SANITIZED,
  async () => {
    const manners = ["truncate", "corrupt", "silent", "drop-above-4mb"] as const;
    await together(manners.map(async (misbehave) => {
      await using folder = await Folder.make();
      const sizeBytes = misbehave === "drop-above-4mb" ? 3_000_000 : 50_000;
      const file = ownFile("same-connection", `${misbehave}.bin`, sizeBytes);
      await using bad = await ForeignPeer.start({
        style: "closes-at-once",
        peerId: "bad",
        files: [file],
        misbehave,
      });
      await using honest = await ForeignPeer.start({
        style: "same-connection",
        peerId: "honest",
      });
      await using peer = await start(folder, [], "all", ["--idle-timeout", "2"]);
      const asked = (who: ForeignPeer) =>
        who.received.filter(({ type, file_id }) => type === "GET_FILE" && file_id === file.fileId)
          .length;
      await honest.gossip(peer);
      await peer.waitForLine(/^Synchronized/);
      // The silent holder does not answer gossip either, so it announces its file.
      await bad.gossip(peer);
      await peer.tracks("bad");
      await bad.announce(peer, file);
      await peer.until(`the ${misbehave} holder to be asked`, () => asked(bad) > 0);
      honest.files.set(file.fileId, file);
      await honest.announce(peer, file);
      const row = await peer.holds(file.fileId);
      assertSameBytes(
        await Deno.readFile(folder.at("storage_kashifm", file.name)),
        file.content,
        misbehave,
      );
      strictEqual(
        asked(bad),
        1,
        `Wrong number of attempts at the ${misbehave} holder. ${peer.report()}`,
      );
      strictEqual(asked(honest), 1);
      ok(row.peers_with_file.includes("honest"));
      strictEqual(await peer.stop(), 0);
      const names = [...Deno.readDirSync(folder.at("storage_kashifm"))].map(({ name }) => name);
      deepStrictEqual(names.sort(), [".p2p-peer", file.name, "metadata.json"].sort());
    }));
  },
);

Deno.test(
  "a file is fetched even if it was only announced, by a peer that never answers gossip",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const file = ownFile("closes-at-once");
    await using holder = await ForeignPeer.start({
      style: "closes-at-once",
      peerId: "holder",
      files: [file],
      replies: false,
    });
    await using peer = await start(folder, [], "all");
    await holder.gossip(peer);
    await peer.tracks("holder");
    await holder.announce(peer, file);
    await peer.holds(file.fileId, 10_000);
  },
);

Deno.test(
  "a push in each style is kept and announced; one with the wrong content is rejected",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using watcher = await ForeignPeer.start({ style: "closes-at-once", peerId: "watcher" });
    await using peer = await start(folder, [], "0");
    await watcher.gossip(peer);
    await peer.tracks("watcher");
    const announced = (file: ForeignFile) =>
      watcher.received.filter(({ type, from, file_id }) =>
        type === "ANNOUNCE" && from === "kashifm" && file_id === file.fileId
      );
    await together(STYLES.map(async (style) => {
      await using pusher = await ForeignPeer.start({ style, peerId: style });
      const right = ownFile(style);
      const wrong = { ...ownFile(style, `wrong from ${style}.bin`), content: randomBytes(30_000) };
      await pusher.push(peer, wrong);
      await pusher.push(peer, right);
      await peer.holds(right.fileId);
      assertSameBytes(
        await Deno.readFile(folder.at("storage_kashifm", right.name)),
        right.content,
        style,
      );
      const [news] = await until(`the announcement of ${right.name}`, () => {
        const found = announced(right);
        return found.length > 0 && found;
      });
      strictEqual(timestampSource(news!), right.timestamp);
      strictEqual(news!.file_owner, style);
      await peer.until(`the wrong content from ${style} to be rejected`, () => {
        return peer.lines.some((line) => line.includes(wrong.name));
      });
      deepStrictEqual(announced(wrong), []);
    }));
    const kept = (await peer.files()).map(({ file_name }) => file_name).sort();
    deepStrictEqual(kept, STYLES.map((style) => `Übung from ${style}.bin`).sort());
    const names = [...Deno.readDirSync(folder.at("storage_kashifm"))].map(({ name }) => name);
    deepStrictEqual(names.filter((name) => name.startsWith("wrong")), []);
    deepStrictEqual(watcher.lost, []);
  },
);
