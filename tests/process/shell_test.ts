// Commands of the shell that ask a running peer: what scripts and people get, and the exit code of each outcome.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { foreignFile, ForeignPeer } from "../wire/foreign.ts";
import { until } from "../until.ts";
import { Folder, randomBytes } from "./folder.ts";
import { COMMAND, Program, surroundings } from "./program.ts";
import { SANITIZED } from "./together.ts";

const ALONE = ["--no-bootstrap", "--auto-fetch", "0", "--no-repl", "--min-free", "0"];

interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A running peer in a folder of its own, and commands that ask it. */
class Scene implements AsyncDisposable {
  private constructor(readonly folder: Folder, readonly program: Program) {}

  static async make(...args: string[]): Promise<Scene> {
    const folder = await Folder.make();
    const program = await Program.peer("ann", [...ALONE, ...args], { cwd: folder.path });
    return new Scene(folder, program);
  }

  async run(args: readonly string[], stdin?: string): Promise<Ended> {
    return await run(this.folder.path, args, stdin);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program[Symbol.asyncDispose]();
    await this.folder[Symbol.asyncDispose]();
  }
}

/** Runs a command to its end. */
async function run(
  cwd: string,
  args: readonly string[],
  stdin?: string,
  env: Record<string, string> = {},
): Promise<Ended> {
  const [executable, ...first] = COMMAND;
  const child = new Deno.Command(executable!, {
    args: [...first, ...args],
    cwd,
    env: surroundings(env),
    clearEnv: true,
    stdin: stdin === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  if (stdin !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(stdin));
    await writer.close();
  }
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

Deno.test(
  "scripts list, share, read, delete and restore files through a running peer",
  SANITIZED,
  async () => {
    await using scene = await Scene.make();
    const { folder } = scene;
    await folder.write("a b.txt", "content of a");
    const pushed = await scene.run(["push", "a b.txt"]);
    strictEqual(pushed.code, 0, pushed.err);
    const [file] = JSON.parse(pushed.out).files;
    deepStrictEqual([file.file_name, file.already_shared], ["a b.txt", false]);
    const piped = await scene.run(["push", "-", "--name", "piped.txt", "--text"], "from a pipe");
    match(piped.out, /^Shared piped\.txt as [0-9a-f]{64}\n$/);
    const list = await scene.run(["list"]);
    const { files, total } = JSON.parse(list.out);
    deepStrictEqual([files.map((each: { file_name: string }) => each.file_name), total], [
      ["piped.txt", "a b.txt"],
      2,
    ]);
    strictEqual(JSON.parse((await scene.run(["list", "*.TXT"])).out).total, 2);
    strictEqual(JSON.parse((await scene.run(["list", "local", "pip"])).out).total, 1);
    strictEqual(JSON.parse((await scene.run(["list", "remote"])).out).total, 0);
    match(
      (await scene.run(["list", "--text"])).out,
      /^id +name +owner.*\n.*piped\.txt.*\n.*a b\.txt.*\n2 files\n$/,
    );

    strictEqual((await scene.run(["get", "a b.txt", "-o", "-"])).out, "content of a");
    const copied = await scene.run(["get", file.file_id.slice(0, 10), "-o", "."], undefined);
    strictEqual(copied.code, 6, "a b.txt is in this folder already");
    await folder.folder("copies");
    const both = await scene.run(["get", "a b.txt", "piped.txt", "-o", "copies", "--text"]);
    strictEqual(both.code, 0, both.err);
    strictEqual(await Deno.readTextFile(folder.at("copies/piped.txt")), "from a pipe");
    match(both.err, /^2 files here$/m);

    const gone = await scene.run(["delete", "a b.txt"]);
    deepStrictEqual(JSON.parse(gone.out).deleted.map((each: { where: string }) => each.where), [
      "everywhere",
    ]);
    deepStrictEqual(JSON.parse((await scene.run(["restore"])).out).total, 1);
    strictEqual((await scene.run(["restore", "a b.txt", "--text"])).out, "Restored a b.txt\n");

    const status = JSON.parse((await scene.run(["status"])).out);
    deepStrictEqual([status.peerId, status.files.held], ["ann", 2]);
    deepStrictEqual(JSON.parse((await scene.run(["peers"])).out), { peers: [], total: 0 });
    ok(JSON.parse((await scene.run(["transfers"])).out).total > 0);
    match((await scene.run(["transfers", "--text"])).out, /piped\.txt +upload from 127\.0\.0\.1/);
    deepStrictEqual(JSON.parse((await scene.run(["limit", "up", "2MiB"])).out), {
      down: null,
      up: 2097152,
    });
    deepStrictEqual(JSON.parse((await scene.run(["log", "debug"])).out), { level: "DEBUG" });
  },
);

Deno.test(
  "each kind of failure has its exit code and one line that says what to do",
  SANITIZED,
  async () => {
    await using scene = await Scene.make("--peer-timeout", "60");
    const { folder, program } = scene;
    await folder.write("here.txt", "here");
    const table: [string[], number, RegExp][] = [
      [["get", "nope"], 3, /No file "nope" is known/],
      [["delete", "nope"], 3, /No file "nope" is known/],
      [["restore", "nope"], 3, /No deleted file has the id or the name "nope"/],
      [["push", "nope.txt"], 3, /There is no file nope\.txt/],
      [["push", "."], 6, /is not a file/],
      [["push", "-"], 2, /needs a name/],
      [["push", "here.txt", "nope.txt"], 8, /There is no file nope\.txt/],
      [["get"], 2, /Usage: p2p-peer get/],
      [["get", "a", "b", "-o", "-"], 2, /one file/],
      [["get", "here.txt", "-o", "no/such/folder"], 7, /does not exist/],
      [["limit", "up", "tiny"], 2, /must be a size/],
      [["log", "loud"], 2, /Usage: log/],
      [["status", "--token", "wrong", "--url", `http://127.0.0.1:${program.httpPort}`], 0, /^$/],
      [
        ["delete", "here.txt", "--token", "wrong"],
        6,
        /The token is wrong\. .*\.p2p-peer\/web-token/,
      ],
      [
        ["delete", "here.txt", "--url", `http://127.0.0.1:${program.httpPort}`],
        6,
        /asks for a login/,
      ],
      [["status", "--url", "http://127.0.0.1:1"], 4, /No peer answers at http:\/\/127\.0\.0\.1:1/],
      [["status", "--url", "eagle"], 2, /--url must be/],
      [["status", "--dir", "elsewhere"], 2, /There is no peer in elsewhere/],
      [["statsu"], 2, /Did you mean "status"/],
    ];
    for (const [args, code, said] of table) {
      const ended = await scene.run(args);
      strictEqual(ended.code, code, `${args.join(" ")}: ${ended.code} ${ended.err}`);
      match(ended.err, said, args.join(" "));
      ok(!/^\s+at /m.test(ended.err), ended.err);
    }
  },
);

Deno.test(
  "which file nobody delivers, and which arrives wrong, tell the exit codes apart",
  SANITIZED,
  async () => {
    await using scene = await Scene.make();
    const good = foreignFile("good.bin", randomBytes(5_000), "friend", "1750023401");
    const bad = foreignFile("bad.bin", randomBytes(5_000), "friend", "1750023401");
    await using friend = await ForeignPeer.start({
      style: "closes-at-once",
      peerId: "friend",
      files: [good, { ...bad, content: bad.content.toReversed() }],
    });
    await friend.gossip(scene.program);
    await until(
      "the files are known",
      async () => JSON.parse((await scene.run(["list"])).out).total === 2,
    );
    strictEqual((await scene.run(["get", "good.bin", "-o", "-"])).out.length > 0, true);
    const wrong = await scene.run(["get", "bad.bin"]);
    strictEqual(wrong.code, 5, wrong.err);
    strictEqual(JSON.parse(wrong.out).failed[0].kind, "integrity");
    strictEqual((await scene.run(["get", "good.bin", "bad.bin"])).code, 8);
  },
);

Deno.test(
  "Ctrl-C cancels a download that runs and one that waits, and leaves nothing",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const cwd = folder.path;
    await using ann = await Program.peer("ann", [...ALONE, "--max-up", "100KiB"], { cwd });
    const slow = ["--bootstrap", ann.address, "--auto-fetch", "0", "--no-repl", "--min-free", "0"];
    await using bob = await Program.peer("bob", [
      ...slow,
      "--web-auth",
      "off",
      "--push-quota",
      "1KiB",
    ], {
      cwd,
    });
    const ask = async (...args: string[]) =>
      JSON.parse((await run(cwd, [...args, "--json", "--dir", "storage_bob"])).out);
    const names = ["one.bin", "two.bin", ...Array.from({ length: 8 }, (_, i) => `more${i}.bin`)];
    for (const name of names) {
      await folder.write(`storage_ann/${name}`, randomBytes(3_000_000));
    }
    await until("bob knows them", async () => (await ask("list")).total === names.length);
    const [executable, ...first] = COMMAND;
    const begin = (name: string) =>
      new Program(["get", name, "-o", "copy.bin", "--dir", "storage_bob"], {
        cwd,
        command: [executable!, ...first],
      });
    const states = async (name: string) =>
      (await ask("transfers")).transfers
        .filter((each: { file_name: string; kind: string }) =>
          each.file_name === name && each.kind === "fetch"
        )
        .map(({ state }: { state: string }) => state);
    const waiting = async () => {
      const { files } = await bob.api<{ files: { file_name: string }[] }>("queue");
      return files.map(({ file_name }) => file_name);
    };
    deepStrictEqual(await waiting(), [], "nobody but the commands asks for them");
    await using one = begin("one.bin");
    await until("it runs", async () => (await states("one.bin")).includes("running"));
    // So many more that one has to wait.
    for (const { file_id: id, file_name: name } of (await ask("list", "more")).files) {
      const url = `http://127.0.0.1:${bob.httpPort}/api/v1/files/${id}/fetch`;
      const response = await fetch(url, { method: "POST" });
      await response.body?.cancel();
      strictEqual(response.status, 202, name);
    }
    await until("some wait", async () => (await waiting()).length > 0);
    await using two = begin("two.bin");
    await until("it waits", async () => (await waiting()).includes("two.bin"));
    for (const each of [two, one]) {
      each.signal("SIGINT");
      strictEqual(await each.exit(), 130, each.report());
    }
    await until("it waits no longer", async () => !(await waiting()).includes("two.bin"));
    deepStrictEqual(await states("one.bin"), ["cancelled"]);
    ok(!(await states("two.bin")).includes("running"));
    deepStrictEqual(await folder.names(), ["storage_ann", "storage_bob"]);
  },
);

Deno.test(
  "what a reader of the output does not take is done all the same, and what cannot be read says so",
  SANITIZED,
  async () => {
    await using scene = await Scene.make();
    const names = Array.from({ length: 8 }, (_, i) => `${i}.txt`);
    for (const name of names) await scene.folder.write(name, name);
    const [executable, ...first] = COMMAND;
    const words = [executable!, ...first, "push", "--text", ...names].map((word) => `'${word}'`);
    const { code, stderr } = await new Deno.Command("bash", {
      args: ["-c", `set -o pipefail; ${words.join(" ")} | head -n 1 > /dev/null`],
      cwd: scene.folder.path,
    }).output();
    const said = new TextDecoder().decode(stderr);
    deepStrictEqual([code, said], [0, "8 files shared\n"]);
    strictEqual(JSON.parse((await scene.run(["list"])).out).total, 8);
    const words2 = [executable!, ...first, "push", "-", "--name", "z"].map((word) => `'${word}'`);
    const folder = await new Deno.Command("bash", {
      args: ["-c", `${words2.join(" ")} < .`],
      cwd: scene.folder.path,
    }).output();
    deepStrictEqual(
      [folder.code, JSON.parse(new TextDecoder().decode(folder.stdout)).failed[0].kind],
      [7, "storage"],
    );
  },
);

Deno.test(
  "a first start that fails leaves no folder, and a peer that runs is told apart",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using ann = await Program.peer("ann", ALONE, { cwd: folder.path });
    for (const ports of [[ann.port, 0], [0, ann.httpPort]]) {
      const args = ["eve", "127.0.0.1", ...ports.map(String), ...ALONE];
      const failed = await run(folder.path, args);
      deepStrictEqual([failed.code, /it is in use/.test(failed.err)], [2, true], failed.err);
    }
    deepStrictEqual(await folder.names(), ["storage_ann"]);
    strictEqual((await run(folder.path, ["status"])).code, 0);
    const own = await run(folder.path, ["connect", ann.address]);
    deepStrictEqual([own.code, /is this peer itself/.test(own.err)], [6, true], own.err);
    match((await run(folder.path, ["status", "--text"])).out, /./);
  },
);

