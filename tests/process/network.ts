// What tests of several peers in one folder share: how a peer starts there, and what it holds.

import type { Folder } from "./folder.ts";
import { DEADLINE_MS, type FileRow, Program } from "./program.ts";

/** "Within 2 s of its last change", with the factor of five that all deadlines get. */
export const SHARED_MS = 10_000;
const BRISK = ["--gossip-interval", "0.5"];

interface Owned {
  file_id: string;
  file_owner: string;
  file_name: string;
}

/** What it holds, as a list that can be compared. */
export async function held(peer: Program): Promise<Owned[]> {
  return (await peer.files()).filter(({ has_copy }) => has_copy)
    .map(({ file_id, file_owner, file_name }) => ({ file_id, file_owner, file_name }))
    .sort((a, b) => a.file_id < b.file_id ? -1 : 1);
}

/** Waits until a file of this name is here. */
export function named(peer: Program, name: string, deadlineMs = DEADLINE_MS): Promise<FileRow> {
  return peer.until(`a copy of ${name}`, async () => {
    return (await peer.files()).find((file) => file.file_name === name && file.has_copy);
  }, deadlineMs);
}

/** A peer with a store of its own in the folder; it fetches whatever appears, unless told otherwise. */
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
