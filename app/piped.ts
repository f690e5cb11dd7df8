// Commands from standard input when that is a pipe or a file: they run in order, and then the peer stops.
// Invariant: a peer that is started without commands, such as by a service manager, runs on.

import { fstatSync } from "node:fs";
import { createInterface } from "node:readline";
import process from "node:process";
import { answerTo, type Commands } from "../cli/commands.ts";
import { exitCode } from "../cli/failures.ts";

/** Returns whether commands may come from standard input. */
export function isPiped(): boolean {
  if (Deno.stdin.isTerminal()) return false;
  try {
    const info = fstatSync(0);
    return info.isFIFO() || info.isFile();
  } catch {
    return false; // it is closed
  }
}

/**
 * Runs the commands once `ready` resolves. Resolves to the exit code of the first that failed, or 0; to `undefined` if there was
 * none before the end of the input.
 */
export async function runPiped(
  commands: Commands,
  ready: Promise<unknown>,
  print: (line: string) => void,
): Promise<number | undefined> {
  let code: number | undefined;
  let isOver = false;
  const all = { ...commands, exit: () => void (isOver = true) };
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    if (line.trim() === "" || line.trimStart().startsWith("#")) continue;
    await ready;
    const { text, failure } = await answerTo(line, all, { print, show: () => {} });
    if (text !== "") print(text);
    code ||= failure === undefined ? 0 : exitCode(failure);
    if (isOver) break;
  }
  return code;
}
