// Troubles of the upkeep, reported once: what keeps failing would otherwise fill the log, a line for every attempt.

import type { NodeEvent } from "../protocol/effects.ts";
import type { Timers } from "./timers.ts";

/** How long a trouble is not reported again, in milliseconds. */
const QUIET_MS = 60_000;
/** Maximum number of different troubles reported within that time. */
const MAX_TROUBLES = 1_000;

/** Reports each trouble as an event, at most once a minute. */
export class Troubles {
  readonly #recent = new Set<string>();

  constructor(readonly timers: Timers, readonly onEvent: (event: NodeEvent) => void) {}

  /** Reports an error, or a sentence, unless it was reported within the last minute. */
  report(trouble: unknown): void {
    const text = trouble instanceof Error ? trouble.message : String(trouble);
    if (this.#recent.has(text) || this.#recent.size > MAX_TROUBLES) return;
    this.#recent.add(text);
    this.onEvent({ name: "trouble", text });
    this.timers.after(QUIET_MS, () => this.#recent.delete(text));
  }
}
