// What is held, line by line: the record that is written before a file is shown to anybody.
// Each line is a JSON object with a checksum in front, so a torn or flipped line is noticed and costs
// itself only. The journal alone, without metadata.json, brings back every held file with its id and owner.

import { createHash } from "node:crypto";
import * as v from "valibot";
import { MAX_TOMBSTONES } from "../protocol/limits.ts";
import { parseJson } from "../protocol/wire/message.ts";
import { asStorageError, StorageError } from "./errors.ts";
import { entryOf, entryText, type MetadataEntry } from "./metadata.ts";

/** Lines are rewritten when there are more than this and four times as many as files. */
const MIN_COMPACT_LINES = 1_000;

export type JournalRecord =
  /** The first line of every journal: without it, the beginning is lost. */
  | { readonly op: "begin" }
  | { readonly op: "hold"; readonly entry: MetadataEntry }
  | { readonly op: "drop"; readonly fileId: string }
  /** Deleted, or not wanted here any more; the content goes to the trash after this line. */
  | {
    readonly op: "remove";
    readonly fileId: string;
    readonly why: Removal["why"];
    readonly unixSeconds: number;
  }
  /** Content and folder of these files are safe from a power cut. */
  | { readonly op: "synced"; readonly fileIds: readonly string[] };

/** That a file is not to come back by itself: its owner deleted it, or a person does not want it here. */
export interface Removal {
  readonly why: "deleted" | "unwanted";
  readonly unixSeconds: number;
}

/** What the journal says: held files, and which of them may be damaged after a crash. */
export interface JournalState {
  readonly held: Map<string, MetadataEntry>;
  readonly unsynced: Set<string>;
  /** Removed files that were not held again since. */
  readonly removed: Map<string, Removal>;
  /** Removed files whose content may not have reached the trash. */
  readonly removing: Map<string, MetadataEntry>;
  readonly lines: number;
  readonly damagedLines: number;
  /** Its beginning is there. */
  readonly hasBeginning: boolean;
}

export class Journal {
  #file: Deno.FsFile | undefined;
  /** Length of the file as far as whole lines go. */
  #endBytes = 0;
  /** The file may end in the middle of a line. */
  #isTorn = false;
  #isClosed = false;
  #lines = 0;
  #isBegun = false;
  #removed = new Map<string, Removal>();

  constructor(
    readonly path: string,
    readonly temporaries: string,
    /** For tests of disks that fail. */
    readonly openFile: (path: string) => Deno.FsFile = openToAppend,
  ) {}

  /** Reads what is there; undefined when there is no journal. */
  async read(): Promise<JournalState | undefined> {
    let text: string;
    try {
      text = await Deno.readTextFile(this.path);
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) return undefined;
      throw asStorageError(cause, `Cannot read ${this.path}`);
    }
    const held = new Map<string, MetadataEntry>();
    const unsynced = new Set<string>();
    const removed = new Map<string, Removal>();
    const removing = new Map<string, MetadataEntry>();
    let damagedLines = 0;
    let hasBeginning = false;
    const lines = text.split("\n").filter((line) => line !== "");
    for (const line of lines) {
      const record = recordOf(line);
      if (!record) {
        damagedLines++;
        continue;
      }
      switch (record.op) {
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
          removed.delete(fileId); // so that the order is that of time
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
    this.#lines = lines.length;
    this.#removed = removed;
    this.#isBegun = hasBeginning;
    const counts = { lines: lines.length, damagedLines, hasBeginning };
    return { held, unsynced, removed, removing, ...counts };
  }

  /**
   * Appends all records or none: what a failed write left behind is cut off again, and where that fails too, the
   * next line starts on a line of its own. Throws `StorageError`, also after `close`.
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
    // Whoever closed the store gave up its lock: another process may be writing here.
    if (this.#isClosed) throw new StorageError("io", `${this.path} is closed already`);
    this.#refuseLink();
    this.#file = this.openFile(this.path);
    this.#endBytes = this.#file.statSync().size;
    this.#isTorn = this.#endBytes > 0; // a crash may have cut off the last line
    return this.#file;
  }

  #cutTorn(file: Deno.FsFile): void {
    try {
      file.truncateSync(this.#endBytes);
    } catch {
      this.#isTorn = true; // the next append copes, and the caller hears of the first error
    }
  }

  /** Makes appended lines safe from a power cut. */
  async sync(): Promise<void> {
    await this.#file?.syncData();
  }

  isWorthCompacting(heldFiles: number): boolean {
    return this.#lines > MIN_COMPACT_LINES &&
      this.#lines > 4 * (heldFiles + this.#removed.size);
  }

  /**
   * Replaces all lines by one per held or removed file; `unsynced` ones stay so. Throws `StorageError`.
   * Nothing can be appended meanwhile: it happens in one turn.
   */
  compact(held: readonly MetadataEntry[], unsynced: ReadonlySet<string>): void {
    const fileIds = held.map(({ file }) => file.fileId).filter((id) => !unsynced.has(id));
    const records: JournalRecord[] = [{ op: "begin" }];
    for (const [fileId, removal] of this.#removed) {
      records.push({ op: "remove", fileId, ...removal });
    }
    for (const entry of held) records.push({ op: "hold", entry });
    if (fileIds.length > 0) records.push({ op: "synced", fileIds });
    const temporary = `${this.temporaries}/journal.jsonl`;
    try {
      if (this.#isClosed) throw new StorageError("io", `${this.path} is closed already`);
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

  /** Nothing is written any more. */
  close(): void {
    this.#isClosed = true;
    this.#file?.close();
    this.#file = undefined;
  }

  /** A link in its place would lead what is written out of the store. */
  #refuseLink(): void {
    try {
      if (Deno.lstatSync(this.path).isFile) return;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      throw error;
    }
    throw new StorageError("not-writable", `${this.path} must be a plain file`, {
      hint: "remove it",
    });
  }

  #noteRemoval(record: JournalRecord): void {
    if (record.op === "hold") this.#removed.delete(record.entry.file.fileId);
    if (record.op !== "remove") return;
    const { fileId, why, unixSeconds } = record;
    this.#removed.delete(fileId);
    if (this.#removed.size >= MAX_TOMBSTONES) {
      this.#removed.delete(this.#removed.keys().next().value!);
    }
    this.#removed.set(fileId, { why, unixSeconds });
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

/** The record of a line; undefined when the line is damaged, or of a kind that a later version wrote. */
function recordOf(line: string): JournalRecord | undefined {
  const match = /^\{"sum":"([0-9a-f]{8})","record":(.*)\}$/.exec(line);
  if (!match || sum(match[2]!) !== match[1]) return undefined;
  const { success, output: record } = v.safeParse(RecordShape, parseJson(match[2]!));
  if (!success) return undefined;
  if (record.op !== "hold") return record;
  const entry = entryOf(record.entry);
  return entry && { op: "hold", entry };
}
