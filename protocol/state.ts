// State shared by the parts of the state machine: configuration, tracked peers, catalogue and pending effects. PURE.
// There is one instance per peer, owned by `Peer`. The time comes with each input; it is set before any rule runs and
// does not change until the input is handled.

import {
  type Address,
  addressText,
  canonicalHost,
  type OwnAddresses,
  type Voucher,
} from "./wire/address.ts";
import { KeyedWindows } from "./bounds/rate_limit.ts";
import { Catalogue, type Entry } from "./files/catalogue.ts";
import type { Effect, PeerEvent, Ticket } from "./effects.ts";
import type { Overload } from "./overloads.ts";
import type { Reason } from "./wire/errors.ts";
import type { Bounded } from "./bounds/expiring.ts";
import { type Limits, MAX_OFFENDERS, MAX_TOMBSTONES, UNPROVEN_REPLY_BYTES } from "./limits.ts";
import { machineOf, Membership, type PeerRecord, sameAddress } from "./members/membership.ts";
import { type Pause, Reputation } from "./members/reputation.ts";
import { WayBook } from "./members/ways.ts";
import { capabilitiesWith } from "./wire/capabilities.ts";
import type { Ext } from "./wire/ext.ts";
import { encodeMessage, type Message } from "./wire/message.ts";

/** Identity, network and limits of one peer. Fixed while it runs. */
export interface PeerConfig {
  /** This peer's name. It is also the owner of the files published here. */
  readonly peerId: string;
  /** The address to advertise to other peers, until this machine gets another one (`PeerState.address`). */
  readonly address: Address;
  /** What this process listens on at the start, so that it never dials itself. */
  readonly own: OwnAddresses;
  /** Public key (`Ext.node`), base64url. */
  readonly node: string;
  /** Identifies this run (`Ext.boot`): `[A-Za-z0-9_-]{1,32}`, new at each start. */
  readonly boot: string;
  /** Addresses to join through. */
  readonly bootstraps: readonly Address[];
  /** Peers tracked in the last run. */
  readonly rejoin: readonly { address: Address; voucher: Voucher }[];
  /** Time between gossip rounds, in milliseconds. The protocol says 30 s. */
  readonly gossipIntervalMs: number;
  /** Silence after which a peer is dropped, in milliseconds. The protocol says 60 s. */
  readonly peerTimeoutMs: number;
  /** Number of files to fetch after joining; Infinity keeps fetching every file that appears. */
  readonly autoFetch: number;
  /** Limits set by the operator. */
  readonly limits: Limits;
  /** Returns a random number, uniform in [0, 1). */
  readonly random: () => number;
  /** Whether this peer passes on connections to peers that keep a LINK to it; undefined means that it does. */
  readonly isRelay?: boolean;
  /** Packs the entries of a list (`Ext.packed`); without it, lists are sent as they are. */
  readonly pack?: (text: string) => string;
}

/** Read-only view of a catalogue entry, for use outside `protocol/`. */
export type EntryView = Readonly<Entry>;

/** Read-only view of the catalogue, for use outside `protocol/`. */
export interface CatalogueView extends
  Readonly<
    Pick<
      Catalogue,
      "size" | "heldCount" | "heldBytes" | "pushedBytes" | "unheldRevision" | "holdingsOf"
    >
  > {
  /** Returns an entry, or `undefined` if the file is not known. */
  get(fileId: string): EntryView | undefined;
  /** Returns all entries. */
  all(): Iterable<EntryView>;
  /** Returns the entries of held files, oldest first. */
  held(): Iterable<EntryView>;
  /** Returns the id of a held file with this content (SHA-256, hex) other than `except`, if there is one. */
  heldWith(sha256: string, except?: string): string | undefined;
  /** Returns when the file lost its last holder, in milliseconds on the monotonic clock. */
  holderlessSince(fileId: string): number | undefined;
  /** Ids of files that are not fetched automatically. */
  readonly unwanted: ReadonlySet<string>;
  /** Deleted ids. */
  readonly tombstones: Pick<
    Catalogue["tombstones"],
    "size" | "has" | "all" | "deletedAt" | "revision"
  >;
}

/** Read-only view of the tracked peers, for use outside `protocol/`. */
export type MembershipView = Pick<Membership, "size" | "get" | "all" | "knowsMachine" | "soleAt">;

/** Maximum number of GET_FILEs being served on connections that we opened, where they follow our gossip. */
const MAX_OUTGOING_GETS = 64;

/** A place to send to: a tracked peer, or an address named by the operator or remembered from the last run. */
export type Destination = PeerRecord | { readonly address: Address; readonly voucher: Voucher };

