// Errors of the store and of operations, for the web: what happened, a hint, and an HTTP status.

import { UsageError } from "../cli/values.ts";
import { kindOf } from "./failures.ts";
import { OperationError } from "./operations.ts";
import { StorageError } from "../storage/errors.ts";
import { NotPossible } from "../web/view.ts";

const STATUS_OF = {
  "not-found": 404,
  "too-large": 413,
  "empty": 400,
  "no-space": 507,
  "not-writable": 503,
  "in-use": 503,
  io: 503,
  "not-possible": 409,
  unreachable: 409,
} as const;

/** Calls `act`. Throws `NotPossible` for errors that people can fix, and bugs as they are. */
export function possible<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw notPossible(error);
  }
}

/** As `possible`, for a promise. */
export async function possibly<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw notPossible(error);
  }
}

/** Returns an error of the store or of an operation as `NotPossible`; a bug as it is. */
function notPossible(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof TypeError || error instanceof NotPossible) {
    return error;
  }
  if (error instanceof UsageError) {
    return new NotPossible(400, error.message, "Correct it", { cause: error, kind: "usage" });
  }
  const isKnown = error instanceof StorageError || error instanceof OperationError;
  const { what, hint } = isKnown ? error : { what: error.message, hint: undefined };
  const status = isKnown ? STATUS_OF[error.code] : 409;
  return new NotPossible(status, what, hint ?? "GET /api/v1/status shows the state of this peer", {
    cause: error,
    kind: kindOf(error),
  });
}

/** Returns what an error says. */
export const messageOf = (error: unknown) => error instanceof Error ? error.message : String(error);
