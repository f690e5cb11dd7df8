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
  400: "Something in the request is not as described",
  401: "It needs a login",
  403: "It comes from another site",
  404: "There is none",
  409: "It cannot be done now; the detail says why",
  412: "A condition of the request does not hold",
  413: "It is too large",
  415: "It is coded; only files as they are can be shared",
  416: "There is no such range",
  421: "This peer does not have the name in Host",
  429: "Too many wrong tokens came from this address",
  501: "The transfer coding is not known",
  503: "Not now",
  507: "There is no room for it",
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
    return problem(c, status, `Not as it must be: ${[...names].join(", ")}`, hint);
  });

/** A file_id in the path. */
export const fileParam = check(
  "param",
  FileParam,
  "A file_id is 64 lower-case hex digits; GET /api/v1/files lists them",
  404,
);
