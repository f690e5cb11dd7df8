// Several programs that fetch the same file from one slow source pass on what they have; wrong parts are found and blamed.

import { deepStrictEqual, ok, strictEqual } from "node:assert/strict";
import { randomFile, refusals } from "../threats/scene.ts";
import { Folder, randomBytes } from "./folder.ts";
import { named, start } from "./network.ts";
import type { Program } from "./program.ts";
import { Source } from "./source.ts";
import { SANITIZED } from "./together.ts";

const MIB = 1024 ** 2;
const SIZE = 24 * MIB;
const LIMITED = [
  "--web-auth",
  "off",
  "--max-up",
  "8000000",
  "--auto-fetch",
  "0",
  "--push-quota",
  "0",
];
const FETCHING = ["--web-auth", "off", "--auto-fetch", "0", "--push-quota", "0"];

/** Reasons for which a source is blamed. */
const BLAME = /^(content-mismatch|bad-answer|bad-field|wrong-claim)$/;

/** A program that holds one large file of its own and sends 8 MB/s. */
async function holder(folder: Folder, content: Uint8Array): Promise<Program> {
  await Deno.writeFile(`${await folder.folder("storage_source")}/large.bin`, content);
  const source = await start(folder, "source", [], { args: LIMITED });
  await named(source, "large.bin", 60_000);
  return source;
}

interface Moved {
  readonly transfers: {
    readonly kind: string;
    readonly done_bytes: number;
    readonly sources: { readonly peer: string; readonly bytes: number }[];
  }[];
}

async function sourcesOf(peer: Program): Promise<string[]> {
  const { transfers } = await peer.api<Moved>("transfers");
  return transfers.find(({ kind }) => kind === "fetch")!.sources.map(({ peer }) => peer).sort();
}

/** Returns how much of the file a peer has served, in bytes. (It may push a copy to somebody, too.) */
async function servedBy(peer: Program): Promise<number> {
  const { transfers } = await peer.api<Moved>("transfers");
  return transfers.filter(({ kind }) => kind === "serve")
    .reduce((sum, { done_bytes }) => sum + done_bytes, 0);
}

async function fetchFile(peer: Program): Promise<void> {
  const { file_id } = await peer.until(
    "the file",
    async () => (await peer.files()).find(({ file_name }) => file_name === "large.bin"),
    60_000,
  );
  const url = `http://127.0.0.1:${peer.httpPort}/api/v1/files/${file_id}/fetch`;
  const answer = await fetch(url, { method: "POST" });
  await answer.body?.cancel();
  ok(answer.ok, `${answer.status}`);
}

Deno.test(
  "three peers that fetch a file at the same time get most of it from each other",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const content = randomBytes(SIZE);
    await using source = await holder(folder, content);
    await using stack = new AsyncDisposableStack();
    const peers: Program[] = [];
    for (const name of ["a", "b", "c"]) {
      peers.push(stack.use(await start(folder, name, [source], { args: FETCHING })));
    }
    for (const [i, peer] of peers.entries()) {
      for (const other of ["a", "b", "c"].toSpliced(i, 1)) await peer.tracks(other);
    }
    await Promise.all(peers.map(fetchFile));
    for (const [i, peer] of peers.entries()) {
      await named(peer, "large.bin", 120_000);
      const path = folder.at(`storage_${["a", "b", "c"][i]}/large.bin`);
      deepStrictEqual(await Deno.readFile(path), content);
      strictEqual(await refusals(peer, BLAME), 0);
    }
    const sent = await servedBy(source);
    ok(sent <= 1.7 * SIZE, `${sent} bytes left the source, for three times ${SIZE}`);
    const all = (await Promise.all(peers.map(sourcesOf))).map((sources) => sources.join());
    ok(all.some((sources) => /[abc],.*source/.test(sources)), all.join("; "));
  },
);

Deno.test(
  "wrong parts of a peer that fetches too are fetched again, and it is blamed",
  SANITIZED,
  async () => {
    await using folder = await Folder.make();
    const content = randomBytes(SIZE);
    await using source = await holder(folder, content);
    const { file_id } = await named(source, "large.bin");
    await using peer = await start(folder, "kashifm", [source], { args: FETCHING });
    const file = { ...randomFile("large.bin", "source", 1), content, fileId: file_id };
    const lying = (_file: unknown, _offset: number, length: number) => randomBytes(length);
    const parts = { can: ["raw", "parts", "offer"], isFellow: true };
    await using liar = new Source("liar", file, lying, Infinity, parts);
    await liar.join(source);
    await liar.join(peer);
    await liar.fetchFrom(source);
    await fetchFile(peer);
    await named(peer, "large.bin", 120_000);
    deepStrictEqual(await Deno.readFile(folder.at("storage_kashifm/large.bin")), content);
    ok(liar.sentBytes >= MIB, `the liar sent ${liar.sentBytes} bytes`);
    strictEqual(await refusals(peer, /^content-mismatch$/), 1);
    strictEqual(await refusals(peer, BLAME), 1, "nobody else is blamed");
    const sent = await servedBy(source);
    ok(sent <= SIZE + 8 * MIB, `${sent} bytes left the source`);
  },
);
