// The API under `/api/v1`, described by OpenAPI from the same schemas that check what comes in.
// Field names are those of the wire; what goes wrong has one shape (problem.ts).

import { Hono } from "hono";
import { generateSpecs } from "hono-openapi";
import { type Env, type Login, loginGuard } from "../login.ts";
import { prefixOf } from "../proxy.ts";
import type { View } from "../view.ts";
import { fileRoutes } from "./files.ts";
import { readRoutes } from "./reading.ts";
import { sessionRoutes } from "./session.ts";
import { shareRoutes } from "./sharing.ts";
import { transferRoutes } from "./transfers.ts";

/** Routes under `/api/v1`. */
export function createApi(view: View, login: Login): Hono<Env> {
  const api = new Hono<Env>();
  sessionRoutes(api, login);
  api.use(loginGuard(login));
  readRoutes(api, view, login);
  fileRoutes(api, view);
  shareRoutes(api, view);
  transferRoutes(api, view);
  api.get("/openapi.json", async (c) => c.json(await document(api, prefixOf(c))));
  return api;
}

/** The description of the API (OpenAPI 3.1), as seen under a path prefix. */
export async function document(api: Hono<Env>, prefix: string) {
  const described = await generateSpecs(api, {
    documentation: {
      info: {
        title: "p2p-peer",
        version: "1",
        description: "One peer of the lab's file sharing network: what it knows, holds and moves.",
      },
      servers: [{ url: `${prefix}/api/v1` }],
      components: {
        securitySchemes: {
          bearer: { type: "http", scheme: "bearer" },
          session: { type: "apiKey", in: "cookie", name: "session_id" },
        },
      },
    },
  });
  return { ...described, openapi: "3.1.0" };
}
