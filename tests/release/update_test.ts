// `p2p-peer update`: what people report about programs that update themselves (each kind of trouble is a test), and releases that
// somebody forged.

import { deepStrictEqual, match, ok, rejects, strictEqual } from "node:assert/strict";
import { CommandError } from "../../cli/failures.ts";
import { Installed } from "../../release/installed.ts";
import { newKeys, readSums, signatureOf, sumsText } from "../../release/sums.ts";
import { checkUpdate, managerOf, swap, update } from "../../release/update.ts";
import { KEYS, NAME, type Offered, Place, PLATFORM, posixTest, program, sha256 } from "./place.ts";

/** An installed program of version 0.1.0, and a place that offers another. */
async function scene(offered: Offered = {}) {
  const place = await Place.make(offered);
  const path = place.install("0.1.0");
  const installed = new Installed(path, PLATFORM, "0.1.0");
  return {
    place,
    path,
    installed,
    options: { installed, from: place.url, publicKey: KEYS.publicKey },
  };
}

const said = async (path: string) =>
  new TextDecoder().decode((await new Deno.Command(path).output()).stdout).trim();

/** Asserts that an update fails, and leaves everything as it was. */
async function refused(offered: Offered, kind: CommandError["kind"], words: RegExp): Promise<void> {
  const { place, path, options } = await scene(offered);
  await using _place = place;
  await rejects(update(options), (error) => {
    ok(error instanceof CommandError, `${error}`);
    match(error.message, words);
    strictEqual(error.kind, kind);
    return true;
  });
  match(await said(path), /^0\.1\.0 /);
  const left = [...Deno.readDirSync(place.folder.path)].map(({ name }) => name).sort();
  deepStrictEqual(left, ["p2p-peer", "p2p-peer.release"]);
  deepStrictEqual([...Deno.readDirSync(`${path}.release`)].map(({ name }) => name), ["lock"]);
}

posixTest(
  "a newer release replaces the executable, which keeps its permissions and is kept itself",
  async () => {
    const { place, path, installed, options } = await scene();
    await using _place = place;
    deepStrictEqual(await update(options), { version: "0.1.0", offered: "0.2.0", isNewer: true });
    match(await said(path), /^0\.2\.0 /);
    match(await said(`${path}.previous`), /^0\.1\.0 /);
    strictEqual(Deno.statSync(path).mode! & 0o777, 0o751);
    // What came with it is passed on to the next machine.
    const { sums, signature } = (await installed.published())!;
    strictEqual(readSums(sums)?.version, "0.2.0");
    strictEqual(signature, signatureOf(sums, KEYS.privateKey));
    strictEqual(await installed.from(), place.url);
    // And again: the one before is replaced as well.
    place.offered = { version: "0.3.0" };
    await update({ ...options, installed: new Installed(path, PLATFORM, "0.2.0") });
    match(await said(`${path}.previous`), /^0\.2\.0 /);
  },
);

posixTest("a check changes nothing, and needs no right to write", async () => {
  const { place, path, options } = await scene();
  await using _place = place;
  deepStrictEqual(await checkUpdate(options), {
    version: "0.1.0",
    offered: "0.2.0",
    isNewer: true,
  });
  deepStrictEqual([...Deno.readDirSync(place.folder.path)].length, 1);
  match(await said(path), /^0\.1\.0 /);
  ok(!place.requested.includes(NAME));
});

posixTest("the same or an older version is not installed, however well it is signed", async () => {
  for (const version of ["0.1.0", "0.0.9"]) {
    const { place, path, options } = await scene({ version });
    await using _place = place;
    strictEqual((await update(options)).isNewer, false);
    match(await said(path), /^0\.1\.0 /);
    ok(!place.requested.includes(NAME), "nothing is downloaded");
  }
});

posixTest(
  "an update that the release key did not sign is refused before anything is downloaded",
  async () => {
    const text = program("0.2.0");
    const sums = sumsText({ version: "0.2.0", hashes: new Map([[NAME, sha256(text)]]) });
    const older = sumsText({ version: "0.1.5", hashes: new Map([[NAME, sha256(text)]]) });
    const forged = [
      { sums, signature: signatureOf(sums, newKeys().privateKey) },
      // The signature of another release.
      { sums, signature: signatureOf(older, KEYS.privateKey) },
      { sums, signature: "" },
      { sums: sums.replace("0.2.0", "9.9.9"), signature: signatureOf(sums, KEYS.privateKey) },
    ];
    for (const offered of forged) {
      await refused(offered, "integrity", /not signed by the release key/);
    }
  },
);

