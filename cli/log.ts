// The log: logtape with a single sink that writes lines through the terminal, so that they never garble what the
// user is typing.

import { configure, getLogger, type Logger, type LogLevel, type LogRecord } from "@logtape/logtape";

/** Level names as people type them, and as logtape names them. */
const levels: Readonly<Record<string, LogLevel>> = {
  TRACE: "trace",
  DEBUG: "debug",
  INFO: "info",
  WARNING: "warning",
  ERROR: "error",
  FATAL: "fatal",
};

export const LEVELS: readonly string[] = Object.keys(levels);

/** How lines are written: for people, or one JSON object each. */
export type LogFormat = "text" | "json";

/** Sets the level and where lines are written. May be called again to change the level. */
export async function configureLog(
  level: string,
  write: (line: string) => void,
  format: LogFormat = "text",
): Promise<Logger> {
  const lineOf = format === "json" ? jsonOf : textOf;
  await configure({
    reset: true,
    sinks: { lines: (record) => write(lineOf(record)) },
    loggers: [
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: ["lines"] },
      { category: "p2p-peer", lowestLevel: levels[level] ?? "info", sinks: ["lines"] },
    ],
  });
  return getLogger("p2p-peer");
}

/** Returns a line of the log as JSON: `time` (RFC 3339), `level` in capitals, and `text`. */
export function jsonLine(timeMs: number, level: string, text: string): string {
  return JSON.stringify({ time: new Date(timeMs).toISOString(), level, text });
}

const jsonOf = ({ timestamp, level, message }: LogRecord) =>
  jsonLine(timestamp, level.toUpperCase(), message.join(""));

function textOf({ timestamp, level, message }: LogRecord): string {
  const time = new Date(timestamp).toISOString().slice(11, 19);
  return `${time} ${level.toUpperCase().padEnd(7)} ${message.join("")}`;
}
