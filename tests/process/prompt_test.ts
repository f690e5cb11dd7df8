// The prompt in a real terminal: each command does what the menu says.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { type ForeignFile, foreignFile, ForeignPeer } from "../wire/foreign.ts";
import { assertSameBytes, Folder, randomBytes } from "./folder.ts";
import { named } from "./network.ts";
import { Program } from "./program.ts";
import { CTRL_C, hasTerminal, meet, Terminal } from "./terminal.ts";
import { SANITIZED } from "./together.ts";

const SECONDS = 1750023401;
const ALONE = ["--no-bootstrap", "--auto-fetch", "0"];
const ignore = !hasTerminal;

function file(name: string, owner = "friend"): ForeignFile {
  return foreignFile(name, randomBytes(2_000), owner, `${SECONDS}`);
}

function friendWith(files: ForeignFile[], peerId = "friend"): Promise<ForeignPeer> {
  return ForeignPeer.start({ style: "closes-at-once", peerId, files });
}

const count = (friend: ForeignPeer, type: string) =>
  friend.received.filter((message) => message.type === type).length;

Deno.test({
  ...SANITIZED,
  name: "the prompt starts with the command menu, and shows files, peers, and traffic",
  ignore,
  async fn() {
    await using folder = await Folder.make();
    await using friend = await friendWith([file("a.bin")]);
    await using terminal = await Terminal.peer("kashifm", ALONE, folder);
    const menu = terminal.screen.rows.indexOf("Command Menu");
    ok(menu >= 0, "a line with exactly the text Command Menu");
    const commands = "list peers get push delete restore verify status log help exit".split(" ");
    for (const command of commands) {
      await terminal.sees(new RegExp(`^\\s*${command}\\b`), menu);
    }
    await meet(friend, terminal);
    await folder.write("storage_kashifm/mine.txt", "mine");
    await terminal.sees(/mine\.txt.*published|published.*mine\.txt/);

    const [fileId] = friend.files.keys();
    const [row] = await terminal.command("list", new RegExp(`^${fileId!.slice(0, 6)} .*`));
    match(row, /\ba\.bin\b.*\bfriend\b.*\b2\.00 kB\b.*\bfriend +-$/);
    await terminal.command("list local", /^[0-9a-f]{6} .*\bmine\.txt\b.*\bkashifm\b/);
    const local = terminal.mark;
    await terminal.command("list remote", /^[0-9a-f]{6} .*\ba\.bin\b/);
    const remote = terminal.screen.rows.slice(local);
    ok(!remote.some((line) => /^[0-9a-f]{6} .*mine\.txt/.test(line)), remote.join("\n"));
    await terminal.command("peers", new RegExp(`^friend\\b.*127\\.0\\.0\\.1:${friend.port}\\b`));
    await terminal.command("stats", /\bGOSSIP\b.*\d/);
    await terminal.command("help", /^Command Menu$/);
    await terminal.command("log debug", /DEBUG/);
    await terminal.command("log loud", /log <trace\|debug\|info|log level/i);
    await terminal.command("lst", /"lst"/);
    await terminal.command("exit", /./);
    strictEqual(await terminal.program.exit(), 0);
  },
});

