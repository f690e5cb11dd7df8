// What the store and the requests throw, for the web: their sentence, a hint, and a status.

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
} as const;

/** Throws `NotPossible` for what people can mend, and what is our mistake as it is. */
export function possible<T>(act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw notPossible(error);
  }
}

/** As `possible`. */
export async function possibly<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw notPossible(error);
  }
}

/** What the store and the requests say in sentences, with a status. */
function notPossible(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof TypeError || error instanceof NotPossible) {
    return error;
  }
  const isKnown = error instanceof StorageError || error instanceof OperationError;
  const { what, hint } = isKnown ? error : { what: error.message, hint: undefined };
  const status = isKnown ? STATUS_OF[error.code] : 409;
  return new NotPossible(status, what, hint ?? "GET /api/v1/status tells how it stands", {
    cause: error,
  });
}

/** An error in words. */
export const messageOf = (error: unknown) => error instanceof Error ? error.message : String(error);
