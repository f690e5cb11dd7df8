// The journal of held files. A line is written before the file becomes visible to anybody.
// Each line is a JSON object that starts with a checksum, so a torn or corrupted line is detected and only that
// line is lost. The journal alone, without metadata.json, restores every held file with its id and owner.

import { createHash } from "node:crypto";
import * as v from "valibot";
import { MAX_TOMBSTONES } from "../protocol/limits.ts";
import { parseJson } from "../protocol/wire/message.ts";
import { asStorageError, StorageError } from "./errors.ts";
import { entryOf, entryText, type MetadataEntry } from "./metadata.ts";

/** The journal is compacted when it has more lines than this and more than four times as many lines as files. */
const MIN_COMPACT_LINES = 1_000;

/** One line of the journal. */
export type JournalRecord =
  /** The first line of every journal. If it is missing, the beginning was lost. */
  | { readonly op: "begin" }
  | { readonly op: "hold"; readonly entry: MetadataEntry }
  | { readonly op: "drop"; readonly fileId: string }
  /** Deleted, or no longer wanted here. The content is moved to the trash after this line is written. */
  | {
    readonly op: "remove";
    readonly fileId: string;
    readonly why: Removal["why"];
    readonly unixSeconds: number;
  }
  /** The content of these files and their folder entries are safely on disk. */
  | { readonly op: "synced"; readonly fileIds: readonly string[] };

/** Why a file must not be fetched again automatically: its owner deleted it, or a person does not want it here. */
export interface Removal {
  /** "deleted": by its owner, for everybody. "unwanted": removed here only. */
  readonly why: "deleted" | "unwanted";
  /** When it was removed, Unix seconds. */
  readonly unixSeconds: number;
}

/** The state that the journal describes: held files, and which of them a crash may have damaged. */
export interface JournalState {
  /** Held files, by id. */
  readonly held: Map<string, MetadataEntry>;
  /** Ids of held files whose content may not have reached the disk before a crash. */
  readonly unsynced: Set<string>;
  /** Removed files that have not been held again since, by id, the oldest removal first. */
  readonly removed: Map<string, Removal>;
  /** Removed files whose content may not have been moved to the trash, by id. */
  readonly removing: Map<string, MetadataEntry>;
  /** Number of lines, including damaged ones. */
  readonly lines: number;
  /** Number of lines that were skipped. */
  readonly damagedLines: number;
  /** Whether the first line is intact. */
  readonly hasBeginning: boolean;
}

/** The journal file. It is opened at the first append. */
export class Journal {
  #file: Deno.FsFile | undefined;
  /** Length of the file up to the end of the last complete line, in bytes. */
  #endBytes = 0;
  /** Whether the file may end with a partial line. */
  #isTorn = false;
  #isClosed = false;
  #lines = 0;
  #isBegun = false;
  #removed = new Map<string, Removal>();

  /**
   * Opens nothing yet. `temporaries` is the folder in which a compacted journal is written before it replaces the
   * old one.
   */
  constructor(
    readonly path: string,
    readonly temporaries: string,
    /** Replaced in tests that simulate a failing disk. */
    readonly openFile: (path: string) => Deno.FsFile = openToAppend,
  ) {}

