// A thread for the disk: lists folders and hashes files without keeping messages and pages waiting. The code that
// runs there is `disk_worker.js`.
// Invariants: the thread is started when it is first needed and ended when it has been idle for a while; requests are
// answered in order; after `close`, every request fails; what it knows of files that are followed ends with it, and
// requests about them begin again.

import type {
  Answer,
  Failure,
  HashedBatch,
  HashJobs,
  HashResult,
  ListingPart,
  Request,
} from "./disk_messages.ts";
import type { Look } from "./looks.ts";
import source from "./disk_worker.js" with { type: "text" };

/** How long an idle thread is kept, in milliseconds: starting one takes about 50 ms and 20 MiB. */
const IDLE_MS = 5_000;
/** So many file descriptors must be free to start the thread: without them, the runtime ends the process. */
const THREAD_FILES = 16;
/** Number of numbers for each entry of a listing, and for each hashed file. */
const FIGURES = 7;
const HASH_FIGURES = 5;

/** An entry of a folder. */
export interface ListedEntry {
  /** Its name. */
  readonly name: string;
  /** What it is. */
  readonly kind: "file" | "folder" | "link" | "other";
  /** What the system says about it; undefined for what is not a regular file, or no longer there. */
  readonly info: ListedInfo | undefined;
}

/** What the system says about a regular file. */
export interface ListedInfo extends Look {
  /** Permissions; null where there are none. */
  readonly mode: number | null;
  /** Number of names. */
  readonly links: number;
}

interface Pending {
  readonly onPart: (answer: Answer) => void;
  readonly done: PromiseWithResolvers<unknown>;
}

/** One thread. */
export class DiskThread {
  #worker: Worker | undefined;
  readonly #pending = new Map<number, Pending>();
  #serial = 0;
  /** Numbers of the files that are hashed as they grow. */
  readonly #followed = new Set<number>();
  #idle: ReturnType<typeof setTimeout> | undefined;
  #closed: Error | undefined;

  /** Number of requests that are not answered yet. */
  get pending(): number {
    return this.#pending.size;
  }

  /**
   * Calls `onPart` with the entries of a folder, a part at a time, in no order. Throws file system errors with their
   * code.
   */
  async list(dir: string, onPart: (entries: readonly ListedEntry[]) => void): Promise<void> {
    let next = this.#ask({ kind: "list", dir });
    for (;;) {
      const { of, names, figures, isLast } = await next as ListingPart;
      // While this part is looked at, the other thread reads the next one.
      if (!isLast) {
        next = this.#ask({ kind: "more", of });
        next.catch(() => {}); // thrown when it is its turn
      }
      onPart(entriesOf(names, figures));
      if (isLast) return;
    }
  }

  /** Resolves to those of the names that are no regular files in the folder that somebody may read. */
  async missing(dir: string, names: readonly string[]): Promise<readonly string[]> {
    return await this.#ask({ kind: "stat", dir, names }) as string[];
  }

  /** Flushes files to the disk; those that are gone are left out. Throws file system errors with their code. */
  async flush(paths: readonly string[]): Promise<void> {
    await this.#ask({ kind: "flush", paths });
  }

