// GOSSIP and GOSSIP_REPLY: rounds, replies, forwarding, and which peers are tracked or dropped. PURE.
// Invariants: a gossip id is handled once; forwards and replies are rate-limited per originator; a lost list is
// requested again in the next round; a peer silent for the timeout is dropped and no longer counts as a holder.

import {
  type Address,
  addressText,
  canonicalHost,
  canonicalIp,
  dialRefusal,
  isLoopback,
  isLoopbackHost,
} from "../wire/address.ts";
import { KeyedBuckets, KeyedWindows } from "../bounds/rate_limit.ts";
import type { Input, Ours } from "../effects.ts";
import { type Bounded, ExpiringSet } from "../bounds/expiring.ts";
import {
  GOSSIP_FANOUT,
  MAX_FORWARDS,
  MAX_SEEN_GOSSIPS,
  MAX_WANTED_LISTS,
  ORIGINATOR_BURST,
  ORIGINATOR_PER_SECOND,
  ROUND_PAUSE_MS,
  SEEN_GOSSIP_MS,
} from "../limits.ts";
import { Discovered } from "./discovered.ts";
import { Greeting } from "./greeting.ts";
import { Joining } from "./joining.ts";
import type { Lists } from "./lists.ts";
import { isFrom, machineOf, type PeerRecord, sameAddress } from "./membership.ts";
import type { Ext } from "../wire/ext.ts";
import type { Gossip, GossipReply } from "../wire/message.ts";
import { type Destination, type PeerState, placeOf } from "../state.ts";

/** Who a message is from, as it says itself. A GOSSIP has an id. */
export type Sender = Pick<Gossip, "peerId" | "host" | "port"> & {
  readonly ext?: Ext;
  readonly id?: string;
};

/** Number of files listed to a peer that is not tracked: enough to show that we are alive. */
const STRANGER_FILES = 8;
/** Share of the timeout after which a silent peer is sent a gossip directly, together with other silent ones. */
const FADING_SHARE = 2 / 3;
/** Share of the timeout after which that gossip has an id that the peer cannot have seen. */
const URGENT_SHARE = 0.8;
/** Maximum number of silent peers contacted at once. */
const MAX_FADING = 16;
/** Minimum interval between two probes because of the same claim to a peer's name, in milliseconds. */
const PROBE_EVERY_MS = 3_000;
/** Maximum number of probes of one peer in that interval, no matter how many addresses claim its name. */
const MAX_PROBES = 3;
/**
 * How long a claim to a name stays valid while the known address does not answer, in milliseconds: two gossip rounds.
 */
const CLAIM_MS = 60_000;
/** Maximum number of greetings remembered, so that an address is greeted only once. */
const MAX_GREETED = 4_096;

/** Minimum interval between reports that our name is taken, in milliseconds. */
const TAKEN_EVERY_MS = 10_000;

/** Callbacks to the other parts of the state machine. */
export interface Hooks {
  /** Called when the first lists have arrived, or when no peer answers (`alone`). */
  readonly synchronized: (alone: boolean) => void;
  /** Called when a peer appears for the first time, at another address, or after a restart. */
  readonly peerCame: (record: PeerRecord) => void;
  /** Called when a peer is no longer tracked, or no longer at its address. */
  readonly peerWent: (record: PeerRecord) => void;
  /** Called when this machine has another address, before anybody is told. */
  readonly moved: () => void;
  /** Called with each GOSSIP and GOSSIP_REPLY in a tracked peer's name, before it is answered. */
  readonly heard: (record: PeerRecord, message: Gossip | GossipReply, from: From) => void;
}

/** Where a message came from. */
export interface From {
  /** IP address, or another text if the connection was passed on. */
  readonly ip: string;
  /** The connection. */
  readonly connection: number;
  /** Set if we opened it. */
  readonly ours?: Ours;
}

/** What a GOSSIP_REPLY brought. */
export interface HeardList {
  /** The replier. */
  readonly record: PeerRecord;
  /** Ids of the files that it was not known to hold. */
  readonly news: ReadonlySet<string>;
}

/** Returns whether peers forward such a message: a GOSSIP. */
function isForwardable(sender: Sender): boolean {
  return sender.id !== undefined;
}

