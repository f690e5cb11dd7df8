// The API's errors, all in one shape (RFC 9457, problem details), each with a hint about what to do.

import type { Context } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { NotPossible } from "./view.ts";

const TITLES: Readonly<Record<number, string>> = {
  400: "Bad request",
  401: "Login required",
  403: "Forbidden",
  404: "Not found",
  405: "Method not allowed",
  409: "Not possible now",
  412: "Precondition failed",
  413: "Too large",
  415: "Unsupported media type",
  416: "Range not satisfiable",
  421: "Misdirected request",
  429: "Too many attempts",
  500: "Internal error",
  501: "Not implemented",
  503: "Temporarily unavailable",
  507: "Not enough disk space",
};

/** Returns an error response. `detail` says what is wrong; `hint` says what to do about it. */
export function problem(
  c: Context,
  status: ContentfulStatusCode,
  detail: string,
  hint: string,
  headers: Record<string, string> = {},
  /** Fields besides these, among them a `type` of its own. */
  more: Readonly<Record<string, string | number>> = {},
): Response {
  const title = TITLES[status] ?? "Error";
  const body = JSON.stringify({ type: "about:blank", title, status, detail, hint, ...more });
  return c.body(body, status, { "content-type": "application/problem+json", ...headers });
}

/** Returns the error for a change whose condition (If-Match, If-None-Match) does not hold. */
export const conditionFailed = (c: Context): Response =>
  problem(
    c,
    412,
    "The condition in If-Match or If-None-Match does not hold; nothing was changed",
    "Check the current state with GET, or send the request without these headers",
  );

/** Returns the response for a `NotPossible` error. Rethrows other errors. */
export function problemOf(c: Context, error: unknown): Response {
  if (!(error instanceof NotPossible)) throw error;
  const { status, message, hint, kind } = error;
  return problem(c, status, message, hint, {}, kind === undefined ? {} : { kind });
}
