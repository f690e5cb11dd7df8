// A store in its own folder, with a clock that stands still and knowledge like the catalogue's. `World` loads,
// scans and saves as service.ts does, without sockets and without waiting.

import { createHash } from "node:crypto";
import fc from "fast-check";
import type { Timestamp } from "../../protocol/wire/fileid.ts";
import type { FileRecord } from "../../protocol/wire/message.ts";
import { layoutOf } from "../../storage/layout.ts";
import type { MetadataEntry } from "../../storage/metadata.ts";
import { type Changes, type Knowledge, noChanges } from "../../storage/changes.ts";
import { SETTLE_MS } from "../../storage/reconcile.ts";
import { entryOfShelved, type HeldContent } from "../../storage/shelf.ts";
import { Store, type StoreOptions } from "../../storage/store.ts";

export const US = "us";
/** Files written by tests are older than this clock by far more than they need to settle. */
const AHEAD_MS = 60_000;

const encoder = new TextEncoder();

export const bytesOf = (content: string | Uint8Array): Uint8Array =>
  typeof content === "string" ? encoder.encode(content) : content;

export const number = (text: string): Timestamp => ({ text, quoted: false });

export function sha256(content: string | Uint8Array, suffix = ""): string {
  return createHash("sha256").update(bytesOf(content)).update(suffix).digest("hex");
}

/** Returns what the network says about a file, with the id that its content has. */
export function recordOf(
  content: string | Uint8Array,
  { name = "file.txt", owner = "alice", timestamp = "1744169352.0" } = {},
): FileRecord {
  const sizeBytes = bytesOf(content).length;
  return {
    fileId: sha256(content, timestamp),
    name,
    owner,
    timestamp: number(timestamp),
    size: sizeBytes / 1024 ** 2,
  };
}

/** Strings of any UTF-16 units, lone surrogates among them; most are close to what people type. */
export const anyString = (maxLength: number): fc.Arbitrary<string> =>
  fc.array(fc.oneof(fc.nat(0x7f), fc.nat(0xffff), fc.integer({ min: 0xd800, max: 0xdfff })), {
    maxLength,
  }).map((units) => String.fromCharCode(...units));

