// When the program exits: on a signal, a command, or the end of the input.
// Invariants: whichever comes first decides the exit code; a second signal exits at once.

import { stopSignals } from "../cli/stop_signals.ts";

/** Waits for the end of the program: a signal, a command, or the end of the input. */
export class Shutdown {
  readonly #requested = Promise.withResolvers<number>();
  #isRequested = false;

  /** Listens for the signals until the process exits. */
  constructor() {
    for (const [signal, code] of stopSignals(Deno.build.os)) {
      Deno.addSignalListener(signal, () => this.insist(code));
    }
  }

  get isRequested(): boolean {
    return this.#isRequested;
  }

  /** Asks the program to exit with this code. Later requests change nothing. */
  request(code: number): void {
    this.#isRequested = true;
    this.#requested.resolve(code);
  }

  /** As `request`; exits at once when the program is stopping already. */
  insist(code: number): void {
    if (this.#isRequested) Deno.exit(code);
    this.request(code);
  }

  /** Resolves to the exit code once the program is asked to exit. */
  requested(): Promise<number> {
    return this.#requested.promise;
  }
}
