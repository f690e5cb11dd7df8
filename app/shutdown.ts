// When the program exits, and in which order its parts stop.
// Invariants: the first signal, command or end of input decides the exit code; a second signal exits at once; whatever
// hangs, stopping takes seconds.

import type { PeerConsole } from "./console.ts";
import type { OpenPeer } from "./open.ts";
import { within } from "./service.ts";

/** Maximum time the web server may take to close, in milliseconds. */
const STOP_WEB_MS = 4_500;
/** Exit code when not everything could be saved. */
const EXIT_STORAGE = 7;

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

/** Stops a running peer. Resolves to the exit code: `code`, unless not everything could be saved. */
export async function stopPeer(
  { service, front, view }: OpenPeer,
  output: PeerConsole,
  code: number,
): Promise<number> {
  output.print("Stopping");
  view.close();
  // Whatever hangs, the end is near: `service.stop` has a deadline of its own.
  const [isSaved] = await Promise.all([service.stop(), within(STOP_WEB_MS, front.stop())]);
  output.terminal.close();
  return isSaved ? code : EXIT_STORAGE;
}