  /** Reads the journal. Resolves to `undefined` if it does not exist. Throws `StorageError`. */
  async read(): Promise<JournalState | undefined> {
    let text: string;
    try {
      text = await Deno.readTextFile(this.path);
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) return undefined;
      throw asStorageError(cause, `Cannot read ${this.path}`);
    }
    const state = replay(text.split("\n").filter((line) => line !== ""));
    this.#lines = state.lines;
    this.#removed = state.removed;
    this.#isBegun = state.hasBeginning;
    return state;
  }

  /**
   * Appends all records or none. If a write fails, the partial line is truncated; if that fails too, the next
   * append starts on a new line. With `sync`, the records are on disk when this returns. Throws `StorageError`,
   * also after `close`.
   */
  append(records: readonly JournalRecord[], sync = false): void {
    try {
      const file = this.#open();
      const first = this.#isBegun ? "" : lineOf({ op: "begin" });
      const text = (this.#isTorn ? "\n" : "") + first + records.map(lineOf).join("");
      const bytes = new TextEncoder().encode(text);
      try {
        for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
        if (sync) file.syncDataSync();
      } catch (error) {
        this.#cutTorn(file);
        throw error;
      }
      this.#endBytes += bytes.length;
      this.#isTorn = false;
      this.#isBegun = true;
      this.#lines += records.length;
      for (const record of records) this.#noteRemoval(record);
    } catch (cause) {
      throw asStorageError(cause, `Cannot write ${this.path}`);
    }
  }

  #open(): Deno.FsFile {
    if (this.#file) return this.#file;
    // Closing the store released its lock, so another process may be writing here.
    if (this.#isClosed) throw new StorageError("io", `${this.path} is already closed`);
    this.#refuseLink();
    this.#file = this.openFile(this.path);
    this.#endBytes = this.#file.statSync().size;
    this.#isTorn = this.#endBytes > 0; // a crash may have truncated the last line
    return this.#file;
  }

  #cutTorn(file: Deno.FsFile): void {
    try {
      file.truncateSync(this.#endBytes);
    } catch {
      this.#isTorn = true; // the next append starts a new line, and the caller receives the original error
    }
  }

  /** Flushes the appended lines to disk, so that they survive a power failure. */
  async sync(): Promise<void> {
    await this.#file?.syncData();
  }

  /** Returns whether most lines are obsolete, so that compacting pays off. */
  isWorthCompacting(heldFiles: number): boolean {
    return this.#lines > MIN_COMPACT_LINES &&
      this.#lines > 4 * (heldFiles + this.#removed.size);
  }

  /**
   * Replaces all lines with one for each held or removed file; `unsynced` files stay marked as such. `removing`: removed
   * files that have not been moved to the trash yet, which the next start must find. Throws `StorageError`. Synchronous,
   * so nothing can be appended meanwhile.
   */
  compact(
    held: readonly MetadataEntry[],
    unsynced: ReadonlySet<string>,
    removing: readonly MetadataEntry[] = [],
  ): void {
    const fileIds = held.map(({ file }) => file.fileId).filter((id) => !unsynced.has(id));
    const records: JournalRecord[] = [{ op: "begin" }];
    for (const entry of removing) records.push({ op: "hold", entry });
    for (const [fileId, removal] of this.#removed) {
      records.push({ op: "remove", fileId, ...removal });
    }
    for (const entry of held) records.push({ op: "hold", entry });
    if (fileIds.length > 0) records.push({ op: "synced", fileIds });
    const temporary = `${this.temporaries}/journal.jsonl`;
    try {
      if (this.#isClosed) throw new StorageError("io", `${this.path} is already closed`);
      this.#file?.close();
      this.#file = undefined;
      Deno.writeTextFileSync(temporary, records.map(lineOf).join(""), { mode: 0o600 });
      const file = Deno.openSync(temporary, { read: true });
      file.syncSync();
      file.close();
      Deno.renameSync(temporary, this.path);
      this.#isBegun = true;
      this.#lines = records.length;
    } catch (cause) {
      throw asStorageError(cause, `Cannot write ${this.path}`);
    }
  }

  /** Closes the file. Later writes throw `StorageError`. */
  close(): void {
    this.#isClosed = true;
    this.#file?.close();
    this.#file = undefined;
  }

  /** Writing through a link in the journal's place would write outside the store. */
  #refuseLink(): void {
    try {
      if (Deno.lstatSync(this.path).isFile) return;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      throw error;
    }
    throw new StorageError("not-writable", `${this.path} must be a regular file`, {
      hint: "Remove it",
    });
  }

  #noteRemoval(record: JournalRecord): void {
    if (record.op === "hold") this.#removed.delete(record.entry.file.fileId);
    if (record.op !== "remove") return;
    const { fileId, why, unixSeconds } = record;
    this.#removed.delete(fileId);
    if (this.#removed.size >= MAX_TOMBSTONES) this.#forgetOldest();
    this.#removed.set(fileId, { why, unixSeconds });
  }

  /** Forgets many at once, because finding the oldest key of a map takes longer the more were deleted before it. */
  #forgetOldest(): void {
    let left = MAX_TOMBSTONES / 16;
    for (const fileId of this.#removed.keys()) {
      if (left-- <= 0) return;
      this.#removed.delete(fileId);
    }
  }
}

