// Against pages of others that reach into this one: every request must name this peer as a person would.
// With DNS rebinding a strange page's own name leads to this address, so a name that is not ours is refused.
// Addresses and localhost cannot be rebound.

import type { MiddlewareHandler } from "hono";
import { canonicalIp } from "../protocol/address.ts";
import { visible } from "../protocol/text.ts";

/** Refuses requests whose Host is neither an address, nor localhost, nor one of `names` (lower case). */
export function hostGuard(names: () => ReadonlySet<string>): MiddlewareHandler {
  return async (c, next) => {
    const host = hostName(c.req.header("host") ?? new URL(c.req.url).host);
    const isOurs = host !== undefined &&
      (host === "localhost" || canonicalIp(host) !== undefined || names().has(host));
    if (isOurs) return await next();
    return c.json({
      title: "Misdirected request",
      status: 421,
      detail: `This peer is not known as "${visible(host ?? "")}"`,
      hint: `Use its address, or start it with --allowed-host ${visible(host ?? "NAME")}`,
    }, 421);
  };
}

/** The name in a Host header, in lower case without port and final dot; undefined when there is none. */
function hostName(host: string): string | undefined {
  const match = /^(\[[0-9a-f:.]+\]|[\w.-]+)(?::\d{1,5})?$/i.exec(host);
  return match?.[1]?.toLowerCase().replace(/\.$/, "");
}

/** Nothing inline, nothing from elsewhere, in no frame. */
export const securityHeaders: MiddlewareHandler = async (c, next) => {
  await next();
  const headers: Record<string, string> = {
    "content-security-policy":
      "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
  };
  for (const [name, value] of Object.entries(headers)) {
    if (!c.res.headers.has(name)) c.res.headers.set(name, value);
  }
};
