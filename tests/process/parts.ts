// Programs that fetch the same file at the same time: what tests of that share.

import { ok } from "node:assert/strict";
import type { Folder } from "./folder.ts";
import { named, start } from "./network.ts";
import type { Program } from "./program.ts";

/** Size of the file, in bytes. */
export const SIZE: number = 24 * 1024 ** 2;
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
/** Options of a peer that fetches what it is told to. */
export const FETCHING: readonly string[] = [
  "--web-auth",
  "off",
  "--auto-fetch",
  "0",
  "--push-quota",
  "0",
];

/** Reasons for which a source is blamed. */
export const BLAME: RegExp = /^(content-mismatch|bad-answer|bad-field|wrong-claim)$/;

/** A program that holds one large file of its own and sends 8 MB/s. */
export async function holder(folder: Folder, content: Uint8Array): Promise<Program> {
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

export async function sourcesOf(peer: Program): Promise<string[]> {
  const { transfers } = await peer.api<Moved>("transfers");
  return transfers.find(({ kind }) => kind === "fetch")!.sources.map(({ peer }) => peer).sort();
}

/** Returns how much of the file a peer has served, in bytes. (It may push a copy to somebody, too.) */
export async function servedBy(peer: Program): Promise<number> {
  const { transfers } = await peer.api<Moved>("transfers");
  return transfers.filter(({ kind }) => kind === "serve")
    .reduce((sum, { done_bytes }) => sum + done_bytes, 0);
}

export async function fetchFile(peer: Program): Promise<void> {
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
