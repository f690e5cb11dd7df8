// The web of the peer: pages and API over the view. No port, no clock of its own; tests call `request`.

import { Hono } from "hono";
import { createApi } from "./api.ts";
import { hostGuard, securityHeaders } from "./guard.ts";
import { statusPage } from "./page.ts";
import type { View } from "./view.ts";
import icon from "./icon.svg" with { type: "text" };
import style from "./style.css" with { type: "text" };

/** The application; `now` gives Unix milliseconds, `onError` hears of mistakes of ours. */
export function createApp(view: View, now: () => number, onError: (error: Error) => void): Hono {
  const app = new Hono();
  app.use(securityHeaders);
  app.use(hostGuard(() => view.hostNames));
  app.route("/api/v1", createApi(view));
  const page = () => statusPage(view, now() / 1000);
  app.get("/", (c) => c.html(page()));
  app.get("/stats", (c) => c.html(page()));
  app.get("/style.css", (c) => c.body(style, 200, { "content-type": "text/css; charset=utf-8" }));
  app.get("/icon.svg", (c) => c.body(icon, 200, { "content-type": "image/svg+xml" }));
  app.notFound((c) =>
    c.json({
      title: "Not found",
      status: 404,
      detail: "There is nothing at this address",
      hint: "The pages are / and /stats, the API begins at /api/v1/status",
    }, 404)
  );
  app.onError((error, c) => {
    onError(error);
    return c.json({
      title: "Unexpected",
      status: 500,
      detail: "The peer made a mistake and goes on",
      hint: "Its log says which",
    }, 500);
  });
  return app;
}
