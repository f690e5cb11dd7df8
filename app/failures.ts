// What kind of failure an error of the running peer is, for exit codes and for the API.

import { CommandError, type Failure, failureOf } from "../cli/failures.ts";
import { FetchError } from "../node/node.ts";
import type { NotFetched } from "../protocol/effects.ts";
import { StorageError } from "../storage/errors.ts";
import { OperationError } from "./operations.ts";

const FETCHING = {
  undelivered: "unreachable",
  wrong: "integrity",
  storage: "storage",
  refused: "refused",
  gone: "not-found",
  canceled: "canceled",
} as const satisfies Record<NotFetched, Failure>;

const STORING = {
  "in-use": "usage",
  "no-space": "storage",
  "too-large": "refused",
  empty: "refused",
  "not-writable": "storage",
  "not-found": "not-found",
  io: "storage",
} as const satisfies Record<StorageError["code"], Failure>;

/** Returns the kind of failure of an error. */
export function kindOf(error: unknown): Failure {
  if (error instanceof FetchError) return FETCHING[error.why];
  if (error instanceof StorageError) return STORING[error.code];
  if (error instanceof OperationError) {
    return error.code === "not-possible" ? "refused" : error.code;
  }
  return failureOf(error);
}

/** Calls `act`, and throws what it throws as a `CommandError` with the same message. */
export async function asCommand<T>(act: () => T | Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    throw new CommandError(kindOf(error), error.message, { cause: error });
  }
}
