// When the program exits: on a signal, a command, or the end of the input.
// Invariants: whichever comes first decides the exit code; a second signal exits at once.

/** Waits for the end of the program: a signal, a command, or the end of the input. */
export class Shutdown {
  readonly #requested = Promise.withResolvers<number>();
  #isRequested = false;

  /** Listens for SIGINT and SIGTERM until the process exits. */
  constructor() {
    Deno.addSignalListener("SIGINT", () => this.insist(130));
    Deno.addSignalListener("SIGTERM", () => this.insist(0));
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