Deno.test({
  ...SANITIZED,
  name: "get fetches by id, unique prefix, or name, and copies to a destination",
  ignore,
  async fn() {
    await using folder = await Folder.make();
    const files = ["a.bin", "b.bin", "c.bin", "twin", "twin"].map((name) => file(name));
    const [a, b, c, twin, other] = files as [
      ForeignFile,
      ForeignFile,
      ForeignFile,
      ForeignFile,
      ForeignFile,
    ];
    await using friend = await friendWith(files);
    await using terminal = await Terminal.peer("kashifm", ALONE, folder);
    await meet(friend, terminal);
    const success = /^Successfully downloaded file from friend$/;
    await terminal.command(`get ${a.fileId}`, success);
    await terminal.command(`get ${b.fileId.slice(0, 12)} ${folder.at("copy-of-b")}`, success);
    await terminal.command("get c.bin", success);
    for (const { fileId, name, content } of [a, b, c]) {
      await terminal.program.holds(fileId);
      assertSameBytes(await Deno.readFile(folder.at("storage_kashifm", name)), content, name);
    }
    await terminal.until("the copy", () => {
      return [...Deno.readDirSync(folder.path)].some(({ name }) => name === "copy-of-b") ||
        undefined;
    });
    assertSameBytes(await Deno.readFile(folder.at("copy-of-b")), b.content, "the copy-of-b");
    // If two files share a name, get does not guess.
    const { mark } = terminal;
    await terminal.command("get twin", /twin/);
    await terminal.sees(new RegExp(twin.fileId.slice(0, 6)), mark);
    await terminal.sees(new RegExp(other.fileId.slice(0, 6)), mark);
    await terminal.command("get nothing", /"?nothing"?/);
    deepStrictEqual((await terminal.program.files()).filter((file) => file.has_copy).length, 3);
    // An existing file at the destination is not overwritten.
    await Deno.writeTextFile(folder.at("taken"), "taken");
    await terminal.command(`get a.bin ${folder.at("taken")}`, /taken/);
    await terminal.command("get c.bin", /c\.bin/);
    strictEqual(await Deno.readTextFile(folder.at("taken")), "taken");
  },
});

Deno.test({
  ...SANITIZED,
  name: "a slow get delays neither other commands, nor other gets, nor exit",
  ignore,
  async fn() {
    await using folder = await Folder.make();
    const [slow, quick] = [file("slow.bin", "mute"), file("quick.bin")];
    await using mute = await ForeignPeer.start({
      style: "closes-at-once",
      peerId: "mute",
      files: [slow],
    });
    await using friend = await friendWith([quick]);
    await using terminal = await Terminal.peer("kashifm", ALONE, folder);
    await meet(mute, terminal);
    await meet(friend, terminal);
    await mute.stop();
    // Accepts the connection but never sends anything.
    using trap = Deno.listen({ hostname: "127.0.0.1", port: mute.port });
    const trapped = trap.accept();
    await terminal.type(`get ${slow.fileId}\r`);
    using _conn = await trapped;
    await terminal.command("get quick.bin", /^Successfully downloaded file from friend$/);
    await terminal.command("list", /^[0-9a-f]{6} .*quick\.bin/);
    await terminal.type("exit\r");
    strictEqual(await terminal.program.exit(), 0);
  },
});

Deno.test({
  ...SANITIZED,
  name: "verify finds a file that rotted on disk, stops offering it, and fetches it again",
  ignore,
  async fn() {
    await using folder = await Folder.make();
    const [good, rotten] = [file("good.bin"), file("rotten.bin")];
    await using friend = await friendWith([good, rotten]);
    await using terminal = await Terminal.peer("kashifm", ALONE, folder);
    await meet(friend, terminal);
    for (const { fileId, name } of [good, rotten]) {
      await terminal.command(`get ${name}`, /^Successfully downloaded file from friend$/);
      await terminal.program.holds(fileId);
    }
    await terminal.command("verify", /^2 files verified, none damaged$/);
    const path = folder.at("storage_kashifm", "rotten.bin");
    await folder.rot(path, 1_000);
    const { mark } = terminal;
    await terminal.command("verify", /^1 file verified, 1 damaged$/);
    await terminal.sees(/^rotten\.bin .*damaged and no longer shared; downloading it again/, mark);
    await terminal.sees(/^Successfully downloaded file from friend$/, mark);
    await terminal.program.holds(rotten.fileId);
    assertSameBytes(await Deno.readFile(path), rotten.content, "rotten.bin");
    const asked = await friend.get(terminal.program, rotten.fileId);
    assertSameBytes(asked!.content, rotten.content, "the content served");
  },
});