Deno.test(
  "the only peer in a folder is the one that is asked; with several, none or a stopped one, it says so",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const status = (...args: string[]) => run(folder.path, ["status", ...args]);
    match((await status()).err, /There is no peer in this folder\. Name the folder/);
    {
      await using ann = await Program.peer("ann", ALONE, { cwd: folder.path });
      strictEqual(JSON.parse((await status()).out).peerId, "ann");
      await using bob = await Program.peer("bob", ALONE, { cwd: folder.path });
      const both = await status();
      deepStrictEqual([both.code, both.err], [
        2,
        "p2p-peer: There are several peers in this folder: ./storage_ann (running), ./storage_bob (running). Choose one with --dir, for example --dir ./storage_ann\n",
      ]);
      strictEqual(JSON.parse((await status("--dir", "storage_bob")).out).peerId, "bob");
      const env = { P2P_PEER_DIR: "storage_ann" };
      strictEqual(
        JSON.parse((await run(folder.path, ["status"], undefined, env)).out).peerId,
        "ann",
      );
      bob.signal("SIGTERM");
      await bob.exit();
      // Killed, it leaves its address behind. Whoever has that port now must not be sent the token.
      ann.signal("SIGKILL");
      await ann.exit();
    }
    for (const name of ["ann", "bob"]) {
      const ended = await status("--dir", `storage_${name}`);
      deepStrictEqual([ended.code, ended.out], [4, ""]);
      match(ended.err, new RegExp(`The peer of storage_${name} is not running`));
    }
  },
);

