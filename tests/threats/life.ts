// One life of a peer that will be killed: while it runs, files are pushed to it, fetched by it, dropped into its folder,
// and deleted. Whatever it acknowledges is recorded here and must hold in every later life.

import { createHash } from "node:crypto";
import { Program } from "../process/program.ts";
import type { Random } from "../sim/random.ts";
import { type ForeignFile, foreignFile, ForeignPeer, pythonStr } from "../wire/foreign.ts";
import { until } from "../until.ts";

const NAME = "kashifm";
/** Number of files beyond which some are deleted, so that checking all of them stays cheap. */
const MANY = 30;
const LARGEST_BYTES = 150_000;

/** What the peer has acknowledged: held files by an ANNOUNCE, and deletions by a list without the file. */
export class Acknowledged {
  /** Owners by file id. */
  readonly held = new Map<string, string>();
  readonly deleted = new Set<string>();
  /** Requested deletions that have not been observed yet. */
  readonly uncertain = new Set<string>();
}

export interface World {
  readonly dir: string;
  readonly random: Random;
  readonly friend: ForeignPeer;
  readonly acknowledged: Acknowledged;
  serial: number;
}

/** Starts the friend that announces, pushes, and deletes under the same name and address in all lives. */
export function friendOf(): Promise<ForeignPeer> {
  return ForeignPeer.start({ style: "closes-at-once", peerId: "friend", forwards: false });
}

export async function start({ dir, friend }: World): Promise<Program> {
  const args = ["--bootstrap", `127.0.0.1:${friend.port}`, "--auto-fetch", "all", "--dir", dir];
  args.push("--gossip-interval", "0.3", "--min-free", "0", "--push-burst", "1000");
  return await Program.peer(NAME, args, { cwd: dir.slice(0, dir.lastIndexOf("/")) });
}

/** Records what was announced since the last call. */
export function note({ friend, acknowledged }: World): void {
  const { held, deleted, uncertain } = acknowledged;
  for (const message of friend.received.splice(0)) {
    if (message.type !== "ANNOUNCE" || message.from !== NAME) continue;
    const fileId = message.file_id as string;
    if (!deleted.has(fileId) && !uncertain.has(fileId)) {
      held.set(fileId, message.file_owner as string);
    }
  }
}

const ACTS = ["push", "push", "fetch", "drop", "delete"] as const;

/** Performs one random action. `note` records its results. */
export async function disturb(world: World, peer: Program): Promise<void> {
  const { random, friend, acknowledged: { held, uncertain }, dir } = world;
  const theirs = [...held].filter(([, owner]) => owner === "friend").map(([fileId]) => fileId);
  const act = held.size > MANY && theirs.length > 0 ? "delete" : random.pick(ACTS);
  switch (act) {
    case "push":
      return await friend.push(peer, fresh(world));
    case "fetch": {
      const file = fresh(world);
      friend.files.set(file.fileId, file);
      return await friend.announce(peer, file);
    }
    case "drop": {
      const name = `ours-${++world.serial}.bin`;
      const temporary = `${dir}/.${name}`;
      await Deno.writeFile(temporary, contentOf(random));
      await Deno.rename(temporary, `${dir}/${name}`);
      return;
    }
    case "delete": {
      if (theirs.length === 0) return;
      const fileId = random.pick(theirs);
      held.delete(fileId);
      uncertain.add(fileId);
      friend.files.delete(fileId);
      return await friend.delete(peer, fileId);
    }
    default:
      act satisfies never;
  }
}

/** Checks everything that was acknowledged. Throws if anything has changed. */
export async function check(world: World, peer: Program): Promise<void> {
  const { acknowledged: { held, deleted, uncertain } } = world;
  const listed = new Map((await peer.files()).map((file) => [file.file_id, file]));
  const wrong = (what: string) => new Error(`${what}. ${peer.report()}`);
  for (const [fileId, owner] of held) {
    const file = listed.get(fileId);
    if (!file?.has_copy) throw wrong(`${fileId} of ${owner} is gone`);
    if (file.file_owner !== owner) {
      throw wrong(`${fileId} of ${owner} now belongs to ${file.file_owner}`);
    }
    const content = await peer.content(fileId);
    const suffix = pythonStr(String(file.file_timestamp));
    if (createHash("sha256").update(content).update(suffix).digest("hex") !== fileId) {
      throw wrong(`The content of ${fileId} has changed`);
    }
  }
  for (const fileId of deleted) if (listed.has(fileId)) throw wrong(`Deleted ${fileId} is back`);
  for (const { file_owner, file_name } of listed.values()) {
    const isTheirs = !file_name.startsWith("ours-");
    if (file_owner === NAME && isTheirs) throw wrong(`${file_name} was published as ours`);
  }
  for (const fileId of uncertain) {
    if (listed.get(fileId)?.has_copy) continue; // it was killed before the request arrived
    uncertain.delete(fileId);
    if (!listed.has(fileId)) deleted.add(fileId);
  }
}

/** Waits until the snapshots contain everything that was acknowledged. */
export async function snapshotted({ dir, acknowledged }: World): Promise<void> {
  await until("a snapshot of everything acknowledged", async () => {
    const read = (path: string) => Deno.readTextFile(`${dir}/${path}`).catch(() => "");
    const [text, deleted] = [await read("metadata.json"), await read(".p2p-peer/deleted.json")];
    const isDeleted = (fileId: string) => deleted.includes(fileId);
    const isHeld = (fileId: string) =>
      new RegExp(`"${fileId}": \\{[^\\n]*"hasCopy":"yes"`).test(text);
    return [...acknowledged.deleted].every(isDeleted) &&
      [...acknowledged.held.keys()].every(isHeld) &&
      // A file added and deleted since the last snapshot is only in the journal, which may be damaged next.
      [...acknowledged.uncertain].every((fileId) => isHeld(fileId) || isDeleted(fileId));
  });
}

/** Returns the temporary files left by an earlier life. */
export async function leftovers({ dir }: World, since: Date): Promise<string[]> {
  const found: string[] = [];
  const folder = `${dir}/.p2p-peer/temporary`;
  for await (const { name } of Deno.readDir(folder)) {
    const info = await Deno.lstat(`${folder}/${name}`).catch(() => undefined); // it may have just been removed
    // Not the modification time, which is set to the file's own before it is kept.
    if (info?.birthtime && info.birthtime < since) found.push(name);
  }
  return found;
}

function contentOf(random: Random): Uint8Array {
  const content = new Uint8Array(1 + random.below(random.pick([300, 5_000, LARGEST_BYTES])));
  for (let at = 0; at < content.length; at += 65_536) {
    crypto.getRandomValues(content.subarray(at, at + 65_536));
  }
  return content;
}

function fresh(world: World): ForeignFile {
  const seconds = 1_744_000_000 + ++world.serial;
  const name = `theirs-${world.serial}.bin`;
  return foreignFile(name, contentOf(world.random), "friend", String(seconds));
}