posixTest("an executable that is not the released one is refused, and never run", async () => {
  const good = program("0.2.0");
  const sums = sumsText({ version: "0.2.0", hashes: new Map([[NAME, sha256(good)]]) });
  const mark = await Deno.makeTempFile();
  try {
    const evil = program("0.2.0", `echo ran > ${mark}`);
    for (const text of [evil, good.slice(0, -5), `${good}\n`, ""]) {
      await refused({ sums, program: text }, "integrity", /not the one that was released/);
    }
    strictEqual(await Deno.readTextFile(mark), "");
  } finally {
    await Deno.remove(mark);
  }
});

posixTest("a download that breaks off leaves everything as it was", async () => {
  const text = program("0.2.0").padEnd(200_000, "#");
  const answer = (name: string) => {
    if (name !== NAME) return undefined;
    let sent = 0;
    const body = new ReadableStream({
      pull(controller) {
        if (sent++ === 2) controller.error(new Error("gone"));
        else controller.enqueue(new TextEncoder().encode(text.slice(0, 50_000)));
      },
    });
    return new Response(body, { headers: { "content-length": `${text.length}` } });
  };
  await refused({ program: text, answer }, "unreachable", /broke off/);
});

posixTest("what does not start on this machine does not take the executable's name", async () => {
  await refused(
    { program: program("0.2.0", "echo no glibc >&2; exit 1") },
    "integrity",
    /does not start on this machine: no glibc/,
  );
  await refused({ program: program("0.1.7") }, "integrity", /it says 0\.1\.7/);
  await refused({ program: "\x7fELF no program" }, "integrity", /does not start/);
});

posixTest(
  "a place without an executable for this machine, or with nothing at all, is named",
  async () => {
    const sums = sumsText({ version: "0.2.0", hashes: new Map([["p2p-peer-other", sha256("")]]) });
    await refused({ sums }, "not-found", new RegExp(`no executable for ${PLATFORM.name}`));
    const detail = "This peer runs from its source";
    const answer = () =>
      Response.json({ detail }, {
        status: 404,
        headers: { "content-type": "application/problem+json" },
      });
    await refused(
      { answer },
      "not-found",
      /SHA256SUMS was answered with 404: This peer runs from its source/,
    );
    await refused({ answer: () => new Response("", { status: 503 }) }, "unreachable", /503/);
    await refused({ answer: () => new Response("x".repeat(100_000)) }, "integrity", /more than/);
    const { place, options } = await scene();
    await place[Symbol.asyncDispose]();
    await rejects(checkUpdate(options), (error: CommandError) => error.kind === "unreachable");
  },
);

posixTest(
  "two updates at once: the second is told so, and a killed one locks nobody out",
  async () => {
    const { place, path, options } = await scene();
    await using _place = place;
    await Deno.mkdir(`${path}.release`);
    const holder = await Deno.open(`${path}.release/lock`, { create: true, write: true });
    await holder.lock(true);
    await rejects(
      update(options),
      (error: CommandError) => error.kind === "refused" && /Another update/.test(error.message),
    );
    holder.close(); // what the system does when the process ends
    ok((await update(options)).isNewer);
  },
);

posixTest("a folder that cannot be written to is found before anything is downloaded", async () => {
  const { place, path, options } = await scene();
  await using _place = place;
  await Deno.writeTextFile(`${path}.release`, "a file where the folder would be");
  await rejects(
    update(options),
    (error: CommandError) => error.kind === "storage" && /Cannot write next to/.test(error.message),
  );
  deepStrictEqual(place.requested, []);
});

posixTest("on Windows, if the second rename fails, the first one is undone", async () => {
  await using place = await Place.make();
  const path = place.install("0.1.0");
  const candidate = place.install("0.2.0", "candidate");
  await rejects(swap(path, place.at("nothing"), `${path}.previous`));
  match(await said(path), /^0\.1\.0 /);
  await swap(path, candidate, `${path}.previous`);
  match(await said(path), /^0\.2\.0 /);
  match(await said(`${path}.previous`), /^0\.1\.0 /);
});

posixTest("what a package manager installed is left to it", async () => {
  const managed = [
    "/nix/store/abc-p2p-peer/bin/p2p-peer",
    "/opt/homebrew/Cellar/p2p-peer/0.1.0/bin/p2p-peer",
    "/usr/bin/p2p-peer",
    "/snap/p2p-peer/1/p2p-peer",
    "C:\\Users\\ann\\scoop\\apps\\p2p-peer\\current\\p2p-peer.exe",
  ];
  for (const path of managed) ok(managerOf(path), path);
  for (
    const path of [
      "/home/ann/.local/bin/p2p-peer",
      "/usr/local/bin/p2p-peer",
      "C:\\tools\\p2p-peer.exe",
    ]
  ) {
    strictEqual(managerOf(path), undefined, path);
  }
  const { place, options } = await scene();
  await using _place = place;
  const installed = new Installed("/usr/bin/p2p-peer", PLATFORM, "0.1.0");
  await rejects(
    update({ ...options, installed }),
    (error: CommandError) => /package manager/.test(error.message),
  );
  deepStrictEqual(place.requested, []);
});

