// Looks for what keeps a peer from starting, from joining, and others from connecting to it: `p2p-peer doctor`.
// Invariants: nothing is changed, and nobody is told anything; each dial goes to an address that the user configured; where only
// other peers know the answer, the running peer is asked what they say.

import { statfsSync } from "node:fs";
import { lookup } from "node:dns/promises";
import { dirname, resolve } from "node:path";
import type { RunConfig } from "../cli/arguments.ts";
import { exitCode } from "../cli/failures.ts";
import { type Finding, findingsText } from "../cli/findings_text.ts";
import { isVirtual } from "../cli/host.ts";
import { count } from "../cli/report.ts";
import { sizeText } from "../cli/units.ts";
import { addressOf, UsageError } from "../cli/values.ts";
import { Api } from "../client/api.ts";
import { foldersHere, onlyFolder, placeOf } from "../client/place.ts";
import type { ApiStatus } from "../client/rows.ts";
import { Dialer, DialError } from "../net/dialer.ts";
import {
  type Address,
  addressText,
  canonicalHost,
  isLoopbackHost,
} from "../protocol/wire/address.ts";
import { visible } from "../protocol/wire/text.ts";
import { isInUse, layoutOf } from "../storage/layout.ts";
import { hostToTell, listenHostFor, portTrouble } from "./addresses.ts";

/** How long a bootstrap may take to accept a connection, in milliseconds: `--dial-timeout`, but no longer than this. */
const DIAL_MS = 5_000;
/** The clock is certainly wrong before this date, on which this check was written, in Unix milliseconds. */
const WRITTEN_MS = Date.UTC(2026, 11, 1);
/** And after this many years. */
const YEARS = 30;
const YEAR_MS = 365.25 * 86_400_000;
/** How far in the future a file may be dated before the clock is suspected, in milliseconds. */
const FUTURE_MS = 86_400_000;

/** Resolves to what was found, in the order in which it matters. Throws `UsageError` if there is nothing to look at. */
export async function examine(config: RunConfig): Promise<Finding[]> {
  const layout = layoutOf(config.storageDir);
  const running = await isInUse(layout).catch(() => false)
    ? await statusOf(config.storageDir).catch(() => undefined)
    : undefined;
  const bootstraps = running ? running.bootstraps.map(addressOf) : config.bootstraps;
  return [
    ...await folderFindings(config, running),
    ...await portFindings(config, running),
    ...await addressFindings(config, running),
    ...await Promise.all(bootstraps.map((address) => bootstrapFinding(address, running))),
    ...bootstraps.length === 0 ? [noBootstraps(running)] : [],
    await clockFinding(config.storageDir),
  ];
}

/** Examines, and prints what was found. Resolves to the exit code: that of the first point that is wrong, or 0. */
export async function runDoctor(config: RunConfig, isJson: boolean): Promise<number> {
  const isChosen = config.dir !== "" || (await foldersHere()).length === 0;
  // With several peers here, it would look at one that does not exist.
  const storageDir = isChosen ? config.storageDir : await onlyFolder();
  const findings = await examine({ ...config, storageDir });
  console.log(isJson ? JSON.stringify({ findings }) : findingsText(findings));
  const wrong = findings.find(({ is }) => is === "wrong");
  return wrong ? exitCode(wrong.kind ?? "unexpected") : 0;
}

async function statusOf(dir: string): Promise<ApiStatus & Running> {
  const api = new Api(await placeOf({ dir, url: undefined, token: undefined }));
  try {
    return await api.json<ApiStatus & Running>("/status");
  } finally {
    api.close();
  }
}

/** What else is needed of the status of a running peer. */
interface Running {
  readonly host: string;
  readonly port: number;
  readonly synchronized: boolean;
  /** Those it was started with, and those that were added. */
  readonly bootstraps: readonly string[];
}