/** Gossips, answers gossip, and keeps the membership up to date. */
export class Gossiping {
  readonly #seen = new ExpiringSet(MAX_SEEN_GOSSIPS, SEEN_GOSSIP_MS);
  readonly #originators = new KeyedBuckets(ORIGINATOR_BURST, ORIGINATOR_PER_SECOND);
  readonly #probes: ExpiringSet;
  readonly #probeBudget = new KeyedWindows(MAX_PROBES, PROBE_EVERY_MS);
  readonly #greeted = new ExpiringSet(MAX_GREETED, SEEN_GOSSIP_MS);
  /** Creates our own gossip. */
  readonly greeting: Greeting;
  /** Bootstraps and joining. */
  readonly joining: Joining;
  /** Peers that announce themselves on the local network. */
  readonly discovered: Discovered;
  /** Gossip from peers whose host name has not been dialed yet; it is forwarded after the first dial. */
  readonly #unresolved = new Map<string, { readonly message: Gossip; readonly ip: string }>();
  #started = false;
  #lastRoundMs = -Infinity;
  #nextRoundMs = 0;
  #roundGossip: Gossip | undefined;
  #urgentGossip: Gossip | undefined;
  #urgentMs = -Infinity;
  #nextAskMs = 0;
  #nextTakenMs = 0;

  /** Shares `state` with the other parts of the peer. Sends nothing before `start`. */
  constructor(
    readonly state: PeerState,
    readonly lists: Lists,
    readonly hooks: Hooks,
  ) {
    this.#probes = new ExpiringSet(state.config.limits.maxPeers, PROBE_EVERY_MS);
    this.greeting = new Greeting(state);
    this.joining = new Joining(state, this.greeting, hooks.synchronized);
    this.discovered = new Discovered(state, this.greeting);
  }

