// Describes routes and validates requests with the same schemas (OpenAPI from valibot).

import { resolver, validator } from "hono-openapi";
import { loadVendor } from "@standard-community/standard-json";
import { toJsonSchema } from "@valibot/to-json-schema";
import type * as v from "valibot";
import { problem } from "../problem.ts";
import { FileParam, ProblemShape } from "./schemas.ts";

// Without this, every document ends in "Missing dependencies": the library looks up converters by name at run time,
// which does not work inside a compiled executable. Checks that JSON Schema cannot express are only left out of the
// document.
loadVendor(
  "valibot",
  (schema) => toJsonSchema(schema as Parameters<typeof toJsonSchema>[0], { errorMode: "ignore" }),
);

type Schema = Parameters<typeof resolver>[0];

/** Describes a JSON response. */
export const json = (description: string, schema: Schema) => ({
  description,
  content: { "application/json": { schema: resolver(schema) } },
});

/** Describes a list that comes as a page or as JSON lines. */
export const list = (description: string, page: Schema, row: Schema) => ({
  description: `${description}; "Link" leads to the next page, if there is one`,
  content: {
    "application/json": { schema: resolver(page) },
    "application/x-ndjson": { schema: resolver(row) },
  },
});

/** What the description of such a list says of its two forms. */
export const PAGING =
  'For the next page, follow "Link", or pass "next" as "start"; "next" is null on the last page. With "Accept: application/x-ndjson", all rows come as a stream of JSON lines.';

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

/** Describes the errors that a route may return. */
export function problems(...statuses: number[]) {
  return Object.fromEntries(statuses.map((status) => [status, {
    description: PROBLEMS[status]!,
    content: { "application/problem+json": { schema: resolver(ProblemShape) } },
  }]));
}

/** Statuses with which any change may be refused. */
export const CHANGE = [400, 401, 403, 421, 429];
/** Statuses with which any read may be refused. */
export const READ = [401, 421, 429];
/** Security schemes for changes; either one is enough. */
export const security: Record<string, string[]>[] = [{ bearer: [] }, { session: [] }];

/** Returns middleware that validates a part of the request. Its error names the invalid fields. */
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

/** Validates a file_id in the path. */
export const fileParam = check(
  "param",
  FileParam,
  "A file_id is 64 lowercase hex digits; GET /api/v1/files lists them",
  404,
);
