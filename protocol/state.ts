// What the parts of the machine share: who we are, who is there, what is known, and where effects go. PURE.
// One instance per peer, owned by `Peer`. Time is what the running input says; it is set before any rule
// runs and does not change while it runs.

import {
  type Address,
  addressText,
  canonicalHost,
  type OwnAddresses,
  type Voucher,
} from "./wire/address.ts";
import { KeyedWindows } from "./bounds/rate_limit.ts";
import { Catalogue, type Entry } from "./files/catalogue.ts";
import type { Timestamp } from "./wire/fileid.ts";
import type { Effect, PeerEvent, Ticket } from "./effects.ts";
import type { Reason } from "./wire/errors.ts";
import type { Bounded } from "./bounds/expiring.ts";
import { type Limits, MAX_OFFENDERS, MAX_TOMBSTONES } from "./limits.ts";
import {
  isProven,
  machineOf,
  Membership,
  type PeerRecord,
  sameAddress,
} from "./members/membership.ts";
import { type Pause, Reputation } from "./members/reputation.ts";
import { encodeMessage, type Ext, type Message } from "./wire/message.ts";

export interface PeerConfig {
  readonly peerId: string;
  /** What others are told. */
  readonly address: Address;
  /** What this process listens on, so that it never dials itself. */
  readonly own: OwnAddresses;
  /** Public key, base64url. */
  readonly node: string;
  /** New at each start, `[A-Za-z0-9_-]{1,32}`. */
  readonly boot: string;
  readonly bootstraps: readonly Address[];
  /** Peers of the last run. */
  readonly rejoin: readonly { address: Address; voucher: Voucher }[];
  readonly gossipIntervalMs: number;
  readonly peerTimeoutMs: number;
  /** Files fetched after joining; Infinity keeps fetching whatever appears. */
  readonly autoFetch: number;
  readonly limits: Limits;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** A file that is known, as it may be read outside the core. */
export type EntryView =
  & Readonly<Omit<Entry, "otherTimestamps" | "holders">>
  & { readonly otherTimestamps: readonly Timestamp[]; readonly holders: ReadonlySet<string> };

/** The catalogue as it may be read outside the core. */
export interface CatalogueView extends
  Readonly<
    Pick<
      Catalogue,
      "size" | "heldCount" | "heldBytes" | "pushedBytes" | "unheldRevision" | "holdingsOf"
    >
  > {
  get(fileId: string): EntryView | undefined;
  all(): Iterable<EntryView>;
  /** What is here, in the order in which it came. */
  held(): Iterable<EntryView>;
  holderlessSince(fileId: string): number | undefined;
  readonly unwanted: ReadonlySet<string>;
  readonly tombstones: Pick<Catalogue["tombstones"], "size" | "has" | "all" | "deletedAt">;
}

/** The tracked peers as they may be read outside the core. */
export type MembershipView = Pick<Membership, "size" | "get" | "all" | "knowsMachine" | "soleAt">;

/** Operations that may come on connections that we opened, as answers to gossip. */
const MAX_OUTGOING_GETS = 64;

/** Where something is sent: a tracked peer, or an address that the operator or the last run named. */
export type Destination = PeerRecord | { readonly address: Address; readonly voucher: Voucher };

export class PeerState {
  readonly membership: Membership;
  readonly catalogue: Catalogue;
  readonly reputation = new Reputation();
  /** Per machine: files that are being sent to it, or that it waits for. */
  readonly serving = new Map<string, number>();
  nowMs = 0;
  #effects: Effect[] = [];
  #ids = 0;
  readonly #perDestination: KeyedWindows;
  readonly #unproven: KeyedWindows;

  constructor(readonly config: PeerConfig) {
    const { limits, peerTimeoutMs, bootstraps } = config;
    this.membership = new Membership(
      { ...limits, timeoutMs: peerTimeoutMs },
      (address) => bootstraps.some((bootstrap) => sameAddress(bootstrap, address)),
    );
    this.catalogue = new Catalogue(limits.maxCatalogueEntries);
    this.#perDestination = new KeyedWindows(limits.repliesPerMinute);
    this.#unproven = new KeyedWindows(limits.unprovenDialsPerMinute);
  }

  /** What is remembered, against its bounds. */
  get sizes(): Bounded[] {
    const { maxPeers, maxCatalogueEntries } = this.config.limits;
    const { membership, catalogue, reputation } = this;
    return [
      { name: "peers", size: () => membership.size, max: () => maxPeers },
      {
        name: "files known",
        size: () => catalogue.size,
        max: () => Math.max(maxCatalogueEntries, catalogue.heldCount),
      },
      { name: "tombstones", size: () => catalogue.tombstones.size, max: () => MAX_TOMBSTONES },
      { name: "peers with holdings", size: () => catalogue.peersWithHoldings, max: () => maxPeers },
      {
        name: "files unwanted",
        size: () => catalogue.unwanted.size,
        max: () => maxCatalogueEntries + MAX_TOMBSTONES,
      },
      {
        name: "machines served",
        size: () => this.serving.size,
        max: () => {
          const { maxConnections, maxWaitingConnections } = this.config.limits;
          return maxConnections + maxWaitingConnections + MAX_OUTGOING_GETS;
        },
      },
      { name: "offenders", size: () => reputation.size, max: () => MAX_OFFENDERS },
      {
        name: "places dialed",
        size: () => this.#perDestination.size,
        max: () => this.#perDestination.maxKeys,
      },
    ];
  }

