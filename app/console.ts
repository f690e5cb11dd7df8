// The program's face to the person: lines, through the log or as they are, above the prompt if there is one; and when
// it is to end.

import type { Logger } from "@logtape/logtape";
import { configureLog } from "../cli/log.ts";
import { Reporter } from "../cli/report.ts";
import { plainOutput, type Terminal } from "../cli/terminal.ts";
import type { NodeEvent } from "../protocol/effects.ts";

/** Lines to the person: milestones as they are, the rest through the log, all above the prompt. */
export class Face {
  terminal: Terminal = plainOutput;
  #logger: Logger | undefined;
  readonly #reporter = new Reporter(Date.now);
  /** What happened before the log was there. */
  #early: NodeEvent[] | undefined = [];

  constructor(public level: string) {}

  async begin(): Promise<void> {
    await this.setLevel(this.level);
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const event of early) this.onEvent(event);
  }

  async setLevel(level: string): Promise<void> {
    this.level = level;
    this.#logger = await configureLog(level, (line) => this.terminal.print(line));
  }

  print(text: string): void {
    this.terminal.print(text);
  }

  readonly onEvent = (event: NodeEvent): void => {
    if (this.#early) {
      this.#early.push(event);
      return;
    }
    for (const { level, text, plain } of this.#reporter.lines(event)) {
      if (plain) this.print(text);
      else {
        switch (level) {
          case "DEBUG":
            this.#logger?.debug("{text}", { text });
            break;
          case "INFO":
            this.#logger?.info("{text}", { text });
            break;
          case "WARNING":
            this.#logger?.warn("{text}", { text });
            break;
          case "ERROR":
            this.#logger?.error("{text}", { text });
            break;
          default:
            level satisfies never;
        }
      }
    }
  };
}

/** When the program ends: on a signal, a command, or at once on a second signal. */
export class Ending {
  readonly #end = Promise.withResolvers<number>();
  #ended = false;

  constructor() {
    Deno.addSignalListener("SIGINT", () => this.insist(130));
    Deno.addSignalListener("SIGTERM", () => this.insist(0));
  }

  get isOver(): boolean {
    return this.#ended;
  }

  /** The program is to end; what says so later changes nothing. */
  end(code: number): void {
    this.#ended = true;
    this.#end.resolve(code);
  }

  /** As `end`, and the second time at once. */
  insist(code: number): void {
    if (this.#ended) Deno.exit(code);
    this.end(code);
  }

  wait(): Promise<number> {
    return this.#end.promise;
  }
}