Deno.test({
  ...SANITIZED,
  name: "a file found damaged while no peer is known is fetched again once a holder appears",
  async fn() {
    await using folder = await Folder.make();
    const rotten = file("rotten.bin");
    const args = ["--no-bootstrap", "--auto-fetch", "0"];
    const options = { cwd: folder.path };
    {
      await using friend = await friendWith([]);
      await using peer = await Program.peer("kashifm", args, options);
      await friend.gossip(peer);
      await friend.push(peer, rotten);
      await peer.holds(rotten.fileId);
      strictEqual(await peer.stop(), 0);
    }
    const path = folder.at("storage_kashifm", "rotten.bin");
    await folder.rot(path, 1_000);
    await using peer = await Program.peer("kashifm", [...args, "--verify"], options);
    await peer.waitForLine(/rotten\.bin .*downloaded again once a peer has it/);
    await using friend = await friendWith([rotten]);
    await friend.gossip(peer);
    await peer.holds(rotten.fileId);
    assertSameBytes(await peer.content(rotten.fileId), rotten.content, "rotten.bin");
  },
});

Deno.test({
  ...SANITIZED,
  name: "--verify rereads all files after startup and reports the result",
  async fn() {
    await using folder = await Folder.make();
    const path = `${await folder.folder("storage_kashifm")}/mine.txt`;
    await Deno.writeTextFile(path, "mine");
    await Deno.utime(path, SECONDS, SECONDS); // unchanged for long, so it is shared immediately
    const args = ["--no-bootstrap", "--verify"];
    await using peer = await Program.peer("kashifm", args, { cwd: folder.path });
    await peer.waitForLine(/^1 file verified, none damaged$/);
  },
});

Deno.test({
  ...SANITIZED,
  name: "push announces a file and sends a copy, delete withdraws it, and restore brings it back",
  ignore,
  async fn() {
    await using folder = await Folder.make();
    await using friend = await friendWith([]);
    await using terminal = await Terminal.peer("kashifm", ALONE, folder);
    await meet(friend, terminal);
    const content = randomBytes(3_000);
    await Deno.writeFile(folder.at("up.bin"), content);
    await terminal.command(`push ${folder.at("up.bin")}`, /up\.bin/);
    await terminal.until("the announcement and the copy", () => {
      return count(friend, "ANNOUNCE") > 0 && count(friend, "FILE_DATA") > 0 || undefined;
    });
    const [fileId, pushed] = [...friend.files][0]!;
    assertSameBytes(pushed.content, content, "the pushed copy");
    strictEqual(pushed.name, "up.bin");
    strictEqual(pushed.owner, "kashifm");
    await terminal.command("push nothing", /nothing/);

    await terminal.command(
      `delete ${fileId}`,
      /^Delete up\.bin everywhere\? 1 other peer holds it, too/,
    );
    await terminal.type("n\r");
    await terminal.sees(/^Nothing was deleted$/);
    strictEqual(count(friend, "DELETE"), 0);
    await terminal.command(`delete ${fileId}`, /^Delete up\.bin everywhere\?/);
    await terminal.type("y\r");
    await terminal.sees(/^Deleted up\.bin: 1 peer notified/);
    await terminal.until(
      "the friend to receive DELETE",
      () => count(friend, "DELETE") > 0 || undefined,
    );
    deepStrictEqual([...friend.files], [], "the friend must obey the owner");
    await terminal.program.until("the file to be gone", async () => {
      return !(await terminal.program.files()).some((file) =>
        file.file_id === fileId && file.has_copy
      );
    });
    const names = () => [...Deno.readDirSync(folder.at("storage_kashifm"))].map(({ name }) => name);
    ok(!names().includes("up.bin"), "up.bin must be gone from the folder");
    assertSameBytes(
      await Deno.readFile(folder.at("up.bin")),
      content,
      "the original that was pushed",
    );

    await terminal.command("restore", new RegExp(`${fileId} +up\\.bin`));
    await terminal.command("restore up.bin", /Restored up\.bin/);
    strictEqual((await terminal.program.holds(fileId)).file_owner, "kashifm");
    assertSameBytes(
      await Deno.readFile(folder.at("storage_kashifm", "up.bin")),
      content,
      "restored",
    );
  },
});

