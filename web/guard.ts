// Protects against other sites' pages that try to reach this peer through a visitor's browser. Every request must
// address this peer by one of its own names: with DNS rebinding, an attacker's name resolves to this address, so
// foreign names are refused; IP addresses and localhost cannot be rebound. Changes must not come from another site.
// Browsers say where a request comes from; a client that does not is not a browser.

import type { MiddlewareHandler } from "hono";
import { compress } from "hono/compress";
import { canonicalIp } from "../protocol/wire/address.ts";
import type { Env } from "./env.ts";
import { visible } from "../protocol/wire/text.ts";
import { problem } from "./problem.ts";

/** Refuses requests whose Host is not an IP address, localhost, or one of `names` (lowercase). */
export function hostGuard(names: () => ReadonlySet<string>): MiddlewareHandler {
  return async (c, next) => {
    // If the request target names a host, that one takes precedence (RFC 9112, 3.2.2), so both must be ours.
    const target = URL.parse(c.req.url)?.host ?? ""; // an invalid Host makes the whole URL invalid
    const isOurs = (host: string | undefined) =>
      host !== undefined &&
      (host === "localhost" || canonicalIp(host) !== undefined || names().has(host));
    const hosts = [c.req.header("host") ?? target, target].map(hostName);
    if (hosts.every(isOurs)) return await next();
    const host = hosts.find((each) => !isOurs(each));
    return problem(
      c,
      421,
      `This peer is not known as "${visible(host ?? "")}"`,
      `Use its address, or start it with --allowed-host ${visible(host ?? "NAME")}`,
    );
  };
}

/** Returns the name in a Host header, lowercase, without port or trailing dot; undefined if it is invalid. */
function hostName(host: string): string | undefined {
  const match = /^(\[[0-9a-f:.]+\]|[\w.-]+)(?::\d{1,5})?$/i.exec(host);
  return match?.[1]?.toLowerCase().replace(/\.$/, "");
}

const SAFE_METHODS = ["GET", "HEAD"];

/** Refuses changes requested by pages of another origin (judged by Fetch Metadata and Origin). */
export const crossSiteGuard: MiddlewareHandler<Env> = async (c, next) => {
  if (SAFE_METHODS.includes(c.req.method)) return await next();
  const site = c.req.header("sec-fetch-site");
  const origin = c.req.header("origin");
  const isOurs = site === undefined || site === "same-origin" || site === "none";
  const isSame = () => isSameOrigin(origin!, c.req.header("host"), c.env.isProxy === true);
  if (isOurs && (origin === undefined || isSame())) {
    return await next();
  }
  return problem(
    c,
    403,
    `A page on another site (${visible(origin ?? site ?? "")}) asked for a change`,
    "Use this peer's own page, under one of its names (--allowed-host adds one; a proxy must forward Host); scripts must not send an Origin header",
  );
};

/** Matches a host with an optional port, as in `Host`, optionally preceded by a scheme, as in `Origin`. */
const AUTHORITY = /^(?:(https?):\/\/)?(\[[0-9a-f:.]+\]|[^/:@\s]+)(?::(\d{1,5}))?$/i;

/**
 * Returns whether an Origin matches a Host header. Schemes are not compared, because a proxy may terminate TLS for us.
 * It may also have dropped the port (nginx's `Host $host`), so if there may be a proxy, a missing port matches any.
 */
function isSameOrigin(origin: string, host: string | undefined, isProxy: boolean): boolean {
  const [, scheme, name, port] = AUTHORITY.exec(origin.toLowerCase()) ?? [];
  const [, noScheme, ownName, ownPort] = AUTHORITY.exec(host?.toLowerCase() ?? "") ?? [];
  if (scheme === undefined || noScheme !== undefined || name !== ownName) return false;
  const standard = scheme === "https" ? "443" : "80"; // browsers omit it
  if (ownPort === undefined) return isProxy || port === undefined || port === standard;
  return (port ?? standard) === ownPort;
}

/** Returns the policy of a page that may run our own script files and the given sources, such as hashes. */
export const contentPolicy = (...scripts: string[]) =>
  `default-src 'none'; script-src ${
    ["'self'", ...scripts].join(" ")
  }; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'`;

/** Sets security headers: nothing inline, nothing from other hosts, no framing. */
export const securityHeaders: MiddlewareHandler = async (c, next) => {
  await next();
  const headers: Record<string, string> = {
    "content-security-policy": contentPolicy(),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    // Shared caches must not serve one user's response to another.
    "cache-control": "private, no-cache",
  };
  for (const [name, value] of Object.entries(headers)) {
    if (!c.res.headers.has(name)) c.res.headers.set(name, value);
  }
};

/**
 * Gives a HEAD response the length of the GET response (RFC 9110, 8.6). Endless streams and responses that GET would
 * compress are not measured; then no length is sent (the gateway sees to that).
 */
export const lengthOfHead: MiddlewareHandler = async (c, next) => {
  await next();
  const { headers, body } = c.res;
  if (c.req.method !== "HEAD" || !body || headers.has("content-length")) return;
  if (headers.has("vary") && c.req.header("accept-encoding") !== undefined) return;
  const { byteLength } = await c.res.clone().arrayBuffer();
  c.res.headers.set("content-length", String(byteLength));
};

const compressed = compress();

/** Compresses GET responses, and sets the matching `Vary` header on HEAD responses. */
export const compressing: MiddlewareHandler = async (c, next) => {
  if (c.req.method !== "HEAD") return await compressed(c, next);
  await next();
  c.header("vary", "Accept-Encoding");
};
