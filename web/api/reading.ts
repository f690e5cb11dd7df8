// Routes that read the state of the peer and its network, once or as a stream of changes.

import type { Hono } from "hono";
import { describeRoute, resolver } from "hono-openapi";
import * as v from "valibot";
import { smallJson } from "../body.ts";
import { serveEvents } from "../event_stream.ts";
import type { Env } from "../env.ts";
import type { Login } from "../login.ts";
import type { Turns } from "../turns.ts";
import type { View } from "../view.ts";
import { problem, problemOf } from "../problem.ts";
import { CHANGE, check, json, list, PAGING, problems, READ, security } from "./describe.ts";
import { awayJson, peerJson, statusJson } from "./listing.ts";
import { serveRows } from "./paging.ts";
import {
  AwayPeersShape,
  AwayShape,
  ConnectBody,
  ConnectedShape,
  PeerShape,
  PeersShape,
  RatesShape,
  ROWS_HINT,
  RowsQuery,
  StatusShape,
} from "./schemas.ts";

function connectRoute(api: Hono<Env>, view: View, login: Login): void {
  api.post(
    "/peers",
    describeRoute({
      summary: "Join through one more peer, now and in later runs; waits until it answers",
      security,
      requestBody: {
        required: true,
        content: { "application/json": { schema: resolver(ConnectBody) } },
      } as never,
      responses: {
        200: json("The peer", ConnectedShape),
        ...problems(409, 413, ...CHANGE),
      },
    }),
    async (c) => {
      if (login.isOff) {
        // Whoever may say where this peer connects can look into networks that only this machine reaches.
        const hint = "Type connect at the prompt, or start with --bootstrap";
        return problem(c, 403, "Without logins, peers are not added through the pages", hint);
      }
      try {
        const body = await smallJson(c.req.raw);
        if (v.is(ConnectBody, body)) return c.json(await view.connect(body.address));
        return problem(c, 400, "The address is missing", 'Send {"address": "HOST:PORT"}');
      } catch (error) {
        return problemOf(c, error);
      }
    },
  );
}

/** Adds `/status`, `/rates`, `/peers`, and `/events`. */
export function readRoutes(api: Hono<Env>, view: View, login: Login, turns: Turns): void {
  api.get(
    "/status",
    describeRoute({
      summary: "This peer's identity, state, and counters",
      responses: { 200: json("The status", StatusShape), ...problems(...READ) },
    }),
    (c) => c.json(statusJson(view.status())),
  );
  api.get(
    "/rates",
    describeRoute({
      summary: "Transfer rates over the last three minutes",
      responses: { 200: json("All rates", RatesShape), ...problems(...READ) },
    }),
    (c) => c.json({ rates: view.rates() }),
  );
  api.get(
    "/peers",
    describeRoute({
      summary: "List the live peers",
      description: PAGING,
      responses: { 200: list("Live peers", PeersShape, PeerShape), ...problems(400, ...READ) },
    }),
    check("query", RowsQuery, ROWS_HINT),
    (c) => serveRows(c, turns, "peers", view.peers().map(peerJson), c.req.valid("query")),
  );
  api.get(
    "/peers/away",
    describeRoute({
      summary: "List the peers that left in the last day, the latest first",
      description: PAGING,
      responses: {
        200: list("Peers that left", AwayPeersShape, AwayShape),
        ...problems(400, ...READ),
      },
    }),
    check("query", RowsQuery, ROWS_HINT),
    (c) => serveRows(c, turns, "peers", view.away().map(awayJson), c.req.valid("query")),
  );
  connectRoute(api, view, login);
  api.get(
    "/events",
    describeRoute({
      summary: "Stream changes as they happen (server-sent events)",
      description:
        'Event types: status, peers {changed, removed}, files {changed, removed}, transfers {changed}, and reset (more changed than is worth naming: read the lists again). Send "Last-Event-ID" to resume.',
      responses: {
        200: { description: "An endless stream of events", content: { "text/event-stream": {} } },
        ...problems(...READ),
      },
    }),
    (c) => serveEvents(c, view, () => !login.options.isPrivate || login.isIn(c)),
  );
}
