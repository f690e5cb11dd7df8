// Routes for one file: details, content, fetching, deleting, and restoring.

import type { Context, Hono } from "hono";
import { describeRoute } from "hono-openapi";
import * as v from "valibot";
import { asciiJson } from "../../protocol/wire/text.ts";
import { serveContent } from "../content.ts";
import type { Env } from "../env.ts";
import { mayChange } from "../preconditions.ts";
import { conditionFailed, problem, problemOf } from "../problem.ts";
import type { View, ViewedFile } from "../view.ts";
import { CHANGE, check, fileParam, json, problems, READ, security } from "./describe.ts";
import { deletedJson, fileJson } from "./listing.ts";
import * as shapes from "./schemas.ts";

/** Writes a file as JSON. Timestamps keep their source text, which `JSON.stringify` would not preserve. */
const fileText = (file: ViewedFile) => asciiJson({ file: fileJson(file) });
const JSON_TYPE = { "content-type": "application/json" };

/** Adds the routes for one file each, except those that share new files. */
export function fileRoutes(api: Hono<Env>, view: View): void {
  findRoute(api, view); // before the details: "find" is not an id
  detailsRoute(api, view);
  deleteRoute(api, view);
  contentRoute(api, view);
  fetchRoute(api, view);
  restoreRoute(api, view);
}

function unknownFile(c: Context<Env>): Response {
  return problem(c, 404, "No file with this id is known", "GET /api/v1/files lists them");
}

function findRoute(api: Hono<Env>, view: View): void {
  api.get(
    "/files/find",
    describeRoute({
      summary: "Find one file by its id, by the unique beginning of its id, or by its name",
      responses: {
        200: json("The file", v.union([shapes.OneFileShape, shapes.OneDeletedFoundShape])),
        ...problems(400, 404, 409, ...READ),
      },
    }),
    check("query", shapes.FindQuery, '"what" must be an id, its beginning, or a name'),
    async (c) => {
      const { what, among } = c.req.valid("query");
      try {
        if (among !== "deleted") return c.body(fileText(view.find(what)), 200, JSON_TYPE);
        const found = deletedJson(await view.findDeleted(what));
        return c.body(asciiJson({ file: found }), 200, JSON_TYPE);
      } catch (error) {
        return problemOf(c, error);
      }
    },
  );
}

function detailsRoute(api: Hono<Env>, view: View): void {
  api.get(
    "/files/:id",
    describeRoute({
      summary: "Get one file",
      responses: { 200: json("The file", shapes.OneFileShape), ...problems(404, ...READ) },
    }),
    fileParam,
    (c) => {
      const file = view.file(c.req.valid("param").id);
      return file ? c.body(fileText(file), 200, JSON_TYPE) : unknownFile(c);
    },
  );
}

function deleteRoute(api: Hono<Env>, view: View): void {
  api.delete(
    "/files/:id",
    describeRoute({
      summary: "Delete a file: everywhere if this peer owns it, otherwise only here",
      security,
      responses: {
        200: json(
          "Where it was deleted, and who knows if that was waited for",
          shapes.RemovedShape,
        ),
        ...problems(404, 409, 412, ...CHANGE),
      },
    }),
    fileParam,
    check("query", shapes.FetchQuery, '"wait" must be true or false'),
    async (c) => {
      const { id } = c.req.valid("param");
      if (view.file(id) && !mayChange(c, `"${id}"`)) return conditionFailed(c);
      try {
        const where = view.remove(id);
        if (where === "here" || c.req.valid("query").wait !== "true") return c.json({ where });
        const { reached, left, slow, slowMs } = await view.toldOfDeletion(id);
        return c.json({ where, told: { reached, left, slow, slow_seconds: slowMs / 1_000 } });
      } catch (error) {
        return problemOf(c, error);
      }
    },
  );
}

function contentRoute(api: Hono<Env>, view: View): void {
  api.get(
    "/files/:id/content",
    describeRoute({
      summary: "Download a file that is held here",
      description:
        "Supports a single range and conditional requests. Always sent as an attachment.",
      responses: {
        200: { description: "The whole file", content: { "application/octet-stream": {} } },
        206: { description: "The requested range", content: { "application/octet-stream": {} } },
        304: { description: "Not modified" },
        ...problems(404, 412, 416, 503, ...READ),
      },
    }),
    fileParam,
    (c) => {
      try {
        return serveContent(c, view, c.req.valid("param").id);
      } catch (error) {
        return problemOf(c, error);
      }
    },
  );
}

function fetchRoute(api: Hono<Env>, view: View): void {
  api.post(
    "/files/:id/fetch",
    describeRoute({
      summary: "Fetch a file from the peers that hold it",
      security,
      responses: {
        200: json("The file is here", shapes.FetchedShape),
        202: json("The file is being fetched", shapes.FetchingShape),
        ...problems(404, 409, ...CHANGE),
      },
    }),
    fileParam,
    check("query", shapes.FetchQuery, '"wait" must be true or false'),
    async (c) => {
      const { id } = c.req.valid("param");
      const file = view.file(id);
      if (!file) return unknownFile(c);
      const fetching = view.fetch(id);
      if (!file.held && c.req.valid("query").wait !== "true") {
        fetching.catch(() => {}); // its transfer reports the outcome
        return c.json({ fetching: id }, 202);
      }
      try {
        const { source, as = null } = await fetching;
        const fetched = view.file(id);
        if (!fetched) return unknownFile(c);
        return c.body(asciiJson({ file: fileJson(fetched), source, as }), 200, JSON_TYPE);
      } catch (error) {
        return problemOf(c, error);
      }
    },
  );
}

function restoreRoute(api: Hono<Env>, view: View): void {
  api.post(
    "/files/:id/restore",
    describeRoute({
      summary: "Restore a deleted file, within 24 hours of its deletion",
      security,
      responses: {
        200: json("The restored file", shapes.OneFileShape),
        ...problems(404, 409, 507, ...CHANGE),
      },
    }),
    fileParam,
    async (c) => {
      try {
        return c.body(fileText(await view.restore(c.req.valid("param").id)), 200, JSON_TYPE);
      } catch (error) {
        return problemOf(c, error);
      }
    },
  );
}