async function folderFindings(
  { storageDir, limits }: RunConfig,
  running: unknown,
): Promise<Finding[]> {
  const dir = visible(storageDir, 500);
  const found: Finding[] = [];
  try {
    if (!(await Deno.stat(storageDir)).isDirectory) {
      const cure = "Remove it, or choose another folder with --dir";
      return [{
        what: "folder",
        is: "wrong",
        text: `${dir} is not a folder`,
        cure,
        kind: "storage",
      }];
    }
    const probe = await Deno.makeTempFile({ dir: storageDir, prefix: ".p2p-peer-doctor-" });
    await Deno.remove(probe);
    const use = running ? `${dir}, and its peer is running` : `${dir} can be written`;
    found.push({ what: "folder", is: "fine", text: use });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) {
      found.push({ what: "folder", is: "fine", text: `${dir} will be created` });
    } else {
      const cure = "Check its owner and permissions, or choose another folder with --dir";
      found.push({
        what: "folder",
        is: "wrong",
        text: `${dir} cannot be written`,
        cure,
        kind: "storage",
      });
    }
  }
  const disk = diskOf(storageDir);
  if (!disk) return found;
  const { bavail, bsize, blocks } = disk;
  const free = bavail * bsize;
  const kept = limits.minFreeBytes ?? Math.max(1024 ** 3, blocks * bsize / 100);
  const left = `${sizeText(free)} free, of which ${sizeText(kept)} stay free (--min-free)`;
  found.push(
    free > kept ? { what: "disk", is: "fine", text: left } : {
      what: "disk",
      is: "wrong",
      text: left,
      cure: "Nothing can be fetched until there is more: delete files, or lower --min-free",
      kind: "storage",
    },
  );
  return found;
}

/** Returns figures of the disk that has, or will have, a folder; undefined if nobody may look there. */
function diskOf(dir: string) {
  for (let at = resolve(dir);; at = dirname(at)) {
    try {
      return statfsSync(at);
    } catch (error) {
      const isMissing = (error as { readonly code?: unknown }).code === "ENOENT";
      if (!isMissing || dirname(at) === at) return undefined;
    }
  }
}

async function portFindings(config: RunConfig, running: Running | undefined): Promise<Finding[]> {
  if (running) {
    return [{ what: "ports", is: "fine", text: `The peer listens on TCP port ${running.port}` }];
  }
  const host = await hostToTell(config.host, []).catch(() => "127.0.0.1");
  const listenHost = listenHostFor(host, config.listenHost, config.host !== undefined);
  const ports = [["P2P", config.port, listenHost], [
    "HTTP",
    config.httpPort,
    config.webHost === "" ? listenHost : config.webHost,
  ]] as const;
  return ports.map(([what, port, hostname]): Finding => {
    const trouble = portTrouble(what, hostname, port);
    if (trouble === undefined) return { what: `${what} port`, is: "fine", text: `${port} is free` };
    const [text, cure] = trouble instanceof UsageError
      ? [trouble.what, trouble.hint]
      : [visible(String(trouble), 300), undefined];
    return { what: `${what} port`, is: "wrong", text, cure, kind: "usage" };
  });
}

async function addressFindings(
  config: RunConfig,
  running: ApiStatus & Running | undefined,
): Promise<Finding[]> {
  let host: string;
  try {
    host = running?.host ?? await hostToTell(config.host, config.bootstraps);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return [{ what: "address", is: "wrong", text: error.what, cure: error.hint, kind: "usage" }];
  }
  return [
    addressFinding(host, Deno.networkInterfaces()),
    reachFinding(running),
  ];
}

/** Returns what can be said of an advertised host from here. */
export function addressFinding(
  host: string,
  interfaces: readonly Pick<Deno.NetworkInterfaceInfo, "name" | "family" | "address">[],
): Finding {
  const shown = visible(host);
  if (isLoopbackHost(host)) {
    return {
      what: "address",
      is: "note",
      text: `${shown} is advertised, where only peers on this machine can connect`,
      cure: "Connect this machine to a network, or name the host by which others reach it",
    };
  }
  const own = interfaces.find(({ address }) => canonicalHost(address) === canonicalHost(host));
  if (own && isVirtual(own)) {
    return {
      what: "address",
      is: "note",
      text: `${shown} is advertised, the address of ${
        visible(own.name)
      }: a tunnel, or a bridge of containers`,
      cure: "Where others are not behind it, name the host by which they reach this machine",
    };
  }
  const others = interfaces.filter((each) =>
    each !== own && !isVirtual(each) && !/^(fe80:|169\.254\.)/i.test(each.address)
  );
  const also = others.length === 0
    ? ""
    : `; new peers also try ${others.map(({ address }) => address).join(", ")}`;
  return { what: "address", is: "fine", text: `${shown} is advertised${own ? also : ""}` };
}

