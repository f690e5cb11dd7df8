// Routes for logging in and out.

import type { Hono } from "hono";
import { describeRoute } from "hono-openapi";
import { toJsonSchema } from "@valibot/to-json-schema";
import * as v from "valibot";
import { smallJson } from "../body.ts";
import type { Env } from "../env.ts";
import { type Login, loginRefused } from "../login.ts";
import { problem, problemOf } from "../problem.ts";
import { CHANGE, json, problems } from "./describe.ts";
import { LoginShape, SessionShape } from "./schemas.ts";

/** Adds the routes under `/session`. */
export function sessionRoutes(api: Hono<Env>, login: Login): void {
  api.get(
    "/session",
    describeRoute({
      summary: "Whether this browser is logged in",
      responses: { 200: json("The login state", SessionShape), ...problems(421) },
    }),
    (c) =>
      c.json({
        logged_in: login.isIn(c),
        login_needed: !login.isOff,
        reading: login.options.isPrivate ? "private" : "open",
      }),
  );
  api.post(
    "/session",
    describeRoute({
      summary: "Exchange the token for a session cookie",
      requestBody: {
        required: true,
        content: { "application/json": { schema: toJsonSchema(LoginShape) as object } },
      },
      responses: { 204: { description: "Logged in" }, ...problems(...CHANGE, 413) },
    }),
    async (c) => {
      let body: unknown;
      try {
        body = await smallJson(c.req.raw);
      } catch (error) {
        return problemOf(c, error);
      }
      if (!v.is(LoginShape, body)) {
        return problem(c, 400, '"token" must be a string', 'Send {"token": "…"}');
      }
      const outcome = login.enter(c, body.token, login.options.cookie);
      return outcome === "in" ? c.body(null, 204) : loginRefused(c, outcome);
    },
  );
  api.delete(
    "/session",
    describeRoute({
      summary: "Log out",
      responses: { 204: { description: "Logged out" }, ...problems(403, 421) },
    }),
    (c) => {
      login.leave(c);
      return c.body(null, 204);
    },
  );
}
