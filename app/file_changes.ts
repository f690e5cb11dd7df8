// Which files change, for several who want to know: the stream of changes and the index behind the lists. The core notes
// changes only while somebody listens. An index that nobody has used for a while is told to go, for it costs memory.

import type { Node } from "../node/node.ts";

/** Ids of files that were added, changed, or removed; "many" if there are too many to name. */
export type Changed = readonly string[] | "many";

/** How long changes are kept for an index that nobody uses, in milliseconds. */
const IDLE_MS = 120_000;
const LOOK_MS = 30_000;
/** Maximum changed files kept for the index. Beyond this it reads all files again. */
const MAX_KEPT = 20_000;

export class FileChanges {
  readonly #listeners = new Set<(changed: Changed) => void>();

  constructor(readonly node: Pick<Node, "onChanged" | "dispatch">) {}

  /** Calls `listener` after each change until the returned function is called. */
  listen(listener: (changed: Changed) => void): () => void {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#watch(true);
    return () => {
      if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.#watch(false);
    };
  }

  #watch(isWatched: boolean): void {
    this.node.onChanged = isWatched
      ? (changed) => {
        for (const listener of this.#listeners) listener(changed);
      }
      : undefined;
    this.node.dispatch({ kind: "watch", isWatched });
  }
}

/** Keeps changes until they are taken. */
export class KeptChanges {
  #kept = new Set<string>();
  /** Nothing was taken yet, so everything counts as changed. */
  #areMany = true;
  #tookMs = performance.now();
  #timer: ReturnType<typeof setInterval> | undefined;
  readonly #leave: () => void;

  /** `onEnd` is called when nobody has taken changes for a while; none are kept from then on. */
  constructor(changes: FileChanges, readonly onEnd: () => void) {
    this.#leave = changes.listen((changed) => this.#note(changed));
    this.#timer = setInterval(() => {
      if (performance.now() - this.#tookMs >= IDLE_MS) this.end();
    }, LOOK_MS);
  }

  /** Returns what changed since the last call. */
  take(): Changed {
    this.#tookMs = performance.now();
    const changed = this.#areMany ? "many" : [...this.#kept];
    this.#areMany = false;
    this.#kept = new Set();
    return changed;
  }

  end(): void {
    if (this.#timer === undefined) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#leave();
    this.#kept = new Set();
    this.onEnd();
  }

  #note(changed: Changed): void {
    if (this.#areMany) return;
    for (const fileId of changed === "many" ? [] : changed) this.#kept.add(fileId);
    if (changed !== "many" && this.#kept.size <= MAX_KEPT) return;
    this.#areMany = true;
    this.#kept = new Set();
  }
}
