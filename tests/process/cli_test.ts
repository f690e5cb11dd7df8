// The command line seen from outside: which input is rejected and with what message, what is printed, and where
// values come from. A mistake prints one line to stderr, exits with code 2 (7 for storage), and leaves no files behind.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { Folder } from "./folder.ts";
import { Program } from "./program.ts";
import { forEachOf, SANITIZED } from "./together.ts";

const ALONE = ["--no-bootstrap", "--auto-fetch", "0"];

/** Runs the program in a fresh folder, checks that it fails cleanly, and returns its error line. */
async function refused(
  code: number,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  files: Readonly<Record<string, string>> = {},
): Promise<string> {
  await using folder = await Folder.make();
  for (const [name, content] of Object.entries(files)) await folder.write(name, content);
  const ended = await Program.toEnd(args, { cwd: folder.path, env });
  const shown = `${args.join(" ")} -> ${ended.code}\n${ended.out.join("\n")}\n${
    ended.err.join("\n")
  }`;
  strictEqual(ended.code, code, shown);
  strictEqual(ended.err.length, 1, `Expected one line on stderr: ${shown}`);
  deepStrictEqual(ended.out, [], shown);
  const left = [...Deno.readDirSync(folder.path)].map(({ name }) => name);
  deepStrictEqual(
    left.sort(),
    Object.keys(files).sort(),
    `Expected no files left behind: ${shown}`,
  );
  return ended.err[0]!;
}

const START = ["kashifm", "127.0.0.1", "0", "0"];

Deno.test(
  "invalid options and values are rejected in one line that names them",
  SANITIZED,
  async () => {
    const cases: [args: string[], ...said: (string | RegExp)[]][] = [
      [[...START, "--bootstrp", "127.0.0.1:8999"], "--bootstrp", "--bootstrap"],
      [[...START, "--no-repll"], "--no-repll", "--no-repl"],
      [[...START, "--gossip-interval", "soon"], "--gossip-interval", '"soon"'],
      [[...START, "--peer-timeout", "0"], "--peer-timeout", "0"],
      [[...START, "--auto-fetch", "some"], "--auto-fetch", '"some"', "all"],
      [[...START, "--auto-fetch", "1.5"], "--auto-fetch"],
      [[...START, "--log-level", "LOUD"], "--log-level", "DEBUG"],
      [[...START, "--max-file-size", "2 bananas"], "--max-file-size", "GiB"],
      [[...START, "--bootstrap", "nowhere"], "--bootstrap", "host:port"],
      [[...START, "--bootstrap", "127.0.0.1:99999"], "--bootstrap", "99999"],
      [[...START, "--durability", "maybe"], "--durability", "full"],
      [[...START, "--environment", "TEST"], "--environment", "PROD", "DEV"],
      [[...START, "--dir"], "--dir"],
      [["kashifm", "127.0.0.1", "70000", "0"], "70000", "65535"],
      [["kashifm", "127.0.0.1", "0", "http"], "http", /HTTP port|http_port/],
      [["kashifm"], "<peer_id>", "<p2p_port>"],
      [["kashifm", "127.0.0.1", "0", "0", "0"], "<peer_id>"],
      [["kash\u001bifm", "127.0.0.1", "0", "0"], "peer id", /^[ -~]*$/],
      [["dummy", "--misbehave", "badly"], "--misbehave", "truncate"],
      [["dummy", "--prot", "0"], "--prot", "--port"],
    ];
    await forEachOf(cases, async ([args, ...said]) => {
      const line = await refused(2, args);
      for (const word of said) {
        ok(
          typeof word === "string" ? line.includes(word) : word.test(line),
          `Expected ${word} in: ${line}`,
        );
      }
    });
  },
);

Deno.test(
  "a wildcard address is rejected as the advertised host, with the option to use instead",
  SANITIZED,
  async () => {
    for (const host of ["0.0.0.0", "::"]) {
      const line = await refused(2, ["kashifm", host, "0", "0", ...ALONE]);
      match(line, /Leave the host out .*--listen-host/);
    }
  },
);

