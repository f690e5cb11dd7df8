// What peers on one network tell each other by multicast (DNS-SD, RFC 6763, over mDNS, RFC 6762): records, and what they mean.
// PURE. An announcement proves nothing: it leads to an ordinary greeting, at the address that it came from.

/** The service that peers announce. */
export const SERVICE = "_p2p-peer._tcp.local";
/** The name under which services are listed (RFC 6763, section 9). */
const LISTING = "_services._dns-sd._udp.local";
/** How long a record of ours may be kept by others, in seconds (RFC 6762, section 10). */
const HOST_TTL = 120;
const OTHER_TTL = 4_500;
/** Maximum length of one label of a name, in bytes (RFC 1035). */
const MAX_LABEL_BYTES = 63;
/** Maximum number of announcements that are read in one packet: there is no room for more. */
const MAX_ANNOUNCED = 32;

/** A record, as `multicast-dns` reads and writes it. */
export interface Record {
  /** The name that it is about. */
  readonly name: string;
  /** Such as "PTR". */
  readonly type: string;
  /** How long it may be kept, in seconds; 0 takes it back. */
  readonly ttl?: number | undefined;
  /** What it says; its shape depends on the type. */
  readonly data?: unknown;
  /** Replaces what others remember (the cache-flush bit). */
  readonly flush?: boolean | undefined;
}

/** What this peer announces. */
export interface Announced {
  /** Its name. */
  readonly peerId: string;
  /** Its public key; 43 characters. */
  readonly node: string;
  /** TCP port of the lab protocol. */
  readonly port: number;
  /** TCP port of its pages. */
  readonly httpPort: number;
  /** Name of this machine, without a domain. */
  readonly machine: string;
  /** Addresses on the interface where it is announced. */
  readonly ips: readonly string[];
}

/** What another peer announces. */
export interface Announcement {
  /** TCP port of the lab protocol. */
  readonly port: number;
  /** Its public key, if it says so. */
  readonly node: string | undefined;
}

/** Returns at most so many bytes of text that is safe in a label. */
function labelOf(text: string, maxBytes: number): string {
  const clean = text.replaceAll(/[^\p{L}\p{N} _-]/gu, "-");
  let label = "";
  for (const sign of clean) {
    if (new TextEncoder().encode(label + sign).length > maxBytes) break;
    label += sign;
  }
  return label;
}

/**
 * Returns the name of this peer's instance. It has letters of the key, because of two instances with one name the second takes
 * the first from everybody's list.
 */
export function instanceOf({ peerId, node }: Pick<Announced, "peerId" | "node">): string {
  const letters = node.replaceAll(/[^A-Za-z0-9]/g, "").slice(0, 8);
  return `${labelOf(peerId, MAX_LABEL_BYTES - letters.length - 1)}-${letters}.${SERVICE}`;
}

/** Returns the records that announce this peer; with a `ttl` of 0, those that take it back. */
export function recordsOf(announced: Announced, ttl?: 0): Record[] {
  const { peerId, node, port, httpPort, machine, ips } = announced;
  const instance = instanceOf(announced);
  // The key makes the host's name this peer's own: its addresses are those of one interface.
  const host = `${labelOf(machine, 40)}-${instance.split(".")[0]!.split("-").at(-1)}.local`;
  const text = [`peerId=${labelOf(peerId, 100)}`, `node=${node}`, `http=${httpPort}`];
  return [
    { name: SERVICE, type: "PTR", ttl: ttl ?? OTHER_TTL, data: instance },
    {
      name: instance,
      type: "SRV",
      ttl: ttl ?? HOST_TTL,
      flush: true,
      data: { port, target: host, priority: 0, weight: 0 },
    },
    { name: instance, type: "TXT", ttl: ttl ?? OTHER_TTL, flush: true, data: text },
    ...ips.map((ip) => ({
      name: host,
      type: ip.includes(":") ? "AAAA" : "A",
      ttl: ttl ?? HOST_TTL,
      flush: true,
      data: ip,
    })),
    { name: LISTING, type: "PTR", ttl: ttl ?? OTHER_TTL, data: SERVICE },
  ];
}

const isName = (name: unknown, wanted: string) =>
  typeof name === "string" && name.toLowerCase() === wanted.toLowerCase();

/** Returns whether a question is about this peer. */
export function isAsked(
  questions: readonly { readonly name: string; readonly type: string }[],
  announced: Announced,
): boolean {
  const instance = instanceOf(announced);
  return questions.some(({ name }) => isName(name, SERVICE) || isName(name, instance));
}

/** Returns the peers that a packet announces. Whatever does not fit is left out. */
export function announcementsIn(records: readonly Record[]): Announcement[] {
  const instances = records.filter(({ name, type, ttl = 0, data }) =>
    type === "PTR" && isName(name, SERVICE) && ttl > 0 && typeof data === "string"
  ).map(({ data }) => data as string);
  const found: Announcement[] = [];
  for (const instance of new Set(instances)) {
    if (found.length >= MAX_ANNOUNCED) break;
    const of = (type: string) =>
      records.find((each) => each.type === type && isName(each.name, instance))?.data;
    const port = (of("SRV") as { port?: unknown } | undefined)?.port;
    if (typeof port !== "number" || !Number.isInteger(port) || port < 1 || port > 65_535) continue;
    found.push({ port, node: nodeIn(of("TXT")) });
  }
  return found;
}

/** Returns the key in a text record: one string, or several, as bytes or text. */
function nodeIn(data: unknown): string | undefined {
  for (const item of Array.isArray(data) ? data : [data]) {
    const text = item instanceof Uint8Array ? new TextDecoder().decode(item) : item;
    const node = typeof text === "string" ? /^node=([\w-]{43})$/.exec(text)?.[1] : undefined;
    if (node !== undefined) return node;
  }
  return undefined;
}

/** An address of this machine, with its network. */
export interface OnLink {
  /** IPv4, dotted. */
  readonly address: string;
  /** Such as 255.255.255.0. */
  readonly netmask: string;
}

const bitsOf = (ip: string) =>
  ip.split(".").reduce((bits, part) => (bits * 256 + Number(part)) >>> 0, 0);

/** Returns whether an IPv4 address is in one of the networks of this machine, and not the machine itself. */
export function isOnLink(ip: string, own: readonly OnLink[]): boolean {
  if (!/^\d+\.\d+\.\d+\.\d+$/.test(ip) || own.some(({ address }) => address === ip)) return false;
  return own.some(({ address, netmask }) => {
    const mask = bitsOf(netmask);
    return mask !== 0 && ((bitsOf(ip) & mask) >>> 0) === ((bitsOf(address) & mask) >>> 0);
  });
}