/** Returns what other peers say of whether they can connect to this one; `undefined`: no peer runs. */
export function reachFinding(
  running: Pick<ApiStatus, "unreachable" | "peers"> | undefined,
): Finding {
  if (!running) {
    const text = "Only other peers can tell whether they can connect to this machine";
    const cure = "Start the peer, and run doctor again";
    return { what: "reach", is: "note", text, cure };
  }
  if (running.unreachable) {
    const cure =
      "On guest networks and some Wi-Fi, machines cannot connect to each other at all; there, connections that this peer opens are used";
    return {
      what: "reach",
      is: "wrong",
      text: running.unreachable.text,
      cure,
      kind: "unreachable",
    };
  }
  return running.peers === 0
    ? { what: "reach", is: "note", text: "There is no peer that could tell", cure: undefined }
    : {
      what: "reach",
      is: "fine",
      text: `${count(running.peers, "peer")}, and none says that it cannot connect to this one`,
    };
}

function noBootstraps(running: Running | undefined): Finding {
  const text = "No bootstrap is configured";
  return running?.synchronized
    ? { what: "bootstrap", is: "fine", text: `${text}, and the peer has joined` }
    : { what: "bootstrap", is: "note", text, cure: "Others have to contact this peer first" };
}

async function bootstrapFinding(address: Address, running: Running | undefined): Promise<Finding> {
  const what = "bootstrap";
  const at = visible(addressText(address));
  const helps = running?.synchronized === true
    ? "The peer has joined through others"
    : "Ask whoever runs it, or name another one with --bootstrap";
  try {
    await lookup(address.host);
  } catch {
    const cure = "Check the spelling, and whether this network resolves names";
    return { what, is: "wrong", text: `${at}: the name is not known`, cure, kind: "unreachable" };
  }
  const dialer = new Dialer(
    { maxDials: 1, dialTimeoutMs: DIAL_MS },
    () => ({ ips: [], ports: [] }),
  );
  try {
    const connection = await dialer.dial(address, "operator");
    connection.close();
    return { what, is: "fine", text: `${at} accepts connections` };
  } catch (error) {
    if (!(error instanceof DialError)) throw error;
    const text = error.isOurs
      ? `${at}: this machine has no route to it`
      : error.outcome === "refused"
      ? `${at} refuses connections: no peer runs there now`
      : `${at} is silent: the machine is off, or a firewall between here and there drops connections`;
    const cure = error.isOurs ? "Check this machine's network" : helps;
    const isFine = running?.synchronized === true;
    return {
      what,
      is: isFine ? "note" : "wrong",
      text,
      cure,
      ...isFine ? {} : { kind: "unreachable" },
    };
  } finally {
    dialer.close();
  }
}

async function clockFinding(dir: string): Promise<Finding> {
  const newest = await newestIn(dir);
  return clockFindingOf(Date.now(), newest);
}

/** Returns whether the clock can be right, judging by the date and by the newest file. Times are in Unix milliseconds. */
export function clockFindingOf(nowMs: number, newestMs: number | undefined): Finding {
  const date = new Date(nowMs).toISOString().slice(0, 16).replace("T", " ");
  const cure = "Set it: dates of files and the 24 hours of the trash go by it";
  if (nowMs < WRITTEN_MS || nowMs > WRITTEN_MS + YEARS * YEAR_MS) {
    return { what: "clock", is: "wrong", text: `It says ${date} UTC`, cure, kind: "usage" };
  }
  if (newestMs !== undefined && newestMs > nowMs + FUTURE_MS) {
    const text = `It says ${date} UTC, but a file is dated ${
      new Date(newestMs).toISOString().slice(0, 10)
    }`;
    return { what: "clock", is: "note", text, cure };
  }
  return { what: "clock", is: "fine", text: `${date} UTC` };
}

/** Maximum number of files that are looked at. */
const MAX_LOOKED = 1_000;

async function newestIn(dir: string): Promise<number | undefined> {
  let newest: number | undefined;
  let looked = 0;
  try {
    for await (const { name, isFile } of Deno.readDir(dir)) {
      if (!isFile || ++looked > MAX_LOOKED) continue;
      const { mtime } = await Deno.lstat(`${dir}/${name}`);
      newest = Math.max(newest ?? -Infinity, mtime?.getTime() ?? -Infinity);
    }
  } catch {
    // The folder is not there yet, or cannot be read, which has been said.
  }
  return newest;
}
