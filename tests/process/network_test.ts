// Several real processes as one network: files spread and arrive intact; peers die, return, and are forgotten.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { createHash } from "node:crypto";
import { foreignFile, ForeignPeer } from "../wire/foreign.ts";
import { until } from "../until.ts";
import { assertSameBytes, Folder, randomBytes } from "./folder.ts";
import { held, named, SHARED_MS, start } from "./network.ts";
import { SANITIZED, together } from "./together.ts";

const SECONDS = 1750023401;

Deno.test(
  "a file dropped into one of three peers' folders arrives intact at the other two",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using alice = await start(folder, "alice", []);
    await using bob = await start(folder, "bob", [alice]);
    await using carol = await start(folder, "carol", [bob]);
    await Promise.all([carol.tracks("alice"), alice.tracks("carol"), alice.tracks("bob")]);

    const content = randomBytes(300_000);
    await folder.write("storage_alice/Übung 1.bin", content);
    const shared = await named(alice, "Übung 1.bin", SHARED_MS);
    strictEqual(shared.file_owner, "alice");
    const id = createHash("sha256").update(content).update(`${shared.file_timestamp}`).digest(
      "hex",
    );
    strictEqual(shared.file_id, id);

    for (const peer of [bob, carol]) {
      const copy = await peer.holds(shared.file_id);
      strictEqual(copy.file_owner, "alice");
      strictEqual(copy.file_name, "Übung 1.bin");
      assertSameBytes(await peer.content(shared.file_id), content, "content over HTTP");
    }
    for (const peerId of ["bob", "carol"]) {
      assertSameBytes(
        await Deno.readFile(folder.at(`storage_${peerId}`, "Übung 1.bin")),
        content,
        `the file from ${peerId}`,
      );
    }
    const everyone = ["alice", "bob", "carol"];
    for (const peer of [alice, bob, carol]) {
      await peer.until("all three to be listed as holders", async () => {
        const file = (await peer.files()).find(({ file_id }) => file_id === shared.file_id);
        return everyone.every((peerId) => file?.peers_with_file.includes(peerId));
      });
    }
  },
);

Deno.test(
  "a killed peer returns with its files, on the same port or another, and is reachable immediately",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    // The peer timeout is far longer than this test, so nothing is relearned because a peer was forgotten.
    const patient = { args: ["--auto-fetch", "all", "--peer-timeout", "600"] };
    await using alice = await start(folder, "alice", [], patient);
    await using bob = await start(folder, "bob", [alice], patient);
    await Promise.all([alice.tracks("bob"), bob.tracks("alice")]);
    await folder.write("storage_alice/of alice", randomBytes(50_000));
    await folder.write("storage_bob/of bob", randomBytes(50_000));
    await Promise.all([named(bob, "of alice"), named(alice, "of bob")]);
    const before = await held(alice);
    strictEqual(before.length, 2);

    let port = alice.port;
    await alice.stop("SIGKILL");
    for (const turn of ["same port", "other port"]) {
      const again = turn === "same port" ? { ...patient, port } : patient;
      await using returned = await start(folder, "alice", [bob], again);
      strictEqual(returned.port === port, turn === "same port");
      ({ port } = returned);
      deepStrictEqual(await held(returned), before, "ids and owners after the restart");
      await bob.tracks("alice", port, 15_000);
      // Reachable: a file she publishes now is fetched from her current address.
      await folder.write(`storage_alice/${turn}`, randomBytes(10_000));
      const news = await named(bob, turn);
      before.push({ file_id: news.file_id, file_owner: "alice", file_name: turn });
      before.sort((a, b) => a.file_id < b.file_id ? -1 : 1);
      strictEqual(await returned.stop("SIGKILL"), 137);
    }
  },
);

Deno.test(
  "a peer that uses a live peer's name is answered, but takes over neither its entry nor its files",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using alice = await start(folder, "alice", []);
    await using bob = await start(folder, "bob", [alice]);
    await bob.tracks("alice", alice.port);
    await using impostor = await ForeignPeer.start({ style: "closes-at-once", peerId: "alice" });
    await impostor.gossip(bob);
    const replies = () => impostor.received.filter(({ type }) => type === "GOSSIP_REPLY").length;
    await bob.until("an answer to the impostor", () => replies() > 0);
    await folder.write("storage_alice/news", "news");
    await named(bob, "news");
    deepStrictEqual((await bob.peers()).map(({ peerId, port }) => ({ peerId, port })), [
      { peerId: "alice", port: alice.port },
    ]);
  },
);