Deno.test(
  "a host that does not resolve is rejected, and the error names it",
  SANITIZED,
  async () => {
    // A 64-character label exceeds the DNS limit of 63, so it fails without querying a server.
    const host = `${"x".repeat(64)}.invalid`;
    const line = await refused(2, ["kashifm", host, "0", "0", ...ALONE]);
    ok(line.includes(host), line);
    const wrong = [
      ["kashifm", "127.0.0.1", "0", "0", ...ALONE, "--listen-host", host],
      ["kashifm", "127.0.0.1", "0", "0", ...ALONE, "--web-host", host],
      ["dummy", "--port", "0", "--host", host],
    ];
    await forEachOf(wrong, async (args) => {
      ok((await refused(2, args)).includes(host), args.join(" "));
    });
    // An address in a zone that this machine does not have is found out by listening only.
    const zoned = "fe80::1%nozone";
    await forEachOf(["--listen-host", "--web-host"], async (option) => {
      const line = await refused(2, ["kashifm", "127.0.0.1", "0", "0", ...ALONE, option, zoned]);
      match(line, /fe80::1%nozone does not resolve\. Check the spelling/);
    });
  },
);

Deno.test(
  "using one port for both listeners is rejected, and the error says what to do",
  SANITIZED,
  async () => {
    match(await refused(2, ["kashifm", "127.0.0.1", "18120", "18120", ...ALONE]), /two different/);
  },
);

Deno.test(
  "mistakes with --config are rejected, and the error names the file and the problem",
  SANITIZED,
  async () => {
    const cases: [text: string | undefined, said: string][] = [
      [undefined, "read"],
      ["{", "JSON"],
      ["[]", "object"],
      ['{"gossip-intervall": 3}', "gossip-intervall"],
      ['{"auto-fetch": {"all": true}}', "auto-fetch"],
      ['{"auto-fetch": "some"}', "auto-fetch"],
      ['{"port": "many"}', "many"],
    ];
    await forEachOf(cases, async ([text, said]) => {
      const files: Record<string, string> = text === undefined ? {} : { "peer.json": text };
      const args = text?.includes("port") ? ["run"] : START;
      const line = await refused(2, [...args, "--config", "peer.json"], {}, files);
      ok(line.includes(said), line);
      if (!/some|many/.test(said)) ok(line.includes("peer.json") || said === "auto-fetch", line);
    });
  },
);

Deno.test("help and version are printed to stdout with exit code 0", SANITIZED, async () => {
  await using folder = await Folder.make();
  const [help, dummy, version] = await Promise.all(
    [["help", "run"], ["dummy", "--help"], ["--version"]].map((args) =>
      Program.toEnd(args, { cwd: folder.path })
    ),
  );
  for (const { code, err } of [help!, dummy!, version!]) {
    strictEqual(code, 0);
    deepStrictEqual(err, []);
  }
  match(version!.out.join("\n"), /^\d+\.\d+\.\d+( \(commit .*\))?$/);
  const text = help!.out.join("\n");
  const options =
    "bootstrap no-bootstrap dir auto-fetch gossip-interval peer-timeout log-level no-repl " +
    "legacy-push-limit max-file-size min-free push-quota durability environment listen-host web-host config";
  for (const option of options.split(" ")) {
    ok(text.includes(`--${option} `), `Expected --${option} in the help text`);
  }
  match(dummy!.out.join("\n"), /--misbehave[^]*slow[^]*truncate[^]*corrupt[^]*silent[^]*garbage/);
  deepStrictEqual([...Deno.readDirSync(folder.path)], []);
});

Deno.test(
  "a port in use is rejected, and the error says how to find its owner and suggests a free port",
  SANITIZED,
  async () => {
    using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const port = `${taken.addr.port}`;
    const starts = [
      ["kashifm", "127.0.0.1", port, "0", ...ALONE],
      ["kashifm", "127.0.0.1", "0", port, ...ALONE],
      ["dummy", "--port", port],
    ];
    for (const args of starts) {
      await using folder = await Folder.make();
      const { code, err } = await Program.toEnd(args, { cwd: folder.path });
      const said = err.join("\n");
      strictEqual(code, 2, said);
      strictEqual(err.length, 1, said);
      ok(said.includes(port), said);
      match(said, /\b(ss|lsof|fuser|netstat)\b/, "how to find the process that uses it");
      const others = [...said.matchAll(/\b\d{4,5}\b/g)].map(([text]) => text)
        .filter((text) => text !== port);
      ok(others.length > 0, `Expected a free port in: ${said}`);
      Deno.listen({ hostname: "127.0.0.1", port: Number(others[0]) }).close();
    }
  },
);

