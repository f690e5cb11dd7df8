// Addresses: how to compare them, and which may be dialed at whose request. PURE.
// An address is judged by the machine it reaches, never by its spelling: `0.0.0.0`, `127.1`, `2130706433`, `0x7f.1` and
// `::ffff:127.0.0.1` all reach loopback. The edge resolves names first and then applies the same rule to the result.

/** Where a peer listens, as stated in a message or by the operator. */
export interface Address {
  /** A DNS name or an IP address in any spelling. */
  readonly host: string;
  /** TCP port, 1 to 65535. */
  readonly port: number;
}

/** Who named an address: the operator, a sender on this machine, or a sender elsewhere. */
export type Voucher = "operator" | "local" | "remote";

/** Returns the address as `host:port`, with an IPv6 host in brackets. */
export function addressText({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Returns one spelling per host: IP addresses in canonical form, names in lower case without trailing dots. */
export function canonicalHost(host: string): string {
  // All trailing dots, not just one: `0..` would otherwise become `0.`, which is an address.
  const name = host.replace(/\.+$/, "");
  return canonicalIp(name) ?? name.toLowerCase();
}

/** Ordinary dotted IPv4, by far the most frequent spelling, and already canonical. */
const plainIpv4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/**
 * Returns the canonical form of an IP address in any spelling, or `undefined` for a name. IPv4-mapped IPv6 addresses
 * become IPv4.
 */
export function canonicalIp(text: string): string | undefined {
  if (plainIpv4.test(text)) return text;
  const bare = text.replace(/^\[|\]$/g, "").replace(/%.*$/, "");
  if (!/^[0-9a-fx.:]+$/i.test(bare)) return undefined;
  if (bare.includes(":")) {
    const host = urlHost(`[${bare}]`);
    if (host === undefined) return undefined;
    const mapped = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/.exec(host);
    if (!mapped) return host.slice(1, -1);
    const bits = parseInt(mapped[1]!, 16) * 65536 + parseInt(mapped[2]!, 16);
    return [24, 16, 8, 0].map((shift) => (bits >>> shift) & 255).join(".");
  }
  // The URL parser reads IPv4 like `inet_aton`, but also accepts names; a name does not end in a numeric part.
  if (!/(^|\.)(0x[0-9a-f]*|\d+)\.?$/i.test(bare)) return undefined;
  const host = urlHost(bare);
  return host !== undefined && /^\d+\.\d+\.\d+\.\d+$/.test(host) ? host : undefined;
}

function urlHost(host: string): string | undefined {
  return URL.parse(`http://${host}/`)?.hostname;
}

/** Returns whether a canonical IP address reaches this machine's loopback interface. */
export function isLoopback(ip: string): boolean {
  return ip.startsWith("127.") || ip === "::1" || ip === "0.0.0.0" || ip === "::";
}

/** Returns whether a host means loopback even before it is resolved: a loopback address, `localhost` or below it. */
export function isLoopbackHost(host: string): boolean {
  const ip = canonicalIp(host);
  return ip !== undefined ? isLoopback(ip) : /^(.*\.)?localhost\.?$/i.test(host);
}

function isNeverDialed(ip: string): boolean {
  if (ip.includes(":")) return /^(fe[89ab]|ff)/i.test(ip); // link-local, multicast
  const [a = 0, b = 0] = ip.split(".").map(Number);
  // "this network", link-local, multicast, reserved and broadcast
  return (a === 0 && ip !== "0.0.0.0") || (a === 169 && b === 254) || a >= 224;
}

/** What this process listens on, so that nobody can make it talk to itself. */
export interface OwnAddresses {
  /** IP addresses of this machine, in canonical form. */
  readonly ips: readonly string[];
  /** TCP ports that this process listens on. */
  readonly ports: readonly number[];
}

/**
 * Returns why a resolved address must not be dialed, as the rest of a sentence that starts with "it", or `undefined`
 * if it may be. The operator may name any address except this process itself; everyone else is kept from using this
 * peer to reach internal services. Source: docs/SECURITY-TESTS.md, rows 20 and 21 (reflection, request forgery).
 */
export function dialRefusal(
  ip: string,
  port: number,
  voucher: Voucher,
  own: OwnAddresses,
): string | undefined {
  const canonical = canonicalIp(ip);
  if (canonical === undefined) return "is not an IP address";
  const loopback = isLoopback(canonical);
  if (own.ports.includes(port) && (loopback || own.ips.includes(canonical))) {
    return "is our own address";
  }
  if (voucher === "operator") return undefined;
  if (port < 1024) return "has a privileged port";
  if (isNeverDialed(canonical)) return "is link-local, multicast or reserved";
  if (voucher === "local") return undefined;
  if (loopback) return "is loopback, but was named by a remote peer";
  return own.ips.includes(canonical) && own.ports.includes(port) ? "is our own address" : undefined;
}
