// Fetches files through a running peer: shows how far each is, and cancels it with Ctrl-C.

import { CommandError, exitCode } from "../cli/failures.ts";
import type { GetProgress } from "../cli/progress.ts";
import type { Api } from "./api.ts";
import type { ApiFile, ApiTransfer } from "./rows.ts";

/** How often progress is asked for, in milliseconds. */
const LOOK_MS = 300;

/** A file that is at the peer, and where it came from. */
export interface Got {
  readonly file: ApiFile;
  /** Name of a peer; "" if it was there already. */
  readonly source: string;
  /** Name of another file there with the same content. */
  readonly as: string | null;
}

/** Fetches files, one after another. */
export class Gets {
  #running: ApiFile | undefined;
  #isLooking = false;
  readonly #canceled = new AbortController();
  readonly #onInterrupt = () => this.#cancel();

  /** `onProgress` is called now and then while something moves, and with `undefined` at the end. Without it, nothing is asked. */
  constructor(
    readonly api: Api,
    readonly onProgress: ((progress: GetProgress | undefined) => void) | undefined,
  ) {
    Deno.addSignalListener("SIGINT", this.#onInterrupt);
  }

  /** Aborted by Ctrl-C. */
  get signal(): AbortSignal {
    return this.#canceled.signal;
  }

  /** Resolves when the peer has the file. Throws `CommandError`. */
  async run(file: ApiFile): Promise<Got> {
    if (this.signal.aborted) throw canceled();
    this.#running = file;
    const timer = this.onProgress && setInterval(() => this.#look(file), LOOK_MS);
    try {
      const path = `/files/${file.file_id}/fetch?wait=true`;
      return await this.api.json<Got>(path, { method: "POST" });
    } catch (error) {
      throw this.signal.aborted ? canceled() : error;
    } finally {
      clearInterval(timer);
      this.#running = undefined;
      this.onProgress?.(undefined);
    }
  }

  /** Listens for Ctrl-C no longer. */
  close(): void {
    Deno.removeSignalListener("SIGINT", this.#onInterrupt);
  }

  async #look({ file_id }: ApiFile): Promise<void> {
    if (this.#isLooking) return; // a slow peer is not asked again meanwhile
    this.#isLooking = true;
    try {
      const move = await this.#transferOf(file_id);
      if (!move || this.#running?.file_id !== file_id) return;
      this.onProgress?.({
        name: move.file_name,
        doneBytes: move.done_bytes,
        totalBytes: move.total_bytes ?? undefined,
        bytesPerSecond: move.sources.length > 0
          ? move.sources.reduce((sum, each) => sum + each.bytes_per_second, 0)
          : (move.done_bytes - move.resumed_bytes) / Math.max(0.001, move.seconds),
        sources: move.sources.filter((each) => each.bytes_per_second > 0).length,
        slow: move.slow_because ?? undefined,
      });
    } catch {
      // Progress is a help; what matters is how the request ends.
    } finally {
      this.#isLooking = false;
    }
  }

  async #transferOf(fileId: string): Promise<ApiTransfer | undefined> {
    let found: ApiTransfer | undefined;
    // Read to the end: leaving early would close the connection.
    for await (const move of this.api.rows<ApiTransfer>("/transfers")) {
      if (move.file_id === fileId && move.kind === "fetch" && move.state === "running") {
        found = move;
      }
    }
    return found;
  }

  /**
   * The first Ctrl-C cancels the download at the peer, whose answer then ends the request, or the copying; the second one ends the
   * program. The request itself is not aborted: the peer would go on, since others may wait for the same file.
   */
  async #cancel(): Promise<void> {
    if (this.signal.aborted) Deno.exit(exitCode("canceled"));
    this.#canceled.abort();
    const id = this.#running?.file_id;
    if (id === undefined) return;
    try {
      const move = await this.#transferOf(id);
      const what = move ? `/transfers/${move.id}` : `/queue/${id}`;
      await this.api.ask(what, { method: "DELETE" });
    } catch {
      Deno.exit(exitCode("canceled")); // the peer is gone, or the file is here already
    }
  }
}

const canceled = () => new CommandError("canceled", "Canceled");
