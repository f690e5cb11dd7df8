// How other peers see this one, as a sentence for people that names the cure.
// Invariant: nobody is blamed without evidence. What others say is a hint: several must agree before it is more than "some".

import { type Address, addressText, canonicalHost } from "../protocol/wire/address.ts";
import { visible } from "../protocol/wire/text.ts";
import type { Seen } from "../protocol/wire/ext.ts";

/** What is known of connections to this peer. */
export interface ReachFacts {
  /** The address that it advertises. */
  readonly address: Address;
  /** Whether somebody chose the host in it. */
  readonly isChosen: boolean;
  /** The addresses of this machine, in canonical form. */
  readonly ownIps: readonly string[];
  /** What other peers say, the latest of each. */
  readonly reports: Iterable<Seen>;
  /** Names of the peers to which it keeps a connection open. */
  readonly through: readonly string[];
}

/**
 * Why other peers cannot connect. "firewall": something on this machine or in its network keeps connections out. "router": its
 * address is not visible to others. "host": it advertises an address that it does not have.
 */
export type ReachCause = "firewall" | "router" | "host";

/** Why others cannot connect to this peer, and what helps. */
export interface ReachTrouble {
  readonly cause: ReachCause;
  /** Number of peers that say so. */
  readonly peers: number;
  /** A sentence without a full stop. */
  readonly text: string;
}

/** Returns what keeps others from connecting, or `undefined` if nobody says that something does. */
export function reachTrouble(facts: ReachFacts): ReachTrouble | undefined {
  const { address, ownIps, isChosen } = facts;
  const causes = new Map<ReachCause, Seen[]>();
  for (const report of facts.reports) {
    const cause = causeOf(report, facts);
    if (cause) causes.set(cause, [...causes.get(cause) ?? [], report]);
  }
  const [most] = [...causes].sort(([, a], [, b]) => b.length - a.length);
  if (!most) return undefined;
  const [cause, reports] = most;
  const there = visible(addressText(address));
  const who = reports.length === 1 ? "1 peer" : `${reports.length} peers`;
  const why = outcomeText(reports);
  const seen = visible(reports.at(-1)!.ip);
  const { port } = address;
  const text = {
    firewall: () =>
      `${who} cannot connect to ${there}${why}. Open TCP port ${port} in this machine's firewall`,
    router: () =>
      `${who} cannot connect to ${there}${why} and see${
        reports.length === 1 ? "s" : ""
      } this machine at ${seen}, so it is behind a router. Forward TCP port ${port} there to this machine, and start this peer with ${seen} as its host`,
    host: () =>
      `${who} cannot connect to ${there}${why}, which is not an address of this machine. Start this peer with ${
        ownIps.includes(seen) && isChosen ? seen : "no host"
      } instead`,
  }[cause]();
  return { cause, peers: reports.length, text: `${text}; until then ${untilText(facts.through)}` };
}

function causeOf(
  { ip, outcome }: Seen,
  { address, ownIps, isChosen }: ReachFacts,
): ReachCause | undefined {
  const isOurs = (host: string) => ownIps.includes(canonicalHost(host));
  if (isChosen && !isOurs(address.host) && isOurs(ip) && outcome) return "host";
  // It is not visible where it is, so nobody can tell what is at the address that it advertises.
  if (!isOurs(ip)) return canonicalHost(address.host) === ip ? firewallIf(outcome) : "router";
  return firewallIf(outcome);
}

const firewallIf = (outcome: Seen["outcome"]): ReachCause | undefined =>
  outcome === "refused" || outcome === "silent" ? "firewall" : undefined;

function outcomeText(reports: readonly Seen[]): string {
  const outcomes = new Set(reports.map(({ outcome }) => outcome));
  if (outcomes.size !== 1) return "";
  const [outcome] = outcomes;
  switch (outcome) {
    case "silent":
      return " (timed out)";
    case "refused":
      return " (refused)";
    case "other":
      return " (somebody else answers there)";
    case "reached":
    case undefined:
      return "";
    default:
      return outcome satisfies never;
  }
}

function untilText(through: readonly string[]): string {
  if (through.length === 0) return "you can fetch, but nobody can fetch from you";
  const names = through.map((name) => visible(name, 40));
  const list = names.length === 1
    ? names[0]
    : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
  return `you can fetch, and others fetch from you through connections that this peer keeps open to ${list}`;
}
