// Every option once: its flag, its environment twin, its key in the config file, its default, its help.
// From this table come the command line, the help, and docs/OPTIONS.md (a test compares).
// A flag beats the environment, the environment beats the file, the file beats the default.

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
  type Raw,
  seconds,
  size,
  text,
  UsageError,
  whole,
  yes,
} from "./values.ts";

export interface Option<T> {
  /** As `--name`. */
  readonly name: string;
  /** Shown behind the flag; a flag without it is a switch. */
  readonly argument?: string;
  readonly help: string;
  /** The default in words, where the value itself says too little. */
  readonly defaultText?: string;
  readonly fallback: T;
  /** Throws `UsageError` that names what is allowed. */
  readonly parse: (raw: Raw) => T;
  readonly repeatable?: boolean;
}

/** The bootstrap peers of the lab. */
export const LAB_BOOTSTRAPS: readonly Address[] = ["silicon", "eagle", "grebe", "hawk"].map(
  (name) => ({ host: `${name}.cs.umanitoba.ca`, port: 8999 }),
);

/** Where a dummy listens, and what `--environment DEV` joins. */
export const DEV_BOOTSTRAP: Address = { host: "127.0.0.1", port: 8999 };

type LimitName = keyof Limits;

/** A default as a person would write it; only --min-free has none that is a number. */
function shownDefault(argument: string, value: number): string {
  if (argument === "<seconds>") return String(value / 1000);
  if (argument !== "<size>") return String(value);
  if (value === 0) return "the larger of 1GiB and 1 % of the disk";
  const [unit, bytes] = Object.entries({ GiB: 1024 ** 3, MiB: 1024 ** 2, KiB: 1024 })
    .find(([, bytes]) => value % bytes === 0) ?? ["", 1];
  return `${value / bytes}${unit}`;
}

function limit(
  name: string,
  limitName: LimitName,
  parse: (raw: Raw) => number,
  help: string,
  argument: string,
): Option<number> & { readonly limit: LimitName } {
  const fallback = DEFAULT_LIMITS[limitName] ?? 0;
  const defaultText = shownDefault(argument, fallback);
  return { name, argument, help, parse, fallback, defaultText, limit: limitName };
}

const count = (min: number, max: number) => whole(min, max);
const MANY = 10_000_000;

