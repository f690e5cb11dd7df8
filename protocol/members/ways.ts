// How each tracked peer is reached: by a dial, on a connection that it keeps open to us, or through another peer. PURE.
// Invariants: a connection is used only for the peer that it belongs to; names of relays are looked up among the tracked peers,
// so that nobody makes us dial an address; what is known of a peer goes with it.

import { REDIAL_AROUND_MS } from "../limits.ts";
import type { Bounded } from "../bounds/expiring.ts";
import type { Ways } from "../effects.ts";
import type { Address } from "../wire/address.ts";
import { RELAY } from "../wire/capabilities.ts";
import type { DialOutcome } from "../wire/ext.ts";
import { isProven, type Membership, type PeerRecord, sameAddress } from "./membership.ts";

/** What became of our dials to one address. */
interface Dials {
  readonly to: Address;
  /** The latest one. */
  readonly outcome: DialOutcome;
  readonly atMs: number;
  /** Number of those that failed since the last that succeeded; `Infinity` if none has succeeded yet. */
  readonly failures: number;
}

/** One dial that fails says little about an address where others have succeeded. */
const FAILURES = 2;

/** What is known of the ways to one peer. */
interface Known {
  /** Our dials to the address that it advertised at the latest one. */
  dial?: Dials;
  /** When a dial was asked for that only looks whether it can be reached. */
  probedMs?: number;
  /** The connection of its latest gossip, which takes answers. */
  answers?: number;
  /** The connection that it keeps open to us, and the address from which it comes. */
  link?: { readonly connection: number; readonly ip: string };
  /** Names of the peers that pass on connections to it, by its own word. */
  via: readonly string[];
}

const NOTHING: Known = Object.freeze({ via: [] });

/** The ways to all peers. */
export class WayBook {
  readonly #known = new Map<string, Known>();
  /** The names of peers by the connections that belong to them. */
  readonly #owners = new Map<number, string>();
  #links = 0;

  /** Shares the tracked peers. */
  constructor(readonly membership: Membership) {}

