// Threats 11 and 12 in docs/SECURITY-TESTS.md: names that are paths, devices, or empty, and names that are already taken.
// Every file is stored inside the store under a plain name or not at all; the tree around the store is compared before and
// after.

import { deepStrictEqual, notStrictEqual, ok, strictEqual } from "node:assert/strict";
import { Honest } from "../hostile/honest.ts";
import { Folder } from "../process/folder.ts";
import { Program } from "../process/program.ts";
import { forEachOf, SANITIZED } from "../process/together.ts";
import { type ForeignFile, foreignFile, ForeignPeer } from "../wire/foreign.ts";
import { isThere } from "./disk.ts";
import {
  ask,
  bring,
  dataOf,
  EAGER,
  entryOf,
  randomFile,
  SECONDS,
  servedDuring,
  shownIn,
  Source,
  tree,
} from "./scene.ts";

const QUICK = ["--push-rate", "10000", "--push-burst", "10000"];

/** `outside` is a writable folder that must not be written to. */
function labels(outside: string): string[] {
  return [
    "../x",
    "../../x",
    "../../outside/x",
    "../outside/kept.txt",
    "/etc/p2p-peer-threat-11",
    `${outside}/x`,
    `${outside}/kept.txt`,
    `file://${outside}/x`,
    `//${outside}/x`,
    "C:\\x",
    "C:x",
    "\\\\host\\share\\x",
    "a/../../b",
    "a\\..\\..\\b",
    "..%2f..%2fx",
    "..\u2215..\u2215x",
    "..",
    ".",
    "...",
    "",
    " ",
    "/",
    "a/",
    "a/.",
    "a/..",
    "nul\0byte.txt",
    "\0",
    "line\nbreak.txt",
    "\u001b[31mred.txt",
    "x".repeat(10_240),
    `${"y".repeat(10_240)}.txt`,
    "é".repeat(5_000),
    "😀".repeat(2_500),
    "CON",
    "con.txt",
    "aux",
    "NUL.tar.gz",
    "COM1",
    "lpt9.log",
    "trailing.",
    "trailing ",
    "trailing. . .",
    "evil\u202etxt.exe",
    "\u200e\u200f",
    "\u2066isolate\u2069",
    "\ufeffbom",
    ".hidden",
    ".p2p-peer",
    ".p2p-peer/lock",
    ".p2p-peer/deleted.json",
    ".p2p-peer/temporary/x",
    "metadata.json",
    "METADATA.JSON",
    "metadata.json.damaged-2025",
    "~/.ssh/authorized_keys",
    "$HOME",
    'a:b*c?d"e<f>g|h',
    "-rf",
    "*",
    "stream:ads",
    "__proto__",
    "constructor",
  ];
}

