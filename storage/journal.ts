// The journal of held files. A line is written before the file becomes visible to anybody.
// Each line is a JSON object that starts with a checksum, so a torn or corrupted line is detected and only that
// line is lost. The journal alone, without metadata.json, restores every held file with its id and owner.
// Reading it is linear in its lines, and neither reading nor compacting keeps other work waiting.

import { hash } from "node:crypto";
import * as v from "valibot";
import { MAX_TOMBSTONES } from "../protocol/limits.ts";
import { parseJson } from "../protocol/wire/message.ts";
import { asStorageError, StorageError } from "./errors.ts";
import { linesOf } from "./lines.ts";
import { entryOf, entryOfText, entryText, type MetadataEntry } from "./metadata.ts";

/** The journal is compacted when it has more lines than this and more than four times as many lines as files. */
const MIN_COMPACT_LINES = 1_000;
/** Number of lines made before other work gets its turn: about 5 ms. */
const LINES_PER_TURN = 500;

/** One line of the journal. */
export type JournalRecord =
  /**
   * The first line of every journal; if it is missing, the beginning was lost. Also written when the machine has
   * restarted since the last line: `boot` is when the machine was started, Unix seconds, for the lines after it.
   */
  | { readonly op: "begin"; readonly boot?: number }
  /** `safe`: the content is known to be on disk. */
  | { readonly op: "hold"; readonly entry: MetadataEntry; readonly safe?: true }
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
  /** Ids of held files whose content may not be on disk yet. */
  readonly unsynced: Set<string>;
  /**
   * The part of `unsynced` that a crash of the machine may have damaged: it was written before the machine started.
   * When only the process was killed, the system still has everything that was written.
   */
  readonly suspect: Set<string>;
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
  /** Lines appended while the journal is being compacted; they follow in the new file. */
  #tail: string[] | undefined;

  /**
   * Opens nothing yet. `temporaries` is the folder in which a compacted journal is written before it replaces the
   * old one.
   */
  constructor(
    readonly path: string,
    readonly temporaries: string,
    /** Replaced in tests that simulate a failing disk. */
    readonly openFile: (path: string) => Deno.FsFile = openToAppend,
    /** When the machine was started, Unix seconds; undefined where that is unknown. */
    readonly boot: number | undefined = undefined,
  ) {}

  /** Reads the journal. Resolves to `undefined` if it does not exist. Throws `StorageError`. */
  async read(signal?: AbortSignal): Promise<JournalState | undefined> {
    const replay = new Replay(this.boot);
    try {
      await Deno.lstat(this.path);
      for await (const lines of linesOf(this.path, signal)) {
        for (const line of lines) replay.add(line);
      }
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) return undefined;
      throw asStorageError(cause, `Cannot read ${this.path}`);
    }
    this.#lines = replay.lines;
    this.#removed = new Map(replay.removed);
    // Lines of an earlier run of the machine end here.
    this.#isBegun = replay.hasBeginning && isSameBoot(replay.boot, this.boot);
    return replay.state();
  }

  /**
   * Appends all records or none. If a write fails, the partial line is truncated; if that fails too, the next
   * append starts on a new line. With `sync`, the records are on disk when this returns. Throws `StorageError`,
   * also after `close`.
   */
  append(records: readonly JournalRecord[], sync = false): void {
    try {
      const file = this.#open();
      const first = this.#isBegun ? "" : this.#beginning();
      const lines = records.map(lineOf).join("");
      const text = (this.#isTorn ? "\n" : "") + first + lines;
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
      this.#tail?.push(lines);
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
   * files that have not been moved to the trash yet, which the next start must find. Lines may be appended meanwhile.
   * Does nothing while another call is in progress. Throws `StorageError`.
   */
  async compact(
    held: Iterable<MetadataEntry>,
    unsynced: ReadonlySet<string>,
    removing: readonly MetadataEntry[] = [],
  ): Promise<void> {
    if (this.#tail) return;
    this.#tail = [];
    const temporary = `${this.temporaries}/journal.jsonl`;
    try {
      if (this.#isClosed) throw new StorageError("io", `${this.path} is already closed`);
      const file = await Deno.open(temporary, {
        write: true,
        create: true,
        truncate: true,
        mode: 0o600,
      });
      try {
        const lines = await this.#writeAll(file, held, unsynced, removing);
        await file.sync();
        if (this.#isClosed) throw new StorageError("io", `${this.path} is already closed`);
        // From here to the end, nothing can be appended in between.
        writeAllSync(file, this.#tail.join(""));
        file.syncSync();
        this.#file?.close();
        this.#file = undefined;
        Deno.renameSync(temporary, this.path);
        this.#isBegun = true;
        this.#lines = lines + this.#tail.length;
      } finally {
        file.close();
      }
    } catch (cause) {
      throw asStorageError(cause, `Cannot write ${this.path}`);
    } finally {
      this.#tail = undefined;
    }
  }

  /** Writes a whole journal in pieces. Resolves to the number of lines. */
  async #writeAll(
    file: Deno.FsFile,
    held: Iterable<MetadataEntry>,
    unsynced: ReadonlySet<string>,
    removing: readonly MetadataEntry[],
  ): Promise<number> {
    let lines = 1;
    let piece = this.#beginning();
    const write = async (record: JournalRecord) => {
      piece += lineOf(record);
      if (++lines % LINES_PER_TURN > 0) return;
      const bytes = new TextEncoder().encode(piece);
      piece = "";
      for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
    };
    for (const entry of removing) await write({ op: "hold", entry });
    for (const [fileId, removal] of [...this.#removed]) {
      await write({ op: "remove", fileId, ...removal });
    }
    for (const entry of held) {
      const isSafe = !unsynced.has(entry.file.fileId);
      await write({ op: "hold", entry, ...(isSafe ? { safe: true } : {}) });
    }
    writeAllSync(file, piece);
    return lines;
  }

  #beginning(): string {
    return lineOf({ op: "begin", ...(this.boot === undefined ? {} : { boot: this.boot }) });
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

function writeAllSync(file: Deno.FsFile, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}

const sum = (text: string) => hash("sha256", text).slice(0, SUM_CHARS);

function lineOf(record: JournalRecord): string {
  const json = record.op === "hold"
    ? `${HOLD}${entryText(record.entry)}${record.safe ? SAFE : ""}}`
    : JSON.stringify(record);
  return `${BEFORE_SUM}${sum(json)}${BEFORE_RECORD}${json}}\n`;
}

const SUM_CHARS = 8;
const BEFORE_SUM = '{"sum":"';
const BEFORE_RECORD = '","record":';
const HOLD = '{"op":"hold","entry":';
const SAFE = ',"safe":true';

const RecordShape = v.variant("op", [
  v.object({ op: v.literal("begin"), boot: v.optional(v.number()) }),
  v.object({ op: v.literal("hold"), entry: v.unknown(), safe: v.optional(v.literal(true)) }),
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
  const sumAt = BEFORE_SUM.length;
  const recordAt = sumAt + SUM_CHARS + BEFORE_RECORD.length;
  if (
    !line.startsWith(BEFORE_SUM) || !line.startsWith(BEFORE_RECORD, sumAt + SUM_CHARS) ||
    !line.endsWith("}")
  ) return undefined;
  const json = line.slice(recordAt, -1);
  if (sum(json) !== line.slice(sumAt, sumAt + SUM_CHARS)) return undefined;
  if (json.startsWith(HOLD)) {
    // Nearly all lines are of this kind, and a start waits for them.
    const isSafe = json.endsWith(`${SAFE}}`);
    const entry = entryOfText(json.slice(HOLD.length, isSafe ? -SAFE.length - 1 : -1));
    return entry && { op: "hold", entry, ...(isSafe ? { safe: true } : {}) };
  }
  const { success, output: record } = v.safeParse(RecordShape, parseJson(json));
  if (!success) return undefined;
  if (record.op === "hold") {
    const entry = entryOf(record.entry);
    return entry && { op: "hold", entry, ...(record.safe ? { safe: true } : {}) };
  }
  if (record.op !== "begin") return record;
  return { op: "begin", ...(record.boot === undefined ? {} : { boot: record.boot }) };
}

/**
 * Maximum difference between two readings of when the machine was started, in seconds: the clock is adjusted now and
 * then. Less than a restart takes.
 */
const SAME_BOOT_SECONDS = 5;

/** Returns whether the machine was not restarted in between. If nobody knows, it may have been. */
function isSameBoot(then: number | undefined, now: number | undefined): boolean {
  return then !== undefined && now !== undefined && Math.abs(now - then) <= SAME_BOOT_SECONDS;
}

/** Collects what the lines of a journal say, in one pass. Damaged lines are counted and cost only themselves. */
class Replay {
  readonly #held = new Map<string, MetadataEntry>();
  /** Files that may not be on disk yet, and when the machine that wrote them had been started. */
  readonly #unsynced = new Map<string, number | undefined>();
  readonly removed = new Map<string, Removal>();
  readonly #removing = new Map<string, MetadataEntry>();
  lines = 0;
  #damagedLines = 0;
  hasBeginning = false;
  /** When the machine that wrote the last line had been started. */
  boot: number | undefined;

  /** `nowBoot`: when the machine was started this time. */
  constructor(readonly nowBoot: number | undefined) {}

  add(line: string): void {
    this.lines++;
    const record = recordOf(line);
    switch (record?.op) {
      case undefined:
        this.#damagedLines++;
        break;
      case "begin":
        this.hasBeginning = true;
        this.boot = record.boot;
        break;
      case "hold":
        return this.#hold(record.entry, record.safe ?? false);
      case "drop":
        this.#held.delete(record.fileId);
        this.#unsynced.delete(record.fileId);
        this.#removing.delete(record.fileId);
        break;
      case "remove":
        return this.#remove(record);
      case "synced":
        for (const fileId of record.fileIds) this.#unsynced.delete(fileId);
        break;
      default:
        record satisfies never;
    }
  }

  #hold(entry: MetadataEntry, isSafe: boolean): void {
    const { fileId } = entry.file;
    this.#held.set(fileId, entry);
    if (isSafe) this.#unsynced.delete(fileId);
    else this.#unsynced.set(fileId, this.boot);
    this.removed.delete(fileId);
    this.#removing.delete(fileId);
  }

  #remove({ fileId, why, unixSeconds }: Extract<JournalRecord, { op: "remove" }>): void {
    const entry = this.#held.get(fileId);
    if (entry) this.#removing.set(fileId, entry);
    this.#held.delete(fileId);
    this.#unsynced.delete(fileId);
    this.removed.delete(fileId); // re-inserted last, to keep them in order of time
    this.removed.set(fileId, { why, unixSeconds });
  }

  state(): JournalState {
    const suspect = new Set<string>();
    for (const [fileId, boot] of this.#unsynced) {
      if (!isSameBoot(boot, this.nowBoot)) suspect.add(fileId);
    }
    return {
      held: this.#held,
      unsynced: new Set(this.#unsynced.keys()),
      suspect,
      removed: this.removed,
      removing: this.#removing,
      lines: this.lines,
      damagedLines: this.#damagedLines,
      hasBeginning: this.hasBeginning,
    };
  }
}