Deno.test({
  ...SANITIZED,
  name: "deleting another peer's file removes only our copy, says so, and prevents refetching",
  ignore,
  async fn() {
    await using folder = await Folder.make();
    const theirs = file("theirs.bin");
    await using friend = await friendWith([theirs]);
    const args = ["--no-bootstrap", "--auto-fetch", "all", "--gossip-interval", "0.5"];
    await using terminal = await Terminal.peer("kashifm", args, folder);
    await meet(friend, terminal);
    await terminal.program.holds(theirs.fileId);
    const asked = count(friend, "GET_FILE");
    await terminal.command(`delete ${theirs.fileId}`, /our copy|here only|only here/i);
    await terminal.program.until("our copy to be gone", async () => {
      return (await terminal.program.files()).every((file) => !file.has_copy);
    });
    const news = file("news.bin");
    friend.files.set(news.fileId, news);
    await friend.gossip(terminal);
    await terminal.program.holds(news.fileId);
    const gossips = count(friend, "GOSSIP");
    await terminal.until(
      "two more gossip rounds",
      () => count(friend, "GOSSIP") >= gossips + 2 || undefined,
    );
    strictEqual(count(friend, "DELETE"), 0);
    strictEqual(count(friend, "GET_FILE"), asked + 1, "only the other file must have been fetched");
    ok(friend.files.has(theirs.fileId));
    // An explicit get brings it back.
    await terminal.command(`get ${theirs.fileId}`, /^Successfully downloaded file from friend$/);
    await terminal.program.holds(theirs.fileId);
  },
});

Deno.test({
  ...SANITIZED,
  name:
    "get shows how far it is below what is printed, Ctrl-C cancels it and not the peer, and the next get continues there",
  ignore,
  async fn() {
    await using folder = await Folder.make();
    await using sender = await Program.peer(
      "friend",
      ["--no-bootstrap", "--auto-fetch", "0", "--max-up", "2MB"],
      { cwd: folder.path },
    );
    await folder.write("storage_friend/large.bin", randomBytes(40_000_000));
    await named(sender, "large.bin");
    const join = ["--bootstrap", sender.address, "--auto-fetch", "0", "--max-down", "50MB"];
    await using terminal = await Terminal.peer("kashifm", join, folder);
    await terminal.sees(/^Synchronized .* 1 file known/);
    await terminal.type("get large.bin\r");
    await terminal.sees(/^large\.bin \[#+-+\] \d+ % · .*B\/s · \d+ s left · Ctrl-C cancels$/);
    await terminal.type("lis");
    await terminal.program.until("what is typed stays", () => terminal.typed === "lis");
    await terminal.type(CTRL_C);
    await terminal.sees(/^The download was canceled/);
    const isShown = () => terminal.screen.rows.some((row) => row.includes("Ctrl-C cancels"));
    await terminal.program.until("the line is gone", () => !isShown());
    await terminal.type("\u0015"); // Ctrl-U
    await terminal.command("limit", /received from peers +at most 50\.0 MB\/s/);
    await terminal.command("limit down off", /received from peers +no limit/);
    const fetches = async () => {
      const { transfers } = await terminal.program.api<{
        transfers: { kind: string; state: string; resumed_bytes: number }[];
      }>("transfers");
      return transfers.filter(({ kind }) => kind === "fetch");
    };
    deepStrictEqual((await fetches()).map(({ state }) => state), ["cancelled"]);
    await terminal.type("get large.bin\r");
    await terminal.sees(/^large\.bin \[#+-+\] \d+ %/);
    ok((await fetches()).at(-1)!.resumed_bytes > 0, "it continues where it stopped");
    await terminal.type(CTRL_C);
    await terminal.sees(/^The download was canceled/, terminal.mark - 3);
    await terminal.type(CTRL_C);
    await terminal.sees(/^Press Ctrl-C again to stop the peer$/);
    await terminal.type(CTRL_C);
    strictEqual(await terminal.program.exit(), 130, "without a download, it stops the peer");
  },
});
