// Makes releases, on the machine of whoever builds them (`deno task compile:all`, `release:key`, `release:sign`). Not part of the
// program.
// Invariants: an executable counts only after its format was found to be that of its platform and, where this machine can run it,
// it ran in an empty folder with an empty environment; SHA256SUMS names only such executables.

import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { VERSION } from "../cli/version.ts";
import {
  builtFor,
  fileNameOf,
  MAGIC_BYTES,
  type Platform,
  platformOf,
  PLATFORMS,
  targetOf,
} from "./platform.ts";
import { newKeys, publicHalf, readSums, SIGNATURE, signatureOf, SUMS, sumsText } from "./sums.ts";

const root = fileURLToPath(new URL("../", import.meta.url));

/** Runs Deno. `isOther`: for another platform than this one. Resolves to what it printed, and whether it succeeded. */
async function deno(args: readonly string[], isOther = false) {
  const env = Deno.env.toObject();
  // Deno puts whatever runtime this names into the executable of any target.
  if (isOther) delete env.DENORT_BIN;
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    env,
    clearEnv: true,
    cwd: root,
  }).output();
  const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  return { success, text };
}

/** Compiles for one platform. Resolves to why that did not work; `undefined` if it did. */
async function compile(
  platform: Platform,
  path: string,
  options: readonly string[],
): Promise<string | undefined> {
  const isOwn = platform === platformOf(Deno.build);
  const target = isOwn ? [] : ["--target", targetOf(platform)];
  const args = ["compile", ...options, ...target, "--output", path, "p2p-peer.js"];
  const { success, text } = await deno(args, !isOwn);
  if (!success) return errorOf(text);
  const made = await madeFor(path);
  if (made !== platform.name) return `it was built for ${made ?? "no platform"}`;
  return isOwn ? await run(path) : undefined;
}

/** Resolves to the platform that an executable was built for. */
async function madeFor(path: string): Promise<string | undefined> {
  const start = new Uint8Array(MAGIC_BYTES);
  using file = await Deno.open(path);
  await file.read(start);
  return builtFor(start);
}

