// The addresses of this process: which host to advertise, which one to listen on, and which names browsers may use; and
// errors of listening as sentences that say what to do.

import { lookup } from "node:dns/promises";
import { UsageError } from "../cli/values.ts";
import { globalAddresses } from "../cli/host.ts";
import {
  type Address,
  canonicalHost,
  canonicalIp,
  isLoopback,
  isLoopbackHost,
} from "../protocol/wire/address.ts";
import { localAddressTowards } from "../net/dialer.ts";
import { UnresolvedHostError } from "../net/listener.ts";
import { visible } from "../protocol/wire/text.ts";

/** Maximum time to find out which of our addresses leads to a bootstrap, in milliseconds. */
const ROUTE_MS = 1_000;

/** Returns an error of listening as a `UsageError` that says what to do; any other error as it is. */
export function listenError(error: unknown, what: string, hostname: string, port: number): unknown {
  if (error instanceof Deno.errors.AddrInUse) {
    const free = freePort(hostname, port + 1);
    return new UsageError(`Cannot listen on ${what} port ${port}: it is in use`, {
      hint: `"ss -ltnp sport = :${port}" shows by which program` +
        (free === undefined ? "" : `; port ${free} is free`),
      cause: error,
    });
  }
  if (error instanceof Deno.errors.AddrNotAvailable) {
    return new UsageError(`Cannot listen on ${hostname}: this machine does not have that address`, {
      hint: "Choose one of its own addresses",
      cause: error,
    });
  }
  if (error instanceof Deno.errors.PermissionDenied && port > 0 && port < 1024) {
    return new UsageError(`Cannot listen on ${what} port ${port}: ports below 1024 need root`, {
      hint: "Use a port above 1023",
      cause: error,
    });
  }
  if (error instanceof UnresolvedHostError) {
    return new UsageError(`The host ${visible(hostname)} does not resolve`, {
      hint: "Check the spelling, or give an address",
      cause: error,
    });
  }
  return error;
}

/** Returns why a port cannot be listened on now; undefined if it can. */
export function portTrouble(what: string, hostname: string, port: number): unknown {
  try {
    Deno.listen({ hostname, port }).close();
    return undefined;
  } catch (error) {
    return listenError(error, what, hostname, port);
  }
}

/** Returns a port that is free now, at or above `from`; any free port for 0. Undefined if none of the next 100 is. */
export function freePort(hostname: string, from: number): number | undefined {
  for (let port = from; port < Math.min(from + 100, 65536); port++) {
    try {
      const listener = Deno.listen({ hostname, port });
      listener.close();
      return listener.addr.port;
    } catch {
      // Taken as well. Try the next one.
    }
  }
  return undefined;
}

/**
 * Returns the host to advertise: the given one, or this machine's address. Throws `UsageError` if a given host does
 * not resolve.
 */
export async function hostToTell(
  given: string | undefined,
  bootstraps: readonly Address[],
  interfaces = Deno.networkInterfaces(),
): Promise<string> {
  if (given === undefined) {
    const found = globalAddresses(interfaces);
    // Among several addresses, prefer the one that leads to a bootstrap, if one answers within a second.
    const leading = found.length > 1 ? await localAddressTowards(bootstraps, ROUTE_MS) : undefined;
    if (leading !== undefined && found.includes(leading)) return leading;
    return found[0] ?? "127.0.0.1"; // no network: only peers on this machine can connect
  }
  if (isWildcard(given)) {
    throw new UsageError(`${given} is not an address by which others can reach this peer`, {
      hint:
        `Leave the host out to use this machine's address, and listen on all interfaces with --listen-host ${given}`,
    });
  }
  if (canonicalIp(given) !== undefined) return given;
  if (!/^[\w.-]{1,253}$/.test(given)) {
    throw new UsageError(`The host must be a name or an address, got "${visible(given)}"`);
  }
  try {
    await lookup(given);
    return given;
  } catch (cause) {
    throw new UsageError(`The host ${given} does not resolve`, {
      hint: "Check the spelling, or leave it out to use this machine's address",
      cause,
    });
  }
}

/**
 * Returns the host to listen on: the given one, loopback for a loopback host that somebody chose, otherwise all interfaces:
 * a machine without a network may get one.
 */
export function listenHostFor(host: string, given: string, isChosen: boolean): string {
  if (given !== "") return given;
  if (isChosen && isLoopbackHost(host)) return canonicalIp(host) === "::1" ? "::1" : "127.0.0.1";
  try {
    Deno.listen({ hostname: "::", port: 0 }).close();
    return "::";
  } catch {
    return "0.0.0.0"; // this machine has no IPv6
  }
}

export const isWildcard = (host: string) => host === "::" || host === "0.0.0.0";

/** Returns all addresses of this machine but loopback, in canonical form. */
export function ownIps(interfaces = Deno.networkInterfaces()): string[] {
  return interfaces
    .map(({ address }) => canonicalIp(address))
    .filter((ip): ip is string => ip !== undefined && !isLoopback(ip));
}

/** Returns the host names under which browsers may reach the pages. */
export function hostNames(host: string, allowed: readonly string[]): ReadonlySet<string> {
  const machine = Deno.hostname().toLowerCase();
  return new Set([canonicalHost(host), machine, `${machine}.local`, ...allowed.map(canonicalHost)]);
}
