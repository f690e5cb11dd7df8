// Lets other work run in between: a loop over many files must not keep messages and pages waiting.

/** Maximum time before other work gets its turn, in milliseconds. */
const TURN_MS = 12;

/** The turns of one long loop. */
export class Turns {
  #sinceMs = performance.now();

  /** Whether other work is due. Cheap enough to ask for each file. */
  get isOver(): boolean {
    return performance.now() - this.#sinceMs >= TURN_MS;
  }

  /**
   * Resolves after other work had its turn. Waits for a timer, about 2 ms: after `setImmediate`, which is faster, Deno
   * looks at connections only once in 60 rounds (findings/).
   */
  async next(): Promise<void> {
    await new Promise((go) => setTimeout(go, 0));
    this.#sinceMs = performance.now();
  }
}
