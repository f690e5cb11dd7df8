// install.sh against a server: a good release, and everything that must not be installed.

import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { sumsText } from "../../release/sums.ts";
import { NAME, type Offered, Place, posixTest, program, sha256 } from "./place.ts";

const SCRIPT = new URL("../../release/install.sh", import.meta.url).pathname;

/** Runs the script for a user whose home is the place's folder. */
async function install(
  place: Place,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
  shell = ["sh"],
) {
  const [command, ...first] = shell;
  const { code, stdout, stderr } = await new Deno.Command(command!, {
    args: [...first, SCRIPT, ...args],
    env: {
      PATH: Deno.env.get("PATH")!,
      HOME: place.folder.path,
      TMPDIR: place.folder.path,
      ...env,
    },
    clearEnv: true,
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}

const namesIn = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
const said = async (path: string) =>
  new TextDecoder().decode((await new Deno.Command(path).output()).stdout).trim();

for (const shell of [["sh"], ["bash", "--posix"]]) {
  posixTest(
    `a release is installed by ${shell.join(" ")}, and its hash is shown to compare`,
    async () => {
      await using place = await Place.make();
      const { code, out, err } = await install(place, ["--from", place.url], {}, shell);
      deepStrictEqual([code, out], [0, ""], err);
      const path = place.at(".local/bin/p2p-peer");
      match(await said(path), /^0\.2\.0 /);
      ok(err.includes(`SHA-256: ${sha256(program("0.2.0"))}`) && /Compare it with/.test(err), err);
      match(err, /is not in your PATH/);
      deepStrictEqual(namesIn(`${path}.release`), ["SHA256SUMS", "SHA256SUMS.sig", "from"]);
      strictEqual((await Deno.readTextFile(`${path}.release/from`)).trim(), place.url);
      strictEqual(Deno.statSync(path).mode! & 0o777, 0o755);
      deepStrictEqual(namesIn(place.folder.path), [".local"], "nothing is left behind");
      // Once more, with another version: the one before is kept.
      place.offered = { version: "0.3.0" };
      strictEqual(
        (await install(
          place,
          ["--from", `${place.url}/`, "--to", place.at(".local/bin")],
          {},
          shell,
        ))
          .code,
        0,
      );
      match(await said(path), /^0\.3\.0 /);
      match(await said(`${path}.previous`), /^0\.2\.0 /);
    },
  );
}

/** Asserts that nothing is installed. */
async function refused(
  offered: Offered,
  words: RegExp,
  args: readonly string[] = [],
): Promise<void> {
  await using place = await Place.make(offered);
  const to = place.at("bin");
  const { code, out, err } = await install(place, ["--from", place.url, "--to", to, ...args]);
  match(err, words);
  deepStrictEqual([code, out], [1, ""]);
  deepStrictEqual(namesIn(place.folder.path).filter((name) => name !== "bin"), []);
  ok(!namesIn(place.folder.path).includes("bin") || !namesIn(to).includes("p2p-peer"));
}

posixTest("an executable with a wrong checksum is not installed, and not run", async () => {
  const mark = await Deno.makeTempFile();
  try {
    const sums = sumsText({
      version: "0.2.0",
      hashes: new Map([[NAME, sha256(program("0.2.0"))]]),
    });
    await refused(
      { sums, program: program("0.2.0", `echo ran > ${mark}`) },
      /does not match its checksum/,
    );
    strictEqual(await Deno.readTextFile(mark), "");
  } finally {
    await Deno.remove(mark);
  }
});

posixTest("a truncated download is not installed", async () => {
  const text = program("0.2.0").padEnd(200_000, "#");
  const sums = sumsText({ version: "0.2.0", hashes: new Map([[NAME, sha256(text)]]) });
  await refused({ sums, program: text.slice(0, 100_000) }, /does not match its checksum/);
  const answer = (name: string) =>
    name === NAME
      ? new Response(
        new ReadableStream({
          pull(controller) {
            controller.enqueue(new TextEncoder().encode(text.slice(0, 50_000)));
            controller.error(new Error("gone"));
          },
        }),
        { headers: { "content-length": `${text.length}` } },
      )
      : undefined;
  await refused({ sums, answer }, /Cannot download|does not match its checksum/);
});

posixTest("what does not start here is not installed", async () => {
  await refused(
    { program: program("0.2.0", "echo no glibc >&2; exit 1") },
    /does not start on this machine: no glibc/,
  );
});

posixTest(
  "another version than the one asked for, another list, another machine, nothing at all",
  async () => {
    await refused({}, /has version 0\.2\.0, not 0\.9\.0/, ["--version", "v0.9.0"]);
    await refused({ sums: "<html>not found</html>" }, /is not a checksum list/);
    const sums = sumsText({ version: "0.2.0", hashes: new Map([["p2p-peer-other", sha256("")]]) });
    await refused({ sums }, /no executable for this machine/);
    await refused(
      { answer: () => new Response("", { status: 404 }) },
      /Cannot download .*SHA256SUMS/,
    );
  },
);

posixTest("a dry run downloads and verifies, and installs nothing", async () => {
  await using place = await Place.make();
  const { code, err } = await install(place, [
    "--from",
    place.url,
    "--dry-run",
    "--version",
    "0.2.0",
  ]);
  strictEqual(code, 0, err);
  match(err, /Would install .*p2p-peer, version 0\.2\.0\. SHA-256: [0-9a-f]{64}/);
  deepStrictEqual(namesIn(place.folder.path), []);
});

posixTest("mistakes are answered with what to do, before anything is downloaded", async () => {
  await using place = await Place.make();
  await Deno.writeTextFile(place.at("file"), "");
  for (
    const [args, words] of [
      [[], /Say where the release is: --from URL/],
      [["--form", place.url], /Unknown option --form/],
      [["--from"], /--from needs a value/],
    ] as const
  ) {
    const { code, err } = await install(place, args);
    match(err, words);
    strictEqual(code, 1);
  }
  deepStrictEqual(place.requested, []);
  const { err } = await install(place, ["--from", place.url, "--to", place.at("file")]);
  match(err, /Cannot (create|write to)/);
  deepStrictEqual(place.requested, ["SHA256SUMS"]);
});

posixTest("a script that arrives only in part does nothing", async () => {
  await using place = await Place.make();
  const text = await Deno.readTextFile(SCRIPT);
  const whole = text.indexOf('main "$@"');
  ok(whole > 0);
  for (const share of [0.2, 0.5, 0.9, 0.99]) {
    const child = new Deno.Command("sh", {
      env: { PATH: Deno.env.get("PATH")!, HOME: place.folder.path },
      clearEnv: true,
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(
      new TextEncoder().encode(
        text.slice(0, Math.floor(share * whole)).replace("@@DOWNLOAD_URL@@", place.url),
      ),
    ).catch(() => {});
    await writer.close().catch(() => {});
    await child.status;
  }
  deepStrictEqual([place.requested, namesIn(place.folder.path)], [[], []]);
});

posixTest("two that install into one folder at once both succeed", async () => {
  await using place = await Place.make({ program: program("0.2.0").padEnd(3_000_000, "#") });
  const runs = Array.from({ length: 4 }, () => install(place, ["--from", place.url]));
  for (const { code, err } of await Promise.all(runs)) strictEqual(code, 0, err);
  match(await said(place.at(".local/bin/p2p-peer")), /^0\.2\.0 /);
  deepStrictEqual(namesIn(place.at(".local/bin")), ["p2p-peer", "p2p-peer.release"]);
  deepStrictEqual(namesIn(place.at(".local/bin/p2p-peer.release")), [
    "SHA256SUMS",
    "SHA256SUMS.sig",
    "from",
  ]);
});

posixTest("the same version once more keeps the one before it, whatever the umask", async () => {
  await using place = await Place.make({ version: "0.1.0" });
  const bin = place.at(".local/bin");
  const masked = (args: readonly string[]) =>
    install(place, args, {}, ["sh", "-c", 'umask 077; exec sh "$@"', "sh"]);
  await masked(["--from", place.url]);
  place.offered = { version: "0.2.0" };
  for (let i = 0; i < 2; i++) strictEqual((await masked(["--from", place.url])).code, 0);
  match(await said(`${bin}/p2p-peer.previous`), /^0\.1\.0 /);
  for (
    const [path, mode] of [["", 0o755], [".release", 0o755], [
      ".release/SHA256SUMS",
      0o644,
    ]] as const
  ) {
    strictEqual(Deno.statSync(`${bin}/p2p-peer${path}`).mode! & 0o777, mode, path);
  }
});

posixTest("a link and a folder in place of the executable are left alone", async () => {
  await using place = await Place.make();
  await Deno.mkdir(place.at("bin/p2p-peer"), { recursive: true });
  await Deno.mkdir(place.at("links"));
  place.install("0.1.0", "real");
  await Deno.symlink(place.at("real"), place.at("links/p2p-peer"));
  await Deno.mkdir(place.at("previous/p2p-peer.previous"), { recursive: true });
  for (
    const [folder, words] of [["bin", /is a folder/], ["links", /is a link/], [
      "previous",
      /is a folder/,
    ]] as const
  ) {
    const { code, err } = await install(place, ["--from", place.url, "--to", place.at(folder)]);
    match(err, words);
    strictEqual(code, 1);
  }
  match(await said(place.at("real")), /^0\.1\.0 /);
  ok(!place.requested.includes(NAME));
});

posixTest(
  "one version of a release page is installed, and later ones are found all the same",
  async () => {
    await using place = await Place.make();
    const page = `${new URL(place.url).origin}/releases/latest/download`;
    place.nameOf = (path) => /^\/releases\/download\/v0\.2\.0\/(.*)$/.exec(path)?.[1] ?? path;
    const { code, err } = await install(place, ["--from", `${page}/`, "--version", "v0.2.0"]);
    strictEqual(code, 0, err);
    strictEqual(
      (await Deno.readTextFile(place.at(".local/bin/p2p-peer.release/from"))).trim(),
      page,
    );
  },
);

posixTest(
  "an address without a scheme is one of HTTP, HOME may be missing, and nothing else is guessed",
  async () => {
    await using place = await Place.make();
    const to = ["--to", place.at("bin")];
    const bare = place.url.replace("http://", "");
    strictEqual((await install(place, ["--from", bare, ...to], { HOME: "" })).code, 0);
    strictEqual((await Deno.readTextFile(place.at("bin/p2p-peer.release/from"))).trim(), place.url);
    match(
      (await install(place, ["--from", "ftp://eagle/download", ...to])).err,
      /begins with http/,
    );
    match((await install(place, ["--from", place.url], { HOME: "" })).err, /HOME is not set/);
  },
);

posixTest(
  "what a peer says of an error is passed on, without what could move the cursor",
  async () => {
    const detail = "This peer has only\x1b[2J the executable that it runs";
    const answer = () => Response.json({ detail }, { status: 404 });
    await refused({ answer }, /Cannot download .*SHA256SUMS: This peer has only/);
    await using place = await Place.make({ answer });
    const { err } = await install(place, ["--from", place.url]);
    // deno-lint-ignore no-control-regex
    ok(!/\x1b/.test(err), err);
  },
);

posixTest(
  "a list of checksums without end is cut off, and a program that says another version is refused",
  async () => {
    const endless = () =>
      new ReadableStream<Uint8Array>({
        pull: (controller) => controller.enqueue(new Uint8Array(65_536).fill(35)),
      });
    await refused(
      { answer: (name) => name === "SHA256SUMS" ? new Response(endless()) : undefined },
      /is not a checksum list|Cannot download/,
    );
    await refused({ program: program("0.1.9") }, /calls itself 0\.1\.9.*, not 0\.2\.0/);
  },
);

posixTest(
  "a private peer gets the token, which no list of processes shows, and nobody else does",
  async () => {
    await using place = await Place.make();
    const tokens: (string | null)[] = [];
    const env = { P2P_PEER_TOKEN: "secret" };
    place.offered = {
      answer: (_, request) => {
        tokens.push(request.headers.get("authorization"));
        return tokens.at(-1) === "Bearer secret" ? undefined : new Response("", { status: 401 });
      },
    };
    const { code, err } = await install(place, ["--from", place.url], env);
    strictEqual(code, 0, err);
    deepStrictEqual([...new Set(tokens)], [null, "Bearer secret"]);
    strictEqual((await install(place, ["--from", place.url])).code, 1);
    strictEqual((await install(place, ["--from", place.url], { P2P_PEER_TOKEN: "wrong" })).code, 1);
    tokens.length = 0;
    place.offered = {
      answer: (_, request) => void tokens.push(request.headers.get("authorization")),
    };
    strictEqual((await install(place, ["--from", place.url], env)).code, 0);
    deepStrictEqual([...new Set(tokens)], [null]);
  },
);

posixTest("a dry run starts nothing", async () => {
  const mark = await Deno.makeTempFile();
  try {
    await using place = await Place.make({ program: program("0.2.0", `echo ran > ${mark}`) });
    strictEqual((await install(place, ["--from", place.url, "--dry-run"])).code, 0);
    strictEqual(await Deno.readTextFile(mark), "");
  } finally {
    await Deno.remove(mark);
  }
});
