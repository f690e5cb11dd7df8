// What arrived of downloads that are running or ended early: kept for a day, so that the next attempt continues there, also
// after a restart or a kill.
// Invariants: a partial file is what some source sent, and counts for nothing until the whole verifies; at most
// `MAX_PARTIALS` are kept, and none that space is needed for; what is being downloaded is not removed.

import { Assembly, begunOf, listOf, MIN_PARTIAL_BYTES } from "./assembly.ts";
import type { DiskThread } from "./disk_thread.ts";
import { FileIntake } from "./intake.ts";
import { type Layout, lstatOrNothing } from "./layout.ts";
import { removeTemporary } from "./leftovers.ts";
import type { Space } from "./space.ts";

/** Maximum number of beginnings kept; the oldest goes first. (A guess.) */
export const MAX_PARTIALS = 64;
/** How long one is kept, in milliseconds. */
export const PARTIAL_MS: number = 24 * 3600 * 1000;

/** What a download in hex is named in the folder for temporary files, so that a kill leaves something to continue with. */
const DOWNLOAD = /^\d+-([0-9a-f]{64})\.part$/;

/** What is kept of downloads in one store. */
export class Partials {
  /** Ids, and when each was kept, Unix milliseconds; the oldest first. */
  readonly #kept = new Map<string, number>();
  /** When what is being downloaded now was last kept, by id, Unix milliseconds. */
  readonly #running = new Map<string, number>();

  /** Keeps nothing yet; see `load`. */
  constructor(
    readonly layout: Pick<Layout, "partials" | "temporaries">,
    /** The current time, Unix milliseconds. */
    readonly now: () => number,
    /** Hashes what comes fast. */
    readonly thread: DiskThread,
  ) {}

  /** Number of beginnings kept. */
  get size(): number {
    return this.#kept.size;
  }

  /** Finds what earlier runs left, also in the folder for temporary files. Throws file system errors. */
  async load(): Promise<void> {
    const { partials, temporaries } = this.layout;
    for await (const { name, isFile } of Deno.readDir(temporaries)) {
      const [, fileId] = DOWNLOAD.exec(name) ?? [];
      if (!isFile || fileId === undefined) continue;
      const path = `${temporaries}/${name}`;
      this.#move(fileId, path, (await lstatOrNothing(path))?.size ?? 0);
    }
    const found: [string, number][] = [];
    const lists = new Set<string>();
    for await (const { name, isFile } of Deno.readDir(partials)) {
      const info = isFile ? await lstatOrNothing(`${partials}/${name}`) : undefined;
      if (info && /^[0-9a-f]{64}$/.test(name)) found.push([name, info.mtime?.getTime() ?? 0]);
      else if (info && /^[0-9a-f]{64}\.json$/.test(name)) lists.add(name);
      else await Deno.remove(`${partials}/${name}`, { recursive: true });
    }
    for (const [fileId] of found) lists.delete(listOf(fileId));
    for (const name of lists) await Deno.remove(`${partials}/${name}`);
    this.#kept.clear();
    for (const [fileId, keptMs] of found) this.#kept.set(fileId, keptMs);
    this.#sort();
    for (const fileId of [...this.#kept.keys()]) {
      if (this.#bytesOf(fileId) < MIN_PARTIAL_BYTES) this.drop(fileId);
    }
    this.tidy();
  }

  /** Opens a download, which continues what is kept of it. Throws `StorageError`. */
  open(fileId: string, maxBytes: number, space: Space): Assembly {
    const path = this.#path(fileId);
    const keptMs = this.#kept.get(fileId);
    const begun = keptMs === undefined ? undefined : this.#begunOf(fileId);
    // Whatever is in the way is not ours: a link would lead out of the folder.
    if (!begun) { for (const each of [path, listOf(path)]) removeTemporary(each); }
    const onAborted = () => this.ended(fileId);
    const { thread } = this;
    const assembly = new Assembly(path, maxBytes, space, { begun, onAborted, thread });
    this.#kept.delete(fileId);
    this.#running.set(fileId, keptMs ?? this.now());
    return assembly;
  }

  /** Keeps what arrived of a download, unless more of it is kept already. Never throws. */
  keep(fileId: string, content: Assembly | FileIntake): void {
    content.close();
    if (content instanceof FileIntake) this.#move(fileId, content.path, content.sizeBytes);
    else {
      const runningMs = this.#running.get(fileId);
      const hasGrown = content.done.bytes > content.begunBytes;
      this.#running.delete(fileId);
      // What did not grow is not kept longer for having been tried.
      this.#kept.set(fileId, hasGrown || runningMs === undefined ? this.now() : runningMs);
      this.#sort();
      if (content.done.bytes < MIN_PARTIAL_BYTES) this.drop(fileId);
    }
    this.tidy();
  }

  /** Notes that a download has ended, and its file is gone or has its name. Never throws. */
  ended(fileId: string): void {
    // Of most small files, nothing was ever here.
    if (this.#running.delete(fileId) || this.#kept.has(fileId)) this.drop(fileId);
  }

  #move(fileId: string, path: string, sizeBytes: number): void {
    try {
      if (
        this.#running.has(fileId) || sizeBytes < MIN_PARTIAL_BYTES ||
        this.#bytesOf(fileId) >= sizeBytes
      ) {
        return removeTemporary(path);
      }
      removeTemporary(listOf(this.#path(fileId)));
      Deno.renameSync(path, this.#path(fileId));
      this.#kept.delete(fileId);
      this.#kept.set(fileId, this.now());
    } catch {
      removeTemporary(path);
    }
  }

  /** Removes what was kept of a file, unless it is being downloaded. Never throws. */
  drop(fileId: string): void {
    this.#kept.delete(fileId);
    if (this.#running.has(fileId)) return;
    removeTemporary(this.#path(fileId));
    removeTemporary(listOf(this.#path(fileId)));
  }

  /** Removes the oldest, for the space that it takes. Returns false if there is none. */
  dropOldest(): boolean {
    const [oldest] = this.#kept.keys();
    if (oldest === undefined) return false;
    this.drop(oldest);
    return true;
  }

  /** Removes what is too old, or too many. Never throws. */
  tidy(): void {
    for (const [fileId, keptMs] of [...this.#kept]) {
      const isOld = this.now() - keptMs >= PARTIAL_MS;
      if (isOld || this.#kept.size > MAX_PARTIALS) this.drop(fileId);
    }
  }

  #sort(): void {
    const sorted = [...this.#kept].sort(([, a], [, b]) => a - b);
    this.#kept.clear();
    for (const [fileId, keptMs] of sorted) this.#kept.set(fileId, keptMs);
  }

  #path(fileId: string): string {
    return `${this.layout.partials}/${fileId}`;
  }

  #bytesOf(fileId: string): number {
    return this.#begunOf(fileId)?.done.bytes ?? 0;
  }

  #begunOf(fileId: string) {
    try {
      const { isFile, size } = Deno.lstatSync(this.#path(fileId));
      return isFile ? begunOf(this.#path(fileId), size) : undefined;
    } catch {
      return undefined;
    }
  }
}
