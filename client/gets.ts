// Fetches files through a running peer: shows how far each is, and cancels it with Ctrl-C.

import { CommandError } from "../cli/failures.ts";
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
  readonly #canceled = new AbortController();
  readonly #onInterrupt = () => this.#cancel();

  /** `onProgress` is called now and then while something moves, and with `undefined` at the end. */
  constructor(readonly api: Api, readonly onProgress: (progress: GetProgress | undefined) => void) {
    Deno.addSignalListener("SIGINT", this.#onInterrupt);
  }

  /** Resolves when the peer has the file. Throws `CommandError`. */
  async run(file: ApiFile): Promise<Got> {
    if (this.#canceled.signal.aborted) throw canceled();
    this.#running = file;
    const timer = setInterval(() => this.#look(file), LOOK_MS);
    try {
      const path = `/files/${file.file_id}/fetch?wait=true`;
      return await this.api.json<Got>(path, { method: "POST", signal: this.#canceled.signal });
    } finally {
      clearInterval(timer);
      this.#running = undefined;
      this.onProgress(undefined);
    }
  }

  /** Listens for Ctrl-C no longer. */
  close(): void {
    Deno.removeSignalListener("SIGINT", this.#onInterrupt);
  }

  async #look({ file_id }: ApiFile): Promise<void> {
    try {
      const move = await this.#transferOf(file_id);
      if (!move || this.#running?.file_id !== file_id) return;
      this.onProgress({
        name: move.file_name,
        doneBytes: move.done_bytes,
        totalBytes: move.total_bytes ?? undefined,
        bytesPerSecond: move.sources.length > 0
          ? move.sources.reduce((sum, each) => sum + each.bytes_per_second, 0)
          : move.done_bytes / Math.max(0.001, move.seconds),
        sources: move.sources.filter((each) => each.bytes_per_second > 0).length,
        slow: move.slow_because ?? undefined,
      });
    } catch {
      // Progress is a help; what matters is how the request ends.
    }
  }

  async #transferOf(fileId: string): Promise<ApiTransfer | undefined> {
    for await (const move of this.api.rows<ApiTransfer>("/transfers")) {
      if (move.file_id === fileId && move.kind === "fetch" && move.state === "running") return move;
    }
    return undefined;
  }

  /** The first Ctrl-C cancels the download; the second one ends the program. */
  async #cancel(): Promise<void> {
    if (this.#canceled.signal.aborted) Deno.exit(130);
    const file = this.#running;
    try {
      const move = file && await this.#transferOf(file.file_id);
      if (move) await this.api.json(`/transfers/${move.id}`, { method: "DELETE" }).catch(() => {});
    } catch {
      // The peer is gone, so nothing is downloaded.
    }
    this.#canceled.abort();
  }
}

const canceled = () => new CommandError("canceled", "Canceled");