posixTest("checksums that are not those of the executable are not passed on", async () => {
  const { place, path, installed, options } = await scene();
  await using _place = place;
  await update(options);
  const hash = (await installed.content()).sha256;
  strictEqual(hash, sha256(program("0.2.0")));
  // Somebody puts another executable there by hand: nobody knows which version that is.
  await Deno.writeTextFile(path, program("0.4.0").padEnd(200));
  strictEqual(await installed.published(), undefined);
  // A peer that starts from it knows.
  const again = await new Installed(path, PLATFORM, "0.4.0").published();
  strictEqual(readSums(again!.sums)?.version, "0.4.0");
  strictEqual(again!.signature, undefined);
});

posixTest("a whole release in one folder is passed on with its checksums", async () => {
  await using place = await Place.make();
  const path = place.install("0.2.0", NAME);
  const sums = sumsText({ version: "0.2.0", hashes: new Map([[NAME, sha256(program("0.2.0"))]]) });
  await Deno.writeTextFile(place.at("SHA256SUMS"), sums);
  await Deno.writeTextFile(place.at("SHA256SUMS.sig"), "signature");
  const installed = new Installed(path, PLATFORM, "0.2.0");
  deepStrictEqual(await installed.published(), { sums, signature: "signature" });
  // Followed, a link could make the peer show any small file of its owner.
  await Deno.remove(place.at("SHA256SUMS.sig"));
  await Deno.symlink(path, place.at("SHA256SUMS.sig"));
  strictEqual((await installed.published())?.signature, undefined);
});

/** Short limits. */
const LIMITS = { maxExecutableBytes: 1_000_000, silenceMs: 300, graceMs: 300, startMs: 500 };

/** Returns a body that sends a byte now and then, without end. */
function drip(everyMs: number): ReadableStream<Uint8Array> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      await new Promise((go) => timer = setTimeout(go, everyMs));
      controller.enqueue(new TextEncoder().encode("#"));
    },
    cancel: () => clearTimeout(timer),
  });
}

/** Asserts that an update with short limits fails in this way. */
async function limited(offered: Offered, kind: CommandError["kind"], words: RegExp): Promise<void> {
  const { place, path, options } = await scene(offered);
  await using _place = place;
  await rejects(update({ ...options, limits: LIMITS }), (error: CommandError) => {
    match(error.message, words);
    strictEqual(error.kind, kind);
    return true;
  });
  match(await said(path), /^0\.1\.0 /);
  deepStrictEqual([...Deno.readDirSync(`${path}.release`)].map(({ name }) => name), ["lock"]);
}

posixTest("a place that is silent, that drips, or that never ends costs only so long", async () => {
  const only = (name: string, body: () => ReadableStream<Uint8Array>) => (asked: string) =>
    asked === name ? new Response(body()) : undefined;
  await limited(
    { answer: only("SHA256SUMS", () => drip(10_000)) },
    "unreachable",
    /broke off: no answer|Cannot get/,
  );
  await limited({ answer: only("SHA256SUMS", () => drip(20)) }, "unreachable", /is too slow/);
  await limited({ answer: only(NAME, () => drip(20)) }, "unreachable", /is too slow/);
  const endless = () =>
    new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(65_536)),
    });
  await limited({ answer: only(NAME, endless) }, "integrity", /has more than 1000000 bytes/);
  await limited({ answer: only("SHA256SUMS", endless) }, "integrity", /has more than 16384 bytes/);
});

posixTest(
  "a new executable that hangs, or says the right version and fails, is not installed",
  async () => {
    const hangs = program("0.2.0").replace("\necho", "\nexec sleep 60\necho");
    await limited({ program: hangs }, "integrity", /does not start on this machine/);
    await limited(
      { program: `${program("0.2.0")}exit 1\n` },
      "integrity",
      /does not start on this machine/,
    );
  },
);

