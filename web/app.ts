// The web of the peer: pages and API over the view. No port, no clock of its own; tests call `request`.

import { Hono } from "hono";
import { createApi, document } from "./api/api.ts";
import { docsPage } from "./docs.ts";
import { crossSiteGuard, hostGuard, lengthOfHead, securityHeaders } from "./guard.ts";
import { createLegacyApi, legacyErrors, legacyStats } from "./legacy.ts";
import { type Env, Login, loginGuard } from "./login.ts";
import { Metrics, serveMetrics } from "./metrics.ts";
import { lockedPage, statusPage } from "./page.ts";
import { problem } from "./problem.ts";
import type { View } from "./view.ts";
import icon from "./icon.svg" with { type: "text" };
import script from "./browser/page.js" with { type: "text" };
import style from "./style.css" with { type: "text" };

export interface AppOptions {
  /** Unix milliseconds. */
  readonly now: () => number;
  /** Hears of mistakes of ours. */
  readonly onError: (error: Error) => void;
  /** See `LoginOptions`. */
  readonly token: string | undefined;
  readonly isPrivate: boolean;
  /** HTML of a page of an older peer, for `/legacy`. */
  readonly legacyPage?: string | undefined;
  readonly metrics?: Metrics;
}

/** The older page's own script and style may run, here alone. */
const LEGACY_CSP =
  "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/** The application over the view. Each request needs `{ ip }` of its client as its environment. */
export function createApp(view: View, options: AppOptions): Hono<Env> {
  const { now, onError, legacyPage, metrics = new Metrics() } = options;
  const login = new Login({ ...options, cookie: `session_id_${view.status().port}` });
  const app = new Hono<Env>();
  app.use(metrics.middleware(() => performance.now()));
  app.use(securityHeaders);
  app.use(lengthOfHead);
  app.use("/api/*", legacyErrors);
  app.use(hostGuard(() => view.hostNames));
  app.use(crossSiteGuard);
  app.get("/healthz", (c) => c.json({ status: "ok" }));
  app.get("/style.css", (c) => c.body(style, 200, { "content-type": "text/css; charset=utf-8" }));
  app.get(
    "/page.js",
    (c) => c.body(script, 200, { "content-type": "text/javascript; charset=utf-8" }),
  );
  app.get("/icon.svg", (c) => c.body(icon, 200, { "content-type": "image/svg+xml" }));
  const api = createApi(view, login);
  app.route("/api/v1", api);
  app.get("/api/docs", async (c) => c.html(docsPage(await document(api))));
  app.route("/api", createLegacyApi(view, login, () => now() / 1000));
  if (legacyPage !== undefined) {
    app.get("/legacy", (c) => c.html(legacyPage, 200, { "content-security-policy": LEGACY_CSP }));
  }
  const guard = loginGuard(login);
  for (const path of ["/", "/stats"]) {
    app.get(path, (c) => {
      const isShown = !login.options.isPrivate || login.isIn(c);
      return isShown ? c.html(statusPage(view, now() / 1000)) : c.html(lockedPage(), 401);
    });
  }
  app.get("/stats.json", guard, (c) => legacyStats(c, view));
  app.get("/metrics", guard, (c) => serveMetrics(c, metrics, view));
  app.notFound((c) =>
    problem(
      c,
      404,
      "There is nothing at this address",
      "The pages are / and /stats, the API begins at /api/v1/status and is described at /api/docs",
    )
  );
  app.onError((error, c) => {
    onError(error);
    return problem(c, 500, "The peer made a mistake and goes on", "Its log says which");
  });
  return app;
}