/** Checks that the name is safe on every common file system and is not one of the store's own. */
function assertSafe(name: string): void {
  const shown = JSON.stringify(name.slice(0, 80));
  ok(!/[/\\:*?"<>|]|\p{Cc}|\p{Cf}/u.test(name), `Unsafe character in ${shown}`);
  ok(!/^[.\s]|[.\s]$/.test(name) && name !== "", `Leading or trailing dot or space in ${shown}`);
  ok(!/^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i.test(name), `Device name: ${shown}`);
  ok(!/^metadata\.json/i.test(name), `Reserved for the store: ${shown}`);
  ok(new TextEncoder().encode(name).length <= 255, `Too long: ${shown}`);
}

/** Returns the store's files keyed by content in hex. Checks that each is a regular file with a safe name. */
function contentsOf(store: string): Map<string, string> {
  return new Map(
    shownIn(store).map((name) => {
      assertSafe(name);
      ok(Deno.lstatSync(`${store}/${name}`).isFile, `Not a regular file: ${name}`);
      return [Deno.readFileSync(`${store}/${name}`).toHex(), name];
    }),
  );
}

/** Checks that each file is held under its own safe name, with intact content in the API and on disk. */
async function assertKept(program: Program, store: string, files: readonly ForeignFile[]) {
  for (const { name, fileId, content } of files) {
    try {
      await program.holds(fileId);
    } catch (cause) {
      throw new Error(`Not kept: ${JSON.stringify(name.slice(0, 80))}`, { cause });
    }
    deepStrictEqual(await program.content(fileId), content, name);
  }
  const contents = contentsOf(store);
  for (const { name, content } of files) {
    ok(contents.has(content.toHex()), `Not on disk: ${JSON.stringify(name.slice(0, 80))}`);
  }
}

Deno.test(
  "threat 11: names that are paths, devices, or empty become safe names inside the store",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const outside = await folder.folder("outside");
    await folder.write("outside/kept.txt", "kept");
    await folder.write("x", "not to be touched");
    const store = await folder.folder("deep", "storage_kashifm");
    await using program = await Program.peer("kashifm", [...EAGER, ...QUICK], {
      cwd: folder.at("deep"),
    });
    await using honest = await Honest.beside(program);
    const around = () => tree(folder.path, (path) => path === store);
    const before = around();

    const pushed = labels(outside).map((name) => randomFile(name, "eve", 500));
    const fetched = labels(outside).map((name) => randomFile(name, "eve", 500));
    await using eve = await Source.start("eve", (socket, message) => {
      const file = fetched.find(({ fileId }) => fileId === message!.file_id)!;
      socket.end(JSON.stringify(dataOf(file)));
    }, "127.0.0.66");
    await eve.join(program, fetched.map(entryOf));
    const pushes = forEachOf(pushed, (file) => bring(program, dataOf(file), "127.0.0.66"));
    await servedDuring(honest, pushes);
    await assertKept(program, store, [...pushed, ...fetched]);
    deepStrictEqual(around(), before, "the tree around the store must not change");
    ok(!isThere("/etc/p2p-peer-threat-11"));
    JSON.parse(await Deno.readTextFile(`${store}/metadata.json`));
    await honest.check();

    // The same names, read back from disk: safe names stay unchanged.
    strictEqual(await program.stop(), 0);
    const names = shownIn(store);
    await using again = await Program.peer("kashifm", EAGER, { cwd: folder.at("deep") });
    await assertKept(again, store, [...pushed, ...fetched]);
    deepStrictEqual(shownIn(store), names);
    deepStrictEqual(around(), before, "the tree around the store must not change after a restart");
  },
);

Deno.test(
  "threat 12: files with the same name, or with names that differ only in case or Unicode form, are all kept",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", [...EAGER, ...QUICK], { cwd: folder.path });
    const store = folder.at("storage_kashifm");
    await using honest = await Honest.beside(program);
    await folder.write("storage_kashifm/EldenRing.txt", "mine");
    const mine = await program.until("our own file", async () => {
      return (await program.files()).find(({ file_owner: owner }) => owner === "kashifm");
    });
    const twins = [
      "README.txt",
      "readme.txt",
      "ReadMe.TXT",
      "caf\u00e9",
      "cafe\u0301",
      "CAF\u00c9",
    ];
    twins.push("stra\u00dfe", "STRASSE", "\u212a.txt", "K.txt", "k.txt", "\ufb01le", "file");
    const names = [...Array<string>(5).fill("EldenRing.txt"), ...twins];
    const files = names.map((name, index) => randomFile(name, `owner-${index % 3}`));
    // Half are pushed and half are fetched, all at the same time.
    const half = files.filter((_, index) => index % 2 === 0);
    const rest = files.filter((_, index) => index % 2 === 1);
    await using giver = await ForeignPeer.start({
      style: "closes-at-once",
      peerId: "giver",
      files: rest,
    });
    await giver.gossip(program);
    await servedDuring(
      honest,
      forEachOf(half, (file) => bring(program, dataOf(file), "127.0.0.66"), half.length),
    );
    await assertKept(program, store, files);
    strictEqual(await Deno.readTextFile(folder.at("storage_kashifm", "EldenRing.txt")), "mine");
    strictEqual(new TextDecoder().decode(await program.content(mine.file_id)), "mine");
    // They must differ even on a file system that ignores case or normalizes Unicode.
    const keys = shownIn(store).map((name) => name.normalize("NFC").toLowerCase());
    deepStrictEqual([...new Set(keys)].length, keys.length, keys.join("\n"));
    const owners = new Map((await program.files()).map((row) => [row.file_id, row.file_owner]));
    for (const { fileId, owner } of files) strictEqual(owners.get(fileId), owner);
    await honest.check();
  },
);

Deno.test(
  "threat 12: the same bytes pushed again under other names and owners change nothing",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    await using program = await Program.peer("kashifm", [...EAGER, ...QUICK], { cwd: folder.path });
    const store = folder.at("storage_kashifm");
    await using honest = await Honest.beside(program);
    const file = foreignFile("EldenRing.txt", randomFile("", "").content, "olga", SECONDS);
    await bring(program, dataOf(file), "127.0.0.5");
    await program.holds(file.fileId);
    const isOwn = (path: string) => /[.]p2p-peer|metadata[.]json/.test(path);
    const before = tree(store, isOwn);
    const attack = forEachOf(["mallory", "eve", "kashifm"], async (owner) => {
      const fields = { file_owner: owner, file_name: `${owner}.txt` };
      await bring(program, dataOf(file, fields), "127.0.0.66");
      await bring(program, dataOf(file, { ...fields, file_name: "EldenRing.txt" }), "127.0.0.66");
    });
    await servedDuring(honest, attack);
    const row = await program.holds(file.fileId);
    deepStrictEqual([row.file_owner, row.file_name], ["olga", "EldenRing.txt"]);
    deepStrictEqual(tree(store, isOwn), before);
    const answer = await ask(program, file.fileId);
    strictEqual(answer?.file_owner, "olga");
    notStrictEqual(answer?.data, null);
    await honest.check();
  },
);
