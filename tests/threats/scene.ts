// Shared by the threat tests: messages as an attacker writes them, sources that lie, and what can be observed from outside
// to show that an attack had no effect: folders, lists, responses, and the API.

import { createHash } from "node:crypto";
import { HostileServer, type Script } from "../hostile/server.ts";
import { Honest } from "../hostile/honest.ts";
import { Raw, shout, type Target } from "../hostile/raw.ts";
import { DEADLINE_MS, type Program } from "../process/program.ts";
import { type ForeignFile, foreignFile } from "../wire/foreign.ts";
import { until } from "../until.ts";

export type Message = Readonly<Record<string, unknown>>;

export const SECONDS = "1744170562";
/** Joins no one and fetches nothing automatically. */
export const ALONE = ["--no-bootstrap", "--auto-fetch", "0"];
/** Joins no one, and fetches everything that is listed. */
export const EAGER = ["--no-bootstrap", "--auto-fetch", "all"];

export function randomFile(name: string, owner: string, sizeBytes = 2_000): ForeignFile {
  const content = new Uint8Array(sizeBytes);
  for (let at = 0; at < sizeBytes; at += 65_536) {
    crypto.getRandomValues(content.subarray(at, at + 65_536));
  }
  return foreignFile(name, content, owner, SECONDS);
}

/** Returns a file as it appears in lists and announcements. */
export function entryOf(file: ForeignFile): Message {
  return {
    file_name: file.name,
    file_size: file.content.length / 2 ** 20,
    file_id: file.fileId,
    file_owner: file.owner,
    file_timestamp: JSON.parse(file.timestamp),
  };
}

/** Returns FILE_DATA as an honest peer would send it, except for `fields`. */
export function dataOf(file: ForeignFile, fields: Message = {}): Message {
  return { type: "FILE_DATA", ...entryOf(file), data: file.content.toHex(), ...fields };
}

/** Sends one message, and waits until the other side has closed the connection. */
export function bring(target: Target, message: Message | string, from?: string): Promise<void> {
  return shout(target, message, { how: "half-closes", ...(from ? { from } : {}) });
}

/** A scripted peer on any loopback address. Joins with GOSSIP and sends its list with GOSSIP_REPLY. */
export class Source implements AsyncDisposable {
  private constructor(readonly peerId: string, readonly server: HostileServer) {}

  /** Runs `answer` for each GET_FILE. Only records all other messages. */
  static async start(peerId: string, answer: Script, host = "127.0.0.1"): Promise<Source> {
    const server = await HostileServer.start((socket, message) => {
      if (message?.type === "GET_FILE") answer(socket, message);
      else socket.end();
    }, { host });
    return new Source(peerId, server);
  }

  get address(): { host: string; port: number } {
    return { host: this.server.host, port: this.server.port };
  }

  /** Returns how often this file was requested. */
  asked(fileId: string): number {
    return this.server.messages.filter(({ type, file_id: asked }) =>
      type === "GET_FILE" && asked === fileId
    ).length;
  }

  received(type: string): Record<string, unknown>[] {
    return this.server.messages.filter((message) => message.type === type);
  }

  send(to: Target, message: Message): Promise<void> {
    return bring(to, message, this.server.host);
  }

  gossip(to: Target, id: string = crypto.randomUUID()): Promise<void> {
    return this.send(to, { type: "GOSSIP", ...this.address, id, peerId: this.peerId });
  }

  list(to: Target, files: readonly Message[]): Promise<void> {
    return this.send(to, { type: "GOSSIP_REPLY", ...this.address, peerId: this.peerId, files });
  }

  async join(to: Program, files: readonly Message[] = []): Promise<void> {
    // Repeats, as peers in the field do: on a busy machine a message may be lost.
    const seen = to.tracks(this.peerId);
    const again = setInterval(() => this.gossip(to).catch(() => {}), 3_000);
    try {
      await this.gossip(to);
      await seen;
    } finally {
      clearInterval(again);
    }
    if (files.length > 0) await this.list(to, files);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.server[Symbol.asyncDispose]();
  }
}

/** Makes the honest peer gossip and get repeatedly during the attack. Omits pushes. */
export async function servedDuring<T>(honest: Honest, attack: Promise<T>): Promise<T> {
  let isOver = false;
  attack.finally(() => isOver = true).catch(() => {});
  while (!isOver) {
    // Each of the five names gets five immediate answers. Some are left for what follows.
    if (honest.gossipMs.length < 15) await honest.gossip();
    await honest.get();
    const due = performance.now() + 300;
    await until("the next round", () => isOver || performance.now() >= due, DEADLINE_MS);
  }
  const outcome = await attack;
  await honest.gossip();
  await honest.get();
  return outcome;
}

/** Returns when an entry was last added to or removed from a folder, which also reveals short-lived files. */
function changedMs(folder: string): number | undefined {
  return Deno.statSync(folder).mtime?.getTime();
}

/** Returns the bytes of a file, or nothing if it is gone: a snapshot is written under another name first. */
function bytesOf(path: string): Uint8Array | undefined {
  try {
    return Deno.readFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Returns the contents of a folder by path, with link targets and file bytes. Ignores what `skips` matches. */
export function tree(
  root: string,
  skips: (path: string) => boolean = () => false,
): Map<string, string> {
  const found = new Map<string, string>();
  const visit = (path: string) => {
    for (const { name, isDirectory, isSymlink, isFile } of Deno.readDirSync(path)) {
      const inside = `${path}/${name}`;
      if (skips(inside)) continue;
      if (isSymlink) found.set(inside, `link to ${Deno.readLinkSync(inside)}`);
      else if (isFile) {
        const bytes = bytesOf(inside);
        if (bytes) found.set(inside, createHash("sha256").update(bytes).digest("hex"));
      } else found.set(inside, isDirectory ? `folder of ${changedMs(inside)}` : "other");
      if (isDirectory) visit(inside);
    }
  };
  visit(root);
  return found;
}

/** Returns the names of a store's user-visible files, without its own. */
export function shownIn(store: string): string[] {
  return [...Deno.readDirSync(store)].map(({ name }) => name)
    .filter((name) => !name.startsWith(".") && !name.startsWith("metadata.json")).sort();
}

/** Returns how much was refused so far, in total or for the reasons that match. */
export async function refusals(program: Program, reason = /./): Promise<number> {
  const { refused } = await program.status() as { refused: Record<string, number> };
  return Object.entries(refused).filter(([name]) => reason.test(name))
    .reduce((sum, [, count]) => sum + count, 0);
}

/** Resolves to the answer to GET_FILE, or to undefined if the connection closes without one. */
export async function ask(
  target: Target,
  fileId: string,
  from = "127.0.0.1",
): Promise<Record<string, unknown> | undefined> {
  using raw = await Raw.open(target, { from });
  raw.send({ type: "GET_FILE", file_id: fileId });
  await raw.untilClosed();
  return raw.text === "" ? undefined : JSON.parse(raw.text);
}

/** Resolves to the ids in the list that a new peer receives. Uses a new name each time. */
export async function listed(program: Program): Promise<Set<string>> {
  await using asker = await Source.start(`asker-${crypto.randomUUID()}`, () => {});
  await asker.gossip(program);
  await program.until("a list for a fresh peer", () => asker.received("GOSSIP_REPLY").length > 0);
  const ids = asker.received("GOSSIP_REPLY").flatMap(({ files }) => files as Message[])
    .map(({ file_id: fileId }) => fileId as string);
  return new Set(ids);
}