Deno.test(
  "watch prints a line per change, also after the peer restarted, and ends quietly with its reader",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const [executable, ...first] = COMMAND;
    const start = (port: number) =>
      Program.peer("ann", ALONE, { cwd: folder.path, httpPort: port });
    let peer = await start(0);
    const { httpPort } = peer;
    await using watching = new Program(["watch", "--url", `http://127.0.0.1:${httpPort}`], {
      cwd: folder.path,
      command: [executable!, ...first],
    });
    await watching.waitForLine(/^\{"type":"status"/); // it listens
    await folder.write("storage_ann/one.txt", "1");
    await watching.waitForLine(/^\{"type":"files","changed":\[.*"file_name":"one\.txt"/);
    peer.signal("SIGTERM");
    await peer.exit();
    peer = await start(httpPort);
    await watching.waitForLine(/^\{"type":"reset"\}$/, 2);
    await folder.write("storage_ann/two.txt", "2");
    await watching.waitForLine(/"file_name":"two\.txt"/);
    for (const line of watching.out) ok(JSON.parse(line).type, line);
    await peer[Symbol.asyncDispose]();
  },
);

Deno.test("a reader that has had enough is no error", SANITIZED, async () => {
  await using scene = await Scene.make();
  await scene.folder.write("storage_ann/big.bin", randomBytes(3_000_000));
  await until("it is shared", async () => JSON.parse((await scene.run(["list"])).out).total === 1);
  const [executable, ...first] = COMMAND;
  const words = [executable!, ...first, "get", "big.bin", "-o", "-"].map((word) => `'${word}'`);
  const { code, stdout, stderr } = await new Deno.Command("bash", {
    args: ["-c", `set -o pipefail; ${words.join(" ")} | head -c 5`],
    cwd: scene.folder.path,
  }).output();
  deepStrictEqual([code, stdout.length, new TextDecoder().decode(stderr)], [0, 5, ""]);
});

Deno.test(
  "commands from a pipe run in order once the peer has joined, and the exit code is that of the first failure",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await folder.write("a.txt", "content");
    const start = ["ann", "127.0.0.1", "0", "0", "--no-bootstrap", "--min-free", "0"];
    const lines = `push a.txt\nlist\n# a comment\n\nget a.txt ${
      folder.at("copy.txt")
    }\nget nope\npush nope\n`;
    const ended = await run(folder.path, start, lines);
    strictEqual(ended.code, 3, ended.out);
    strictEqual(await Deno.readTextFile(folder.at("copy.txt")), "content");
    const order = ["1 file", "copied to", 'No file "nope"', "There is no file at nope", "Stopping"];
    const places = order.map((text) => ended.out.indexOf(text));
    ok(places.every((at, i) => at > (places[i - 1] ?? 0)), ended.out);
    strictEqual((await run(folder.path, start, "peers\n")).code, 0);
    strictEqual((await run(folder.path, start, "exit\n")).code, 0);
    strictEqual((await run(folder.path, start, "get nope\nexit\nget x\n")).code, 3);
    strictEqual((await run(folder.path, start, "exit\nget nope\n")).code, 0);
    // A service manager may start it with an empty pipe.
    await using program = new Program(start, { cwd: folder.path, stdin: "piped" });
    await program.stdin.close();
    await program.waitForLine(/^AUTO FETCH PROCESS COMPLETE/);
    await until("it answers", async () => (await run(folder.path, ["status"])).code === 0);
    ok(program.isRunning);
  },
);

Deno.test(
  "a peer that is added while another runs is remembered, also by one that joins nobody, and a wrong one is explained",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using robin = await Program.peer("robin", ALONE, { cwd: folder.path });
    const ask = (...args: string[]) => run(folder.path, [...args, "--dir", "storage_ann"]);
    {
      await using ann = await Program.peer("ann", ALONE, { cwd: folder.path });
      const closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const { port } = closed.addr;
      closed.close();
      const wrong = await ask("connect", `127.0.0.1:${port}`);
      strictEqual(wrong.code, 4, wrong.err);
      match(wrong.err, /refuses connections\. It is tried again/);
      strictEqual((await ask("connect", "nonsense")).code, 2);
      strictEqual((await ask("connect", "no-such-host.invalid:8115")).code, 4);
      const { bootstrap_troubles: troubles } = JSON.parse((await ask("status")).out);
      deepStrictEqual(troubles.map(({ address }: { address: string }) => address), [
        `127.0.0.1:${port}`,
        "no-such-host.invalid:8115",
      ]);
      const joined = await ask("connect", robin.address, "--text");
      strictEqual(joined.out, `Connected to robin at ${robin.address}; it is remembered\n`);
      await ann.tracks("robin");
      strictEqual(await ann.stop(), 0);
    }
    const [known] = JSON.parse(
      await Deno.readTextFile(folder.at("storage_ann/.p2p-peer/peers.json")),
    );
    strictEqual(known.added, robin.address);
    await using again = await Program.peer("ann", ALONE, { cwd: folder.path });
    await again.tracks("robin");
    deepStrictEqual(JSON.parse((await ask("status")).out).bootstraps, [robin.address]);
  },
);

