// What a failed attempt to fetch content means for the state machine, and why it failed, for people.

import type { FetchFailure } from "../protocol/effects.ts";
import { ProtocolError } from "../protocol/wire/errors.ts";
import { isConnectionError } from "../net/exchange.ts";
import { DialError } from "../net/dialer.ts";

/** Thrown when a source answered completely, but not with the content of the file. */
export class NotDelivered extends Error {
  /** Name of this error class. */
  override readonly name = "NotDelivered";

  /** `message` is the rest of a sentence that starts with the source's name. */
  constructor(readonly failure: FetchFailure, message: string) {
    super(message);
  }
}

/** Returns the failure of a source that does not have the file. */
export const absent = (): NotDelivered => new NotDelivered("absent", "does not have it");

/** Returns the failure of a source whose content is not that of the file. */
export const mismatch = (): NotDelivered =>
  new NotDelivered("mismatch", "sent bytes that do not match the file's id");

/** Returns the failure of a source that closed the connection before it had answered everything. */
export const cutShort = (): NotDelivered =>
  new NotDelivered("cut-short", "stopped partway through");

/** A failure, and the rest of a sentence that starts with the source's name. */
export interface Explained {
  /** What it means for the state machine. */
  readonly failure: FetchFailure;
  /** Why, for people. */
  readonly text: string;
}

/** Returns what a failed attempt means. */
export function explainFailure(error: unknown): Explained {
  if (error instanceof NotDelivered) return { failure: error.failure, text: error.message };
  if (error instanceof DialError) {
    return { failure: error.isOurs ? "storage" : "unreachable", text: error.message };
  }
  if (error instanceof ProtocolError) {
    if (error.reason === "cut-short") {
      return { failure: "cut-short", text: "stopped partway through" };
    }
    if (error.reason === "too-slow") {
      return { failure: "too-slow", text: "sent little or nothing for too long" };
    }
    return { failure: "garbage", text: `sent an invalid answer: ${error.message}` };
  }
  if (isConnectionError(error)) return { failure: "cut-short", text: "dropped the connection" };
  const text = error instanceof Error ? error.message : String(error);
  return { failure: isTooLarge(error) ? "too-long" : "storage", text };
}

const isTooLarge = (error: unknown) =>
  error instanceof Error && "code" in error && error.code === "too-large";
