// What a reverse proxy in front of the peer changes about a request: the path prefix that the client sees, and the
// client's address. Anyone can send the headers that carry these, so they are trusted only from some sources. A prefix
// or TLS affects only the sender: it is trusted from loopback and from proxies named by `--trusted-proxy`. A client's
// address determines limits (wrong tokens, live pages), so it is trusted only from named proxies: other users of this
// machine connect from loopback too.

import type { Context, MiddlewareHandler } from "hono";
import { getPath } from "hono/utils/url";
import { canonicalIp, isLoopback } from "../protocol/wire/address.ts";
import type { Env } from "./env.ts";

export interface ProxyOptions {
  /** Path prefix, such as `/peer`, under which a proxy forwards requests unchanged. Empty: none. */
  readonly basePath?: string;
  /** Canonical addresses of trusted proxies. */
  readonly trustedProxies?: ReadonlySet<string>;
}

/** Matches one or more plain path segments. Strict, because the value ends up in cookies and headers. */
const PREFIX = /^(?:\/[\w~-][\w.~-]*)+\/?$/;
const MAX_PREFIX_CHARS = 200;

/** Returns a function that gets the path to match routes against: without the base path, if the request has it. */
export function routedPath(basePath = ""): (request: Request) => string {
  return (request) => {
    const path = getPath(request);
    return basePath !== "" && path.startsWith(`${basePath}/`) ? path.slice(basePath.length) : path;
  };
}

/** Replaces the connection's address with the client's and records the prefix, as far as the proxy is trusted. */
export function proxied({ basePath = "", trustedProxies }: ProxyOptions): MiddlewareHandler<Env> {
  const isNamed = (ip: string) => trustedProxies?.has(ip) === true;
  return async (c, next) => {
    const { ip } = c.env;
    const isProxy = isLoopback(ip) || isNamed(ip);
    const forwarded = isProxy ? forwardedPrefix(c) : undefined;
    const hasBase = basePath !== "" && getPath(c.req.raw).startsWith(`${basePath}/`);
    c.env = {
      ...c.env,
      ip: isNamed(ip) ? clientOf(c.req.header("x-forwarded-for"), isNamed) ?? ip : ip,
      prefix: forwarded ?? (hasBase ? basePath : ""),
      isProxy,
    };
    await next();
  };
}

/** Returns the path prefix under which the client reaches the peer, such as `/peer`, or "". */
export const prefixOf = (c: Context<Env>): string => c.env.prefix ?? "";

/** Returns whether a trusted proxy says that the client uses TLS. */
export const isOverTls = (c: Context<Env>): boolean =>
  c.env.isProxy === true && c.req.header("x-forwarded-proto")?.toLowerCase() === "https";

function forwardedPrefix(c: Context<Env>): string | undefined {
  const value = c.req.header("x-forwarded-prefix");
  if (value === undefined || value.length > MAX_PREFIX_CHARS || !PREFIX.test(value)) {
    return undefined;
  }
  return value.replace(/\/$/, "");
}

/** Returns the last address in the list that is not a named proxy: anything before it is only the client's claim. */
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
