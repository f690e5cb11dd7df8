// The downloads that a person at the prompt waits for: how far they are, and canceling the latest with Ctrl-C.
// Invariant: while such a download runs, an interrupt cancels it and not the peer.

import type { GetProgress } from "../cli/progress.ts";
import type { Fetched } from "../node/node.ts";
import type { Service } from "./service.ts";

/** How often progress is shown, in milliseconds. */
const SHOW_MS = 200;
/** Weight of the latest interval in the speed shown. */
const LATEST = 0.3;

/** The downloads that somebody waits for. */
export class Gets {
  /** Their ids, the latest last. */
  readonly #running: string[] = [];

  /** Starts without downloads. */
  constructor(readonly service: Pick<Service, "operations" | "node">) {}

  /**
   * Fetches a file. Calls `onProgress` now and then while it is the latest, and with `undefined` at the end. Resolves and
   * rejects as `Operations.get`.
   */
  async run(
    fileId: string,
    onProgress: (progress: GetProgress | undefined) => void,
  ): Promise<Fetched> {
    this.#running.push(fileId);
    let rate = 0;
    let before = { doneBytes: 0, atMs: performance.now() };
    const timer = setInterval(() => {
      if (this.#running.at(-1) !== fileId) return;
      const { running } = this.service.node.transferLog;
      const move = running.find((each) => each.kind === "fetch" && each.fileId === fileId);
      if (!move) return;
      const { name, doneBytes, totalBytes, sources, slow } = move;
      const atMs = performance.now();
      const now = Math.max(0, doneBytes - before.doneBytes) / (atMs - before.atMs) * 1_000;
      // What an earlier attempt had left does not count as speed.
      if (before.doneBytes > 0) rate = rate === 0 ? now : (1 - LATEST) * rate + LATEST * now;
      before = { doneBytes, atMs };
      const active = sources.filter(({ bytesPerSecond }) => bytesPerSecond > 0).length;
      onProgress({ name, doneBytes, totalBytes, bytesPerSecond: rate, sources: active, slow });
    }, SHOW_MS);
    try {
      return await this.service.operations.get(fileId);
    } finally {
      clearInterval(timer);
      this.#running.splice(this.#running.lastIndexOf(fileId), 1);
      onProgress(undefined);
    }
  }

  /** Cancels the latest download. Returns false if there is none. */
  interrupt(): boolean {
    const fileId = this.#running.at(-1);
    if (fileId === undefined) return false;
    this.service.node.dispatch({ kind: "cancel", fileId });
    return true;
  }
}
