// The peer's web application: pages and API on top of the view. It has no port and no clock of its own; tests call
// `request`. Pages, their assets, and the Prometheus exposition are loaded on first request, because most peers never
// see a browser.

import { type Context, Hono } from "hono";
import { methodNotAllowed } from "hono/method-not-allowed";
import { createApi, document } from "./api/api.ts";
import { compressing, crossSiteGuard, hostGuard, lengthOfHead, securityHeaders } from "./guard.ts";
import { createLegacyApi, legacyErrors, legacyStats } from "./legacy.ts";
import { addDownloads, type OwnExecutable } from "./downloads.ts";
import type { Env } from "./env.ts";
import { Login, loginGuard, type LoginOptions } from "./login.ts";
import { Metrics } from "./metrics.ts";
import { problem } from "./problem.ts";
import { prefixOf, proxied, type ProxyOptions, routedPath } from "./proxy.ts";
import { visible } from "../protocol/wire/text.ts";
import { FileLists } from "./file_lists.ts";
import { Turns } from "./turns.ts";
import type { View } from "./view.ts";

export interface AppOptions extends ProxyOptions {
  /** Returns the current time in Unix milliseconds. */
  readonly now: () => number;
  /** Called with unexpected errors, which are bugs. */
  readonly onError: (error: Error) => void;
  /** See `LoginOptions`. */
  readonly token: string | undefined;
  readonly isPrivate: boolean;
  readonly onOverload?: LoginOptions["onOverload"];
  /** Called when somebody logs in. */
  readonly onLogin?: LoginOptions["onLogin"];
  /** HTML of an older peer's page, to serve at `/legacy`. */
  readonly legacyPage?: string | undefined;
  readonly metrics?: Metrics;
  /** The executable that runs; nothing if the program runs from its source. */
  readonly executable?: OwnExecutable | undefined;
}

/** Content policy for the older page, the only one whose inline script and style may run. */
const LEGACY_CSP =
  "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const PAGES = ["/", "/stats"];
const ASSETS = ["/style.css", "/icon.svg", "/browser/*", "/shared/*", "/lib/*"];

/** What the routes are served from. */
interface Services {
  readonly view: View;
  readonly login: Login;
  readonly lists: FileLists;
  readonly metrics: Metrics;
  /** Returns Unix time. */
  readonly nowSeconds: () => number;
}

/** Creates the application on top of the view. Each request's environment must contain the client's `{ ip }`. */
export function createApp(view: View, options: AppOptions): Hono<Env> {
  const { basePath = "", metrics = new Metrics() } = options;
  const services: Services = {
    view,
    login: new Login({ ...options, cookie: `session_id_${view.status().port}` }),
    lists: new FileLists(view, new Turns()),
    metrics,
    nowSeconds: () => options.now() / 1000,
  };
  const app = new Hono<Env>({ getPath: routedPath(basePath) });
  addMiddleware(app, view, metrics, options);
  if (basePath !== "") {
    app.get(basePath, (c) => c.redirect(`${basePath}/${URL.parse(c.req.url)?.search ?? ""}`, 308));
  }
  addAssets(app);
  addApi(app, services);
  addPages(app, services, options.legacyPage);
  addMonitoring(app, services);
  const { executable, now } = options;
  addDownloads(app, executable, { guard: loginGuard(services.login), now: () => now() / 1000 });
  addErrors(app, options.onError);
  return app;
}

function addMiddleware(app: Hono<Env>, view: View, metrics: Metrics, options: AppOptions): void {
  app.use(proxied(options));
  app.use(metrics.middleware(() => performance.now()));
  app.use(securityHeaders);
  app.use(lengthOfHead);
  // Compress only our own text: file content is sent as is, with its length, and events without delay.
  for (const path of [...PAGES, ...ASSETS, "/api/v1/files", "/api/v1/replication"]) {
    app.use(path, compressing);
  }
  app.use("/api/*", legacyErrors);
  app.use(methodNotAllowed({ app, onMethodNotAllowed: notAllowed }));
  app.use(hostGuard(() => view.hostNames));
  app.use(crossSiteGuard);
}

function addAssets(app: Hono<Env>): void {
  for (const path of ASSETS) {
    app.get(path, async (c, next) => (await import("./assets.ts")).serveAsset(c) ?? await next());
  }
}

function addApi(app: Hono<Env>, { view, login, lists, nowSeconds }: Services): void {
  const api = createApi(view, login, lists);
  app.route("/api/v1", api);
  app.get("/api/docs", async (c) => {
    const { serveDocs } = await import("./page/serve.tsx");
    const described = await document(api, prefixOf(c));
    return await lists.turns.take(() => serveDocs(c, described));
  });
  app.route("/api", createLegacyApi(view, login, lists, nowSeconds));
}

function addPages(
  app: Hono<Env>,
  { view, login, lists, nowSeconds }: Services,
  legacyPage: string | undefined,
): void {
  for (const path of PAGES) {
    app.get(path, async (c) => {
      const { servePage } = await import("./page/serve.tsx");
      return await servePage(c, { view, login, lists, now: nowSeconds() });
    });
  }
  if (legacyPage !== undefined) {
    app.get("/legacy", (c) => c.html(legacyPage, 200, { "content-security-policy": LEGACY_CSP }));
  }
}

function addMonitoring(app: Hono<Env>, { view, login, lists, metrics }: Services): void {
  const guard = loginGuard(login);
  app.get("/healthz", (c) => c.json({ status: "ok" }));
  app.get("/stats.json", guard, (c) => legacyStats(c, view, lists));
  app.get("/metrics", guard, async (c) => {
    const { serveMetrics } = await import("./exposition.ts");
    return await lists.turns.take(() => serveMetrics(c, metrics, view));
  });
}

function addErrors(app: Hono<Env>, onError: (error: Error) => void): void {
  app.notFound((c) =>
    problem(
      c,
      404,
      "There is nothing at this address",
      "The pages are / and /stats; the API starts at /api/v1/status and is documented at /api/docs",
    )
  );
  app.onError((error, c) => {
    onError(error);
    return problem(
      c,
      500,
      "Internal error; the peer keeps running",
      "See the peer's log for details",
    );
  });
}

function notAllowed(c: Context, methods: readonly string[]): Response {
  const allow = methods.join(", ");
  const detail = `This address does not accept ${visible(c.req.method, 20)}`;
  return problem(c, 405, detail, `It accepts ${allow}; see /api/docs`, { allow });
}
