// Helpers for tests that run several peers in one folder: starting a peer there, and listing what it holds.

import type { Folder } from "./folder.ts";
import { DEADLINE_MS, type FileRow, Program } from "./program.ts";

/** The specified 2 s after a file's last change, times the factor of five that all deadlines get, in milliseconds. */
export const SHARED_MS = 10_000;
const BRISK = ["--gossip-interval", "0.5"];

interface Owned {
  file_id: string;
  file_owner: string;
  file_name: string;
}

/** Returns the files that the peer holds, in a comparable order. */
export async function held(peer: Program): Promise<Owned[]> {
  return (await peer.files()).filter(({ has_copy }) => has_copy)
    .map(({ file_id, file_owner, file_name }) => ({ file_id, file_owner, file_name }))
    .sort((a, b) => a.file_id < b.file_id ? -1 : 1);
}

/** Resolves to the row of a file with this name once the peer holds it. */
export function named(peer: Program, name: string, deadlineMs = DEADLINE_MS): Promise<FileRow> {
  return peer.until(`a copy of ${name}`, async () => {
    return (await peer.files()).find((file) => file.file_name === name && file.has_copy);
  }, deadlineMs);
}

/** Starts a peer with its own store in the folder. By default it fetches every file it learns of. */
export function start(
  folder: Folder,
  peerId: string,
  bootstraps: readonly { address: string }[],
  { args = ["--auto-fetch", "all"], port = 0 } = {},
): Promise<Program> {
  const join = bootstraps.length === 0
    ? ["--no-bootstrap"]
    : bootstraps.flatMap(({ address }) => ["--bootstrap", address]);
  return Program.peer(peerId, [...join, ...BRISK, ...args], { cwd: folder.path, port });
}