  /**
   * Hashes files. Each result is an error if its file could not be read. Calls `onBytes` from time to time while a large
   * file is read.
   */
  async hash(
    jobs: HashJobs,
    onBytes: (bytes: number) => void = () => {},
  ): Promise<(HashResult | Error)[]> {
    const results = await this.#ask({ kind: "hash", jobs }, ({ readBytes }) => {
      if (readBytes !== undefined) onBytes(readBytes);
    }) as HashedBatch;
    return resultsOf(jobs, results);
  }

  /** Returns a number for a file that is hashed as it grows. The thread is not ended for being idle until `endFollowing`. */
  beginFollowing(): number {
    const of = ++this.#serial;
    this.#followed.add(of);
    clearTimeout(this.#idle);
    return of;
  }

  /** Hashes such a file on to `end`. Throws file system errors with their code. */
  async follow(of: number, path: string, end: number): Promise<void> {
    await this.#ask({ kind: "follow", of, path, end });
  }

  /** Hashes it on to `end`, and resolves to the hex SHA-256 of it followed by each suffix. Throws like `follow`. */
  async digestsOf(
    of: number,
    path: string,
    end: number,
    suffixes: readonly string[],
  ): Promise<string[]> {
    return await this.#ask({ kind: "digests", of, path, end, suffixes }) as string[];
  }

  /** Forgets such a file. Never throws. */
  endFollowing(of: number): void {
    if (!this.#followed.delete(of) || !this.#worker) return;
    this.#ask({ kind: "unfollow", of }).catch(() => {}); // it has ended, and everything with it
  }

  /** Ends the thread at once, whatever it is doing. Requests reject with `reason`. */
  close(reason: Error): void {
    this.#closed ??= reason;
    this.#end(reason);
  }

  #end(reason: Error): void {
    clearTimeout(this.#idle);
    this.#worker?.terminate();
    this.#worker = undefined;
    for (const { done } of this.#pending.values()) done.reject(reason);
    this.#pending.clear();
  }

  async #ask(
    request: Request extends infer R ? R extends { id: number } ? Omit<R, "id"> : never : never,
    onPart: (answer: Answer) => void = () => {},
  ): Promise<unknown> {
    if (this.#closed) throw this.#closed;
    if ("of" in request && request.kind !== "more" && request.kind !== "unfollow") {
      if (!this.#followed.has(request.of)) throw new Error("It is no longer followed");
    }
    this.#worker ??= this.#start();
    const id = ++this.#serial;
    const pending = { onPart, done: Promise.withResolvers<unknown>() };
    this.#pending.set(id, pending);
    clearTimeout(this.#idle);
    this.#worker.postMessage({ ...request, id });
    return await pending.done.promise;
  }

  /** Throws file system errors. */
  #start(): Worker {
    checkFiles();
    // `deno test` checks types of workers too, but this one's types are those of a file that it cannot see.
    const code = source.replace("@ts-check", "@ts-nocheck");
    // An executable made by `deno compile` finds no `blob:` (findings/deno-compile-finds-no-blob-worker.sh).
    const url = `data:text/javascript;base64,${new TextEncoder().encode(code).toBase64()}`;
    const worker = new Worker(url, { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<Answer>) => this.#onAnswer(data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.#end(new Error(`The disk thread failed: ${event.message}`));
    };
    return worker;
  }

  #onAnswer(answer: Answer): void {
    const pending = this.#pending.get(answer.id);
    if (!pending) return;
    if (!answer.isEnd) return pending.onPart(answer);
    this.#pending.delete(answer.id);
    if (answer.error) pending.done.reject(errorOf(answer.error));
    else pending.done.resolve(answer.value);
    if (this.#pending.size > 0 || this.#followed.size > 0) return;
    this.#idle = setTimeout(() => this.#end(new Error("The disk thread was idle")), IDLE_MS);
    Deno.unrefTimer(this.#idle);
  }
}

/** Returns one result for each file of the batch. */
function resultsOf(
  { suffixes }: HashJobs,
  { sha256s, digests, figures, errors }: HashedBatch,
): (HashResult | Error)[] {
  let from = 0;
  return sha256s.map((sha256, i) => {
    const error = errors.get(i);
    const at = HASH_FIGURES * i;
    const to = from + suffixes[i]!.length;
    const own = digests.slice(from, to);
    from = to;
    if (error) return errorOf(error);
    const ctimeMs = figures[at + 3]!;
    const look = {
      sizeBytes: figures[at + 1]!,
      mtimeMs: figures[at + 2]!,
      ctimeMs: Number.isNaN(ctimeMs) ? undefined : ctimeMs,
      inode: figures[at + 4]! || undefined,
    };
    return { sizeBytes: figures[at]!, sha256, digests: own, look };
  });
}

/** Throws the error of opening a file if there are not enough file descriptors for a thread. */
function checkFiles(): void {
  const files: Deno.FsFile[] = [];
  try {
    while (files.length < THREAD_FILES) files.push(Deno.openSync("/dev/null"));
  } finally {
    for (const file of files) file.close();
  }
}

const KINDS = ["file", "folder", "link", "other"] as const;

function entriesOf(names: readonly string[], figures: Float64Array): ListedEntry[] {
  return names.map((name, i) => {
    const at = FIGURES * i;
    const figure = (which: number) => figures[at + which]!;
    const info = figure(1) < 0 ? undefined : {
      sizeBytes: figure(1),
      mtimeMs: figure(2),
      ctimeMs: Number.isNaN(figure(3)) ? undefined : figure(3),
      inode: figure(4) || undefined,
      mode: Number.isNaN(figure(5)) ? null : figure(5),
      links: figure(6),
    };
    return { name, kind: KINDS[figure(0)]!, info };
  });
}

/** An error of the other thread, with what the callers look at: its class and its code. */
function errorOf({ name, message, code }: Failure): Error {
  const errors: Readonly<Record<string, new (message: string) => Error>> = { ...Deno.errors };
  const error = new (errors[name] ?? Error)(message);
  return code === undefined ? error : Object.assign(error, { code });
}
