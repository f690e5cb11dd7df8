// The API under `/api/v1`. Its OpenAPI document comes from the same schemas that validate requests.
// Field names are those of the wire protocol; all errors have one shape (problem.ts).

import { Hono } from "hono";
import { generateSpecs } from "hono-openapi";
import type { Env } from "../env.ts";
import { type Login, loginGuard } from "../login.ts";
import { prefixOf } from "../proxy.ts";
import type { FileLists } from "../file_lists.ts";
import type { View } from "../view.ts";
import { fileListRoutes } from "./file_lists.ts";
import { fileRoutes } from "./files.ts";
import { paceRoutes } from "./pace.ts";
import { readRoutes } from "./reading.ts";
import { sessionRoutes } from "./session.ts";
import { shareRoutes } from "./sharing.ts";
import { transferRoutes } from "./transfers.ts";

/** Creates the routes under `/api/v1`. */
export function createApi(view: View, login: Login, lists: FileLists): Hono<Env> {
  const api = new Hono<Env>();
  sessionRoutes(api, login);
  api.use(loginGuard(login));
  readRoutes(api, view, login, lists.turns);
  fileListRoutes(api, view, lists); // before those for one file: "deleted" is not an id
  fileRoutes(api, view);
  shareRoutes(api, view);
  transferRoutes(api, view, lists.turns);
  paceRoutes(api, view);
  api.get("/openapi.json", async (c) => c.json(await document(api, prefixOf(c))));
  return api;
}

/** Resolves to the API's OpenAPI 3.1 document, as seen under a path prefix. */
export async function document(api: Hono<Env>, prefix: string) {
  let described = descriptions.get(api);
  if (!described) descriptions.set(api, described = describe(api));
  return { ...await described, servers: [{ url: `${prefix}/api/v1` }], openapi: "3.1.0" };
}

/** OpenAPI documents, generated once per API: that takes tens of milliseconds, and anyone may request them. */
const descriptions = new WeakMap<Hono<Env>, ReturnType<typeof describe>>();

function describe(api: Hono<Env>) {
  return generateSpecs(api, {
    documentation: {
      info: {
        title: "p2p-peer",
        version: "1",
        description:
          "One peer of the lab's file-sharing network: what it knows, holds, and transfers.",
      },
      components: {
        securitySchemes: {
          bearer: { type: "http", scheme: "bearer" },
          session: { type: "apiKey", in: "cookie", name: "session_id" },
        },
      },
    },
  });
}
