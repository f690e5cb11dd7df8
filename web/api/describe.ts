// How a route is described and what comes in is checked: one schema for both (OpenAPI from valibot).

import { resolver, validator } from "hono-openapi";
import { loadVendor } from "@standard-community/standard-json";
import { toJsonSchema } from "@valibot/to-json-schema";
import type * as v from "valibot";
import { problem } from "../problem.ts";
import { FileParam, ProblemShape } from "./schemas.ts";

// Without it every document ends in "Missing dependencies": the library finds converters by name at run time, which
// does not reach into an executable. Checks that JSON Schema cannot say are left out of the document only.
loadVendor(
  "valibot",
  (schema) => toJsonSchema(schema as Parameters<typeof toJsonSchema>[0], { errorMode: "ignore" }),
);

type Schema = Parameters<typeof resolver>[0];

/** An answer in JSON. */
export const json = (description: string, schema: Schema) => ({
  description,
  content: { "application/json": { schema: resolver(schema) } },
});

const PROBLEMS: Readonly<Record<number, string>> = {
  400: "The request does not match this description",
  401: "Login required",
  403: "The request came from another site",
  404: "Not found",
  409: "Not possible now; the detail says why",
  412: "A precondition of the request does not hold",
  413: "The body is too large",
  415: "The body has a content encoding; files must be sent unencoded",
  416: "The range is outside the file",
  421: "The Host header does not name this peer",
  429: "Too many wrong tokens from this address",
  501: "The transfer coding is not supported",
  503: "Temporarily unavailable",
  507: "Not enough disk space",
};

/** The errors that a route answers with. */
export function problems(...statuses: number[]) {
  return Object.fromEntries(statuses.map((status) => [status, {
    description: PROBLEMS[status]!,
    content: { "application/problem+json": { schema: resolver(ProblemShape) } },
  }]));
}

/** What every change may be refused with. */
export const CHANGE = [400, 401, 403, 421, 429];
/** What reading may be refused with. */
export const READ = [401, 421, 429];
/** Either of these lets in. */
export const security: Record<string, string[]>[] = [{ bearer: [] }, { session: [] }];

/** Checks a part of the request; what does not fit is told by name. */
export const check = <const Target extends "query" | "param", S extends v.GenericSchema>(
  target: Target,
  schema: S,
  hint: string,
  status: 400 | 404 = 400,
) =>
  validator(target, schema, (result, c) => {
    if (result.success) return;
    const names = new Set(
      result.error.map(({ path }) =>
        path?.map((each) => typeof each === "object" ? each.key : each)
      )
        .map((path) => `"${path?.join(".") ?? ""}"`),
    );
    return problem(c, status, `Invalid or missing: ${[...names].join(", ")}`, hint);
  });

/** A file_id in the path. */
export const fileParam = check(
  "param",
  FileParam,
  "A file_id is 64 lowercase hex digits; GET /api/v1/files lists them",
  404,
);