  /** Everything remembered here, with its bounds. */
  get sizes(): Bounded[] {
    const { maxPeers } = this.state.config.limits;
    return [
      { name: "gossips seen", size: () => this.#seen.size, max: () => MAX_SEEN_GOSSIPS },
      {
        name: "originators",
        size: () => this.#originators.size,
        max: () => this.#originators.maxKeys,
      },
      { name: "gossips to forward later", size: () => this.#unresolved.size, max: () => maxPeers },
      { name: "probes", size: () => this.#probes.size, max: () => maxPeers },
      {
        name: "probe rate limits",
        size: () => this.#probeBudget.size,
        max: () => this.#probeBudget.maxKeys,
      },
      { name: "greetings", size: () => this.#greeted.size, max: () => MAX_GREETED },
      ...this.joining.sizes,
      ...this.discovered.sizes,
    ];
  }

  /** Joins the network and starts the rounds. */
  start(): void {
    this.#started = true;
    this.#nextRoundMs = this.state.nowMs + this.state.config.gossipIntervalMs;
    this.joining.start();
  }

  /** Drops silent peers and gossips when a round is due. */
  tick(): void {
    const { state } = this;
    if (!this.#started) return;
    for (const gone of state.membership.expire(state.nowMs)) this.#left(gone);
    if (state.membership.size > 0) {
      if (state.nowMs >= this.#nextRoundMs) this.#round();
      this.#askFading();
    }
    this.joining.tick();
  }

  /**
   * Handles a GOSSIP from its originator or forwarded: tracks the originator, replies on a new connection, and forwards
   * the message to up to `MAX_FORWARDS` peers.
   */
  onGossip(message: Gossip, from: From): void {
    const { state } = this;
    const { ip } = from;
    if (message.peerId === state.config.peerId) {
      this.#onOwnName(message, ip);
      return;
    }
    const isNew = this.#seen.add(message.id, state.nowMs);
    // What others forwarded may have been answered in vain: its originator takes the answer on this connection.
    const isFurther = !isNew && message.ext?.here === true &&
      this.#seen.add(`${message.id} here`, state.nowMs);
    if (!isNew && !isFurther) return;
    const record = this.hear(message, ip);
    if (record) this.hooks.heard(record, message, from);
    if (isFurther && (!record || !state.ways.isLost(record))) return;
    // An address counts as one originator, no matter how many names it uses, and nobody else can use up its rate limit.
    const key = !record
      ? addressText(this.#claimed(message, ip))
      : record.proven
      ? placeOf(record)
      : record.peerId;
    if (!this.#originators.take(key, state.nowMs)) {
      state.refuse(
        message.peerId,
        "gossip-rate",
        "Gossips too often; not answered or forwarded",
      );
      return;
    }
    if (record && !isNew) this.lists.reply(record, false);
    else if (record) {
      const isAsked = message.ext?.want?.includes(state.config.peerId) ?? false;
      this.lists.reply(record, isAsked);
      // We do not know where a host name leads before we dial it; until then we do not send others there.
      if (record.ip === undefined && state.ways.linkOf(record.peerId) === undefined) {
        this.#unresolved.set(record.peerId, { message, ip });
      } else this.#forward(message, ip, record);
    }
  }

  /** Handles a GOSSIP_REPLY. Returns what it brought, or `undefined` if its sender is not tracked. */
  onReply(message: GossipReply, from: From): HeardList | undefined {
    const { state } = this;
    const { ip } = from;
    if (message.peerId === state.config.peerId) return undefined;
    const record = this.hear(message, ip);
    if (!record) return undefined;
    this.hooks.heard(record, message, from);
    if (message.ext?.taken && isFrom(record, ip)) {
      this.#onNameTaken(message.ext.taken, message.peerId);
    }
    const news = this.lists.take(record, message, isFrom(record, ip));
    // It listed changes to a list that we do not have: the next round asks for the whole list.
    if (this.lists.isMissing(record)) this.#hastenRound();
    this.joining.answered(record);
    return { record, news };
  }

  /** Handles a successful send: notes where the address led, and forwards gossip that waited for that. */
  onSent(to: Address, ip: string | undefined, peerId: string | undefined): void {
    const { membership } = this.state;
    if (ip === undefined) return; // the address was not dialed
    const record = peerId === undefined ? undefined : membership.get(peerId);
    if (record && sameAddress(record.address, to) && !membership.reached(record, ip)) {
      const text = "Not tracked: the maximum number of peers at one address is reached";
      this.state.refuse(record.peerId, "peer-limit", text);
      this.#left(record);
    }
    this.joining.ledTo(to, ip);
    const waiting = record && this.#unresolved.get(record.peerId);
    if (!waiting) return;
    this.#unresolved.delete(record.peerId);
    if (membership.get(record.peerId) === record) {
      this.#forward(waiting.message, waiting.ip, record);
    }
  }

  /** Handles a failed send: a peer whose name is claimed elsewhere may lose it, and a list is sent again. */
  onUnreachable(
    { to, what, peerId, ticket, text }: Extract<Input, { kind: "unreachable" }>,
  ): void {
    // A round of gossip tries the configured peers again that are missing.
    const isBootstrap = peerId === undefined && ticket === undefined && this.joining.isNamed(to);
    if (ticket?.for === "join" || isBootstrap) this.joining.failed(to, text);
    // Any failed dial to the known address of a claimed name counts as a failed probe.
    const asked = ticket?.for === "probe" ? ticket.peerId : peerId;
    if (asked !== undefined) this.#oldAddressIsDead(asked, to);
    // Only lists are sent just once; everything else is repeated or does not matter.
    if (peerId !== undefined && what === "GOSSIP_REPLY") this.lists.notDelivered(peerId);
  }

  /** Handles a send that failed on our side: it says nothing about the other peer, but a list has to be sent again. */
  onUnsent({ what, peerId }: Extract<Input, { kind: "unsent" }>): void {
    if (peerId !== undefined && what === "GOSSIP_REPLY") this.lists.notDelivered(peerId);
  }

  /**
   * This machine has these addresses now, and is reached at `host`. If that is new, everybody is told at once: peers that know
   * our key move us at once, the others do as they do; all of them get our list again. Further addresses are told with the next
   * messages.
   */
  onOwnAddress(
    { host, ips, also = [] }: Pick<
      Extract<Input, { kind: "own-address" }>,
      "host" | "ips" | "also"
    >,
  ): void {
    const { state } = this;
    state.own = { ...state.own, ips };
    const isAlsoNew = also.join() !== state.also.join();
    state.also = also;
    const old = state.address;
    if (canonicalHost(old.host) === canonicalHost(host)) {
      if (isAlsoNew) this.#renew();
      return;
    }
    state.address = { ...old, host };
    state.hasBeenReached = false;
    const all = [...state.membership.all()];
    state.tell({ name: "own-address", address: state.address, other: old, peers: all.length });
    this.hooks.moved();
    this.greeting.renew();
    state.sendToAll([...all, ...this.joining.missing()], this.greeting.current);
    for (const record of all) {
      this.lists.forget(record.peerId);
      this.lists.reply(record, true);
    }
    if (all.length === 0) this.joining.begin();
  }

  /** There is another way to a peer that cannot be dialed: if its list is missing, it is asked for it. */
  found(record: PeerRecord): void {
    if (this.lists.isMissing(record)) this.#greet(record, "found");
  }

  /** Others reach us through these peers now. They hear of it at once, or after the pause between rounds. */
  isVia(via: readonly string[]): void {
    this.state.via = via;
    this.#renew();
  }

  /** What we say of ourselves has changed. */
  #renew(): void {
    this.greeting.renew();
    this.#hastenRound();
  }

  /** Tracks the sender of a message. Returns `undefined` if it is not tracked or its name belongs to another peer. */
  hear(sender: Sender, ip: string): PeerRecord | undefined {
    const { state } = this;
    const address = this.#claimed(sender, ip);
    const refusal = this.#refusal(address, ip);
    if (refusal !== undefined) {
      state.refuse(
        sender.peerId,
        "forbidden-address",
        `Claims to be at ${addressText(address)}, which is never dialed: it ${refusal}`,
      );
      return undefined;
    }
    const { peerId, ext } = sender;
    const also = this.#alsoClaimed(sender, address, ip);
    const hearing = state.membership.hear(
      { peerId, address, also, ext, ip, isForwardable: isForwardable(sender) },
      state.nowMs,
    );
    switch (hearing.outcome) {
      case "new":
        if (hearing.evicted) {
          state.overload("peers-replaced");
          this.#left(hearing.evicted);
        }
        state.tell({ name: "peer-joined", peerId, address });
        state.save();
        this.lists.forget(peerId);
        this.joining.markBootstrap(hearing.record);
        // Some peers gossip only once in their lifetime, so gossip to a new one at once, unless this is its reply to
        // ours. What came through others leaves open where it is.
        if (isForwardable(sender) || !hearing.record.extended || !isFrom(hearing.record, ip)) {
          this.#greet(hearing.record);
        }
        this.hooks.peerCame(hearing.record);
        return hearing.record;
      case "moved":
        this.#moved(hearing.record, hearing.old);
        return hearing.record;
      case "known":
        if (hearing.isRestarted) this.hooks.peerCame(hearing.record);
        return hearing.record;
      case "conflict":
        this.#onConflict(hearing.record, address, isForwardable(sender), ip);
        return undefined;
      case "full":
        state.refuse(peerId, "peer-limit", "Not tracked: the maximum number of peers is reached");
        if (isForwardable(sender)) this.#answerStranger(address, ip);
        return undefined;
      default:
        return hearing satisfies never;
    }
  }

  /**
   * Returns where the sender says it listens: the source of the message, if that is among the addresses it names. A GOSSIP may have
   * been forwarded, so its source proves nothing: otherwise a peer could aim traffic at whoever forwards for it.
   */
  #claimed(sender: Sender, ip: string): Address {
    const { host, port, ext } = sender;
    const isThere = ext?.also?.includes(ip) && !isForwardable(sender);
    return { host: host === "" || isThere ? ip : host, port };
  }

  /** Returns further addresses that the sender names and that may be dialed. */
  #alsoClaimed({ host, port, ext }: Sender, address: Address, ip: string): string[] {
    if (!ext?.also) return [];
    const named = new Set([canonicalIp(host), ...ext.also]);
    named.delete(canonicalIp(address.host));
    return [...named].filter((each) =>
      each !== undefined && this.#refusal({ host: each, port }, ip) === undefined
    ) as string[];
  }

  /** Returns why an address must not be dialed, judging by its text; host names are judged again once resolved. */
  #refusal(address: Address, ip: string): string | undefined {
    const voucher = isLoopback(ip) ? "local" : "remote";
    if (address.host === ip && canonicalIp(ip) === undefined) return "is known to others only";
    if (sameAddress(this.state.address, address)) return "is our own address";
    if (isLoopbackHost(address.host) && voucher === "remote") {
      return "is loopback, but was named by a remote peer";
    }
    const literal = canonicalIp(address.host);
    if (literal === undefined) return address.port < 1024 ? "has a privileged port" : undefined;
    return dialRefusal(literal, address.port, voucher, this.state.own);
  }

  /** Our own gossip came back, or another peer uses our name. */
  #onOwnName(message: Gossip, ip: string): void {
    const { state } = this;
    const address = this.#claimed(message, ip);
    if (message.ext?.node === state.config.node || sameAddress(state.address, address)) {
      return;
    }
    if (this.#seen.add(message.id, state.nowMs)) {
      state.refuse(addressText(address), "own-name", "Uses the peer id of this peer");
      state.tell({ name: "name-taken", other: address });
    }
  }

  #onConflict(record: PeerRecord, address: Address, isGossip: boolean, ip: string): void {
    const { state } = this;
    const { peerId } = record;
    // Each new claim is probed separately: an earlier false claim must not suppress a true one.
    const claim = `${peerId} ${addressText(record.address)} ${addressText(address)}`;
    if (this.#probes.add(claim, state.nowMs) && this.#probeBudget.take(peerId, state.nowMs)) {
      state.refuse(
        peerId,
        "name-conflict",
        `Is at ${addressText(record.address)}, but ${addressText(address)} claims the same peer id`,
      );
      state.tell({ name: "peer-conflict", peerId, address: record.address, other: address });
      // Probe the known address. If it does not answer, the new one takes over.
      state.send(record, this.greeting.fresh(), { for: "probe", peerId });
    }
    if (isGossip) this.#answerStranger(address, ip, record.address);
  }

  /** A peer reports that our name belongs to a peer at another address. */
  #onNameTaken(other: Address, toldBy: string): void {
    const { state } = this;
    if (sameAddress(state.address, other)) return; // the reply was to a rival: the name is ours
    if (state.nowMs < this.#nextTakenMs) return;
    this.#nextTakenMs = state.nowMs + TAKEN_EVERY_MS;
    state.tell({ name: "name-taken", other, toldBy });
  }

  /** Answers a peer that is not tracked, with one small piece of our list and within the limit on dials. */
  #answerStranger(address: Address, ip: string, taken?: Address): void {
    const { state } = this;
    const stranger = { address, voucher: isLoopback(ip) ? "local" : "remote" } as const;
    state.send(stranger, {
      type: "GOSSIP_REPLY",
      ...state.self,
      files: this.lists.some(STRANGER_FILES),
      ext: taken ? { ...state.ext, taken } : state.ext,
    });
  }