/** State shared by the parts of one peer's state machine. */
export class PeerState {
  /** The tracked peers. */
  readonly membership: Membership;
  /** How each of them is reached. */
  readonly ways: WayBook;
  /** The known files. */
  readonly catalogue: Catalogue;
  /** Which sources sent bad data. */
  readonly reputation = new Reputation();
  /** Number of files being sent to each machine, or that it is waiting for. */
  readonly serving = new Map<string, number>();
  /** Time of the current input, in milliseconds on the monotonic clock. */
  nowMs = 0;
  /** The address that is advertised. */
  address: Address;
  /** Further addresses that peers with extensions are told (`Ext.also`). */
  also: readonly string[] = [];
  /** Whether anybody has sent us a message at this address, which takes a connection to us. */
  hasBeenReached = false;
  /** What this process listens on, so that it never dials itself. */
  own: OwnAddresses;
  /** Addresses to join through: those of the configuration, and those that people have added. */
  readonly bootstraps: Address[];
  /** Names of the peers to which we keep an open LINK. */
  via: readonly string[] = [];
  /** How much of what the store remembers has been read; see the input `loading`. */
  read: "something" | "known" | "folder" = "folder";
  #effects: Effect[] = [];
  /** Refusals and overloads of the current input. The same one twice is one event. */
  readonly #refusals = new Map<string, { times: number }>();
  readonly #overloads = new Map<Overload, number>();
  /** What parts without access to this state counted, and how much of it was reported. */
  readonly #counted: { readonly overload: Overload; readonly read: () => number; told: number }[];
  #ids = 0;
  readonly #perDestination: KeyedWindows;
  readonly #unproven: KeyedWindows;
  readonly #can: readonly string[];

