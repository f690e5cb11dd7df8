// `doctor` and `config` as a user runs them.

import { deepStrictEqual, match, strictEqual } from "node:assert/strict";
import type { Finding } from "../../cli/findings_text.ts";
import { Folder } from "./folder.ts";
import { Program } from "./program.ts";
import { SANITIZED } from "./together.ts";

async function doctor(folder: Folder, ...args: string[]) {
  const ended = await Program.toEnd(["doctor", "--json", ...args], { cwd: folder.path });
  const { findings } = JSON.parse(ended.out.join("\n")) as { findings: Finding[] };
  const of = (what: string) => findings.filter((each) => each.what === what);
  return { code: ended.code, of };
}

const QUIET = ["--no-bootstrap", "--min-free", "0", "--port", "0", "--http-port", "0"];

Deno.test(
  "doctor finds nothing wrong where nothing is, changes nothing, and knows a running peer",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const fine = await doctor(folder, "--host", "127.0.0.1", ...QUIET);
    strictEqual(fine.code, 0);
    match(fine.of("folder")[0]!.text, /will be created$/);
    deepStrictEqual([...Deno.readDirSync(folder.path)], []);
    const args = ["--no-bootstrap", "--no-repl", "--min-free", "0"];
    await using peer = await Program.peer("ann", args, { cwd: folder.path });
    // Its ports are in use, by itself.
    const running = await doctor(
      folder,
      "--no-bootstrap",
      "--min-free",
      "0",
      "--port",
      `${peer.port}`,
    );
    strictEqual(running.code, 0);
    strictEqual(running.of("ports")[0]!.text, `The peer listens on TCP port ${peer.port}`);
    match(running.of("folder")[0]!.text, /storage_ann, and its peer is running$/);
  },
);

Deno.test(
  "doctor tells ports in use, a full disk, and bootstraps that refuse or do not exist, each with what to do",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = closed.addr;
    closed.close();
    using open = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const bootstraps = [`127.0.0.1:${port}`, "nowhere.invalid:8999", `127.0.0.1:${open.addr.port}`];
    const { code, of } = await doctor(
      folder,
      ...["--host", "127.0.0.1", "--http-port", `${taken.addr.port}`, "--port", "0"],
      ...["--min-free", "1000TB"],
      ...bootstraps.flatMap((each) => ["--bootstrap", each]),
    );
    strictEqual(code, 7, "the first point that is wrong");
    strictEqual(of("disk")[0]!.is, "wrong");
    const [web] = of("HTTP port");
    deepStrictEqual([web!.is, web!.kind], ["wrong", "usage"]);
    match(web!.text, /in use/);
    const [refused, unknown, accepts] = of("bootstrap");
    match(refused!.text, /refuses connections: no peer runs there/);
    match(unknown!.text, /the name is not known/);
    deepStrictEqual([accepts!.is, unknown!.kind], ["fine", "unreachable"]);
  },
);

Deno.test(
  "config show says what is set and where, and config check what cannot be used",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await folder.write("good.json", '{"max-up":"2MiB","port":8115}');
    await folder.write("bad.json", '{"max-upp":"2MiB"}');
    const run = (args: string[], env = {}) =>
      Program.toEnd(["config", ...args], { cwd: folder.path, env });
    const shown = await run(
      ["show", "--origin", "--config", "good.json", "--no-repl"],
      { P2P_PEER_LOG_LEVEL: "DEBUG" },
    );
    const set = shown.out.filter((line) => !line.endsWith("default")).map((line) =>
      line.split(/\s{2,}/)
    );
    deepStrictEqual(set, [
      ["port", "8115", "good.json"],
      ["log-level", "DEBUG", "P2P_PEER_LOG_LEVEL"],
      ["no-repl", "true", "--no-repl"],
      ["max-up", "2MiB", "good.json"],
    ]);
    const json = JSON.parse(
      (await run(["show", "--json", "--config", "good.json"])).out.join("\n"),
    );
    strictEqual(
      json.settings.find(({ name }: { name: string }) => name === "max-up").origin,
      "good.json",
    );
    const good = await run(["check", "--config", "good.json"]);
    deepStrictEqual([good.code, good.out.length], [0, 1]);
    const bad = await run(["check", "--config", "bad.json"]);
    deepStrictEqual([bad.code, bad.err], [
      2,
      ['p2p-peer: Unknown option "max-upp" in the config file bad.json (did you mean max-up?)'],
    ]);
  },
);