  #oldAddressIsDead(peerId: string, old: Address): void {
    const record = this.state.membership.get(peerId);
    const { membership } = this.state;
    if (!record?.rival || record.rivalIp === undefined || !sameAddress(record.address, old)) return;
    if (this.state.ways.hasOther(peerId)) return; // it is alive, only not there
    if (this.state.nowMs - record.rivalMs >= CLAIM_MS) return; // the claim has expired
    if (!membership.hasRoomAt(record.rival, record)) return;
    const { rivalIp } = record;
    membership.move(record, record.rival, rivalIp);
    membership.alive(peerId, rivalIp, this.state.nowMs);
    this.#moved(record, old);
    // It restarted without what it knew and may not gossip again: gossip to it and send it the whole list at once.
    this.#greet(record);
    this.lists.reply(record, true);
  }

  #moved(record: PeerRecord, old: Address): void {
    const { state } = this;
    this.hooks.peerWent(record);
    this.lists.forget(record.peerId);
    state.tell({ name: "peer-moved", peerId: record.peerId, address: record.address, other: old });
    this.hooks.peerCame(record);
    state.save();
  }

  #left(record: PeerRecord): void {
    const { state } = this;
    this.#unresolved.delete(record.peerId);
    this.lists.forget(record.peerId);
    this.hooks.peerWent(record);
    state.catalogue.dropPeer(record.peerId, state.nowMs);
    const { peerId, address, lastHeardMs } = record;
    state.tell({ name: "peer-left", peerId, address, lastHeardMs });
    state.save();
    if (state.membership.size === 0) this.joining.begin();
  }

  #forward(message: Gossip, ip: string, originator: PeerRecord): void {
    const { state } = this;
    if (this.#wouldVouch(originator, ip)) return;
    // Not to the sender. Its port is not known, so it can be recognized only if it is the only peer on its machine.
    const sender = state.membership.soleAt(ip);
    // Not to the originator either, under any of the names at its address.
    const home = placeOf(originator);
    const others = (record: PeerRecord) =>
      record !== sender && placeOf(record) !== home && !state.pauseOf(record);
    const pick = (passes: (record: PeerRecord) => boolean) =>
      state.membership.pick(MAX_FORWARDS, () => state.random(), passes);
    // Dials to unproven peers are scarce and needed for greeting them, so forward to proven ones if there are any.
    const known = pick((record) => others(record) && record.proven);
    const chosen = known.length > 0 ? known : pick(others);
    // Peers without extensions cannot reach those behind walls, which know of them only through us.
    if (!originator.extended) chosen.push(...[...state.ways.lost()].filter(others));
    // Fill in an empty host: the next receiver's connection does not come from the originator.
    const named = message.host === "" ? { ...message, host: ip } : message;
    state.sendToAll(chosen, named);
  }

  /**
   * Returns whether forwarding a gossip would vouch for its originator: it names this machine and came from another one, so
   * receivers would take our address for its proof, and send their lists to whatever port here it names.
   */
  #wouldVouch(originator: PeerRecord, ip: string): boolean {
    const { ips } = this.state.own;
    return !ips.includes(ip) &&
      [machineOf(originator), ...originator.also].some((each) => ips.includes(each));
  }

  #round(): void {
    const { state } = this;
    const { gossipIntervalMs } = state.config;
    this.#lastRoundMs = state.nowMs;
    this.#nextRoundMs = state.nowMs + gossipIntervalMs * (0.9 + 0.2 * state.random());
    const pick = (count: number, passes: (record: PeerRecord) => boolean) =>
      state.membership.pick(count, () => state.random(), passes);
    const isFine = (record: PeerRecord) => !state.pauseOf(record);
    const unlisted = pick(
      MAX_WANTED_LISTS,
      (record) => isFine(record) && this.lists.isMissing(record),
    );
    const targets = new Set<Destination>([...pick(GOSSIP_FANOUT, isFine), ...unlisted]);
    const missing = this.joining.missing();
    const bootstrap = missing[Math.floor(state.random() * missing.length)];
    if (bootstrap) targets.add(bootstrap);
    this.#roundGossip = this.greeting.fresh(unlisted.map(({ peerId }) => peerId));
    state.sendToAll(targets, this.#roundGossip);
  }

  #hastenRound(): void {
    const soonestMs = Math.max(this.state.nowMs, this.#lastRoundMs + ROUND_PAUSE_MS);
    this.#nextRoundMs = Math.min(this.#nextRoundMs, soonestMs);
  }

  /** Greets a peer. An address that claims many names gets each greeting only once. */
  #greet(record: PeerRecord, why = ""): void {
    const { state } = this;
    const greeting = this.greeting.current;
    if (!this.#greeted.add(`${greeting.id} ${placeOf(record)}${why}`, state.nowMs)) return;
    state.send(record, greeting);
  }

  /** Gossips directly to peers that are about to be dropped, so that healthy but quiet ones stay. */
  #askFading(): void {
    const { state } = this;
    if (state.nowMs < this.#nextAskMs) return;
    const { peerTimeoutMs } = state.config;
    this.#nextAskMs = state.nowMs + peerTimeoutMs / 12;
    const silent = (share: number) => (record: PeerRecord) =>
      state.nowMs - record.lastHeardMs > share * peerTimeoutMs && !state.pauseOf(record);
    const pick = (share: number) =>
      state.membership.pick(MAX_FADING, () => state.random(), silent(share));
    const fading = pick(FADING_SHARE);
    if (fading.length === 0) return;
    const urgent = fading.filter(silent(URGENT_SHARE));
    // Reuse this round's gossip: a peer that received it replied to it and is not fading.
    const others = fading.filter((record) => !urgent.includes(record));
    if (others.length > 0) state.sendToAll(others, this.#roundGossip ??= this.greeting.fresh());
    if (urgent.length > 0) state.sendToAll(urgent, this.#urgent());
  }

  /**
   * Returns a gossip with another id: a peer whose reply to this round's gossip was lost does not reply to it again.
   */
  #urgent(): Gossip {
    const { nowMs } = this.state;
    if (!this.#urgentGossip || nowMs - this.#urgentMs >= ROUND_PAUSE_MS) {
      this.#urgentGossip = this.greeting.fresh();
      this.#urgentMs = nowMs;
    }
    return this.#urgentGossip;
  }
}