/** Runs with a folder that is removed afterwards. */
export async function inTempDir(act: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "p2p-peer-test-" });
  try {
    await act(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

/** Runs with a store in `<temp>/store`; `<temp>` is for what must stay outside. */
export async function withWorld(
  act: (world: World) => Promise<void>,
  over: Partial<StoreOptions> = {},
): Promise<void> {
  await inTempDir(async (temp) => {
    const world = new World(`${temp}/store`, over);
    try {
      await world.start();
      await act(world);
    } finally {
      world.crash();
    }
  });
}

export class World {
  store!: Store;
  clockMs = Date.now() + AHEAD_MS;
  /** Every file that peers have mentioned, as in the catalogue. */
  known = new Map<string, FileRecord>();
  deleted = new Set<string>();
  /** Everything that the store remembered when it was opened. */
  remembered: MetadataEntry[] = [];
  #isOpen = false;
  #bootSeconds = 1_700_000_000;

  constructor(readonly dir: string, readonly over: Partial<StoreOptions> = {}) {}

  get layout() {
    return layoutOf(this.dir);
  }

  readonly knowledge: Knowledge = {
    unheld: () => this.#unheld(),
    revision: () => this.known.size + this.deleted.size + this.store.shelf.size,
    isTaken: (fileId) => this.known.has(fileId) || this.deleted.has(fileId),
  };

  *#unheld() {
    for (const file of this.known.values()) {
      if (!this.store.shelf.get(file.fileId)) yield { file, otherTimestamps: [] };
    }
  }

  async open(): Promise<Store> {
    this.store = await Store.open({
      dir: this.dir,
      owner: US,
      maxFileBytes: 1024 ** 3,
      minFreeBytes: 0,
      pushQuotaBytes: 1024 ** 3,
      durability: "normal",
      now: () => this.clockMs,
      bootSeconds: this.#bootSeconds,
      ...this.over,
    });
    this.#isOpen = true;
    await this.store.load();
    this.remembered = this.store.shelf.size > 0
      ? [...this.store.shelf.all()].map(entryOfShelved)
      : [];
    for await (const part of this.store.known()) this.remembered.push(...part);
    return this.store;
  }

  /** Scans once. Returns everything that was found, whatever parts it came in. */
  async scan(atStart = false): Promise<Changes> {
    const all = noChanges();
    const add = (part: Changes) => {
      all.found.push(...part.found);
      all.published.push(...part.published);
      all.damaged.push(...part.damaged);
      for (const fileId of part.lost) all.lost.push(fileId);
      for (const fileId of part.edited) all.edited.add(fileId);
      all.unreadable.push(...part.unreadable);
      all.passedOver.push(...part.passedOver);
    };
    const last = await this.store.scan(this.knowledge, { atStart }, add);
    add(last);
    const { found, published, lost, edited, damaged, unreadable, passedOver } = all;
    return { ...last, found, published, lost, edited, damaged, unreadable, passedOver };
  }

  /** Opens the store and scans the folder as at the start of the peer, knowing what the store remembers. */
  async start(): Promise<Changes> {
    await this.open();
    this.known = new Map(this.remembered.map(({ file }) => [file.fileId, file]));
    const changes = await this.scan(true);
    for (const { file } of this.store.held()) this.known.set(file.fileId, file);
    return changes;
  }

  async look(): Promise<Changes> {
    const changes = await this.scan();
    for (const { file } of this.store.held()) this.known.set(file.fileId, file);
    return changes;
  }

  /** Scans until every unchanging file has been taken. */
  async settle(): Promise<Changes> {
    const first = await this.look();
    // A file that changed right after it was taken has to stay unchanged for longer.
    this.clockMs += Math.max(SETTLE_MS, first.againMs ?? 0);
    const second = await this.look();
    return {
      found: [...first.found, ...second.found],
      published: [...first.published, ...second.published],
      lost: [...first.lost, ...second.lost],
      edited: new Set([...first.edited, ...second.edited]),
      damaged: [...first.damaged, ...second.damaged],
      waiting: [...first.waiting, ...second.waiting],
      unsettled: second.unsettled,
      againMs: second.againMs,
      unreadable: [...first.unreadable, ...second.unreadable],
      passedOver: [...first.passedOver, ...second.passedOver],
    };
  }

  /** Writes metadata.json. */
  async save(): Promise<void> {
    await this.store.snapshots.saveMetadata(this.entries());
  }

  entries(): MetadataEntry[] {
    return [...this.known.values()].map((file) => {
      const placement = this.store.placementOf(file.fileId);
      return { file, held: !!placement, peers: [], ...(placement ? { placement } : {}) };
    });
  }

  /** A clean stop. */
  async stop(): Promise<void> {
    await this.save();
    await this.store.sync();
    await this.store.compactJournal();
    this.kill();
  }

  /** Saves nothing more, as when the power fails; the next start is on a machine that was restarted. */
  crash(): void {
    this.#bootSeconds += 3_600;
    this.kill();
  }

  /** Saves nothing more, as after SIGKILL; the lock is released with the process. */
  kill(): void {
    if (this.#isOpen) this.store.close();
    this.#isOpen = false;
  }

  /** Stores content as after a download. */
  async keep(content: string | Uint8Array, file = recordOf(content)): Promise<HeldContent> {
    const intake = this.store.intake();
    intake.write(bytesOf(content));
    const held = await this.store.keep(intake, { file, sizeBytes: intake.sizeBytes });
    this.known.set(file.fileId, held.file);
    return held;
  }

  /** Puts a file into the folder as a person would, with its own time. */
  async drop(name: string, content: string | Uint8Array, modifiedSeconds?: number): Promise<void> {
    await Deno.writeFile(`${this.dir}/${name}`, bytesOf(content));
    if (modifiedSeconds !== undefined) {
      await Deno.utime(`${this.dir}/${name}`, modifiedSeconds, modifiedSeconds);
    }
  }

  /** Returns ids and owners of the held files, sorted. */
  holdings(): string[] {
    return [...this.store.held()].map(({ file }) => `${file.owner} ${file.fileId}`).sort();
  }

  owned(owner: string): FileRecord[] {
    return [...this.store.held()].map(({ file }) => file).filter((file) => file.owner === owner);
  }

  /** Returns the content that is served for an id, or `undefined` if none is. */
  read(fileId: string): Uint8Array | undefined {
    const reader = this.store.reader(fileId);
    if (!reader) return undefined;
    try {
      const content = new Uint8Array(reader.sizeBytes);
      return content.subarray(0, reader.readInto(content));
    } finally {
      reader.close();
    }
  }
}

/** Returns the names in a folder that are not hidden, sorted. */
export async function namesIn(dir: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(dir)) if (!name.startsWith(".")) names.push(name);
  return names.sort();
}

/** Returns every path below a folder, with the content of regular files; links are not followed. */
export async function treeOf(dir: string): Promise<Map<string, string>> {
  const tree = new Map<string, string>();
  for await (const { name, isDirectory, isSymlink } of Deno.readDir(dir)) {
    const path = `${dir}/${name}`;
    if (isSymlink) tree.set(path, `-> ${await Deno.readLink(path)}`);
    else if (isDirectory) {
      tree.set(path, "folder");
      for (const [below, content] of await treeOf(path)) tree.set(below, content);
    } else tree.set(path, await Deno.readTextFile(path));
  }
  return tree;
}

/** Runs a command, for what Deno cannot create itself. */
export async function run(command: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args, stdout: "null" }).output();
  if (!success) throw new Error(`${command} failed: ${new TextDecoder().decode(stderr)}`);
}

/** Counts the files hashed while `act` runs: the hash state of a file is copied at its end. */
export async function readsWhile(act: () => Promise<unknown>): Promise<number> {
  const open = Deno.open;
  let reads = 0;
  Deno.open = (path, options) => {
    const isOurs = /\.p2p-peer|metadata\.json$/.test(String(path));
    if (options?.read && !options.write && !isOurs) reads++;
    return open(path, options);
  };
  try {
    await act();
  } finally {
    Deno.open = open;
  }
  return reads;
}
