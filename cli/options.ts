// Defines every option once: its flag, environment variable, config file key, default, help text and trade-off.
// The command line, the help and docs/OPTIONS.md are all generated from this table (a test compares them).
// Precedence: a flag overrides the environment, which overrides the config file, which overrides the default.

import { DEFAULT_LIMITS, type Limits } from "../protocol/limits.ts";
import type { Address } from "../protocol/wire/address.ts";
import { visible } from "../protocol/wire/text.ts";
import {
  addresses,
  host,
  hosts,
  ips,
  oneOf,
  path,
  rate,
  type Raw,
  seconds,
  size,
  text,
  UsageError,
  whole,
  yes,
} from "./values.ts";

export interface Option<T> {
  /** The flag without its leading `--`. */
  readonly name: string;
  /** Placeholder for the value, shown after the flag; a flag without one is a switch. */
  readonly argument?: string;
  /** What it sets, in one line for `--help`. */
  readonly help: string;
  /** What gets better and what gets worse as the value changes, for docs/OPTIONS.md. */
  readonly tradeOff: string;
  /** The default in words, where the value alone is not clear enough. */
  readonly defaultText?: string;
  readonly fallback: T;
  /** Throws `UsageError` saying which values are allowed. */
  readonly parse: (raw: Raw) => T;
  readonly repeatable?: boolean;
}

/** The lab's bootstrap peers. */
export const LAB_BOOTSTRAPS: readonly Address[] = ["silicon", "eagle", "grebe", "hawk"].map(
  (name) => ({ host: `${name}.cs.umanitoba.ca`, port: 8999 }),
);

/** Where a dummy listens by default, and the bootstrap that `--environment DEV` joins. */
export const DEV_BOOTSTRAP: Address = { host: "127.0.0.1", port: 8999 };

type LimitName = keyof Limits;

/** Returns a default the way a person would type it. */
function shownDefault(argument: string, value: number): string {
  if (argument === "<seconds>") return String(value / 1000);
  if (argument !== "<size>") return String(value);
  if (value === 0) return "no limit";
  const [unit, bytes] = Object.entries({ GiB: 1024 ** 3, MiB: 1024 ** 2, KiB: 1024 })
    .find(([, bytes]) => value % bytes === 0) ?? ["", 1];
  return `${value / bytes}${unit}`;
}

function limit(
  name: string,
  limitName: LimitName,
  parse: (raw: Raw) => number,
  argument: string,
  help: string,
  tradeOff: string,
): Option<number> & { readonly limit: LimitName } {
  const fallback = DEFAULT_LIMITS[limitName] ?? 0;
  const defaultText = limitName === "minFreeBytes"
    ? "the larger of 1GiB and 1% of the disk"
    : shownDefault(argument, fallback);
  return { name, argument, help, tradeOff, parse, fallback, defaultText, limit: limitName };
}

const count = (min: number, max: number) => whole(min, max);
const MANY = 10_000_000;

