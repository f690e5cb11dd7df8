// Where a command of the shell writes: data to standard output, everything else to standard error.
// Invariants: nothing but data goes to standard output; a reader that is gone ends the program quietly; progress is shown only to
// people.

import { writeSync } from "node:fs";
import process from "node:process";
import { createInterface } from "node:readline";

/** Thrown when nobody reads standard output any more. */
export class ReaderGone extends Error {
  /** Identifies the class in logs. */
  override readonly name = "ReaderGone";
}

/** When to use color. */
export type Color = "auto" | "always" | "never";

const RED = "\x1b[31m";
const PLAIN = "\x1b[0m";

/** The output of one command. */
export class Output {
  readonly isTerminal = Deno.stdout.isTerminal();
  /** Whether a person sees progress. */
  readonly isShown = Deno.stderr.isTerminal();
  readonly #isColored: boolean;
  #hasProgress = false;

  /** `isPlain`: the user wants no color anywhere (NO_COLOR). */
  constructor(color: Color, isPlain: boolean) {
    this.#isColored = color === "always" || (color === "auto" && this.isShown && !isPlain);
  }

  /** Writes data to standard output. Throws `ReaderGone`. */
  data(bytes: Uint8Array): void {
    this.progress(undefined);
    write(1, bytes);
  }

  /** Writes a line to standard output. Throws `ReaderGone`. */
  line(text: string): void {
    this.data(new TextEncoder().encode(`${text}\n`));
  }

  /** As `line`, but goes on if nobody reads: what was asked for is done all the same. */
  tell(text: string): void {
    try {
      this.line(text);
    } catch (error) {
      if (!(error instanceof ReaderGone)) throw error;
    }
  }

  /** Asks the person at the terminal, on standard error. Resolves to whether the answer is yes. */
  async confirm(question: string): Promise<boolean> {
    this.progress(undefined);
    say(`${question} [y/N] `);
    const lines = createInterface({ input: process.stdin });
    try {
      for await (const line of lines) return /^\s*y(es)?\s*$/i.test(line);
      return false;
    } finally {
      lines.close();
    }
  }

  /** Writes a line to standard error. */
  note(text: string): void {
    this.progress(undefined);
    say(`${text}\n`);
  }

  /** Writes what went wrong to standard error. */
  error(text: string): void {
    const name = this.#isColored ? `${RED}p2p-peer:${PLAIN}` : "p2p-peer:";
    this.note(`${name} ${text}`);
  }

  /** Shows a line that replaces the one before, to people only; `undefined` removes it. */
  progress(line: string | undefined): void {
    if (!this.isShown || (line === undefined && !this.#hasProgress)) return;
    this.#hasProgress = line !== undefined;
    say(`\r\x1b[K${line ?? ""}`);
  }

  /** Number of columns for progress. */
  get columns(): number {
    return screenSize()?.columns ?? 80;
  }
}

/** Returns the size of the terminal; undefined if there is none. */
export function screenSize(): { readonly columns: number; readonly rows: number } | undefined {
  try {
    const { columns, rows } = Deno.consoleSize();
    return columns > 0 && rows > 0 ? { columns, rows } : undefined; // some report 0 x 0
  } catch {
    return undefined;
  }
}

/** Writes everything. Throws `ReaderGone`. */
function write(fd: number, bytes: Uint8Array): void {
  try {
    for (let at = 0; at < bytes.length;) at += writeSync(fd, bytes.subarray(at));
  } catch (error) {
    if ((error as { code?: string }).code === "EPIPE") throw new ReaderGone();
    throw error;
  }
}

function say(text: string): void {
  try {
    write(2, new TextEncoder().encode(text));
  } catch {
    // Nobody reads standard error. The exit code tells how it ended.
  }
}
