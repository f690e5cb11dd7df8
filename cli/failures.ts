// Kinds of failure, and the exit code of each. Scripts decide by the code; people read the sentence.

import { UsageError } from "./values.ts";

/** Every kind of failure, its exit code, and what it means. Ordered as `help` shows them. */
export const EXIT_CODES = {
  unexpected: [1, "unexpected error"],
  usage: [2, "wrong usage, or cannot start (port in use, folder in use)"],
  "not-found": [3, "no such file"],
  unreachable: [4, "no peer delivered it in time, or the peer to ask is not running"],
  integrity: [5, "what arrived was not the file"],
  refused: [6, "not allowed, or not possible now"],
  storage: [7, "cannot be stored (disk full, no permission)"],
  partly: [8, "some of it was done"],
  canceled: [130, "canceled with Ctrl-C"],
} as const satisfies Readonly<Record<string, readonly [number, string]>>;

/** A kind of failure. */
export type Failure = keyof typeof EXIT_CODES;

/** Thrown when a command fails. The message is for people. */
export class CommandError extends Error {
  /** Identifies the class in logs. */
  override readonly name = "CommandError";

  /** `kind` decides the exit code. */
  constructor(readonly kind: Failure, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** Returns the kind of failure of an error that a command threw. */
export function failureOf(error: unknown): Failure {
  if (error instanceof CommandError) return error.kind;
  return error instanceof UsageError ? "usage" : "unexpected";
}

/** Returns the exit code of a failure. */
export const exitCode = (kind: Failure): number => EXIT_CODES[kind][0];