/** Runs an executable in an empty folder. Resolves to why it did not start; `undefined` if it did. */
async function run(path: string): Promise<string | undefined> {
  const folder = await Deno.makeTempDir();
  try {
    const { success, stdout, stderr } = await new Deno.Command(path, {
      args: ["--version"],
      cwd: folder,
      clearEnv: true,
    }).output();
    const said = new TextDecoder().decode(stdout).trim();
    if (success && said.split(" ")[0] === VERSION) return undefined;
    return `it does not run: ${said} ${new TextDecoder().decode(stderr).trim()}`;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Returns what Deno's output says of why it failed: the last cause of the error. */
function errorOf(text: string): string {
  // deno-lint-ignore no-control-regex
  const lines = text.replaceAll(/\x1b\[[\d;]*m/g, "").split("\nStack backtrace", 1)[0]!.split("\n")
    .map((line) => line.trim()).filter((line) => line !== "");
  const first = lines.findIndex((line) => line.startsWith("error"));
  const [error = "deno compile failed", ...causes] = lines.slice(Math.max(0, first));
  const isCaused = causes.includes("Caused by:");
  return (isCaused ? causes.at(-1)! : error).replace(/^(error|\d+): /, "").slice(0, 300);
}

/** Returns the options of `deno compile` that the task for this machine uses. */
async function compileOptions(): Promise<readonly string[]> {
  const { tasks } = JSON.parse(await Deno.readTextFile(`${root}deno.json`));
  const [, options] = /deno compile (.*) --output/.exec(tasks.compile) ?? [];
  if (options === undefined) throw new Error("deno.json has no task that compiles");
  return options.split(" ");
}

/**
 * Builds for these platforms, or for all, into `dist/`. Resolves to whether all that were named, or that of this machine, are there.
 */
async function build(names: readonly string[]): Promise<boolean> {
  const unknown = names.filter((name) => !PLATFORMS.some((each) => each.name === name));
  if (unknown.length > 0) {
    console.error(
      `There is no platform ${unknown.join(", ")}: choose from ${
        PLATFORMS.map(({ name }) => name).join(", ")
      }`,
    );
    return false;
  }
  const bundled = await deno(["task", "bundle"]);
  if (!bundled.success) throw new Error(bundled.text);
  await Deno.mkdir(`${root}dist`, { recursive: true });
  const options = await compileOptions();
  let isComplete = true;
  const built: Platform[] = [];
  for (
    const platform of PLATFORMS.filter(({ name }) => names.length === 0 || names.includes(name))
  ) {
    const path = `${root}dist/${fileNameOf(platform)}`;
    const why = await compile(platform, path, options);
    if (why === undefined) built.push(platform);
    else {
      await Deno.remove(path).catch(() => {}); // there may be none
      if (names.length > 0 || platform === platformOf(Deno.build)) isComplete = false;
    }
    const size = why === undefined ? `${Math.round((await Deno.stat(path)).size / 1e6)} MB` : "";
    console.log(
      `${platform.name.padEnd(16)} ${why === undefined ? `built, ${size}` : `not built: ${why}`}`,
    );
  }
  await writeSums(`${root}dist`, built);
  return isComplete;
}

/** Writes SHA256SUMS for the executables of these platforms, and signs it if there is a key (RELEASE_KEY). Throws if one is none. */
async function writeSums(folder: string, platforms: readonly Platform[]): Promise<void> {
  const hashes = new Map<string, string>();
  for (const platform of platforms) {
    const name = fileNameOf(platform);
    const made = await madeFor(`${folder}/${name}`);
    if (made !== platform.name) throw new Error(`${name} was built for ${made ?? "no platform"}`);
    const bytes = await Deno.readFile(`${folder}/${name}`);
    hashes.set(name, createHash("sha256").update(bytes).digest("hex"));
  }
  const sums = sumsText({ version: VERSION, hashes });
  if (!readSums(sums)) throw new Error("SHA256SUMS cannot be read back");
  await Deno.writeTextFile(`${folder}/${SUMS}`, sums);
  const key = Deno.env.get("RELEASE_KEY");
  await Deno.remove(`${folder}/${SIGNATURE}`).catch(() => {}); // of another build
  if (key) await Deno.writeTextFile(`${folder}/${SIGNATURE}`, signatureOf(sums, key));
  const how = key ? "signed" : "not signed (RELEASE_KEY is not set)";
  console.log(`${SUMS} of ${hashes.size} executable${hashes.size === 1 ? "" : "s"}, ${how}`);
}

/** Signs a folder with the executables of all platforms. The key has to be the one that was built in. */
async function sign(folder: string): Promise<boolean> {
  const { RELEASE_KEY: key = "", RELEASE_PUBLIC_KEY: half = "" } = Deno.env.toObject();
  if (key === "" || publicHalf(key) !== half) {
    console.error(
      "RELEASE_KEY must be set, and RELEASE_PUBLIC_KEY to its public half: nobody could verify the release otherwise",
    );
    return false;
  }
  await writeSums(folder, PLATFORMS);
  return true;
}

function makeKey(): boolean {
  const { privateKey, publicKey } = newKeys();
  console.log(`RELEASE_KEY (secret, keep it nowhere else): ${privateKey}`);
  console.log(`RELEASE_PUBLIC_KEY (built into each executable): ${publicKey}`);
  return true;
}

if (import.meta.main) {
  const [command, ...words] = Deno.args;
  const isDone = command === "build"
    ? await build(words)
    : command === "sign" && words.length === 1
    ? await sign(words[0]!)
    : command === "key"
    ? makeKey()
    : false;
  Deno.exit(isDone ? 0 : 1);
}
