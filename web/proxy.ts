// What a reverse proxy in front of the peer changes about a request: the path prefix that the client sees, and whose
// connection it is. Only a trusted proxy is believed: a connection from this machine's loopback addresses, or from one
// named by `--trusted-proxy`. Everybody else could write these headers too, so theirs are ignored.

import type { Context, MiddlewareHandler } from "hono";
import { getPath } from "hono/utils/url";
import { canonicalIp, isLoopback } from "../protocol/address.ts";
import type { Env } from "./login.ts";

export interface ProxyOptions {
  /** Path under which a proxy passes requests on unchanged, such as `/peer`; empty: none. */
  readonly basePath?: string;
  /** Canonical addresses of proxies to believe, in addition to loopback. */
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
  const isTrusted = (ip: string) => isLoopback(ip) || trustedProxies?.has(ip) === true;
  return async (c, next) => {
    const { ip } = c.env;
    const isProxy = isTrusted(ip);
    const forwarded = isProxy ? forwardedPrefix(c) : undefined;
    const hasBase = basePath !== "" && getPath(c.req.raw).startsWith(`${basePath}/`);
    c.env = {
      ip: isProxy ? clientOf(c.req.header("x-forwarded-for"), isTrusted) ?? ip : ip,
      prefix: forwarded ?? (hasBase ? basePath : ""),
      isProxy,
    };
    await next();
  };
}

/** The path prefix under which the client reaches the peer: empty, or such as `/peer`. */
export const prefixOf = (c: Context<Env>): string => c.env.prefix ?? "";

function forwardedPrefix(c: Context<Env>): string | undefined {
  const value = c.req.header("x-forwarded-prefix");
  if (value === undefined || value.length > MAX_PREFIX_CHARS || !PREFIX.test(value)) {
    return undefined;
  }
  return value.replace(/\/$/, "");
}

/** The last address in the list that is not a trusted proxy's own: the ones before it are the client's claims. */
function clientOf(
  header: string | undefined,
  isTrusted: (ip: string) => boolean,
): string | undefined {
  let client: string | undefined;
  for (const each of (header ?? "").split(",").toReversed()) {
    const ip = canonicalIp(each.trim());
    if (ip === undefined) return client;
    client = ip;
    if (!isTrusted(ip)) return client;
  }
  return client;
}
