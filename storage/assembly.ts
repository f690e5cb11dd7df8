// A file that is put together from parts, in any order and from several sources: one sparse file, and next to it a list of
// what is there, so that a kill costs only what was on its way.
// Invariants: bytes that are there are never written again unless they are forgotten first, so what was hashed is what is on
// the disk; the list never names bytes that were not written; each byte is hashed once, as it comes if the order allows it,
// and again only after some were forgotten; the first `MAX_AGAIN_BYTES` may be hashed twice, if another thread takes over.

import { createHash, type Hash } from "node:crypto";
import { Ranges, type Span } from "../protocol/ranges.ts";
import type { DiskThread } from "./disk_thread.ts";
import { asStorageError, StorageError } from "./errors.ts";
import { Follower } from "./following.ts";
import { removeTemporary } from "./leftovers.ts";
import type { Reservation, Space } from "./space.ts";

/** Smaller beginnings are not kept, in bytes: fetching them again costs less than remembering them. */
export const MIN_PARTIAL_BYTES: number = 1024 ** 2;
/**
 * The list may lack so many bytes that are there, and a kill costs half of them on average: at most the second number, and
 * at most the first one if it was written longer ago than so many milliseconds; none once `list` was called.
 */
const LIST_LAG_BYTES = 16 * 1024;
const MAX_LIST_LAG_BYTES = 256 * 1024;
const LIST_LAG_MS = 2;
/** Size of the pieces that are read back to be hashed, in bytes. */
const READ_BYTES = 1024 * 1024;
/** How long hashing in this thread may keep other work waiting, in milliseconds. */
const TURN_MS = 8;
/**
 * Content is hashed in another thread if so many bytes took at most so many milliseconds, and twice as many are still to
 * come. Slower content is hashed between two pieces, when there is nothing else to do. (A guess: 200 MB/s.)
 */
const FAST_BYTES = 32 * 1024 * 1024;
const FAST_MS = 160;
/** If more than this was hashed here, it stays here, in bytes: the other thread begins from the start. */
const MAX_AGAIN_BYTES = 2 * FAST_BYTES;
/** Maximum size of a list of what is there, in bytes. More is not believed. */
const MAX_LIST_BYTES = 256 * 1024;

/** What an earlier attempt left. */
export interface Begun {
  /** Size of the whole file, in bytes, as far as a source said so. */
  readonly totalBytes: number | undefined;
  /** What is there. */
  readonly done: Ranges;
}

/** What an assembly may be given. */
export interface AssemblyOptions {
  /** What is there of it. */
  readonly begun?: Begun | undefined;
  /** Called when it was removed. */
  readonly onAborted?: () => void;
  /** Hashes what comes fast. Without it, everything is hashed in this thread. */
  readonly thread?: DiskThread;
  /** A clock, in milliseconds. */
  readonly nowMs?: () => number;
}

/** One file that is put together. Ends with `close` if the file on disk is kept, or with `abort`. */
export class Assembly {
  /** What is there. */
  done: Ranges;
  /** Size of the whole file, in bytes; `undefined` until a source says so. */
  totalBytes: number | undefined;
  /** Bytes that an earlier attempt had left. */
  readonly begunBytes: number;
  readonly #file: Deno.FsFile;
  #list: Deno.FsFile | undefined;
  #listBytes = 0;
  #listedBytes = 0;
  #listedMs = -Infinity;
  #hash: Hash = createHash("sha256");
  #hashed = 0;
  /** Hashes in another thread, instead of `#hash`. */
  #follower: Follower | undefined;
  /** What it found, by what follows the content. */
  #digests: ReadonlyMap<string, string> | undefined;
  /** When the speed was last looked at, and how much was there then. */
  #lookedMs: number;
  #lookedBytes = 0;
  #buffer: Uint8Array | undefined;
  #reserved: Reservation | undefined;
  #isOpen = true;

