// Peers for benchmarks: what they share, and what they say of themselves.

import type { Folder } from "../tests/process/folder.ts";
import { start } from "../tests/process/network.ts";
import type { Program } from "../tests/process/program.ts";

/** Options of peers that take no copies and need no free space. */
export const QUIET: readonly string[] = [
  "--auto-fetch",
  "0",
  "--push-quota",
  "0",
  "--min-free",
  "0",
];

/** What a peer says of itself. */
export interface Status {
  readonly bytes: { readonly in: number; readonly out: number };
  readonly received: { readonly GET_FILE?: number };
  readonly files: { readonly held: number };
}

/** Asks a peer. */
export const statusOf = (peer: Program): Promise<Status> => peer.api<Status>("status");

/** Resolves once a peer holds this many files. */
export async function holds(peer: Program, count: number, deadlineMs = 60_000): Promise<void> {
  const isHeld = async () => (await statusOf(peer)).files.held >= count;
  await peer.until(`${count} files`, isHeld, deadlineMs);
}

/** Starts a peer that shares these files, and resolves once it does. */
export async function sharing(
  folder: Folder,
  name: string,
  files: readonly (readonly [name: string, content: Uint8Array])[],
  bootstraps: readonly Program[] = [],
  args: readonly string[] = [],
): Promise<Program> {
  const dir = await folder.folder(`storage_${name}`);
  for (const [file, content] of files) {
    const path = `${dir}/${file}`;
    await Deno.writeFile(path, content);
    await Deno.utime(path, 1_700_000_000, 1_700_000_000);
  }
  const peer = await start(folder, name, bootstraps, { args: [...QUIET, ...args] });
  await holds(peer, files.length, 300_000);
  return peer;
}

/** Returns the middle one of the values. */
export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[values.length >> 1]!;