/** Options of `p2p-peer run` besides the limits. */
export const OPTIONS = {
  bootstrap: {
    name: "bootstrap",
    argument: "<host:port>",
    help: "a peer to join by; may be given several times",
    defaultText: "port 8999 on silicon, eagle, grebe and hawk.cs.umanitoba.ca",
    fallback: LAB_BOOTSTRAPS,
    parse: addresses,
    repeatable: true,
  },
  noBootstrap: {
    name: "no-bootstrap",
    help: "join nobody; wait to be found",
    fallback: false,
    parse: yes,
  },
  environment: {
    name: "environment",
    argument: "<PROD|DEV>",
    help: "DEV is short for --bootstrap 127.0.0.1:8999",
    fallback: "PROD",
    parse: oneOf("PROD", "DEV"),
  },
  dir: {
    name: "dir",
    argument: "<folder>",
    help: "where files and metadata are kept",
    defaultText: "./storage_<peer_id>",
    fallback: "",
    parse: text,
  },
  autoFetch: {
    name: "auto-fetch",
    argument: "<N|all>",
    help: "missing files fetched after joining; all also fetches what appears later",
    fallback: 3,
    parse: (raw) => String(raw).toLowerCase() === "all" ? Infinity : whole(0, MANY, "all or ")(raw),
  },
  gossipInterval: {
    name: "gossip-interval",
    argument: "<seconds>",
    help: "time between rounds of gossip; less finds changes sooner and costs more messages",
    fallback: 30_000,
    parse: seconds,
    defaultText: "30",
  },
  peerTimeout: {
    name: "peer-timeout",
    argument: "<seconds>",
    help: "a peer that is silent for so long is dropped",
    fallback: 60_000,
    parse: seconds,
    defaultText: "60",
  },
  listenHost: {
    name: "listen-host",
    argument: "<address>",
    help: "address on which peers are listened for",
    defaultText: "all interfaces; loopback when [host] is loopback",
    fallback: "",
    parse: host,
  },
  webHost: {
    name: "web-host",
    argument: "<address>",
    help: "address on which the web pages are served",
    defaultText: "as --listen-host",
    fallback: "",
    parse: host,
  },
  allowedHost: {
    name: "allowed-host",
    argument: "<name>",
    help: "a name under which browsers may reach the web pages; may be given several times",
    defaultText: "this machine's names and addresses",
    fallback: [],
    parse: hosts,
    repeatable: true,
  },
  basePath: {
    name: "base-path",
    argument: "<path>",
    help: "path under which a reverse proxy passes requests on, such as /peer; see DEPLOY.md",
    fallback: "",
    parse: path,
  },
  trustedProxy: {
    name: "trusted-proxy",
    argument: "<address>",
    help:
      "a reverse proxy whose X-Forwarded-For is believed; see DEPLOY.md; may be given several times",
    fallback: [],
    parse: ips,
    repeatable: true,
  },
  webAuth: {
    name: "web-auth",
    argument: "<on|off>",
    help: "off: everybody who reaches the web pages may share and delete without login",
    fallback: "on",
    parse: oneOf("on", "off"),
  },
  webRead: {
    name: "web-read",
    argument: "<open|private>",
    help: "private: the web pages show nothing without login either",
    fallback: "open",
    parse: oneOf("open", "private"),
  },
  legacyPage: {
    name: "legacy-page",
    argument: "<file>",
    help: "a page of an older peer, served at /legacy; its own script runs there",
    fallback: "",
    parse: text,
  },
  logLevel: {
    name: "log-level",
    argument: "<level>",
    help: "TRACE, DEBUG, INFO, WARNING, ERROR or FATAL",
    fallback: "INFO",
    parse: oneOf("TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "FATAL"),
  },
  noRepl: {
    name: "no-repl",
    help: "no command prompt, also in a terminal",
    fallback: false,
    parse: yes,
  },
  verify: {
    name: "verify",
    help: "read every file here again after the start, and fetch anew what is damaged",
    fallback: false,
    parse: yes,
  },
  durability: {
    name: "durability",
    argument: "<normal|full>",
    help: "full: files are safe from a power cut before they are shown; normal: within 5 seconds",
    fallback: "normal",
    parse: oneOf("normal", "full"),
  },
} as const satisfies Record<string, Option<unknown>>;

/** Limits of THREATS that may be tuned; defaults stand in protocol/limits.ts. */
export const LIMIT_OPTIONS = [
  limit(
    "legacy-push-limit",
    "legacyPushBytes",
    size,
    "largest file pushed to a peer without extensions",
    "<size>",
  ),
  limit("max-file-size", "maxFileBytes", size, "largest file that is fetched or kept", "<size>"),
  limit("min-free", "minFreeBytes", size, "disk space that stays free; 0 turns it off", "<size>"),
  limit(
    "push-quota",
    "pushQuotaBytes",
    size,
    "total size of files that others pushed here",
    "<size>",
  ),
  limit(
    "push-rate",
    "pushesPerSecond",
    count(1, MANY),
    "pushes taken from one address in a second",
    "<N>",
  ),
  limit("push-burst", "pushBurst", count(1, MANY), "pushes taken from one address at once", "<N>"),
  limit("max-connections", "maxConnections", count(1, 65_536), "connections served at once", "<N>"),
  limit(
    "max-connections-per-address",
    "maxConnectionsPerAddress",
    count(1, 65_536),
    "of them from one address",
    "<N>",
  ),
  limit(
    "max-waiting",
    "maxWaitingConnections",
    count(0, 65_536),
    "connections of known peers that may wait",
    "<N>",
  ),
  limit(
    "max-message",
    "maxMessageBytes",
    size,
    "longest message without its list and content",
    "<size>",
  ),
  limit("message-timeout", "messageTimeoutMs", seconds, "time for one message", "<seconds>"),
  limit("max-list", "maxListBytes", size, "longest list in one message", "<size>"),
  limit("max-list-files", "maxListFiles", count(1, MANY), "files in one list", "<N>"),
  limit(
    "idle-timeout",
    "idleTimeoutMs",
    seconds,
    "time that file content may stand still",
    "<seconds>",
  ),
  limit("max-peers", "maxPeers", count(1, MANY), "peers tracked", "<N>"),
  limit(
    "max-peers-per-address",
    "maxPeersPerAddress",
    count(1, MANY),
    "of them at one address",
    "<N>",
  ),
  limit(
    "max-files",
    "maxCatalogueEntries",
    count(1, MANY),
    "files known, here or elsewhere",
    "<N>",
  ),
  limit("max-dials", "maxDials", count(1, 1024), "outgoing connections opened at once", "<N>"),
  limit("dial-timeout", "dialTimeoutMs", seconds, "time for opening one of them", "<seconds>"),
  limit(
    "replies-per-minute",
    "repliesPerMinute",
    count(1, MANY),
    "replies to one destination",
    "<N>",
  ),
  limit(
    "reply-bytes-per-minute",
    "replyBytesPerMinute",
    size,
    "bytes of replies to one destination",
    "<size>",
  ),
  limit(
    "unproven-dials-per-minute",
    "unprovenDialsPerMinute",
    count(1, MANY),
    "dials to addresses that never answered",
    "<N>",
  ),
] as const;

type ValueOf<O> = O extends { parse: (raw: Raw) => infer T } ? T : never;

/** Positionals that have twins too. */
export const POSITIONALS = {
  peerId: { env: "P2P_PEER_ID", key: "peer-id" },
  host: { env: "P2P_PEER_HOST", key: "host" },
  port: { env: "P2P_PEER_PORT", key: "port" },
  httpPort: { env: "P2P_PEER_HTTP_PORT", key: "http-port" },
} as const;

/** All options with their values. */
export type OptionValues = { readonly [K in keyof typeof OPTIONS]: ValueOf<typeof OPTIONS[K]> } & {
  readonly limits: Limits;
};

/** The environment twin of an option. */
export function envName(name: string): string {
  return `P2P_PEER_${name.toUpperCase().replaceAll("-", "_")}`;
}

export interface Sources {
  /** By option name, as on the command line. */
  readonly flags: Readonly<Record<string, Raw | undefined>>;
  readonly env: (name: string) => string | undefined;
  /** By option name, from the config file. */
  readonly file: Readonly<Record<string, Raw | undefined>>;
}

/** The value of one option from the first source that has it, parsed. Throws `UsageError` naming the source. */
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

/** How far an option is from the person: 0 flag, 1 environment, 2 file, 3 default. */
export function rankOf(option: Option<unknown>, { flags, env, file }: Sources): number {
  if (flags[option.name] !== undefined) return 0;
  if (env(envName(option.name))) return 1;
  return file[option.name] === undefined ? 3 : 2;
}

/** All options from all sources. Throws `UsageError`. */
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

/** Every option, for help and docs. */
export function everyOption(): Option<unknown>[] {
  return [...Object.values(OPTIONS), ...LIMIT_OPTIONS] as Option<unknown>[];
}
