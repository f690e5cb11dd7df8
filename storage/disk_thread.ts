// A thread for the disk: lists folders and hashes files without keeping messages and pages waiting. The code that
// runs there is `disk_worker.js`.
// Invariants: the thread is started when it is first needed and ended when it has been idle for a while; requests are
// answered in order; after `close`, every request fails.

import type {
  Answer,
  Failure,
  HashJobs,
  HashResult,
  ListingPart,
  Request,
} from "./disk_messages.ts";
import source from "./disk_worker.js" with { type: "text" };

/** How long an idle thread is kept, in milliseconds: starting one takes about 50 ms and 20 MiB. */
const IDLE_MS = 5_000;
/** Number of numbers for each entry of a listing. */
const FIGURES = 7;

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
export interface ListedInfo {
  /** Size in bytes. */
  readonly sizeBytes: number;
  /** Modification time, Unix milliseconds. */
  readonly mtimeMs: number;
  /** Inode change time, Unix milliseconds; undefined where there is none. */
  readonly ctimeMs: number | undefined;
  /** Inode number; undefined where there is none. */
  readonly inode: number | undefined;
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
    let part = await this.#ask({ kind: "list", dir }) as ListingPart;
    for (;;) {
      onPart(entriesOf(part.names, part.figures));
      if (part.isLast) return;
      part = await this.#ask({ kind: "more", of: part.of }) as ListingPart;
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
    }) as (HashResult | { error: Failure })[];
    return results.map((result) => "error" in result ? errorOf(result.error) : result);
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
    const id = ++this.#serial;
    const pending = { onPart, done: Promise.withResolvers<unknown>() };
    this.#pending.set(id, pending);
    clearTimeout(this.#idle);
    this.#worker ??= this.#start();
    this.#worker.postMessage({ ...request, id });
    return await pending.done.promise;
  }

  #start(): Worker {
    // `deno test` checks types of workers too, but this one's types are those of a file that it cannot see.
    const code = source.replace("@ts-check", "@ts-nocheck");
    const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    const worker = new Worker(url, { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<Answer>) => this.#onAnswer(data);
    worker.onerror = (event) => {
      event.preventDefault();
      this.#end(new Error(`The disk thread failed: ${event.message}`));
    };
    URL.revokeObjectURL(url);
    return worker;
  }

  #onAnswer(answer: Answer): void {
    const pending = this.#pending.get(answer.id);
    if (!pending) return;
    if (!answer.isEnd) return pending.onPart(answer);
    this.#pending.delete(answer.id);
    if (answer.error) pending.done.reject(errorOf(answer.error));
    else pending.done.resolve(answer.value);
    if (this.#pending.size > 0) return;
    this.#idle = setTimeout(() => this.#end(new Error("The disk thread was idle")), IDLE_MS);
    Deno.unrefTimer(this.#idle);
  }
}

const KINDS = ["file", "folder", "link", "other"] as const;

function entriesOf(names: readonly string[], figures: Float64Array): ListedEntry[] {
  return names.map((name, i) => {
    const [kind, sizeBytes, mtimeMs, ctimeMs, inode, mode, links] = figures.subarray(
      FIGURES * i,
      FIGURES * (i + 1),
    );
    const info = sizeBytes! < 0 ? undefined : {
      sizeBytes: sizeBytes!,
      mtimeMs: mtimeMs!,
      ctimeMs: Number.isNaN(ctimeMs) ? undefined : ctimeMs,
      inode: inode! || undefined,
      mode: Number.isNaN(mode) ? null : mode!,
      links: links!,
    };
    return { name, kind: KINDS[kind!]!, info };
  });
}

/** An error of the other thread, with what the callers look at: its class and its code. */
function errorOf({ name, message, code }: Failure): Error {
  const errors: Readonly<Record<string, new (message: string) => Error>> = { ...Deno.errors };
  const error = new (errors[name] ?? Error)(message);
  return code === undefined ? error : Object.assign(error, { code });
}
