// The list of checksums of a release, its signature, and which platform an executable is for.

import { deepStrictEqual, ok, strictEqual, throws } from "node:assert/strict";
import { builtFor, fileNameOf, platformOf, PLATFORMS, targetOf } from "../../release/platform.ts";
import {
  compareVersions,
  isSigned,
  newKeys,
  publicHalf,
  readSums,
  signatureOf,
  sumsText,
} from "../../release/sums.ts";
import { sha256 } from "./place.ts";

const HASHES = new Map([["p2p-peer-linux-x86_64", sha256("b")], [
  "p2p-peer-linux-aarch64",
  sha256("a"),
]]);
const TEXT = sumsText({ version: "1.20.3", hashes: HASHES });

Deno.test("what is written can be read, and is what sha256sum checks", async () => {
  const release = readSums(TEXT)!;
  strictEqual(release.version, "1.20.3");
  deepStrictEqual([...release.hashes].sort(), [...HASHES].sort());
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/p2p-peer-linux-aarch64`, "a");
    await Deno.writeTextFile(`${folder}/p2p-peer-linux-x86_64`, "b");
    await Deno.writeTextFile(`${folder}/SHA256SUMS`, TEXT);
    const check = () =>
      new Deno.Command("sha256sum", {
        args: ["--check", "--strict", "SHA256SUMS"],
        cwd: folder,
        stdout: "null",
        stderr: "null",
      }).output();
    ok((await check()).success);
    await Deno.writeTextFile(`${folder}/p2p-peer-linux-x86_64`, "c");
    ok(!(await check()).success);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("anything but a list of checksums is refused", () => {
  const [head, first] = TEXT.split("\n") as [string, string];
  const line = `${sha256("x")}  name`;
  for (
    const text of [
      "",
      first,
      `${head}\n${line}\n${line}\n`,
      `${head}\n${line.toUpperCase()}\n`,
      `${head}\n${line} more\n`,
      `${head}\n${sha256("x")}  ../name\n`,
      `${head}\n\n${line}\n`,
      `${head}\r\n${line}\n`,
      `${head}x\n${line}\n`,
      `${head}\n${`${line}\n`.repeat(1_000)}`,
    ]
  ) strictEqual(readSums(text), undefined, JSON.stringify(text.slice(0, 120)));
});

Deno.test("versions are compared as numbers", () => {
  const sorted = ["0.1.0", "0.1.2", "0.1.10", "0.2.0", "1.0.0", "10.0.0"];
  deepStrictEqual(sorted.toReversed().sort(compareVersions), sorted);
  strictEqual(compareVersions("1.2.3", "1.2.3"), 0);
});

Deno.test("a signature is valid for one text and one key", () => {
  const [keys, others] = [newKeys(), newKeys()];
  const signature = signatureOf(TEXT, keys.privateKey);
  strictEqual(publicHalf(keys.privateKey), keys.publicKey);
  ok(isSigned(TEXT, signature, keys.publicKey));
  ok(!isSigned(`${TEXT} `, signature, keys.publicKey));
  ok(!isSigned(TEXT, signature, others.publicKey));
  ok(!isSigned(TEXT, signatureOf(TEXT, others.privateKey), keys.publicKey));
  for (
    const bad of [
      "",
      "x",
      signature.slice(4),
      `${signature}${signature}`,
      "A".repeat(88),
      `${"A".repeat(86)}==`,
    ]
  ) {
    ok(!isSigned(TEXT, bad, keys.publicKey), bad);
  }
  throws(() => isSigned(TEXT, signature, "AAAA"));
});

Deno.test("what an executable was built for is read from its first bytes", async () => {
  const bytes = (size: number, values: readonly (readonly [at: number, value: number])[]) => {
    const view = new DataView(new ArrayBuffer(size));
    for (const [at, value] of values) view.setUint32(at, value, true);
    return new Uint8Array(view.buffer);
  };
  const elf = (machine: number) => bytes(64, [[0, 0x464c457f], [18, machine]]);
  const mach = (cpu: number) => bytes(64, [[0, 0xfeedfacf], [4, cpu]]);
  const pe = (machine: number) =>
    bytes(256, [[0, 0x5a4d], [0x3c, 128], [128, 0x4550], [132, machine]]);
  const samples = [elf(0x3e), elf(0xb7), mach(0x1000007), mach(0x100000c), pe(0x8664), pe(0xaa64)];
  deepStrictEqual(samples.map(builtFor), PLATFORMS.map(({ name }) => name));
  for (
    const other of [
      elf(3),
      mach(7),
      pe(0x14c),
      bytes(256, [[0, 0x5a4d], [0x3c, 4_000_000]]),
      new Uint8Array(3),
      bytes(8, []),
    ]
  ) {
    strictEqual(builtFor(other), undefined);
  }
  using file = await Deno.open(Deno.execPath());
  const start = new Uint8Array(4_096);
  await file.read(start);
  strictEqual(builtFor(start), platformOf(Deno.build)?.name);
});

Deno.test("the names of executables and targets are those that people and deno compile use", () => {
  const linux = platformOf({ os: "linux", arch: "x86_64" })!;
  deepStrictEqual([fileNameOf(linux), targetOf(linux)], [
    "p2p-peer-linux-x86_64",
    "x86_64-unknown-linux-gnu",
  ]);
  const windows = platformOf({ os: "windows", arch: "aarch64" })!;
  deepStrictEqual([fileNameOf(windows), targetOf(windows)], [
    "p2p-peer-windows-aarch64.exe",
    "aarch64-pc-windows-msvc",
  ]);
  strictEqual(platformOf({ os: "freebsd", arch: "x86_64" }), undefined);
});
