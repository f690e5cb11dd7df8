// Routes for lists of files: those that are known, those at risk, and those that were deleted.

import type { Context, Hono } from "hono";
import { describeRoute } from "hono-openapi";
import { asciiJson } from "../../protocol/wire/text.ts";
import type { Env } from "../env.ts";
import type { FileLists } from "../file_lists.ts";
import { Newest, Replaced } from "../newest.ts";
import type { View, ViewedDeleted, ViewedFile } from "../view.ts";
import { check, json, list, PAGING, problems, READ } from "./describe.ts";
import { deletedJson, fileJson } from "./listing.ts";
import { JSON_TYPE, linkTo, serveLines, wantsLines } from "./paging.ts";
import * as shapes from "./schemas.ts";

/** Number of deleted files read at once for a stream. Each costs reading a record from disk. */
const DELETED_STEP = 50;

/** Adds `/files`, `/files/deleted`, and `/replication`. */
export function fileListRoutes(api: Hono<Env>, view: View, lists: FileLists): void {
  listRoute(api, lists, new Newest());
  deletedRoute(api, view, lists);
  replicationRoute(api, lists);
}

const fileText = (file: ViewedFile) => asciiJson(fileJson(file));

/**
 * Resolves to the response, or to an empty one if a newer request for the same view comes first: whoever asked does not
 * wait for it anymore, and nothing went wrong.
 */
async function unlessReplaced(
  c: Context<Env>,
  newest: Newest,
  respond: (signal: AbortSignal | undefined) => Promise<Response>,
): Promise<Response> {
  try {
    return await newest.run(c.env.ip, c.req.header("x-view"), respond);
  } catch (error) {
    if (!(error instanceof Replaced)) throw error;
    return c.body(null, 204);
  }
}

function listRoute(api: Hono<Env>, lists: FileLists, newest: Newest): void {
  api.get(
    "/files",
    describeRoute({
      summary: "List the known files, here or elsewhere",
      description:
        `${PAGING} Whoever searches while typing names its view in "X-View" (any word): then a newer request ends the previous one, which gets no answer (204).`,
      responses: {
        200: list("One page", shapes.FilesShape, shapes.FileShape),
        204: { description: "Replaced by a newer request with the same X-View" },
        ...problems(400, ...READ),
      },
    }),
    check(
      "query",
      shapes.FilesQuery,
      `"limit" and "start" must be whole numbers, "limit" from 1 to ${shapes.MAX_LIMIT}, or "start" the "next" of a page; "where" must be here, elsewhere, mine, or risk; "sort" must be name, size, owner, time, holders, or known, with a leading - to reverse the order`,
    ),
    (c) =>
      unlessReplaced(c, newest, async (signal) => {
        const query = c.req.valid("query");
        if (wantsLines(c)) {
          return serveLines(c, lists.turns, rowsOf(await lists.all(query, signal)));
        }
        const { files, total, next } = await lists.page(query, fileText, signal);
        const text = `{"files":[${files.join(",")}],"total":${total},"next":${asciiJson(next)}}`;
        return c.body(text, 200, { "content-type": JSON_TYPE, ...linkTo(c, next) });
      }),
  );
}

function* rowsOf(files: Iterator<ViewedFile>) {
  for (let next = files.next(); !next.done; next = files.next()) yield fileJson(next.value);
}

function deletedRoute(api: Hono<Env>, view: View, { turns }: FileLists): void {
  api.get(
    "/files/deleted",
    describeRoute({
      summary: "List the deleted files that can be restored, most recently deleted first",
      description: PAGING,
      responses: {
        200: list("One page", shapes.DeletedShape, shapes.OneDeletedShape),
        ...problems(400, ...READ),
      },
    }),
    check(
      "query",
      shapes.DeletedQuery,
      `"limit" and "start" must be whole numbers, "limit" from 1 to ${shapes.MAX_DELETED_LIMIT}`,
    ),
    async (c) => {
      const query = c.req.valid("query");
      const start = Number(query.start ?? 0);
      if (wantsLines(c)) {
        return serveLines(c, turns, deletedRows(view, start, Number(query.limit ?? Infinity)));
      }
      const limit = Number(query.limit ?? shapes.DEFAULT_DELETED_LIMIT);
      const { files, total } = await turns.take(() => view.deleted(start, limit));
      const next = start + limit < total ? start + limit : null;
      return c.json({ files: files.map(deletedJson), total, next }, 200, linkTo(c, next));
    },
  );
}

async function* deletedRows(view: View, start: number, limit: number) {
  for (let at = start; at < start + limit; at += DELETED_STEP) {
    const { files, total } = await view.deleted(at, Math.min(DELETED_STEP, start + limit - at));
    yield* files.map((each: ViewedDeleted) => deletedJson(each));
    if (at + DELETED_STEP >= total) return;
  }
}

function replicationRoute(api: Hono<Env>, lists: FileLists): void {
  api.get(
    "/replication",
    describeRoute({
      summary: "Count the files at risk, and list those with the fewest holders",
      responses: { 200: json("Counts and files", shapes.RisksShape), ...problems(400, ...READ) },
    }),
    check(
      "query",
      shapes.RisksQuery,
      `"limit" must be a whole number from 1 to ${shapes.MAX_RISKS}`,
    ),
    async (c) => {
      const limit = Number(c.req.valid("query").limit ?? shapes.DEFAULT_LIMIT);
      const { files, ...counts } = await lists.risks(limit, fileText);
      const text = `${asciiJson(counts).slice(0, -1)},"files":[${files.join(",")}]}`;
      return c.body(text, 200, { "content-type": JSON_TYPE });
    },
  );
}