Deno.test(
  "a peer that goes silent is dropped, as a holder too; one that answers stays",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const files = ["gone", "stays"].map((name) =>
      foreignFile(`of ${name}.bin`, randomBytes(1_000), name, `${SECONDS}`)
    );
    await using gone = await ForeignPeer.start({
      style: "closes-at-once",
      peerId: "gone",
      files: [files[0]!],
    });
    await using stays = await ForeignPeer.start({
      style: "closes-at-once",
      peerId: "stays",
      files: [files[1]!],
    });
    const args = ["--auto-fetch", "0", "--peer-timeout", "2"];
    await using peer = await start(folder, "kashifm", [], { args });
    await Promise.all([gone.gossip(peer), stays.gossip(peer)]);
    const holders = async (index: number) => {
      const file = (await peer.files()).find(({ file_id }) => file_id === files[index]!.fileId);
      return file?.peers_with_file;
    };
    await peer.until("both lists", async () => (await holders(0)) && (await holders(1)));
    await Promise.all([peer.tracks("gone"), peer.tracks("stays")]);
    await gone.stop();

    await peer.until("the silent one to be dropped", async () => {
      return !(await peer.peers()).some(({ peerId }) => peerId === "gone");
    });
    await peer.until("it to be dropped as a holder", async () => (await holders(0))?.length === 0);
    deepStrictEqual(await holders(1), ["stays"]);
    deepStrictEqual((await peer.peers()).map(({ peerId }) => peerId), ["stays"]);
  },
);

Deno.test(
  "when every bootstrap peer is down, a peer rejoins through the peers it remembers",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using bootstrap = await start(folder, "bootstrap", []);
    await using peer = await start(folder, "kashifm", [bootstrap]);
    // It answers but never starts gossip, so a peer can find it again only by remembering it.
    await using friend = await ForeignPeer.start({
      style: "same-connection",
      peerId: "friend",
      forwards: false,
    });
    await bootstrap.tracks("kashifm");
    await friend.gossip(bootstrap);
    await peer.tracks("friend");
    await until("the friend to know the peer", () => friend.peers.has("kashifm"));
    await bootstrap.stop("SIGKILL");

    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      await using again = signal === "SIGTERM" ? peer : await start(folder, "kashifm", [bootstrap]);
      await again.tracks("friend");
      await again.stop(signal);
      friend.received.length = 0;
    }
    await using last = await start(folder, "kashifm", [bootstrap]);
    await last.tracks("friend");
    await until(
      "gossip at the friend",
      () => friend.received.some(({ type }) => type === "GOSSIP"),
    );
  },
);

Deno.test(
  "a starting peer prints where it stores files and how the first fetch went, even if nothing was fetched",
  SANITIZED,
  async () => {
    const file = (name: string, holder: string) =>
      foreignFile(name, randomBytes(2_000), holder, `${SECONDS}`);
    const good = ["a", "b", "c"].map((name) => file(`${name}.bin`, "giver"));
    await using giver = await ForeignPeer.start({
      style: "closes-at-once",
      peerId: "giver",
      files: good,
    });
    await using poor = await ForeignPeer.start({ style: "closes-at-once", peerId: "poor" });
    await using liar = await ForeignPeer.start({
      style: "closes-at-once",
      peerId: "liar",
      files: [file("d.bin", "liar"), file("e.bin", "liar")],
      misbehave: "corrupt",
    });
    const cases: [ForeignPeer | undefined, fetch: string, fetched: number, counts: RegExp][] = [
      [giver, "2", 2, /\b2\b.*\b0 failed\b/],
      [poor, "3", 0, /\b0\b/],
      [liar, "3", 0, /\b0\b.*\b2 pending\b/],
      [giver, "0", 0, /\b0\b/],
      [undefined, "3", 0, /\b0\b/],
    ];
    await together(cases.map(async ([from, fetch, fetched, counts]) => {
      await using folder = await Folder.make();
      const bootstraps = from ? [{ address: `127.0.0.1:${from.port}` }] : [];
      await using peer = await start(folder, "kashifm", bootstraps, {
        args: ["--auto-fetch", fetch],
      });
      const [complete] = await peer.waitForLine(/^AUTO FETCH PROCESS COMPLETE.*$/);
      match(complete, counts);
      const successes = peer.lines.filter((line) =>
        line.startsWith("Successfully downloaded file")
      );
      deepStrictEqual(successes, Array(fetched).fill("Successfully downloaded file from giver"));
      strictEqual((await held(peer)).length, fetched);
      match(peer.out[0] ?? "", /^Storage directory: \/.*\/storage_kashifm$/);
      if (from === undefined) return;
      const [, time, unit] = await peer.waitForLine(/^Synchronized in ([\d.]+) (ms|s)\b/);
      ok(
        Number(time) * (unit === "s" ? 1000 : 1) < 5_000,
        `Synchronized only after ${time} ${unit}`,
      );
      strictEqual(
        peer.lines.filter((line) => line.startsWith("AUTO FETCH PROCESS COMPLETE")).length,
        1,
        "completion must be reported once",
      );
    }));
  },
);