  /** What we say of ourselves in every message. */
  get ext(): Ext {
    return { v: 1, node: this.config.node, boot: this.config.boot };
  }

  /** How we name ourselves in gossip and replies. */
  get self(): { peerId: string; host: string; port: number } {
    const { peerId, address } = this.config;
    return { peerId, host: address.host, port: address.port };
  }

  random(): number {
    return this.config.random();
  }

  /** A text that no other message of this start has. */
  freshId(): string {
    const lot = () => Math.floor(this.random() * 2 ** 32).toString(16).padStart(8, "0");
    const text = lot() + lot() + lot() + (++this.#ids).toString(16).padStart(8, "0");
    // In the form of a UUID, as the field has it.
    return text.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  }

  emit(effect: Effect): void {
    this.#effects.push(effect);
  }

  tell(event: PeerEvent): void {
    this.emit({ kind: "event", event });
  }

  save(): void {
    if (!this.#effects.some(({ kind }) => kind === "save")) this.emit({ kind: "save" });
  }

  refuse(who: string, reason: Reason, text: string): void {
    this.tell({ name: "refused", who, reason, text });
  }

  takeEffects(): Effect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** Why nothing is asked of the peer for now; undefined when it may be asked. */
  pauseOf(record: PeerRecord, nowMs = this.nowMs): Pause | undefined {
    // Nearly always there is nobody to look up.
    return this.reputation.size === 0 ? undefined : this.reputation.pause(placeOf(record), nowMs);
  }

  /** What we asked a peer for, on a connection to where it is, was a lie or rubbish. `text` follows on its name. */
  offended(record: PeerRecord, text: string): void {
    const pause = this.reputation.offended(placeOf(record), text, this.nowMs);
    if (pause) this.tell({ name: "backed-off", peerId: record.peerId, ...pause });
  }

  /** Sends a message, unless that would make us a tool against whoever is at the address. */
  send(to: Destination, message: Message, ticket?: Ticket): boolean {
    return this.sendBytes(to, message.type, encodeMessage(message), ticket);
  }

  /**
   * The same message to a few, one connection for each address however many names it has. It is encoded once, and not at
   * all where nobody gets it. For everybody, use `Broadcasts`.
   */
  sendToAll(targets: Iterable<Destination>, message: Message, ticket?: Ticket): void {
    const byPlace = new Map<string, Destination>();
    for (const to of targets) {
      const place = placeOf(to);
      if (!byPlace.has(place)) byPlace.set(place, to);
    }
    if (byPlace.size === 0) return;
    const bytes = encodeMessage(message);
    const isBroadcast = byPlace.size > 1;
    let peers = 0;
    for (const to of byPlace.values()) {
      if (this.sendBytes(to, message.type, bytes, ticket, isBroadcast)) peers++;
    }
    if (isBroadcast && peers > 0) this.tell({ name: "broadcast", what: message.type, peers });
  }

  /** `isBroadcast`: an event tells of all of them, so that the log has one line and not one per peer. */
  sendBytes(
    to: Destination,
    what: Message["type"],
    bytes: Uint8Array<ArrayBuffer>,
    ticket?: Ticket,
    isBroadcast = false,
  ): boolean {
    if (!this.mayReach(to)) return false;
    const peerId = "peerId" in to ? to.peerId : undefined;
    this.emit({
      kind: "send",
      to: to.address,
      voucher: to.voucher,
      what,
      bytes,
      ...(peerId === undefined ? {} : { peerId }),
      ...(ticket ? { ticket } : {}),
      ...(isBroadcast ? { isBroadcast } : {}),
    });
    return true;
  }

  /**
   * Whether to dial now; counts as a dial. Addresses that never proved to be the peer that was named get a
   * bounded number of dials, each and all together: otherwise forged gossip would aim this peer at strangers.
   */
  mayReach(to: Destination): boolean {
    if (to.voucher === "operator" || ("peerId" in to && isProven(to))) return true;
    const key = placeOf(to);
    // That somebody accepts connections there proves nothing: a victim does.
    if (
      this.#perDestination.left(key, this.nowMs) < 1 || !this.#unproven.take("", this.nowMs)
    ) {
      this.refuse(
        key,
        "dial-rate",
        "Not dialed: too many dials to addresses that never proved to be a peer",
      );
      return false;
    }
    return this.#perDestination.take(key, this.nowMs);
  }
}

/** One key for one place to dial, in whatever spelling it was named. */
export function placeOf(to: Destination): string {
  const host = "peerId" in to ? machineOf(to) : canonicalHost(to.address.host);
  return addressText({ host, port: to.address.port });
}