  /** Creates the state of a peer that knows nothing yet. */
  constructor(readonly config: PeerConfig) {
    const { limits, peerTimeoutMs, address, own } = config;
    const bootstraps = this.bootstraps = [...config.bootstraps];
    this.address = address;
    this.own = own;
    this.membership = new Membership(
      { ...limits, timeoutMs: peerTimeoutMs },
      (address) => bootstraps.some((bootstrap) => sameAddress(bootstrap, address)),
    );
    this.ways = new WayBook(this.membership);
    this.catalogue = new Catalogue(limits.maxCatalogueEntries);
    this.#perDestination = new KeyedWindows(limits.repliesPerMinute);
    this.#unproven = new KeyedWindows(limits.unprovenDialsPerMinute);
    this.#can = capabilitiesWith(limits, config.isRelay ?? true);
    const { catalogue, reputation } = this;
    this.#counted = ([
      ["files-forgotten", () => catalogue.forgotten],
      ["unwanted-forgotten", () => catalogue.unwantedForgotten],
      ["timestamps-ignored", () => catalogue.timestampsIgnored],
      ["deletions-forgotten", () => catalogue.tombstones.evicted],
      ["offenders-forgotten", () => reputation.forgotten],
    ] as const).map(([overload, read]) => ({ overload, read, told: 0 }));
  }

  /** Everything remembered here, with its bounds. */
  get sizes(): Bounded[] {
    const { maxPeers, maxCatalogueEntries } = this.config.limits;
    const { membership, catalogue, reputation } = this;
    return [
      { name: "peers", size: () => membership.size, max: () => maxPeers },
      ...this.ways.sizes(maxPeers),
      {
        name: "files known",
        size: () => catalogue.size,
        max: () => Math.max(maxCatalogueEntries, catalogue.heldCount),
      },
      ...catalogue.tombstones.sizes,
      ...catalogue.sizes,
      { name: "peers holding files", size: () => catalogue.peersWithHoldings, max: () => maxPeers },
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

  /** Our extensions, sent with every message. */
  get ext(): Ext {
    const { config: { node, boot }, via, also } = this;
    return {
      v: 1,
      node,
      boot,
      can: this.#can,
      ...(via.length > 0 ? { via } : {}),
      ...(also.length > 0 ? { also } : {}),
    };
  }

  /** Our name and address, sent with every GOSSIP and GOSSIP_REPLY. */
  get self(): { peerId: string; host: string; port: number } {
    const { config: { peerId }, address: { host, port } } = this;
    return { peerId, host, port };
  }

  /** Returns a random number, uniform in [0, 1). */
  random(): number {
    return this.config.random();
  }

  /** Returns an id that no other message of this run has. */
  freshId(): string {
    const lot = () => Math.floor(this.random() * 2 ** 32).toString(16).padStart(8, "0");
    const text = lot() + lot() + lot() + (++this.#ids).toString(16).padStart(8, "0");
    // Formatted like a UUID, which is what other implementations send.
    return text.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  }

  /** Adds an effect to those that the current input returns. */
  emit(effect: Effect): void {
    this.#effects.push(effect);
  }

  /** Reports an event. */
  tell(event: PeerEvent): void {
    this.emit({ kind: "event", event });
  }

  /** Requests a save, once per input. */
  save(): void {
    if (!this.#effects.some(({ kind }) => kind === "save")) this.emit({ kind: "save" });
  }

  /** Reports that something from `who`, a peer id or an address, was refused, `times` times. */
  refuse(who: string, reason: Reason, text: string, times = 1): void {
    const key = `${reason} ${who}`;
    const known = this.#refusals.get(key);
    if (known) known.times += times;
    else {
      const event = { name: "refused", who, reason, text, times } as const;
      this.#refusals.set(key, event);
      this.tell(event);
    }
  }

  /** Counts that a limit was reached and something was forgotten, delayed or not done because of it. */
  overload(overload: Overload, times = 1): void {
    this.#overloads.set(overload, (this.#overloads.get(overload) ?? 0) + times);
  }

  /** Returns the effects since the last call. */
  takeEffects(): Effect[] {
    for (const counted of this.#counted) {
      const now = counted.read();
      if (now > counted.told) this.overload(counted.overload, now - counted.told);
      counted.told = now;
    }
    for (const [overload, times] of this.#overloads) {
      this.tell({ name: "overload", overload, times });
    }
    this.#overloads.clear();
    this.#refusals.clear();
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  /** Returns why the peer is avoided as a source, or `undefined` if it may be asked. */
  pauseOf(record: PeerRecord, nowMs = this.nowMs): Pause | undefined {
    // There are hardly ever any offenders, so skip building the key.
    return this.reputation.size === 0 ? undefined : this.reputation.pause(placeOf(record), nowMs);
  }

  /**
   * Notes that a peer answered our request with bad data, on a connection that we opened to it. `text` is the rest of a
   * sentence that starts with "it".
   */
  offended(record: PeerRecord, text: string): void {
    const pause = this.reputation.offended(placeOf(record), text, this.nowMs);
    if (pause) this.tell({ name: "backed-off", peerId: record.peerId, ...pause });
  }

  /** Sends a message if `mayReach` allows it. Returns whether it does. */
  send(to: Destination, message: Message, ticket?: Ticket): boolean {
    return this.sendBytes(to, message.type, encodeMessage(message), ticket);
  }

  /**
   * Sends the same message to a few peers, once per address no matter how many names it has. The message is encoded
   * once, and not at all if there are no targets. To reach all peers, use `Broadcasts`.
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

  /**
   * Sends an encoded message if `mayReach` allows it. Returns whether it does. `isBroadcast`: one event reports all the
   * sends, so that the log has one line instead of one per peer.
   */
  sendBytes(
    to: Destination,
    what: Message["type"],
    bytes: Uint8Array<ArrayBuffer>,
    ticket?: Ticket,
    isBroadcast = false,
  ): boolean {
    const peerId = "peerId" in to ? to.peerId : undefined;
    const hasOther = peerId !== undefined && this.ways.hasOther(peerId);
    const mayDial = this.#mayDial(to, !hasOther);
    if (!mayDial && !hasOther) return false;
    this.emit({
      kind: "send",
      to: to.address,
      voucher: to.voucher,
      what,
      bytes,
      ...(peerId === undefined ? {} : { peerId }),
      ...(ticket ? { ticket } : {}),
      ...(isBroadcast ? { isBroadcast } : {}),
      ...(mayDial ? {} : { noDial: true }),
    });
    return true;
  }

  /** Returns whether a peer may be asked for a file now, and counts the dial. */
  mayReach(to: PeerRecord): boolean {
    return this.ways.hasOther(to.peerId) || this.mayDial(to);
  }

  /**
   * Returns whether to dial now, and counts the dial. For addresses that have not proved to be the peer they claim to
   * be, dials are rate-limited, each and in total; otherwise forged gossip could aim this peer at third parties.
   */
  mayDial(to: Destination): boolean {
    return this.#mayDial(to, true);
  }

  /**
   * Returns whether to dial a further address of a peer now, and counts the dial. Where the peer never spoke from, somebody else may
   * be: the same limits hold as for an unproven peer, and only a short message goes there.
   */
  mayDialAlso(record: PeerRecord, ip: string, sizeBytes: number): boolean {
    if (!record.also.includes(ip)) return false;
    if (record.proven && record.spokeFrom.has(ip)) return true;
    const place = addressText({ host: ip, port: record.address.port });
    return sizeBytes <= UNPROVEN_REPLY_BYTES && this.#mayDialPlace(place, false);
  }

  #mayDial(to: Destination, isReported: boolean): boolean {
    if (to.voucher === "operator" || ("peerId" in to && to.proven)) return true;
    return this.#mayDialPlace(placeOf(to), isReported);
  }

  #mayDialPlace(key: string, isReported: boolean): boolean {
    // An accepted connection proves nothing: a victim would accept it too.
    if (
      this.#perDestination.left(key, this.nowMs) < 1 || !this.#unproven.take("", this.nowMs)
    ) {
      if (!isReported) return false;
      this.refuse(
        key,
        "dial-rate",
        "Not dialed: too many dials to addresses that have not proved to be a peer",
      );
      return false;
    }
    return this.#perDestination.take(key, this.nowMs);
  }
}

/** Returns a key for the place that would be dialed, the same for every spelling of its address. */
export function placeOf(to: Destination): string {
  const host = "peerId" in to ? machineOf(to) : canonicalHost(to.address.host);
  return addressText({ host, port: to.address.port });
}
