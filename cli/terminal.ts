// Where lines are printed: a terminal with a prompt below them, or plain output. A line printed while the user types
// appears above the prompt, and the text being typed stays intact.

import { createInterface, type Interface } from "node:readline";
import process from "node:process";
import type { Completions } from "./completion.ts";

export interface Terminal {
  /** Prints a line, above the prompt if there is one. */
  print(line: string): void;
  /** Shows a line above the prompt that is replaced by the next one, and removed by `undefined`. */
  progress(line: string | undefined): void;
  /** Asks a yes-or-no question. Undefined if nobody can answer. */
  readonly ask?: (question: string) => Promise<boolean>;
  close(): void;
}

/** Plain output without a prompt or colors. Standard input is ignored. */
export const plainOutput: Terminal = { print: say, progress: () => {}, close: () => {} };

/** Prints a line. Errors are ignored: if the reader is gone or its disk is full, the peer should keep running. */
function say(line: string): void {
  try {
    console.log(line);
  } catch {
    // See above.
  }
}

export interface PromptOptions {
  /** Earlier lines, most recent first. */
  readonly history: readonly string[];
  readonly complete: (line: string) => Completions;
  readonly onLine: (line: string) => Promise<void>;
  /** Called for Ctrl-C. Returns whether to forget what was typed. */
  readonly onInterrupt: (typed: string) => boolean;
  /** Called when the input ends (Ctrl-D). */
  readonly onEnd: () => void;
  readonly onHistory: (history: readonly string[]) => void;
}

const PROMPT = "p2p-peer> ";
/** Maximum number of lines kept in the history. Higher: reaches further back; lower: a smaller history file. */
const HISTORY_LINES = 500;

/** A prompt in a terminal, with history on the arrow keys and completion on Tab. */
export class PromptTerminal implements Terminal {
  readonly #readline: Interface;
  #open = true;
  /** Takes the answer to a question. */
  #answer: ((text: string) => void) | undefined;
  #busy: Promise<void> = Promise.resolve();

  constructor(options: PromptOptions) {
    this.#readline = createInterface({
      input: process.stdin,
      output: process.stdout,
      prompt: PROMPT,
      history: [...options.history],
      historySize: HISTORY_LINES,
      removeHistoryDuplicates: true,
      completer: (line: string) => {
        const [found, replaced] = options.complete(line);
        return [[...found], replaced];
      },
    });
    process.stdout.on("error", () => {}); // the terminal was closed
    this.#readline.on("line", (line) => {
      if (this.#answer) return this.#answer(line);
      // Commands run one after another; the next one can be typed while a slow one runs.
      this.#busy = this.#busy.then(() => options.onLine(line)).then(() => this.#show());
    });
    this.#readline.on("SIGINT", () => {
      if (this.#answer) this.#answer("");
      else if (options.onInterrupt(this.#readline.line)) this.#clear();
    });
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
    // The text being typed may span several rows: clear all of them, and redraw them below the line.
    const { rows } = this.#readline.getCursorPos();
    const up = rows > 0 ? `\x1b[${rows}A` : "";
    process.stdout.write(`\r${up}\x1b[J${line}\n`);
    // Keep the line editor from moving up over the line just printed.
    (this.#readline as unknown as { prevRows: number }).prevRows = 0;
    this.#show();
  }

  progress(line: string | undefined): void {
    // A part of the prompt, so that the line editor keeps it in its place.
    this.#readline.setPrompt(line === undefined ? PROMPT : `${line}\n${PROMPT}`);
    this.#show();
  }

  readonly ask = (question: string): Promise<boolean> => {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    this.#answer = (text) => {
      this.#answer = undefined;
      this.#readline.setPrompt(PROMPT);
      resolve(/^y(es)?$/i.test(text.trim()));
    };
    this.#readline.setPrompt(`${question} [y/N] `);
    this.#show();
    return promise;
  };

  /** Forgets what was typed. */
  #clear(): void {
    this.#readline.write(null, { ctrl: true, name: "e" });
    this.#readline.write(null, { ctrl: true, name: "u" });
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
