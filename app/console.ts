// What people read in the terminal: milestones as plain lines, the rest through the log, all above the prompt.
// Invariant: events that happen before the log is configured are kept, and printed first.

import type { Logger } from "@logtape/logtape";
import { configureLog, jsonLine, type LogFormat } from "../cli/log.ts";
import { type Line, type MovedContent, Reporter } from "../cli/report.ts";
import { plainOutput, type Terminal } from "../cli/terminal.ts";
import type { NodeEvent } from "../protocol/effects.ts";

export class PeerConsole {
  terminal: Terminal = plainOutput;
  #logger: Logger | undefined;
  readonly #reporter = new Reporter(Date.now);
  /** Events from before the log was configured. */
  #early: NodeEvent[] | undefined = [];

  /** `format`: how lines are written where there is no prompt. */
  constructor(public level: string, readonly format: LogFormat = "text") {}

  /** Configures the log and prints what happened before. */
  async begin(): Promise<void> {
    await this.setLevel(this.level);
    const early = this.#early ?? [];
    this.#early = undefined;
    for (const event of early) this.onEvent(event);
  }

  /** Changes the level of the log from the next line on. */
  async setLevel(level: string): Promise<void> {
    this.level = level;
    this.#logger = await configureLog(level, (line) => this.terminal.print(line), this.format);
  }

  /** Prints a line whatever the level of the log is. */
  print(text: string): void {
    this.terminal.print(this.format === "json" ? jsonLine(Date.now(), "INFO", text) : text);
  }

  /** Notes a transfer that ended. Several of one kind with one peer are logged together. */
  moved(transfer: MovedContent): void {
    this.#show(this.#reporter.moved(transfer));
  }

  /** Prints an event as the lines that `cli/report.ts` makes of it. */
  readonly onEvent = (event: NodeEvent): void => {
    if (this.#early) {
      this.#early.push(event);
      return;
    }
    this.#show(this.#reporter.lines(event));
  };

  /** Logs what happened since the last line about it. Call it now and then. */
  tick(): void {
    if (!this.#early) this.#show(this.#reporter.due());
  }

  #show(lines: readonly Line[]): void {
    for (const { level, text, plain } of lines) {
      if (plain) this.print(text);
      else this.#log(level, text);
    }
  }

  #log(level: "DEBUG" | "INFO" | "WARNING" | "ERROR", text: string): void {
    switch (level) {
      case "DEBUG":
        return this.#logger?.debug("{text}", { text });
      case "INFO":
        return this.#logger?.info("{text}", { text });
      case "WARNING":
        return this.#logger?.warn("{text}", { text });
      case "ERROR":
        return this.#logger?.error("{text}", { text });
      default:
        level satisfies never;
    }
  }
}
