// What runs a peer as a service, and what builds and releases it: checked by the tools that read it where they are installed, and
// by the program's own parser of command lines.

import assert from "node:assert/strict";
import { parseArguments } from "../cli/arguments.ts";
import { fileNameOf, PLATFORMS } from "../release/platform.ts";
import { VERSION } from "../cli/version.ts";

const root = new URL("../", import.meta.url);
const read = (name: string) => Deno.readTextFile(new URL(name, root));

/** Runs a command. Resolves to its exit code and everything it printed; `undefined` if it is not installed. */
async function run(command: string, args: readonly string[], env: Record<string, string> = {}) {
  try {
    const { code, stdout, stderr } = await new Deno.Command(command, {
      args: [...args],
      env,
      cwd: root,
    }).output();
    return { code, text: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Asserts that these words start a peer. */
function startsPeer(words: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const parsed = parseArguments(words, {
    env: (name) => env[name],
    readFile: () => "",
    hostname: () => "host",
  });
  assert.equal(parsed.command, "run", words.join(" "));
  return parsed.command === "run" ? parsed.config : assert.fail();
}

const UNITS = ["service/p2p-peer.service", "service/p2p-peer-user.service"];

Deno.test("the units start a peer, and are what systemd understands", async () => {
  for (const name of UNITS) {
    const unit = await read(name);
    const [, line = ""] = /^ExecStart=\S+ (.*)$/m.exec(unit) ?? [];
    const { noRepl } = startsPeer(line.split(" "), { P2P_PEER_ID: "eagle" });
    assert.ok(noRepl);
    // Nothing else would be understood as a wrong setting that a restart does not cure.
    assert.match(unit, /^RestartPreventExitStatus=2$/m);
    assert.doesNotMatch(unit, /^MemoryDenyWriteExecute/m);
  }
  const folder = await Deno.makeTempDir();
  try {
    for (const name of UNITS) {
      // The executable and the manual have to exist.
      const unit = (await read(name)).replace(/^ExecStart=\S+/m, "ExecStart=/bin/true").replace(
        /^Documentation=.*$/m,
        "",
      );
      const path = `${folder}/${name.split("/")[1]}`;
      await Deno.writeTextFile(path, unit);
      const user = name.includes("user") ? ["--user"] : [];
      const verified = await run("systemd-analyze", [...user, "verify", path], {
        XDG_RUNTIME_DIR: folder,
      });
      if (!verified) return console.warn("    skipped: systemd-analyze is not installed");
      assert.deepEqual(verified, { code: 0, text: "" }, name);
      if (user.length > 0) continue; // what hardens a unit of the system takes rights that a user lacks
      const security = await run("systemd-analyze", [
        "security",
        "--offline=true",
        "--threshold=20",
        path,
      ]);
      assert.equal(security?.code, 0, security?.text);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the agent for macOS is a property list, and starts a peer", async () => {
  const script =
    "import json, plistlib, sys; print(json.dumps(plistlib.load(open(sys.argv[1], 'rb'))))";
  const loaded = await run("python3", ["-c", script, "service/p2p-peer.plist"]);
  if (!loaded) return console.warn("    skipped: python3 is not installed");
  const { ProgramArguments, KeepAlive, Umask } = JSON.parse(loaded.text);
  startsPeer(ProgramArguments.slice(1));
  assert.deepEqual([KeepAlive, Umask], [{ SuccessfulExit: false }, 0o77]);
});

Deno.test("the container starts a peer from an executable of a release, not as root", async () => {
  const text = await read("Containerfile");
  const words = (name: string) =>
    JSON.parse(new RegExp(`^${name} (\\[.*\\])$`, "m").exec(text)![1]!) as string[];
  startsPeer(words("CMD"), { P2P_PEER_ID: "eagle" });
  for (const arch of ["x86_64", "aarch64"]) {
    const { name } = PLATFORMS.find((each) => each.os === "linux" && each.arch === arch)!;
    assert.ok(
      fileNameOf(PLATFORMS.find((each) => each.name === name)!).startsWith("p2p-peer-linux-"),
    );
    assert.ok(text.includes(`arch=${arch}`));
  }
  assert.match(text, /^USER [1-9]/m);
  const { command } = parseArguments(
    /CMD \["p2p-peer", (.*)\]$/m.exec(text)![1]!.replaceAll('"', "").split(", "),
    {
      env: () => undefined,
      readFile: () => "",
      hostname: () => "host",
    },
  );
  assert.equal(command, "shell", "the health check asks the running peer");
});

Deno.test("workflows use actions by their hash, and the release builds for every platform on its own system", async () => {
  for (const name of ["ci", "release"]) {
    const text = await read(`.github/workflows/${name}.yml`);
    const uses = [...text.matchAll(/uses: (.*)$/gm)].map(([, action]) => action!);
    assert.ok(uses.length > 0);
    for (const action of uses) {
      assert.match(action, /^[\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
    }
    assert.match(text, /^permissions:\n {2}contents: read$/m);
  }
  const release = await read(".github/workflows/release.yml");
  const built = [...release.matchAll(/platform: ([\w-]+), os/g)].map(([, platform]) => platform!);
  assert.deepEqual(built, PLATFORMS.map(({ name }) => name));
});

Deno.test("the section of a release is cut out of the changelog, and a missing one stops the release", async () => {
  const known = await run("bash", [".ci/changelog", "Unreleased"]);
  if (!known) return console.warn("    skipped: bash is not installed");
  assert.equal(known.code, 0);
  assert.doesNotMatch(known.text, /^## /m);
  const unknown = await run("bash", [".ci/changelog", "0.0.0"]);
  assert.deepEqual(unknown?.code, 1);
  assert.match(VERSION, /^\d+\.\d+\.\d+$/);
});

Deno.test("the scripts are clean", async () => {
  const scripts = [
    "release/install.sh",
    ".ci/run",
    ".ci/compiled",
    ".ci/stamp",
    ".ci/changelog",
    ".ci/outdated",
    ".ci/schemathesis",
  ];
  for await (const { name } of Deno.readDir(new URL("findings/", root))) {
    scripts.push(`findings/${name}`);
  }
  const checked = await run("shellcheck", ["--severity=warning", ...scripts]);
  if (!checked) return console.warn("    skipped: shellcheck is not installed");
  assert.deepEqual(checked, { code: 0, text: "" });
});