posixTest("what a hostile place says is short, and moves no cursor", async () => {
  const detail = `\x1b[2Kall is well\n${"x".repeat(100_000)}`;
  const headers = { "content-type": "application/problem+json" };
  const short = JSON.stringify({ detail: `\x1b[2Kall is well\n${"x".repeat(1_000)}` });
  for (const body of [short, JSON.stringify({ detail }), "x".repeat(1_000_000), "{"]) {
    const { place, options } = await scene({
      answer: () => new Response(body, { status: 404, headers }),
    });
    await using _place = place;
    await rejects(checkUpdate(options), (error: CommandError) => {
      ok(error.message.length < 600, `${error.message.length}`);
      // deno-lint-ignore no-control-regex
      ok(!/[\x00-\x1f]/.test(error.message), error.message);
      return true;
    });
  }
});

posixTest("whoever gives up during the download leaves nothing behind", async () => {
  const stop = new AbortController();
  const { place, path, options } = await scene({
    answer: (name) => name === NAME ? new Response(drip(20)) : undefined,
  });
  await using _place = place;
  const onProgress = () => stop.abort();
  await rejects(
    update({ ...options, signal: stop.signal, onProgress }),
    (error: CommandError) => error.kind === "canceled",
  );
  match(await said(path), /^0\.1\.0 /);
  deepStrictEqual([...Deno.readDirSync(`${path}.release`)].map(({ name }) => name), ["lock"]);
});

posixTest(
  "what a killed update left is removed by the next one, and what it had not noted yet is noted",
  async () => {
    const { place, path, options } = await scene();
    await using _place = place;
    await Deno.mkdir(`${path}.release`);
    await Deno.writeTextFile(`${path}.release/candidate-old`, "half of it", { mode: 0o600 });
    await update(options);
    const names = () => [...Deno.readDirSync(`${path}.release`)].map(({ name }) => name).sort();
    deepStrictEqual(names(), ["SHA256SUMS", "SHA256SUMS.sig", "from", "lock"]);
    // Killed after the replacement.
    for (const name of ["SHA256SUMS", "SHA256SUMS.sig"]) {
      await Deno.remove(`${path}.release/${name}`);
    }
    const installed = new Installed(path, PLATFORM, "0.2.0");
    strictEqual((await update({ ...options, installed })).isNewer, false);
    deepStrictEqual(names(), ["SHA256SUMS", "SHA256SUMS.sig", "from", "lock"]);
  },
);

posixTest("files and links that have the names of ours lead nowhere", async () => {
  const { place, path, options } = await scene();
  await using _place = place;
  await Deno.writeTextFile(place.at("precious"), "precious");
  await Deno.mkdir(`${path}.release`);
  for (
    const name of [`${path}.probe`, `${path}.release/candidate-x`, `${path}.release/SHA256SUMS`]
  ) {
    await Deno.symlink(place.at("precious"), name);
  }
  await update(options);
  strictEqual(await Deno.readTextFile(place.at("precious")), "precious");
  match(await said(path), /^0\.2\.0 /);
  ok((await Deno.lstat(path)).isFile);
});

posixTest(
  "another place that was named once does not become the place for good, and may want a token",
  async () => {
    const headers: (string | null)[] = [];
    const { place, path, installed, options } = await scene();
    await using _place = place;
    await Deno.mkdir(`${path}.release`);
    await Deno.writeTextFile(`${path}.release/from`, "http://release.example/download\n");
    place.offered = {
      answer: (_, request) => {
        headers.push(request.headers.get("authorization"));
        if (headers.at(-1) !== "Bearer secret") return new Response("", { status: 401 });
      },
    };
    await update({ ...options, token: "secret" });
    strictEqual(await installed.from(), "http://release.example/download");
    deepStrictEqual([...new Set(headers)], [null, "Bearer secret"]);
    for (const token of ["wrong", undefined]) {
      await rejects(
        checkUpdate({ ...options, token }),
        (error: CommandError) => error.kind === "refused",
      );
    }
    // Who asks for none gets none, whatever is in the environment.
    headers.length = 0;
    place.offered = {
      answer: (_, request) => void headers.push(request.headers.get("authorization")),
    };
    await checkUpdate({ ...options, token: "secret" });
    deepStrictEqual([...new Set(headers)], [null]);
  },
);

posixTest("at any moment of an update there is an executable of that name", async () => {
  const { place, path, options } = await scene();
  await using _place = place;
  // Names change only by this, one after another.
  const { rename } = Deno;
  const seen: boolean[] = [];
  const isThere = () =>
    [...Deno.readDirSync(place.folder.path)].some(({ name }) => name === "p2p-peer");
  const spied: typeof rename = async (from, to) => {
    seen.push(isThere());
    await rename(from, to);
    seen.push(isThere());
  };
  Object.assign(Deno, { rename: spied });
  try {
    await update(options);
  } finally {
    Object.assign(Deno, { rename });
  }
  ok(seen.length >= 2 && !seen.includes(false), `${seen}`);
  match(await said(path), /^0\.2\.0 /);
});
