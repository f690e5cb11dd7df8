// Lists the folder: which regular files are there, how they look, and what is not shared and why.
// Invariants: only regular files directly in the folder count, never links, devices, folders, hidden files or the
// store's own; each thing that is not shared is reported once; a large folder is listed in another thread.

import { type DiskThread, type ListedEntry, type ListedInfo } from "./disk_thread.ts";
import { lstatOrNothing } from "./layout.ts";
import { type Look, lookOf } from "./looks.ts";
import { isHidden, isOwnName } from "./names.ts";

/** Number of entries above which the folder is listed in another thread. (A guess: about 50 ms here.) */
const LARGE_FOLDER = 1_000;
/**
 * How long a hidden file must exist before it is reported, in milliseconds: editors and rsync remove theirs sooner.
 */
const HIDDEN_MS = 30_000;

/** A regular file in the folder that may be read. */
export interface Present {
  /** Name in the folder. */
  readonly name: string;
  /** How it looks. */
  readonly look: Look;
  /** Number of names that it has. */
  readonly links: number;
  /** Why it is not shared although it could be read. */
  readonly barred: string | undefined;
}

/** Something in the folder that is not shared, and why. */
export interface PassedOver {
  /** Its name in the folder. */
  readonly name: string;
  /** Why it is not shared, in words. */
  readonly what: string;
}

/** What `FolderListing` needs of the store. */
export interface ListingOptions {
  /** The folder. */
  readonly dir: string;
  /** Larger files are not shared, in bytes. */
  readonly maxFileBytes: number;
  /** Whether a file is about to be put in place under this name. */
  readonly isReserved: (name: string) => boolean;
  /** Lists large folders. */
  readonly thread: DiskThread;
  /** The current time, Unix milliseconds. */
  readonly now: () => number;
}

/** Lists one folder again and again. */
export class FolderListing {
  /** Names that are not shared and have been reported. */
  readonly #reported = new Set<string>();
  /** Hidden files, and when each was first seen, Unix milliseconds. */
  readonly #hidden = new Map<string, number>();
  #isLarge = false;

  /** Lists nothing yet. */
  constructor(readonly options: ListingOptions) {}

  /**
   * Calls `onFile` for each regular file. Resolves to what is not shared and was not reported before. `atStart`: hidden
   * files are reported at once. Throws file system errors.
   */
  async read(atStart: boolean, onFile: (file: Present) => void): Promise<PassedOver[]> {
    const { dir, thread, now } = this.options;
    const aside = new Map<string, string>();
    const barred = new Set<string>();
    const hidden = new Set<string>();
    let entries = 0;
    const take = (entry: ListedEntry) => {
      entries++;
      const { name, info } = entry;
      if (isOwnName(name) || this.options.isReserved(name)) return;
      if (isHidden(name)) {
        hidden.add(name);
        if (!this.#hidden.has(name)) this.#hidden.set(name, now());
        if (atStart || now() - this.#hidden.get(name)! >= HIDDEN_MS) aside.set(name, "hidden");
        return;
      }
      if (!info || !isReadable(info)) {
        const what = whyNot(entry);
        if (what !== undefined) aside.set(name, what);
        return;
      }
      const file = this.#present(name, info);
      if (file.barred !== undefined) barred.add(name);
      onFile(file);
    };
    if (!this.#isLarge) await this.#readHere(take);
    if (this.#isLarge) {
      hidden.clear();
      entries = 0;
      await thread.list(dir, (part) => part.forEach(take));
    }
    this.#isLarge = entries > LARGE_FOLDER;
    for (const name of this.#hidden.keys()) if (!hidden.has(name)) this.#hidden.delete(name);
    for (const name of this.#reported) {
      if (!aside.has(name) && !barred.has(name)) this.#reported.delete(name);
    }
    return [...aside].flatMap(([name, what]) => this.report(name, what));
  }

  /** Calls `onFile` for each of these names that is a regular file. Throws file system errors. */
  async readSome(names: readonly string[], onFile: (file: Present) => void): Promise<void> {
    for (const name of names) {
      if (isOwnName(name) || isHidden(name) || this.options.isReserved(name)) continue;
      const info = await lstatOrNothing(`${this.options.dir}/${name}`);
      if (info?.isFile && isReadable(info)) onFile(this.#present(name, infoOf(info)));
    }
  }

  /** Returns what to report of a file that is not shared: nothing if that was reported before. */
  report(name: string, what: string): PassedOver[] {
    if (this.#reported.has(name)) return [];
    this.#reported.add(name);
    return [{ name, what }];
  }

  /** Whether it was reported that this name is not shared. */
  isReported(name: string): boolean {
    return this.#reported.has(name);
  }

  /** Lists the folder in this thread, and gives up as soon as it turns out to be large. */
  async #readHere(take: (entry: ListedEntry) => void): Promise<void> {
    const { dir } = this.options;
    const entries: Deno.DirEntry[] = [];
    for await (const entry of Deno.readDir(dir)) {
      entries.push(entry);
      if (entries.length <= LARGE_FOLDER) continue;
      this.#isLarge = true;
      return;
    }
    for (const { name, isFile, isDirectory, isSymlink } of entries) {
      const info = isFile ? await lstatOrNothing(`${dir}/${name}`) : undefined;
      const kind = isFile ? "file" : isDirectory ? "folder" : isSymlink ? "link" : "other";
      take({ name, kind, info: info?.isFile ? infoOf(info) : undefined });
    }
  }

  #present(name: string, info: ListedInfo): Present {
    const { sizeBytes, links } = info;
    const barred = sizeBytes === 0
      ? "empty"
      : sizeBytes > this.options.maxFileBytes
      ? "larger than --max-file-size"
      : undefined;
    return { name, look: info, links, barred };
  }
}

/** Returns the same as the other thread does. */
function infoOf(info: Deno.FileInfo): ListedInfo {
  return { ...lookOf(info), mode: info.mode, links: info.nlink ?? 1 };
}

/** A file that nobody has permission to read is not shared until somebody grants one. */
export const isReadable = ({ mode }: { readonly mode: number | null }): boolean =>
  mode === null || (mode & 0o444) !== 0;

/** Returns why an entry of the folder is not shared, or `undefined` for a regular file that disappeared meanwhile. */
function whyNot({ name, kind, info }: ListedEntry): string | undefined {
  if (kind === "folder") return "a folder";
  if (kind === "link") return "a link";
  if (kind === "other") return "not a regular file";
  if (info) return "no read permission";
  // Deno cannot open a file whose name is not valid UTF-8.
  return name.includes("\ufffd") ? "a name that is not UTF-8" : undefined;
}