const openToAppend = (path: string) =>
  Deno.openSync(path, { append: true, create: true, mode: 0o600 });

const sum = (text: string) => createHash("sha256").update(text).digest("hex").slice(0, 8);

function lineOf(record: JournalRecord): string {
  const json = record.op === "hold"
    ? `{"op":"hold","entry":${entryText(record.entry)}}`
    : JSON.stringify(record);
  return `{"sum":"${sum(json)}","record":${json}}\n`;
}

const RecordShape = v.variant("op", [
  v.object({ op: v.literal("begin") }),
  v.object({ op: v.literal("hold"), entry: v.unknown() }),
  v.object({ op: v.literal("drop"), fileId: v.string() }),
  v.object({
    op: v.literal("remove"),
    fileId: v.string(),
    why: v.picklist(["deleted", "unwanted"]),
    unixSeconds: v.number(),
  }),
  v.object({ op: v.literal("synced"), fileIds: v.array(v.string()) }),
]);

/** Returns the record of a line, or `undefined` if the line is damaged or of a kind written by a later version. */
function recordOf(line: string): JournalRecord | undefined {
  const match = /^\{"sum":"([0-9a-f]{8})","record":(.*)\}$/.exec(line);
  if (!match || sum(match[2]!) !== match[1]) return undefined;
  const { success, output: record } = v.safeParse(RecordShape, parseJson(match[2]!));
  if (!success) return undefined;
  if (record.op !== "hold") return record;
  const entry = entryOf(record.entry);
  return entry && { op: "hold", entry };
}

/** Returns what the lines of a journal say, in one pass. Damaged lines are counted and cost only themselves. */
function replay(lines: readonly string[]): JournalState & { removed: Map<string, Removal> } {
  const held = new Map<string, MetadataEntry>();
  const unsynced = new Set<string>();
  const removed = new Map<string, Removal>();
  const removing = new Map<string, MetadataEntry>();
  let damagedLines = 0;
  let hasBeginning = false;
  for (const line of lines) {
    const record = recordOf(line);
    switch (record?.op) {
      case undefined:
        damagedLines++;
        break;
      case "begin":
        hasBeginning = true;
        break;
      case "hold": {
        const { fileId } = record.entry.file;
        held.set(fileId, record.entry);
        unsynced.add(fileId);
        removed.delete(fileId);
        removing.delete(fileId);
        break;
      }
      case "drop":
        held.delete(record.fileId);
        unsynced.delete(record.fileId);
        removing.delete(record.fileId);
        break;
      case "remove": {
        const { fileId, why, unixSeconds } = record;
        const entry = held.get(fileId);
        if (entry) removing.set(fileId, entry);
        held.delete(fileId);
        unsynced.delete(fileId);
        removed.delete(fileId); // re-inserted last, to keep them in order of time
        removed.set(fileId, { why, unixSeconds });
        break;
      }
      case "synced":
        for (const fileId of record.fileIds) unsynced.delete(fileId);
        break;
      default:
        record satisfies never;
    }
  }
  return { held, unsynced, removed, removing, lines: lines.length, damagedLines, hasBeginning };
}
