// Routes for transfers: listing, canceling, and retrying.

import type { Context, Hono } from "hono";
import { describeRoute } from "hono-openapi";
import type { Env } from "../env.ts";
import { problem } from "../problem.ts";
import type { Turns } from "../turns.ts";
import type { View } from "../view.ts";
import { CHANGE, check, json, list, PAGING, problems, READ, security } from "./describe.ts";
import { transferJson } from "./listing.ts";
import { serveRows } from "./paging.ts";
import {
  FetchingShape,
  ROWS_HINT,
  RowsQuery,
  TransferParam,
  TransferShape,
  TransfersShape,
} from "./schemas.ts";

const transferParam = check("param", TransferParam, "GET /api/v1/transfers lists them", 404);

/** Adds the routes under `/transfers`. */
export function transferRoutes(api: Hono<Env>, view: View, turns: Turns): void {
  listRoute(api, view, turns);
  cancelRoute(api, view);
  retryRoute(api, view);
}

function findTransfer(view: View, id: string) {
  return view.transfers().find((each) => each.id === Number(id));
}

function unknownTransfer(c: Context<Env>): Response {
  return problem(c, 404, "No such transfer", "GET /api/v1/transfers lists them");
}

function listRoute(api: Hono<Env>, view: View, turns: Turns): void {
  api.get(
    "/transfers",
    describeRoute({
      summary: "List running transfers and those that ended recently",
      description: PAGING,
      responses: {
        200: list("Transfers, newest last", TransfersShape, TransferShape),
        ...problems(400, ...READ),
      },
    }),
    check("query", RowsQuery, ROWS_HINT),
    (c) =>
      serveRows(c, turns, "transfers", view.transfers().map(transferJson), c.req.valid("query")),
  );
}

function cancelRoute(api: Hono<Env>, view: View): void {
  api.delete(
    "/transfers/:id",
    describeRoute({
      summary: "Cancel a transfer",
      security,
      responses: {
        204: { description: "Canceled" },
        ...problems(404, 409, ...CHANGE),
      },
    }),
    transferParam,
    (c) => {
      const transfer = findTransfer(view, c.req.valid("param").id);
      if (!transfer) return unknownTransfer(c);
      return view.cancel(transfer.id) ? c.body(null, 204) : problem(
        c,
        409,
        "This transfer has already ended",
        "Only running transfers can be canceled; POST …/retry fetches the file again",
      );
    },
  );
}

function retryRoute(api: Hono<Env>, view: View): void {
  api.post(
    "/transfers/:id/retry",
    describeRoute({
      summary: "Retry a fetch that failed or was canceled",
      security,
      responses: {
        202: json("The file is being fetched", FetchingShape),
        ...problems(404, 409, ...CHANGE),
      },
    }),
    transferParam,
    (c) => {
      const transfer = findTransfer(view, c.req.valid("param").id);
      if (!transfer) return unknownTransfer(c);
      const hasFailed = transfer.state === "failed" || transfer.state === "cancelled";
      if (transfer.kind !== "fetch" || !hasFailed || !view.file(transfer.fileId)) {
        return problem(
          c,
          409,
          "Only a failed or canceled fetch can be retried",
          "Other transfers are started again by whoever started them",
        );
      }
      view.fetch(transfer.fileId).catch(() => {}); // its transfer reports the outcome
      return c.json({ fetching: transfer.fileId }, 202);
    },
  );
}