Deno.test(
  "what another program writes into a pipe is shared under a name, and what a peer keeps to itself is not",
  SANITIZED,
  async () => {
    await using scene = await Scene.make();
    const { path } = scene.folder;
    const script = (line: string) => {
      const words = COMMAND.map((word) => `'${word}'`).join(" ");
      return new Deno.Command("bash", {
        args: ["-c", `peer() { ${words} "$@"; }; ${line}`],
        cwd: path,
        env: surroundings(),
        clearEnv: true,
      }).output();
    };
    const shared = await script("peer push <(printf twelve; printf -- -bytes) --name piped.txt");
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    strictEqual(shared.code, 0, text(shared.stderr));
    strictEqual((await scene.run(["get", "piped.txt", "-o", "-"])).out, "twelve-bytes");
    const unnamed = await script("peer push <(echo x)");
    match(text(unnamed.stderr), /is a pipe, so it needs a name/);
    strictEqual(unnamed.code, 2);
    for (const name of ["web-token", "key.json"]) {
      const secret = `storage_ann/.p2p-peer/${name}`;
      const { code, err } = await scene.run(["push", secret]);
      deepStrictEqual([code, /is a private file of a peer/.test(err)], [6, true], err);
      await Deno.symlink(scene.folder.at(secret), scene.folder.at(`link-${name}`));
      strictEqual((await scene.run(["push", `link-${name}`])).code, 6);
    }
    deepStrictEqual((await scene.program.files()).map(({ file_name }) => file_name), ["piped.txt"]);
    strictEqual((await scene.run(["get", ""])).code, 2);
  },
);