  /** Everything remembered here, with its bounds. */
  sizes(maxPeers: number): Bounded[] {
    return [
      { name: "ways to peers", size: () => this.#known.size, max: () => maxPeers },
      { name: "connections kept", size: () => this.#owners.size, max: () => 2 * maxPeers },
    ];
  }

  /** Number of peers that keep a LINK to us. */
  get links(): number {
    return this.#links;
  }

  /** Returns the peers that keep a LINK to us, and where each comes from. */
  *linked(): Iterable<readonly [record: PeerRecord, ip: string]> {
    for (const [peerId, { link }] of this.#known) {
      const record = link && this.membership.get(peerId);
      if (record) yield [record, link.ip];
    }
  }

  /** Returns the peers that keep a LINK to us and cannot be dialed, as far as we know. */
  *lost(): Iterable<PeerRecord> {
    for (const [record] of this.linked()) if (this.isLost(record)) yield record;
  }

  /** Returns the connection that the peer keeps open to us. */
  linkOf(peerId: string): number | undefined {
    return this.#known.get(peerId)?.link?.connection;
  }

  /** Returns the connection on which the peer takes answers. */
  answersOf(peerId: string): number | undefined {
    return this.#known.get(peerId)?.answers;
  }

  /** Returns the name of the peer that a kept connection belongs to. */
  ownerOf(connection: number): string | undefined {
    return this.#owners.get(connection);
  }

  /** Returns what became of the latest dial to the address that the peer advertises now. */
  outcomeOf(record: PeerRecord): DialOutcome | undefined {
    const dial = this.#known.get(record.peerId)?.dial;
    if (!dial || !sameAddress(dial.to, record.address)) return undefined;
    const outcome = dial.failures < FAILURES ? "reached" : dial.outcome;
    // Whoever answers at an address from which nothing ever came may be anybody.
    return outcome === "reached" && !record.proven ? "other" : outcome;
  }

  /** Returns whether the latest dial to this address succeeded, or the peer is not tracked: a success is no news. */
  isReached(peerId: string, to: Address): boolean {
    const dial = this.#known.get(peerId)?.dial;
    return dial
      ? dial.outcome === "reached" && sameAddress(dial.to, to)
      : !this.membership.get(peerId);
  }

  /** Returns whether the peer cannot be dialed, as far as we know, and has another way. */
  isLost(record: PeerRecord): boolean {
    return this.outcomeOf(record) !== "reached" && this.hasOther(record.peerId);
  }

  /** Returns when the peer was last dialed. */
  dialedMs({ peerId }: PeerRecord): number {
    const { dial, probedMs = -Infinity } = this.#known.get(peerId) ?? NOTHING;
    return Math.max(dial?.atMs ?? -Infinity, probedMs);
  }

  /** Notes that the peer is about to be dialed. */
  dialing(peerId: string, nowMs: number): void {
    this.#of(peerId).probedMs = nowMs;
  }

  /** Returns whether there is a way to the peer besides a dial. */
  hasOther(peerId: string): boolean {
    const known = this.#known.get(peerId);
    if (!known) return false;
    return known.answers !== undefined || known.link !== undefined ||
      this.#relays(known).length > 0;
  }

  /** Returns how to reach a peer. Without another way, it is dialed. */
  waysTo(peerId: string, nowMs: number): Ways {
    const record = this.membership.get(peerId);
    const known = this.#known.get(peerId);
    const also = record && record.also.length > 0 ? { also: record.also } : {};
    if (!record || !known) return { dial: "first", ...also, relays: [] };
    const { answers, dial } = known;
    const link = known.link?.connection;
    const on = link ?? answers;
    const relays = this.#relays(known);
    if (on === undefined && relays.length === 0) return { dial: "first", ...also, relays };
    const isFailed = dial !== undefined && sameAddress(dial.to, record.address) &&
      dial.failures >= FAILURES && (link !== undefined || nowMs - dial.atMs < REDIAL_AROUND_MS);
    const mayDial = record.ip === undefined || record.proven;
    return {
      dial: !mayDial ? "no" : isFailed ? "last" : "first",
      ...also,
      relays,
      ...(on === undefined ? {} : { on }),
      ...(link === undefined ? {} : { call: link }),
    };
  }

  /** Notes what became of a dial to the peer. */
  dialed(peerId: string, to: Address, outcome: DialOutcome, nowMs: number): void {
    if (!this.membership.get(peerId)) return;
    const known = this.#of(peerId);
    const before = known.dial && sameAddress(known.dial.to, to) ? known.dial.failures : Infinity;
    const failures = outcome === "reached" ? 0 : before + 1;
    known.dial = { to, outcome, atMs: nowMs, failures };
  }

  /** Notes that the peer takes answers on this connection, which belongs to nobody yet. Returns the one that it replaces. */
  takesAnswers(peerId: string, connection: number): number | undefined {
    const known = this.#of(peerId);
    const { answers } = known;
    if (answers !== undefined) this.#owners.delete(answers);
    known.answers = connection;
    this.#owners.set(connection, peerId);
    return answers;
  }

  /** Notes that the peer keeps this connection open, which nobody else does. Returns the one that it replaces. */
  keepsLink(peerId: string, connection: number, ip: string): number | undefined {
    const known = this.#of(peerId);
    const old = known.link?.connection;
    if (known.answers === connection) delete known.answers;
    if (old === undefined) this.#links++;
    else if (old !== connection) this.#owners.delete(old);
    known.link = { connection, ip };
    this.#owners.set(connection, peerId);
    return old === connection ? undefined : old;
  }

  /** Notes through whom the peer says it can be reached. */
  isVia(peerId: string, via: readonly string[] | undefined): void {
    if (via) this.#of(peerId).via = via;
    else {
      const known = this.#known.get(peerId);
      if (known) known.via = [];
    }
  }

  /** Notes that a kept connection ended. Returns the name of the peer whose LINK it was. */
  ended(connection: number): string | undefined {
    const peerId = this.#owners.get(connection);
    this.#owners.delete(connection);
    const known = peerId === undefined ? undefined : this.#known.get(peerId);
    if (known?.answers === connection) delete known.answers;
    if (known?.link?.connection !== connection) return undefined;
    delete known.link;
    this.#links--;
    return peerId;
  }

  /** Forgets a peer that is gone. Returns its connections. */
  forget(peerId: string): number[] {
    const { answers, link } = this.#known.get(peerId) ?? NOTHING;
    this.#known.delete(peerId);
    if (link !== undefined) this.#links--;
    const connections = [answers, link?.connection].filter((each) => each !== undefined);
    for (const connection of connections) this.#owners.delete(connection);
    return connections;
  }

  #of(peerId: string): Known {
    let known = this.#known.get(peerId);
    if (!known) this.#known.set(peerId, known = { via: [] });
    return known;
  }

  #relays({ via }: Known): Ways["relays"] {
    if (via.length === 0) return [];
    return via.map((name) => this.membership.get(name))
      .filter((record) => record !== undefined && isProven(record) && record.can.includes(RELAY))
      .map((record) => {
        const { peerId, address, voucher } = record!;
        return { peerId, to: address, voucher };
      });
  }
}
