// What a reverse proxy in front of the peer changes about a request: the path prefix that the client sees, and whose
// connection it is. Everybody can write the headers that tell of it, so only some are believed. A prefix, or
// TLS, concerns no one but who sent it: it counts from loopback and from proxies named by `--trusted-proxy`. A client's address decides
// about limits (wrong tokens, live pages), so it counts from named proxies alone: other users of this machine connect
// from loopback too.

import type { Context, MiddlewareHandler } from "hono";
import { getPath } from "hono/utils/url";
import { canonicalIp, isLoopback } from "../protocol/wire/address.ts";
import type { Env } from "./login.ts";

export interface ProxyOptions {
  /** Path under which a proxy passes requests on unchanged, such as `/peer`; empty: none. */
  readonly basePath?: string;
  /** Canonical addresses of proxies to believe. */
  readonly trustedProxies?: ReadonlySet<string>;
}

/** One or more plain path segments; the value ends up in cookies and headers. */
const PREFIX = /^(?:\/[\w~-][\w.~-]*)+\/?$/;
const MAX_PREFIX_CHARS = 200;

/** Returns the path that routes are matched against: without the base path, where the request has it. */
export function routedPath(basePath = ""): (request: Request) => string {
  return (request) => {
    const path = getPath(request);
    return basePath !== "" && path.startsWith(`${basePath}/`) ? path.slice(basePath.length) : path;
  };
}

/** Replaces the address of the connection by the client's, and notes the prefix, as far as a proxy is believed. */
export function proxied({ basePath = "", trustedProxies }: ProxyOptions): MiddlewareHandler<Env> {
  const isNamed = (ip: string) => trustedProxies?.has(ip) === true;
  return async (c, next) => {
    const { ip } = c.env;
    const isProxy = isLoopback(ip) || isNamed(ip);
    const forwarded = isProxy ? forwardedPrefix(c) : undefined;
    const hasBase = basePath !== "" && getPath(c.req.raw).startsWith(`${basePath}/`);
    c.env = {
      ip: isNamed(ip) ? clientOf(c.req.header("x-forwarded-for"), isNamed) ?? ip : ip,
      prefix: forwarded ?? (hasBase ? basePath : ""),
      isProxy,
    };
    await next();
  };
}

/** The path prefix under which the client reaches the peer: empty, or such as `/peer`. */
export const prefixOf = (c: Context<Env>): string => c.env.prefix ?? "";

/** Whether a proxy says that the client speaks TLS to it. */
export const isOverTls = (c: Context<Env>): boolean =>
  c.env.isProxy === true && c.req.header("x-forwarded-proto")?.toLowerCase() === "https";

function forwardedPrefix(c: Context<Env>): string | undefined {
  const value = c.req.header("x-forwarded-prefix");
  if (value === undefined || value.length > MAX_PREFIX_CHARS || !PREFIX.test(value)) {
    return undefined;
  }
  return value.replace(/\/$/, "");
}

/** The last address in the list that is not a named proxy's own: the ones before it are the client's claims. */
function clientOf(
  header: string | undefined,
  isNamed: (ip: string) => boolean,
): string | undefined {
  let client: string | undefined;
  for (const each of (header ?? "").split(",").toReversed()) {
    const ip = canonicalIp(each.trim());
    if (ip === undefined) return client;
    client = ip;
    if (!isNamed(ip)) return client;
  }
  return client;
}
