// Against pages of others that reach into this one. Every request must name this peer as a person would: with DNS
// rebinding a strange page's own name leads to this address, so a name that is not ours is refused; addresses and
// localhost cannot be rebound. And what changes something must not come from another site. Browsers say where a
// request comes from; what says nothing is no browser.

import type { MiddlewareHandler } from "hono";
import { compress } from "hono/compress";
import { canonicalIp } from "../protocol/wire/address.ts";
import type { Env } from "./login.ts";
import { visible } from "../protocol/wire/text.ts";
import { problem } from "./problem.ts";

/** Refuses requests whose Host is neither an address, nor localhost, nor one of `names` (lower case). */
export function hostGuard(names: () => ReadonlySet<string>): MiddlewareHandler {
  return async (c, next) => {
    // Where the target of a request names a host, that one counts (RFC 9112, 3.2.2); so both must be ours.
    const target = URL.parse(c.req.url)?.host ?? ""; // a Host that is none makes the whole none
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

/** The name in a Host header, in lower case without port and final dot; undefined when there is none. */
function hostName(host: string): string | undefined {
  const match = /^(\[[0-9a-f:.]+\]|[\w.-]+)(?::\d{1,5})?$/i.exec(host);
  return match?.[1]?.toLowerCase().replace(/\.$/, "");
}

const SAFE_METHODS = ["GET", "HEAD"];

/** Refuses changes that a page of another origin asks for (Fetch Metadata, and Origin where there is none). */
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

/** A host with an optional port, as in `Host`, with the scheme of an Origin in front. */
const AUTHORITY = /^(?:(https?):\/\/)?(\[[0-9a-f:.]+\]|[^/:@\s]+)(?::(\d{1,5}))?$/i;

/**
 * Whether an Origin is the one that a Host header names. Schemes are not compared: a proxy may speak TLS for us. It
 * may also have dropped the port (nginx's `Host $host`), so where there may be one a missing port matches any.
 */
function isSameOrigin(origin: string, host: string | undefined, isProxy: boolean): boolean {
  const [, scheme, name, port] = AUTHORITY.exec(origin.toLowerCase()) ?? [];
  const [, noScheme, ownName, ownPort] = AUTHORITY.exec(host?.toLowerCase() ?? "") ?? [];
  if (scheme === undefined || noScheme !== undefined || name !== ownName) return false;
  const standard = scheme === "https" ? "443" : "80"; // which browsers leave out
  if (ownPort === undefined) return isProxy || port === undefined || port === standard;
  return (port ?? standard) === ownPort;
}

/** The policy of a page whose scripts are files of ours, and besides only what is named, such as by its hash. */
export const contentPolicy = (...scripts: string[]) =>
  `default-src 'none'; script-src ${
    ["'self'", ...scripts].join(" ")
  }; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'`;

/** Nothing inline, nothing from elsewhere, in no frame. */
export const securityHeaders: MiddlewareHandler = async (c, next) => {
  await next();
  const headers: Record<string, string> = {
    "content-security-policy": contentPolicy(),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    // No cache on the way may give what one person sees to another.
    "cache-control": "private, no-cache",
  };
  for (const [name, value] of Object.entries(headers)) {
    if (!c.res.headers.has(name)) c.res.headers.set(name, value);
  }
};

/**
 * Gives the response to HEAD the length of the one to GET (RFC 9110, 8.6). A stream without end is not measured, and
 * neither is what GET would compress: then no length is sent (the door sees to that).
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

/** Compresses what GET returns, and lets HEAD say that it would. */
export const compressing: MiddlewareHandler = async (c, next) => {
  if (c.req.method !== "HEAD") return await compressed(c, next);
  await next();
  c.header("vary", "Accept-Encoding");
};