/** Options of `p2p-peer run`, except for the limits. */
export const OPTIONS = {
  bootstrap: {
    name: "bootstrap",
    argument: "<host:port>",
    help: "peer to join the network through; repeat for several",
    tradeOff:
      "More: joining works as long as any of them is up. Fewer: less traffic at startup, but a single outage can keep this peer out.",
    defaultText: "port 8999 on silicon, eagle, grebe and hawk.cs.umanitoba.ca",
    fallback: LAB_BOOTSTRAPS,
    parse: addresses,
    repeatable: true,
  },
  noBootstrap: {
    name: "no-bootstrap",
    help: "do not contact any bootstrap peer; wait to be found by others",
    tradeOff:
      "On: nothing is sent to bootstraps, but a new peer stays alone until another one contacts it. Peers from the last run are still contacted.",
    fallback: false,
    parse: yes,
  },
  noDiscovery: {
    name: "no-discovery",
    help: "do not look for peers on the local network, nor announce this one there",
    tradeOff:
      "On: nothing is sent by multicast, but peers on the same network need a bootstrap to find each other. Off: they find each other with no configuration, also with --no-bootstrap. It is off anyway where only this machine can connect.",
    fallback: false,
    parse: yes,
  },
  noRelay: {
    name: "no-relay",
    help: "do not pass on connections between peers that cannot connect to each other",
    tradeOff:
      "On: nothing of theirs goes through this machine, but two peers behind firewalls need another peer to exchange files. Off: uses bandwidth for them; --relay-up limits it.",
    fallback: false,
    parse: yes,
  },
  environment: {
    name: "environment",
    argument: "<PROD|DEV>",
    help: "DEV is shorthand for --bootstrap 127.0.0.1:8999",
    tradeOff:
      "DEV: joins a dummy on this machine and leaves the lab's network alone. PROD: joins the peers given by --bootstrap.",
    fallback: "PROD",
    parse: oneOf("PROD", "DEV"),
  },
  dir: {
    name: "dir",
    argument: "<folder>",
    help: "folder for files and metadata",
    tradeOff:
      "A larger disk holds more files, and a faster one serves and verifies them faster. A different folder starts empty, with a new key and a new login token.",
    defaultText: "./storage_<peer_id>",
    fallback: "",
    parse: text,
  },
  autoFetch: {
    name: "auto-fetch",
    argument: "<N|all>",
    help: "missing files to download after joining; all also downloads those that appear later",
    tradeOff:
      "Higher: more files gain another copy and stay available when their holders leave. Lower: uses less disk and bandwidth.",
    fallback: 3,
    parse: (raw) => String(raw).toLowerCase() === "all" ? Infinity : whole(0, MANY, "all or ")(raw),
  },
  gossipInterval: {
    name: "gossip-interval",
    argument: "<seconds>",
    help: "time between gossip rounds; shorter finds changes sooner but sends more messages",
    tradeOff:
      "Higher: sends fewer messages. Lower: finds changes sooner, but other peers of this kind ignore gossip that comes more often than every 10 seconds.",
    fallback: 30_000,
    parse: seconds,
    defaultText: "30",
  },
  peerTimeout: {
    name: "peer-timeout",
    argument: "<seconds>",
    help: "drop a peer that has been silent for this long",
    tradeOff:
      "Higher: peers that are quiet or briefly offline stay known. Lower: peers that are gone disappear sooner, along with the copies they were listed as holding.",
    fallback: 60_000,
    parse: seconds,
    defaultText: "60",
  },
  listenHost: {
    name: "listen-host",
    argument: "<address>",
    help: "address to listen on for other peers",
    tradeOff:
      "All interfaces: reachable from every network. One address: fewer networks can reach this peer, including ones where other peers may be.",
    defaultText: "all interfaces; loopback when [host] is loopback",
    fallback: "",
    parse: host,
  },
  webHost: {
    name: "web-host",
    argument: "<address>",
    help: "address to serve the web pages on",
    tradeOff:
      "All interfaces: the pages open from any machine. 127.0.0.1: only this machine, or a reverse proxy on it, reaches them.",
    defaultText: "same as --listen-host",
    fallback: "",
    parse: host,
  },
  allowedHost: {
    name: "allowed-host",
    argument: "<name>",
    help: "host name that browsers may use to reach the web pages; repeat for several",
    tradeOff:
      "More names: the pages open under each of them. Fewer: less exposed to DNS rebinding; add only names that you control.",
    defaultText: "this machine's names and addresses",
    fallback: [],
    parse: hosts,
    repeatable: true,
  },
  basePath: {
    name: "base-path",
    argument: "<path>",
    help: "path that a reverse proxy forwards to this peer, such as /peer; see DEPLOY.md",
    tradeOff:
      "Set: the pages can share a host name with other content, but a --legacy-page does not work under the path. Unset: the proxy needs a host name for this peer, or must send X-Forwarded-Prefix.",
    fallback: "",
    parse: path,
  },
  trustedProxy: {
    name: "trusted-proxy",
    argument: "<address>",
    help: "reverse proxy whose X-Forwarded-For is trusted; see DEPLOY.md; repeat for several",
    tradeOff:
      "Set: limits apply to each client, but whoever controls that address can pose as any client. Unset: all clients of a proxy share the limits of one.",
    defaultText: "none",
    fallback: [],
    parse: ips,
    repeatable: true,
  },
  webAuth: {
    name: "web-auth",
    argument: "<on|off>",
    help: "off: anyone who can reach the web pages may share and delete without logging in",
    tradeOff: "On: changes require a login. Off: no login to pass around, and no protection.",
    fallback: "on",
    parse: oneOf("on", "off"),
  },
  webRead: {
    name: "web-read",
    argument: "<open|private>",
    help: "private: the web pages show nothing without a login",
    tradeOff:
      "open: anyone who can reach the pages can browse and download. private: files and peers stay hidden there, but every viewer must log in; other peers see the list either way.",
    fallback: "open",
    parse: oneOf("open", "private"),
  },
  legacyPage: {
    name: "legacy-page",
    argument: "<file>",
    help: "page of an older peer to serve at /legacy; its own script runs there",
    tradeOff:
      "Set: people can keep using that page, but its script trusts the names that peers give their files. Unset: no foreign script runs.",
    fallback: "",
    parse: text,
  },
  logLevel: {
    name: "log-level",
    argument: "<level>",
    help: "TRACE, DEBUG, INFO, WARNING, ERROR or FATAL",
    tradeOff:
      "Toward TRACE: more detail for finding problems, and longer logs. Toward FATAL: quieter, but refused requests and failures go unnoticed. Milestones are printed at any level.",
    fallback: "INFO",
    parse: oneOf("TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "FATAL"),
  },
  logFormat: {
    name: "log-format",
    argument: "<format>",
    help: "text, or json: one JSON object per line, with time, level and text",
    tradeOff:
      "json: programs can read the log. text: people can. What the prompt answers is text either way.",
    fallback: "text",
    parse: oneOf("text", "json"),
  },
  noRepl: {
    name: "no-repl",
    help: "no command prompt, even in a terminal",
    tradeOff:
      "On: prints only log lines, which suits a service. Off: takes commands when run in a terminal.",
    fallback: false,
    parse: yes,
  },
  verify: {
    name: "verify",
    help: "re-read every stored file after startup, and download damaged ones again",
    tradeOff:
      "On: finds damage before the file is needed, at the cost of reading the whole store. Off: no extra disk load, but damage that leaves size and time unchanged goes unnoticed for longer.",
    fallback: false,
    parse: yes,
  },
  durability: {
    name: "durability",
    argument: "<normal|full>",
    help: "full: files survive a power cut as soon as they are shown; normal: within 5 seconds",
    tradeOff:
      "full: a downloaded or uploaded file is safe before anyone hears of it, but each one waits for the disk. normal: faster, but a power cut can lose the last 5 seconds.",
    fallback: "normal",
    parse: oneOf("normal", "full"),
  },
} as const satisfies Record<string, Option<unknown>>;

/** Limits that an operator may tune. Their defaults are defined in protocol/limits.ts. */
export const LIMIT_OPTIONS = [
  limit(
    "legacy-push-limit",
    "legacyPushBytes",
    size,
    "<size>",
    "largest file to push to a peer without extensions",
    "Higher: larger files get a copy even where only such peers are around. Lower: spares those peers, whose parsing time grows with the square of the size.",
  ),
  limit(
    "legacy-list-limit",
    "legacyListFiles",
    count(1, MANY),
    "<N>",
    "files listed in half a minute to a peer without extensions",
    "Higher: a peer that fetches at once hears of a long list sooner. Lower: spares those peers, but with more than 100 times as many files, each is listed less than once an hour.",
  ),
  limit(
    "max-file-size",
    "maxFileBytes",
    size,
    "<size>",
    "largest file to download, store or share",
    "Higher: larger files can be shared. Lower: one file can take less disk space and bandwidth.",
  ),
  limit(
    "max-down",
    "maxDownBytesPerSecond",
    rate,
    "<size>",
    "content received from other peers per second; 0 means no limit",
    "Higher: downloads end sooner. Lower: leaves more of the link to others. The command limit changes it while the peer runs.",
  ),
  limit(
    "max-up",
    "maxUpBytesPerSecond",
    rate,
    "<size>",
    "content sent to other peers per second; 0 means no limit",
    "Higher: others get files sooner. Lower: leaves more of the link to others. The command limit changes it while the peer runs.",
  ),
  limit(
    "relay-up",
    "maxRelayBytesPerSecond",
    rate,
    "<size>",
    "content passed on per second between peers that cannot connect to each other; 0 means no limit",
    "Higher: they get files sooner. Lower: leaves more of the link to this peer. One peer gets at most half of it. The limit of --max-up holds for it too.",
  ),
  limit(
    "min-free",
    "minFreeBytes",
    size,
    "<size>",
    "disk space to keep free; 0 turns this off",
    "Higher: leaves more space for other programs. Lower: more files fit before new ones are refused and deleted ones are purged early.",
  ),
  limit(
    "push-quota",
    "pushQuotaBytes",
    size,
    "<size>",
    "total size of files that other peers may push here",
    "Higher: keeps more copies for other peers. Lower: strangers can take less of the disk, but honest pushes are refused sooner.",
  ),
  limit(
    "push-rate",
    "pushesPerSecond",
    count(1, MANY),
    "<N>",
    "pushes accepted per second from one address, on average",
    "Higher: a peer that shares many files gets its copies here sooner. Lower: one address can cause less work.",
  ),
  limit(
    "push-burst",
    "pushBurst",
    count(1, MANY),
    "<N>",
    "pushes accepted at once from one address",
    "Higher: a folder of many small files is taken in one go. Lower: a flood is cut off sooner.",
  ),
  limit(
    "max-connections",
    "maxConnections",
    count(1, 65_536),
    "<N>",
    "connections served at once, on each of the two ports",
    "Higher: serves more peers and browsers at once. Lower: uses less memory and fewer file descriptors, but newcomers wait or are turned away sooner.",
  ),
  limit(
    "max-connections-per-address",
    "maxConnectionsPerAddress",
    count(1, 65_536),
    "<N>",
    "connections served at once from one address",
    "Higher: serves more peers of a shared machine, or more visitors behind one proxy. Lower: one address can take up fewer connections.",
  ),
  limit(
    "max-waiting",
    "maxWaitingConnections",
    count(0, 65_536),
    "<N>",
    "connections that may wait for their turn",
    "Higher: larger bursts of requests wait instead of failing. Lower: holds fewer file descriptors.",
  ),
  limit(
    "max-message",
    "maxMessageBytes",
    size,
    "<size>",
    "longest message, not counting its list and file content",
    "Higher: accepts peers that write longer messages. Lower: one connection can make this peer buffer less.",
  ),
  limit(
    "message-timeout",
    "messageTimeoutMs",
    seconds,
    "<seconds>",
    "time allowed to send or receive one message, or the head of an HTTP request",
    "Higher: tolerates slower links. Lower: stalled connections are closed sooner.",
  ),
  limit(
    "max-list",
    "maxListBytes",
    size,
    "<size>",
    "largest file list in one message",
    "Higher: accepts longer lists from peers that send theirs in one piece. Lower: one message can take less memory.",
  ),
  limit(
    "max-list-files",
    "maxListFiles",
    count(1, MANY),
    "<N>",
    "files in the list of one message",
    "Higher: accepts longer lists from peers that send theirs in one piece. Lower: one message takes less time and memory to parse.",
  ),
  limit(
    "idle-timeout",
    "idleTimeoutMs",
    seconds,
    "<seconds>",
    "time that a transfer may stand still",
    "Higher: tolerates longer pauses of slow disks and links. Lower: a stalled download moves on to the next source sooner, and a stalled reader frees its slot.",
  ),
  limit(
    "max-peers",
    "maxPeers",
    count(1, MANY),
    "<N>",
    "peers to keep track of",
    "Higher: sees all of a larger network. Lower: uses less memory and sends fewer announcements, but peers beyond the limit are not tracked.",
  ),
  limit(
    "max-peers-per-address",
    "maxPeersPerAddress",
    count(1, MANY),
    "<N>",
    "peers to keep track of at one address",
    "Higher: tracks more peers of a shared machine. Lower: one machine can claim fewer slots with invented names.",
  ),
  limit(
    "max-files",
    "maxCatalogueEntries",
    count(1, MANY),
    "<N>",
    "files to know of, whether stored here or elsewhere",
    "Higher: sees all files of a larger network, for about 550 bytes of memory each (a million: up to 0.9 GB). Lower: uses less memory, but files beyond the limit replace others or stay unknown.",
  ),
  limit(
    "max-dials",
    "maxDials",
    count(1, 1024),
    "<N>",
    "outgoing connections to open at once",
    "Higher: peers that do not answer delay others less. Lower: opens fewer sockets at a time.",
  ),
  limit(
    "dial-timeout",
    "dialTimeoutMs",
    seconds,
    "<seconds>",
    "time allowed to open one connection",
    "Higher: reaches slower machines. Lower: addresses that do not answer delay others less.",
  ),
  limit(
    "replies-per-minute",
    "repliesPerMinute",
    count(1, MANY),
    "<N>",
    "gossip replies per minute to one destination",
    "Higher: answers peers that gossip very often. Lower: forged gossip can direct less traffic at a victim.",
  ),
  limit(
    "reply-bytes-per-minute",
    "replyBytesPerMinute",
    size,
    "<size>",
    "bytes of gossip replies per minute to one destination",
    "Higher: a long list arrives sooner. Lower: one peer can use less upload bandwidth, and a long list takes more minutes.",
  ),
  limit(
    "unproven-dials-per-minute",
    "unprovenDialsPerMinute",
    count(1, MANY),
    "<N>",
    "connections per minute to addresses that have not proved to be a peer",
    "Higher: meets many new peers sooner. Lower: forged gossip can make this peer contact fewer strangers.",
  ),
] as const;

type ValueOf<O> = O extends { parse: (raw: Raw) => infer T } ? T : never;

/** Environment variables and config file keys of the positional arguments. */
export const POSITIONALS = {
  peerId: { env: "P2P_PEER_ID", key: "peer-id" },
  host: { env: "P2P_PEER_HOST", key: "host" },
  port: { env: "P2P_PEER_PORT", key: "port" },
  httpPort: { env: "P2P_PEER_HTTP_PORT", key: "http-port" },
} as const;

/** The values of all options. */
export type OptionValues = { readonly [K in keyof typeof OPTIONS]: ValueOf<typeof OPTIONS[K]> } & {
  readonly limits: Limits;
};

/** Returns the name of the environment variable for an option. */
export function envName(name: string): string {
  return `P2P_PEER_${name.toUpperCase().replaceAll("-", "_")}`;
}

export interface Sources {
  /** From the command line, by option name. */
  readonly flags: Readonly<Record<string, Raw | undefined>>;
  readonly env: (name: string) => string | undefined;
  /** From the config file, by option name. */
  readonly file: Readonly<Record<string, Raw | undefined>>;
}

/** Returns the parsed value of one option from the first source that has it. Throws `UsageError` naming that source. */
export function valueOf<T>(option: Option<T>, { flags, env, file }: Sources): T {
  const places: [string, Raw | undefined][] = [
    [`--${option.name}`, flags[option.name]],
    [envName(option.name), env(envName(option.name)) || undefined],
    [`"${option.name}" in the config file`, file[option.name]],
  ];
  for (const [place, raw] of places) {
    if (raw === undefined) continue;
    try {
      return option.parse(raw);
    } catch (error) {
      if (error instanceof UsageError) {
        throw new UsageError(visible(`${place} ${error.message}`, 500));
      }
      throw error;
    }
  }
  return option.fallback;
}

/** Returns which source an option comes from: 0 flag, 1 environment, 2 file, 3 default. */
export function rankOf(option: Option<unknown>, { flags, env, file }: Sources): number {
  if (flags[option.name] !== undefined) return 0;
  if (env(envName(option.name))) return 1;
  return file[option.name] === undefined ? 3 : 2;
}

/** Returns the values of all options from all sources. Throws `UsageError`. */
export function allValues(sources: Sources): OptionValues {
  const values: Record<string, unknown> = {};
  for (const [key, option] of Object.entries(OPTIONS)) {
    values[key] = valueOf<unknown>(option, sources);
  }
  const limits: Limits = { ...DEFAULT_LIMITS };
  for (const option of LIMIT_OPTIONS) {
    if (rankOf(option, sources) < 3) limits[option.limit] = valueOf(option, sources);
  }
  return { ...values, limits } as OptionValues;
}

/** Returns every option, for the help and the documents. */
export function everyOption(): Option<unknown>[] {
  return [...Object.values(OPTIONS), ...LIMIT_OPTIONS] as Option<unknown>[];
}
