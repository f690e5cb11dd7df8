// What arrived of downloads that ended early: kept for a day, so that the next attempt continues there, also after a
// restart or a kill.
// Invariants: a partial file is the beginning of what some source sent, and counts for nothing until the whole verifies;
// at most `MAX_PARTIALS` are kept, and none that space is needed for.

import { FileIntake, hashFile } from "./intake.ts";
import { type Layout, lstatOrNothing } from "./layout.ts";
import { removeTemporary } from "./leftovers.ts";
import type { Space } from "./space.ts";

/** Smaller beginnings are not kept, in bytes: fetching them again costs less than remembering them. */
export const MIN_PARTIAL_BYTES: number = 1024 ** 2;
/** Maximum number of beginnings kept; the oldest goes first. (A guess.) */
export const MAX_PARTIALS = 64;
/** How long one is kept, in milliseconds. */
export const PARTIAL_MS: number = 24 * 3600 * 1000;

/** What a download is named in the folder for temporary files, so that a kill leaves something to continue with. */
const DOWNLOAD = /^\d+-([0-9a-f]{64})\.part$/;

/** The beginnings kept in one store. */
export class Partials {
  /** Ids, and when each was kept, Unix milliseconds; the oldest first. */
  readonly #kept = new Map<string, number>();

  /** Keeps nothing yet; see `load`. */
  constructor(
    readonly layout: Pick<Layout, "partials" | "temporaries">,
    /** The current time, Unix milliseconds. */
    readonly now: () => number,
  ) {}

  /** Number of beginnings kept. */
  get size(): number {
    return this.#kept.size;
  }

  /** Returns whether anything of the file is kept. */
  has(fileId: string): boolean {
    return this.#kept.has(fileId);
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
    for await (const { name, isFile } of Deno.readDir(partials)) {
      const info = isFile ? await lstatOrNothing(`${partials}/${name}`) : undefined;
      if (info && /^[0-9a-f]{64}$/.test(name)) found.push([name, info.mtime?.getTime() ?? 0]);
      else await Deno.remove(`${partials}/${name}`, { recursive: true });
    }
    found.sort(([, a], [, b]) => a - b);
    this.#kept.clear();
    for (const [fileId, keptMs] of found) this.#kept.set(fileId, keptMs);
    this.tidy();
  }

  /** Keeps what arrived of a download, unless more of it is kept already. Never throws. */
  keep(fileId: string, intake: Pick<FileIntake, "close" | "path" | "sizeBytes">): void {
    intake.close();
    this.#move(fileId, intake.path, intake.sizeBytes);
    this.tidy();
  }

  #move(fileId: string, path: string, sizeBytes: number): void {
    try {
      if (sizeBytes < MIN_PARTIAL_BYTES || this.#sizeOf(fileId) >= sizeBytes) {
        return removeTemporary(path);
      }
      Deno.renameSync(path, this.#path(fileId));
      this.#kept.delete(fileId);
      this.#kept.set(fileId, this.now());
    } catch {
      removeTemporary(path);
    }
  }

  /**
   * Takes out the beginning of a file as content that continues at `path`, after reading it again. Resolves to
   * `undefined` if there is none that can be read.
   */
  async take(
    fileId: string,
    path: string,
    maxBytes: number,
    space: Space,
  ): Promise<FileIntake | undefined> {
    if (!this.#kept.delete(fileId)) return undefined;
    try {
      await Deno.rename(this.#path(fileId), path);
      const begun = await hashFile(path);
      return new FileIntake(path, maxBytes, space, begun);
    } catch {
      removeTemporary(path);
      return undefined;
    }
  }

  /** Removes what was kept of a file. Never throws. */
  drop(fileId: string): void {
    if (this.#kept.delete(fileId)) removeTemporary(this.#path(fileId));
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

  #path(fileId: string): string {
    return `${this.layout.partials}/${fileId}`;
  }

  #sizeOf(fileId: string): number {
    try {
      return Deno.lstatSync(this.#path(fileId)).size;
    } catch {
      return 0;
    }
  }
}
