// Routes for how fast content moves, which download is next, and how much is logged.

import type { Context, Hono } from "hono";
import { describeRoute, resolver } from "hono-openapi";
import * as v from "valibot";
import { asciiJson } from "../../protocol/wire/text.ts";
import { smallJson } from "../body.ts";
import type { Env } from "../env.ts";
import { problem, problemOf } from "../problem.ts";
import type { SpeedLimits, View } from "../view.ts";
import { CHANGE, fileParam, json, problems, READ, security } from "./describe.ts";
import { LimitsBody, LimitsShape, LogShape, QueueShape } from "./schemas.ts";

/** Number of queued downloads that are listed. */
const LISTED = 100;

/** Adds the routes `/limits`, `/queue` and `/log`. */
export function paceRoutes(api: Hono<Env>, view: View): void {
  logRoutes(api, view);
  forgetRoute(api, view);
  api.get(
    "/limits",
    describeRoute({
      summary: "Tell how fast content may be received and sent",
      responses: { 200: json("The limits", LimitsShape), ...problems(...READ) },
    }),
    (c) => c.json(limitsJson(view.speedLimits())),
  );
  api.patch(
    "/limits",
    describeRoute({
      summary: "Change how fast content may be received or sent, at once and until the peer exits",
      security,
      requestBody: {
        required: true,
        content: { "application/json": { schema: resolver(LimitsBody) } },
      } as never,
      responses: { 200: json("The limits", LimitsShape), ...problems(413, ...CHANGE) },
    }),
    async (c) => {
      let body: unknown;
      try {
        body = await smallJson(c.req.raw);
      } catch (error) {
        return problemOf(c, error);
      }
      const { success, output } = v.safeParse(LimitsBody, Array.isArray(body) ? undefined : body);
      if (!success) {
        return problem(
          c,
          400,
          "The limits are not valid",
          'Send "down", "up", or both, as bytes per second of at least 1, or null for no limit',
        );
      }
      const { down, up } = output;
      view.setSpeedLimits({
        ...(down === undefined ? {} : { down: down ?? 0 }),
        ...(up === undefined ? {} : { up: up ?? 0 }),
      });
      return c.json(limitsJson(view.speedLimits()));
    },
  );
  api.get(
    "/queue",
    describeRoute({
      summary: `List the downloads that wait for their turn, in order: the first ${LISTED}`,
      responses: { 200: json("The queue", QueueShape), ...problems(...READ) },
    }),
    (c) => {
      const { files, total } = view.queue(LISTED);
      const rows = files.map(({ file: { fileId, name, sizeBytes } }) => ({
        file_id: fileId,
        file_name: name,
        size_bytes: sizeBytes,
      }));
      return c.body(asciiJson({ files: rows, total }), 200, { "content-type": "application/json" });
    },
  );
  api.post(
    "/queue/:id/first",
    describeRoute({
      summary: "Download a file that waits for its turn before all others",
      security,
      responses: { 204: { description: "It is the next one" }, ...problems(404, ...CHANGE) },
    }),
    fileParam,
    (c) => wasQueued(c, view.putFirst(c.req.valid("param").id)),
  );
}

/** Answers a change of a download that has to be in the queue. */
function wasQueued(c: Context<Env>, isDone: boolean): Response {
  if (isDone) return c.body(null, 204);
  return problem(c, 404, "This file does not wait", "GET /api/v1/queue lists those that do");
}

function forgetRoute(api: Hono<Env>, view: View): void {
  api.delete(
    "/queue/:id",
    describeRoute({
      summary: "Do not download a file that waits for its turn",
      security,
      responses: { 204: { description: "It waits no longer" }, ...problems(404, ...CHANGE) },
    }),
    fileParam,
    (c) => wasQueued(c, view.cancelQueued(c.req.valid("param").id)),
  );
}

function logRoutes(api: Hono<Env>, view: View): void {
  api.get(
    "/log",
    describeRoute({
      summary: "Tell the level of the log",
      responses: { 200: json("The level", LogShape), ...problems(...READ) },
    }),
    (c) => c.json({ level: view.logLevel() }),
  );
  api.patch(
    "/log",
    describeRoute({
      summary: "Change the level of the log, at once and until the peer exits",
      security,
      requestBody: {
        required: true,
        content: { "application/json": { schema: resolver(LogShape) } },
      } as never,
      responses: { 200: json("The level", LogShape), ...problems(413, ...CHANGE) },
    }),
    async (c) => {
      let body: unknown;
      try {
        body = await smallJson(c.req.raw);
      } catch (error) {
        return problemOf(c, error);
      }
      if (!v.is(LogShape, body)) {
        return problem(c, 400, "The level is not valid", 'Send {"level": "DEBUG"} or another one');
      }
      await view.setLogLevel(body.level);
      return c.json({ level: view.logLevel() });
    },
  );
}

const limitsJson = ({ down, up }: SpeedLimits) => ({ down: down || null, up: up || null });
