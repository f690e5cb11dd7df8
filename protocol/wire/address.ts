// Which addresses are whose, and which may be dialed on whose behalf. PURE.
// An address is judged as the machine it leads to, never by its spelling: `0.0.0.0`, `127.1`,
// `2130706433`, `0x7f.1` and `::ffff:127.0.0.1` all reach loopback. Names are judged after the edge has
// resolved them, by the same rule.

/** Where a peer listens. `host` is a name or an IP address as it was told. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** On whose word an address is dialed: the operator's, or a sender's on this machine or elsewhere. */
export type Voucher = "operator" | "local" | "remote";

/** The address as one text, for keys and for people. */
export function addressText({ host, port }: Address): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The same host always gives the same text: literal addresses in canonical form, names in lower case. */
export function canonicalHost(host: string): string {
  // Every dot at the end goes, not one: `0..` would become `0.`, which is an address and not the name it was.
  const name = host.replace(/\.+$/, "");
  return canonicalIp(name) ?? name.toLowerCase();
}

/** The plain spelling of IPv4, by far the most frequent: it is canonical as it stands. */
const plainIpv4 = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/** Canonical form of a literal IP address in any spelling, IPv4-mapped as IPv4; undefined for names. */
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
  // The URL parser reads IPv4 as `inet_aton` does, but takes names too; those do not end in a digit part.
  if (!/(^|\.)(0x[0-9a-f]*|\d+)\.?$/i.test(bare)) return undefined;
  const host = urlHost(bare);
  return host !== undefined && /^\d+\.\d+\.\d+\.\d+$/.test(host) ? host : undefined;
}

function urlHost(host: string): string | undefined {
  return URL.parse(`http://${host}/`)?.hostname;
}

/** Whether a canonical IP address is this machine's own loopback. */
export function isLoopback(ip: string): boolean {
  return ip.startsWith("127.") || ip === "::1" || ip === "0.0.0.0" || ip === "::";
}

/** Names that mean loopback without being resolved. */
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

/** What this process itself listens on, so that nobody makes it talk to itself. */
export interface OwnAddresses {
  readonly ips: readonly string[];
  readonly ports: readonly number[];
}

/**
 * Why a resolved address must not be dialed on somebody's word, or undefined when it may.
 * The operator may name anything but ourselves. Source: THREATS, reflection and request forgery.
 */
export function dialRefusal(
  ip: string,
  port: number,
  voucher: Voucher,
  own: OwnAddresses,
): string | undefined {
  const canonical = canonicalIp(ip);
  if (canonical === undefined) return "is no IP address";
  const loopback = isLoopback(canonical);
  if (own.ports.includes(port) && (loopback || own.ips.includes(canonical))) return "is our own";
  if (voucher === "operator") return undefined;
  if (port < 1024) return "has a privileged port";
  if (isNeverDialed(canonical)) return "is link-local, multicast or reserved";
  if (voucher === "local") return undefined;
  if (loopback) return "is loopback, named by a remote peer";
  return own.ips.includes(canonical) && own.ports.includes(port) ? "is our own" : undefined;
}