  /** Creates the file at `path`, or continues what was `begun` there. Throws `StorageError`. */
  constructor(
    readonly path: string,
    readonly maxBytes: number,
    readonly space: Space,
    readonly options: AssemblyOptions = {},
  ) {
    const { begun } = options;
    this.done = begun?.done ?? new Ranges();
    this.totalBytes = begun?.totalBytes;
    this.#lookedMs = this.#nowMs();
    this.begunBytes = this.#lookedBytes = this.done.bytes;
    try {
      this.#file = Deno.openSync(path, {
        read: true,
        write: true,
        ...(begun ? {} : { createNew: true, mode: 0o644 }),
      });
    } catch (cause) {
      throw asStorageError(cause, "Cannot receive a file");
    }
  }

  /** Number of bytes that are there; all of them, once it is complete. */
  get sizeBytes(): number {
    return this.done.bytes;
  }

  /**
   * Sets the size of the whole file, and reserves space for what is missing. Throws `StorageError`: "too-large",
   * "no-space" or another code.
   */
  begin(totalBytes: number): void {
    this.check(totalBytes);
    const last = this.done.spans.at(-1);
    if (last && last[1] > totalBytes) this.restart(); // what is there is of another file
    this.totalBytes = totalBytes;
    this.#reserved?.release();
    this.#reserved = this.space.reserve(totalBytes - this.done.bytes);
    try {
      // The list first: without one, everything up to the end of the file would count as there.
      if (totalBytes >= MIN_PARTIAL_BYTES) this.#saveList();
      this.#file.truncateSync(totalBytes);
    } catch (cause) {
      throw asStorageError(cause, "Cannot receive a file");
    }
  }

  /** Throws what `begin` would throw for a file of this size, and changes nothing. */
  check(totalBytes: number): void {
    if (totalBytes > this.maxBytes) {
      throw new StorageError(
        "too-large",
        `The file is larger than ${this.maxBytes} bytes`,
        { hint: "Raise --max-file-size to accept larger files" },
      );
    }
    this.space.check(totalBytes - this.done.bytes, this.#reserved?.leftBytes);
  }

  /** Writes the bytes that are not there yet, and records them. Throws `StorageError`. */
  write(offset: number, content: Uint8Array): void {
    const end = offset + content.length;
    try {
      for (const [from, to] of this.done.gaps(offset, end)) {
        const piece = content.subarray(from - offset, to - offset);
        if (this.#reserved) this.#reserved.use(piece.length);
        else this.space.take(piece.length);
        this.#writeAt(from, piece);
        this.done.add(from, to);
        if (from !== this.#hashed || this.#follower) continue;
        this.#hash.update(piece);
        this.#hashed = to;
      }
      if (this.#isListDue()) this.#saveList();
      if (this.#follower) return this.#follower.upTo(this.done.endAt(0));
      this.#lookAtSpeed();
      // What came out of order is hashed as soon as what was before it is there, a piece at a time.
      if (this.#hashed > offset && this.done.endAt(this.#hashed) > this.#hashed) this.#hashSome();
    } catch (cause) {
      throw asStorageError(cause, "Cannot receive a file");
    }
  }

  /** Lists what is there and not listed yet. Call it from time to time: nothing may come for a while. Throws `StorageError`. */
  list(): void {
    if (this.done.bytes === this.#listedBytes) return;
    try {
      this.#saveList();
    } catch (cause) {
      throw asStorageError(cause, "Cannot receive a file");
    }
  }

  /**
   * Hashes what has not been hashed yet, so that `digestWith` knows the content followed by each of these texts. Resolves to
   * false if `isStopped` says so meanwhile. Throws `StorageError`.
   */
  async hashAll(suffixes: readonly string[], isStopped = () => false): Promise<boolean> {
    if (this.#follower) {
      const all = ["", ...suffixes];
      const digests = await this.#follower.digests(all).catch(() => undefined);
      if (isStopped()) return false;
      if (digests) {
        this.#digests = new Map(all.map((suffix, i) => [suffix, digests[i]!]));
        return true;
      }
      this.#follower.close(); // the thread has ended; this one continues where it stopped
      this.#follower = undefined;
    }
    try {
      for (let sinceMs = performance.now(); this.done.endAt(this.#hashed) > this.#hashed;) {
        this.#hashSome();
        if (performance.now() - sinceMs < TURN_MS) continue;
        await new Promise((go) => setTimeout(go, 0));
        if (isStopped()) return false;
        sinceMs = performance.now();
      }
      return true;
    } catch (cause) {
      throw asStorageError(cause, "Cannot receive a file");
    }
  }

  /** Forgets what is wrong, which is written again. Throws `StorageError`. */
  forget(spans: readonly Span[]): void {
    for (const [start, end] of spans) this.done.remove(start, end);
    this.#hashAgain();
    try {
      this.#saveList();
    } catch (cause) {
      throw asStorageError(cause, "Cannot receive a file");
    }
  }

  /** Fills the buffer with what is there from a position on. Throws `StorageError`. */
  read(position: number, buffer: Uint8Array): void {
    try {
      this.#readAt(position, buffer);
    } catch (cause) {
      throw asStorageError(cause, "Cannot receive a file");
    }
  }

  /** Opens it for others who fetch the same file, also beyond its end. Throws `StorageError`. */
  reader(): PartReader {
    try {
      return new PartReader(this, Deno.openSync(this.path, { read: true }));
    } catch (cause) {
      throw asStorageError(cause, "Cannot read a download");
    }
  }

  /** Starts over with an empty file. Throws `StorageError`. */
  restart(): void {
    this.done = new Ranges();
    this.totalBytes = undefined;
    this.#hashAgain();
    this.#reserved?.release();
    this.#reserved = undefined;
    try {
      this.#file.truncateSync(0);
      this.#saveList();
    } catch (cause) {
      throw asStorageError(cause, "Cannot receive a file");
    }
  }

  /** Returns the hex SHA-256 of the content followed by "" or one of the suffixes that `hashAll` was called with. */
  digestWith(suffix: string): string {
    const digest = this.#digests?.get(suffix);
    if (digest !== undefined) return digest;
    if (this.#follower) throw new Error("This digest was not asked for");
    return this.#hash.copy().update(suffix).digest("hex");
  }

  /** Flushes the content to disk. */
  sync(): void {
    this.#file.syncSync();
  }

  /** Closes the file and leaves it, and the list, in place. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#follower?.close();
    this.#reserved?.release();
    try {
      this.#saveList();
    } catch {
      // The disk is full, or the folder gone: what the list lacks is fetched again.
    }
    this.#list?.close();
    this.#file.close();
  }

  /** Removes the file and the list. Does nothing after `close`. */
  abort(): void {
    if (!this.#isOpen) return;
    this.close();
    removeTemporary(this.path);
    removeTemporary(listOf(this.path));
    this.options.onAborted?.();
  }

  #writeAt(position: number, content: Uint8Array): void {
    this.#file.seekSync(position, Deno.SeekMode.Start);
    for (let at = 0; at < content.length;) {
      try {
        at += this.#file.writeSync(content.subarray(at));
      } catch (cause) {
        // Other programs write to the disk too, so our count of free space can be off.
        const isFull = asStorageError(cause, "").code === "no-space";
        if (!isFull || !this.space.makeRoom()) throw cause;
        this.#file.seekSync(position + at, Deno.SeekMode.Start);
      }
    }
  }

  /** Lets the other thread hash what comes fast, from the beginning: this thread's state cannot be passed on. */
  #lookAtSpeed(): void {
    const fresh = this.done.bytes - this.#lookedBytes;
    if (fresh < FAST_BYTES) return;
    const nowMs = this.#nowMs();
    const isFast = nowMs - this.#lookedMs <= FAST_MS * fresh / FAST_BYTES;
    this.#lookedMs = nowMs;
    this.#lookedBytes = this.done.bytes;
    const left = (this.totalBytes ?? 0) - this.done.bytes;
    const { thread } = this.options;
    if (!thread || !isFast || left < 2 * FAST_BYTES || this.#hashed > MAX_AGAIN_BYTES) return;
    this.#follower = new Follower(thread, this.path);
    this.#buffer = undefined;
  }

  /** Forgets what was hashed. */
  #hashAgain(): void {
    this.#follower?.close();
    this.#follower = undefined;
    this.#digests = undefined;
    this.#hash = createHash("sha256");
    this.#hashed = 0;
    this.#lookedBytes = this.done.bytes;
    this.#lookedMs = this.#nowMs();
  }

  #nowMs(): number {
    return this.options.nowMs?.() ?? performance.now();
  }

  #hashSome(): void {
    const end = Math.min(this.done.endAt(this.#hashed), this.#hashed + READ_BYTES);
    this.#buffer ??= new Uint8Array(READ_BYTES);
    const piece = this.#buffer.subarray(0, end - this.#hashed);
    this.#readAt(this.#hashed, piece);
    this.#hash.update(piece);
    this.#hashed = end;
  }

  #readAt(position: number, buffer: Uint8Array): void {
    this.#file.seekSync(position, Deno.SeekMode.Start);
    for (let at = 0; at < buffer.length;) {
      const read = this.#file.readSync(buffer.subarray(at));
      if (read === null) throw new StorageError("io", `${this.path} became shorter`);
      at += read;
    }
  }

  #isListDue(): boolean {
    const lag = this.done.bytes - this.#listedBytes;
    if (lag < LIST_LAG_BYTES) return false;
    return lag >= MAX_LIST_LAG_BYTES || this.#nowMs() - this.#listedMs >= LIST_LAG_MS;
  }

  /** Writes what is there next to the file, over what was written before. A kill leaves the old or the new list. */
  #saveList(): void {
    if (!this.#list) {
      if ((this.totalBytes ?? 0) < MIN_PARTIAL_BYTES) return;
      this.#list = openList(listOf(this.path));
    }
    this.#listedBytes = this.done.bytes;
    this.#listedMs = this.#nowMs();
    const text = JSON.stringify({ size_bytes: this.totalBytes, done: this.done.spans });
    const bytes = new TextEncoder().encode(text.padEnd(this.#listBytes));
    this.#listBytes = bytes.length;
    this.#list.seekSync(0, Deno.SeekMode.Start);
    for (let at = 0; at < bytes.length;) at += this.#list.writeSync(bytes.subarray(at));
  }
}

/** Reads what is there of an assembly, with a file of its own: it may be kept, or start over, meanwhile. */
export class PartReader {
  #position = 0;
  #end = 0;

  /** See `Assembly.reader`. */
  constructor(readonly assembly: Assembly, readonly file: Deno.FsFile) {}

  /** Size of the whole file, in bytes. */
  get sizeBytes(): number {
    return this.assembly.totalBytes ?? 0;
  }

  /** Limits what is read to `bytes` bytes from `offset`. */
  seek(offset: number, bytes: number): void {
    this.file.seekSync(offset, Deno.SeekMode.Start);
    this.#position = offset;
    this.#end = offset + bytes;
  }

  /**
   * Fills the buffer up to the end of the range, and returns the number of bytes; 0 at the end. Throws `StorageError` if
   * that is no longer there.
   */
  readInto(buffer: Uint8Array): number {
    const wanted = Math.min(buffer.length, this.#end - this.#position);
    const read = wanted > 0 ? this.file.readSync(buffer.subarray(0, wanted)) ?? 0 : 0;
    // What was forgotten meanwhile is wrong, or is being written again.
    if (!this.assembly.done.has(this.#position, this.#position + read)) {
      throw new StorageError("io", "What was being sent is no longer there");
    }
    this.#position += read;
    return read;
  }

  /** Closes the file. */
  close(): void {
    this.file.close();
  }
}

/** Opens a list for writing, and never follows a link. Throws file system errors. */
function openList(path: string): Deno.FsFile {
  try {
    if (!Deno.lstatSync(path).isFile) Deno.removeSync(path, { recursive: true });
    else return Deno.openSync(path, { write: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return Deno.openSync(path, { write: true, createNew: true, mode: 0o600 });
}

/** Returns the path of the list that belongs to a file. */
export const listOf = (path: string): string => `${path}.json`;

/**
 * Reads what is there of a file of which `sizeBytes` bytes are on the disk. Without a list, that is its beginning. A list
 * that is damaged, or names more than there is, counts for nothing.
 */
export function begunOf(path: string, sizeBytes: number): Begun {
  let text: string;
  try {
    const { isFile, size } = Deno.lstatSync(listOf(path));
    if (!isFile || size > MAX_LIST_BYTES) return NOTHING();
    text = Deno.readTextFileSync(listOf(path));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) return NOTHING();
    return { totalBytes: undefined, done: new Ranges([[0, sizeBytes]]) };
  }
  try {
    const { size_bytes: totalBytes, done } = JSON.parse(text) as Record<string, unknown>;
    const isSize = Number.isSafeInteger(totalBytes) && (totalBytes as number) >= 0;
    const maxBytes = Math.min(sizeBytes, totalBytes as number);
    const isList = isSize && Array.isArray(done) && done.every((span) => isSpan(span, maxBytes));
    return isList ? { totalBytes: totalBytes as number, done: new Ranges(done) } : NOTHING();
  } catch {
    return NOTHING();
  }
}

const NOTHING = (): Begun => ({ totalBytes: undefined, done: new Ranges() });

function isSpan(value: unknown, sizeBytes: number): value is Span {
  if (!Array.isArray(value) || value.length !== 2) return false;
  const [start, end] = value;
  return Number.isSafeInteger(start) && Number.isSafeInteger(end) && 0 <= start && start < end &&
    end <= sizeBytes;
}
