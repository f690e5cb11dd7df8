// Where lines go: a terminal with a prompt under them, or plain output. A line that is printed while
// somebody types stands above what is being typed, which stays whole.

import { createInterface, type Interface } from "node:readline";
import process from "node:process";

export interface Terminal {
  /** Prints a line above the prompt, if there is one. */
  print(line: string): void;
  close(): void;
}

/** Plain output: no prompt, no colour; the end of the input means nothing. */
export const plainOutput: Terminal = { print: say, close: () => {} };

/** Whoever read it is gone, or its disk is full: nobody is left to be told, and the peer goes on. */
function say(line: string): void {
  try {
    console.log(line);
  } catch {
    // As above.
  }
}

export interface PromptOptions {
  /** Earlier lines, the latest first. */
  readonly history: readonly string[];
  readonly complete: (line: string) => string[];
  readonly onLine: (line: string) => Promise<void>;
  readonly onInterrupt: () => void;
  /** The input ended (Ctrl-D). */
  readonly onEnd: () => void;
  readonly onHistory: (history: readonly string[]) => void;
}

const PROMPT = "p2p-peer> ";
const HISTORY_LINES = 500;

/** A prompt in a terminal, with history by the arrow keys and completion by tab. */
export class PromptTerminal implements Terminal {
  readonly #readline: Interface;
  #open = true;
  #busy: Promise<void> = Promise.resolve();

  constructor(options: PromptOptions) {
    this.#readline = createInterface({
      input: process.stdin,
      output: process.stdout,
      prompt: PROMPT,
      history: [...options.history],
      historySize: HISTORY_LINES,
      removeHistoryDuplicates: true,
      completer: (line: string) => [options.complete(line), line],
    });
    process.stdout.on("error", () => {}); // the terminal went away
    this.#readline.on("line", (line) => {
      // One command after the other; a slow one does not keep the next from being typed.
      this.#busy = this.#busy.then(() => options.onLine(line)).then(() => this.#show());
    });
    this.#readline.on("SIGINT", options.onInterrupt);
    this.#readline.on("history", (lines: string[]) => options.onHistory(lines));
    this.#readline.on("close", () => {
      if (!this.#open) return;
      this.#open = false;
      options.onEnd();
    });
    this.#show();
  }

  print(line: string): void {
    if (!this.#open) return say(line);
    // What is being typed may fill several rows: all of them are cleared, and written again below.
    const { rows } = this.#readline.getCursorPos();
    const up = rows > 0 ? `\x1b[${rows}A` : "";
    process.stdout.write(`\r${up}\x1b[J${line}\n`);
    // The line editor must not go up over what was just printed.
    (this.#readline as unknown as { prevRows: number }).prevRows = 0;
    this.#show();
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    process.stdout.write("\r\x1b[J");
    this.#readline.close();
  }

  #show(): void {
    if (this.#open) this.#readline.prompt(true);
  }
}