Deno.test(
  "a second process on the same store is rejected, and the first keeps working",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using first = await Program.peer("kashifm", ALONE, { cwd: folder.path });
    const second = await Program.toEnd([...START, ...ALONE], { cwd: folder.path });
    strictEqual(second.code, 2);
    strictEqual(second.err.length, 1, second.err.join("\n"));
    match(second.err[0]!, /storage_kashifm/);
    match(second.err[0]!, /in use|another|locked/i);
    await folder.write("storage_kashifm/after.txt", "after");
    await first.until("the first to share a file", async () => {
      return (await first.files()).some((file) => file.file_name === "after.txt" && file.has_copy);
    });
    strictEqual(await first.stop(), 0);
  },
);

Deno.test(
  "unwritable storage exits with code 7, and the error names the folder and the option",
  SANITIZED,
  async () => {
    await forEachOf(["./file/below", "/proc/below"], async (dir) => {
      const line = await refused(7, [...START, ...ALONE, "--dir", dir], {}, { file: "" });
      ok(line.includes(dir), line);
      ok(line.includes("--dir"), `Expected the option that changes the folder: ${line}`);
      ok(
        !line.includes("--allow"),
        `Expected no advice that users of the executable cannot follow: ${line}`,
      );
    });
  },
);

Deno.test(
  "flags override the environment, which overrides the config file, which overrides defaults",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const file = {
      "peer-id": "from file",
      host: "127.0.0.1",
      port: 0,
      "http-port": 0,
      "no-bootstrap": true,
      "auto-fetch": "0",
      dir: "./dir_file",
      "log-level": "ERROR",
    };
    await folder.write("peer.json", JSON.stringify(file));
    const env = { P2P_PEER_ID: "from environment", P2P_PEER_DIR: "./dir_environment" };
    const config = ["--config", "peer.json"];
    const cases: [args: string[], env: Record<string, string>, peerId: string, dir: string][] = [
      [["run", ...config], {}, "from file", "dir_file"],
      [["run"], { P2P_PEER_CONFIG: "peer.json", ...env }, "from environment", "dir_environment"],
      [[...START, ...config, "--dir", "./dir_flag"], env, "kashifm", "dir_flag"],
      [
        ["run", ...ALONE],
        {
          P2P_PEER_HOST: "127.0.0.1",
          P2P_PEER_PORT: "0",
          P2P_PEER_HTTP_PORT: "0",
          LOGNAME: "login",
        },
        "login",
        "storage_login",
      ],
    ];
    await forEachOf(cases, async ([args, env, peerId, dir]) => {
      await using peer = new Program(args, { cwd: folder.path, env });
      const [, port] = await peer.waitForLine(/^HTTP address: http:\/\/127\.0\.0\.1:(\d+)/);
      peer.httpPort = Number(port);
      strictEqual((await peer.status()).peerId, peerId);
      match(peer.out[0] ?? "", new RegExp(`^Storage directory: /.*/${dir}$`));
      strictEqual(await peer.stop(), 0);
    });
  },
);

Deno.test(
  "three or four arguments ending in two ports start a peer, whatever its name",
  SANITIZED,
  async () => {
    const names = ["run", "dev", "help", "dummy", "8115"];
    const cases = names.flatMap((name) => [
      [name, "127.0.0.1", "0", "0", "--no-bootstrap"],
      [name, "127.0.0.1", "0", "0", "--no-bootstrap", "--auto-fetch", "0"],
      ["--auto-fetch", "0", "--no-bootstrap", name, "127.0.0.1", "0", "0"],
    ]);
    cases.push(["run", "kashifm", "127.0.0.1", "0", "0", "--no-bootstrap"]);
    await forEachOf(cases, async (args) => {
      await using folder = await Folder.make();
      await using peer = new Program(args, { cwd: folder.path });
      const [, dir] = await peer.waitForLine(/^Storage directory: .*\/storage_(.*)$/);
      const name = args[args.indexOf("127.0.0.1") - 1]!;
      strictEqual(dir, name, args.join(" "));
      await peer.waitForLine(/^HTTP address:/);
      strictEqual(await peer.stop(), 0);
    });
  },
);

Deno.test(
  "with three arguments the peer uses one of this machine's addresses",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const args = ["kashifm", "0", "0", "--listen-host", "127.0.0.1", ...ALONE];
    await using peer = new Program(args, { cwd: folder.path });
    const [, host] = await peer.waitForLine(/^TCP address: (\S+):\d+ /);
    const own = Deno.networkInterfaces().map(({ address }) => address);
    ok(own.includes(host!), `Expected ${host} to be one of ${own}`);
    ok(!host!.startsWith("127.") || own.every((address) => /^127\.|:/.test(address)), host);
    strictEqual(await peer.stop(), 0);
  },
);
