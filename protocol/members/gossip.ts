// Gossip in both directions: rounds, answers, forwarding, who is tracked and who is dropped. PURE.
// Always holds: a gossip id is handled once; forwards and replies are limited per originator; a whole list
// that got lost is asked for in the next round; silence for the timeout ends a peer, also as a holder.

import {
  type Address,
  addressText,
  canonicalIp,
  dialRefusal,
  isLoopback,
  isLoopbackHost,
} from "../wire/address.ts";
import { KeyedBuckets, KeyedWindows } from "../bounds/rate_limit.ts";
import type { Input } from "../effects.ts";
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
import { Greeting } from "./greeting.ts";
import { Joining } from "./joining.ts";
import type { Lists } from "./lists.ts";
import { type PeerRecord, sameAddress } from "./membership.ts";
import type { Ext, Gossip, GossipReply } from "../wire/message.ts";
import { type Destination, type PeerState, placeOf } from "../state.ts";

type Sender = Pick<Gossip, "peerId" | "host" | "port"> & { readonly ext?: Ext };

/** Files named to somebody whose name belongs to another peer: enough to see that we are alive. */
const STRANGER_FILES = 8;
/** A peer that was silent for this share of the timeout is asked itself, with some others at once. */
const FADING_SHARE = 2 / 3;
/** Silent for this share, it is asked under an id that it has not met. */
const URGENT_SHARE = 0.8;
const MAX_FADING = 16;
/** An address that a name is claimed from leads to one probe of the known address in this time. */
const PROBE_EVERY_MS = 3_000;
/** Maximum number of probes of one peer in that time, whatever number of addresses claims its name. */
const MAX_PROBES = 3;
/** A claim to a name counts this long when the known address stops answering: two rounds of gossip. */
const CLAIM_MS = 60_000;
/** Maximum number of greetings remembered, so that one address is greeted once. */
const MAX_GREETED = 4_096;

/** How often others may tell that our name is taken. */
const TAKEN_EVERY_MS = 10_000;

/** What follows from gossip for the other parts of the machine. */
export interface Hooks {
  readonly synchronized: (alone: boolean) => void;
  /** A peer is there for the first time, at another address, or after a restart. */
  readonly peerCame: (record: PeerRecord) => void;
}

/** What a list told. */
export interface HeardList {
  readonly record: PeerRecord;
  /** Files that were not known to be held by this peer. */
  readonly news: ReadonlySet<string>;
}

export class Gossiping {
  readonly #seen = new ExpiringSet(MAX_SEEN_GOSSIPS, SEEN_GOSSIP_MS);
  readonly #originators = new KeyedBuckets(ORIGINATOR_BURST, ORIGINATOR_PER_SECOND);
  readonly #probes: ExpiringSet;
  readonly #probeBudget = new KeyedWindows(MAX_PROBES, PROBE_EVERY_MS);
  readonly #greeted = new ExpiringSet(MAX_GREETED, SEEN_GOSSIP_MS);
  readonly greeting: Greeting;
  readonly joining: Joining;
  /** Gossip of peers whose name was not dialed yet, to be handed on then. */
  readonly #unresolved = new Map<string, { readonly message: Gossip; readonly ip: string }>();
  #started = false;
  #lastRoundMs = 0;
  #nextRoundMs = 0;
  #roundGossip: Gossip | undefined;
  #urgentGossip: Gossip | undefined;
  #urgentMs = -Infinity;
  #nextAskMs = 0;
  #nextTakenMs = 0;

  constructor(
    readonly state: PeerState,
    readonly lists: Lists,
    readonly hooks: Hooks,
  ) {
    this.#probes = new ExpiringSet(state.config.limits.maxPeers, PROBE_EVERY_MS);
    this.greeting = new Greeting(state);
    this.joining = new Joining(state, this.greeting, hooks.synchronized);
  }

  /** What is remembered, against its bounds. */
  get sizes(): Bounded[] {
    const { maxPeers } = this.state.config.limits;
    return [
      { name: "gossips seen", size: () => this.#seen.size, max: () => MAX_SEEN_GOSSIPS },
      {
        name: "originators",
        size: () => this.#originators.size,
        max: () => this.#originators.maxKeys,
      },
      { name: "gossips not handed on yet", size: () => this.#unresolved.size, max: () => maxPeers },
      { name: "probes", size: () => this.#probes.size, max: () => maxPeers },
      {
        name: "probe budgets",
        size: () => this.#probeBudget.size,
        max: () => this.#probeBudget.maxKeys,
      },
      { name: "greetings", size: () => this.#greeted.size, max: () => MAX_GREETED },
      ...this.joining.sizes,
    ];
  }

  start(): void {
    this.#started = true;
    this.#nextRoundMs = this.state.nowMs + this.state.config.gossipIntervalMs;
    this.joining.start();
  }

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

  /** A GOSSIP came: from its originator, or handed on by somebody. */
  onGossip(message: Gossip, ip: string): void {
    const { state } = this;
    if (message.peerId === state.config.peerId) {
      this.#onOwnName(message, ip);
      return;
    }
    if (!this.#seen.add(message.id, state.nowMs)) return;
    const record = this.#hear(message, ip);
    // One address is one originator, however many names it has; but only it can use up what it may.
    const key = !record
      ? addressText(this.#claimed(message, ip))
      : record.proven
      ? placeOf(record)
      : record.peerId;
    if (!this.#originators.take(key, state.nowMs)) {
      state.refuse(
        message.peerId,
        "gossip-rate",
        "Gossips more often than is answered or forwarded",
      );
      return;
    }
    if (record) {
      const isAsked = message.ext?.want?.includes(state.config.peerId) ?? false;
      this.lists.reply(record, isAsked);
      // Where a name leads is known once it was dialed; before that nobody is sent there.
      if (record.ip === undefined) this.#unresolved.set(record.peerId, { message, ip });
      else this.#forward(message, ip, record);
    }
  }

  /** A GOSSIP_REPLY came. Returns what it told; undefined when its sender is not tracked. */
  onReply(message: GossipReply, ip: string): HeardList | undefined {
    const { state } = this;
    if (message.peerId === state.config.peerId) return undefined;
    const record = this.#hear(message, ip);
    if (!record) return undefined;
    if (message.ext?.taken && record.ip === ip) {
      this.#onNameTaken(message.ext.taken, message.peerId);
    }
    const news = this.lists.take(record, message, record.ip === ip);
    // It told news of a list that is not here: the next round asks for all of it.
    if (this.lists.isMissing(record)) this.#hastenRound();
    this.joining.answered(record);
    return { record, news };
  }

  onSent(to: Address, ip: string, peerId: string | undefined): void {
    const { membership } = this.state;
    const record = peerId === undefined ? undefined : membership.get(peerId);
    if (record && sameAddress(record.address, to) && !membership.reached(record, ip)) {
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

  /** Nobody answered at an address. */
  onUnreachable(
    { to, what, peerId, ticket, text }: Extract<Input, { kind: "unreachable" }>,
  ): void {
    if (ticket?.for === "join") this.joining.failed(to, text);
    // Any dial to the known address of a claimed name asks the same as a probe.
    const asked = ticket?.for === "probe" ? ticket.peerId : peerId;
    if (asked !== undefined) this.#oldAddressIsDead(asked, to);
    // Only lists are told once; the rest is told again or does not matter.
    if (peerId !== undefined && what === "GOSSIP_REPLY") this.lists.notDelivered(peerId);
  }

  /** A send failed on our side: nothing is known of the other one, but a list did not get there. */
  onUnsent({ what, peerId }: Extract<Input, { kind: "unsent" }>): void {
    if (peerId !== undefined && what === "GOSSIP_REPLY") this.lists.notDelivered(peerId);
  }

  /** Tracks the sender of a message; undefined when it is not, or when its name belongs to another. */
  #hear(sender: Sender, ip: string): PeerRecord | undefined {
    const { state } = this;
    const address = this.#claimed(sender, ip);
    const refusal = this.#refusal(address, ip);
    if (refusal !== undefined) {
      state.refuse(
        sender.peerId,
        "forbidden-address",
        `Names ${addressText(address)}, which is not dialed: it ${refusal}`,
      );
      return undefined;
    }
    const { peerId } = sender;
    const hearing = state.membership.hear({ peerId, address, ext: sender.ext, ip }, state.nowMs);
    switch (hearing.outcome) {
      case "new":
        if (hearing.evicted) this.#left(hearing.evicted);
        state.tell({ name: "peer-joined", peerId, address });
        state.save();
        this.lists.forget(peerId);
        this.joining.markBootstrap(hearing.record);
        // Some gossip only once in their life: who is new is asked at once, unless what it said is its answer.
        if ("id" in sender || !hearing.record.extended) this.#greet(hearing.record);
        this.hooks.peerCame(hearing.record);
        return hearing.record;
      case "moved":
        this.#moved(hearing.record, hearing.old);
        return hearing.record;
      case "known":
        if (hearing.isRestarted) this.hooks.peerCame(hearing.record);
        return hearing.record;
      case "conflict":
        this.#onConflict(hearing.record, address, "id" in sender, ip);
        return undefined;
      case "full":
        state.refuse(peerId, "peer-limit", "Not tracked: there are as many peers as may be");
        if ("id" in sender) this.#answerStranger(address, ip);
        return undefined;
      default:
        return hearing satisfies never;
    }
  }

  #claimed(sender: Sender, ip: string): Address {
    return { host: sender.host === "" ? ip : sender.host, port: sender.port };
  }

  /** Why an address is not dialed, as far as its text tells; names are judged again when resolved. */
  #refusal(address: Address, ip: string): string | undefined {
    const voucher = isLoopback(ip) ? "local" : "remote";
    if (sameAddress(this.state.config.address, address)) return "is our own";
    if (isLoopbackHost(address.host) && voucher === "remote") {
      return "is loopback, named by a remote peer";
    }
    const literal = canonicalIp(address.host);
    if (literal === undefined) return address.port < 1024 ? "has a privileged port" : undefined;
    return dialRefusal(literal, address.port, voucher, this.state.config.own);
  }

  /** Our own gossip came back, or somebody uses our name. */
  #onOwnName(message: Gossip, ip: string): void {
    const { state } = this;
    const address = this.#claimed(message, ip);
    if (message.ext?.node === state.config.node || sameAddress(state.config.address, address)) {
      return;
    }
    if (this.#seen.add(message.id, state.nowMs)) {
      state.refuse(addressText(address), "own-name", "Somebody else uses the name of this peer");
      state.tell({ name: "name-taken", other: address });
    }
  }

  #onConflict(record: PeerRecord, address: Address, isGossip: boolean, ip: string): void {
    const { state } = this;
    const { peerId } = record;
    // Each new claim is a question of its own: one that was false before must not silence one that is true.
    const claim = `${peerId} ${addressText(record.address)} ${addressText(address)}`;
    if (this.#probes.add(claim, state.nowMs) && this.#probeBudget.take(peerId, state.nowMs)) {
      state.refuse(
        peerId,
        "name-conflict",
        `Is at ${addressText(record.address)}, and claimed by ${addressText(address)}`,
      );
      state.tell({ name: "peer-conflict", peerId, address: record.address, other: address });
      // The old address is asked; if it does not answer, the new one takes over.
      state.send(record, this.greeting.fresh(), { for: "probe", peerId });
    }
    if (isGossip) this.#answerStranger(address, ip, record.address);
  }

  /** Somebody tells us that the name we use belongs to a peer at another address. */
  #onNameTaken(other: Address, toldBy: string): void {
    const { state } = this;
    if (sameAddress(state.config.address, other)) return; // it was a rival's gossip that met our name
    if (state.nowMs < this.#nextTakenMs) return;
    this.#nextTakenMs = state.nowMs + TAKEN_EVERY_MS;
    state.tell({ name: "name-taken", other, toldBy });
  }

  /** Who is not tracked is answered all the same: a bounded number of times, one small piece. */
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
    if (this.state.nowMs - record.rivalMs >= CLAIM_MS) return; // that claim was given up
    if (!membership.hasRoomAt(record.rival, record)) return;
    const { rivalIp } = record;
    membership.move(record, record.rival, rivalIp);
    membership.alive(peerId, rivalIp, this.state.nowMs);
    this.#moved(record, old);
    // It came back without what it knew, and may not ask again: it is asked, and told all, at once.
    this.#greet(record);
    this.lists.reply(record, true);
  }

  #moved(record: PeerRecord, old: Address): void {
    const { state } = this;
    this.lists.forget(record.peerId);
    state.tell({ name: "peer-moved", peerId: record.peerId, address: record.address, other: old });
    this.hooks.peerCame(record);
    state.save();
  }

  #left(record: PeerRecord): void {
    const { state } = this;
    this.#unresolved.delete(record.peerId);
    this.lists.forget(record.peerId);
    state.catalogue.dropPeer(record.peerId, state.nowMs);
    state.tell({ name: "peer-left", peerId: record.peerId, address: record.address });
    state.save();
    if (state.membership.size === 0) this.joining.begin();
  }

  #forward(message: Gossip, ip: string, originator: PeerRecord): void {
    const { state } = this;
    // The sender's port is not known; where it is the only peer of its machine, it is left out.
    const sender = state.membership.soleAt(ip);
    // Other names at the originator's address are no other peers.
    const home = placeOf(originator);
    const others = (record: PeerRecord) =>
      record !== sender && placeOf(record) !== home && !state.pauseOf(record);
    const pick = (passes: (record: PeerRecord) => boolean) =>
      state.membership.pick(MAX_FORWARDS, () => state.random(), passes);
    // Who has not proved itself may be dialed seldom; meeting it goes before handing on.
    const known = pick((record) => others(record) && record.proven);
    const chosen = known.length > 0 ? known : pick(others);
    // The receiver has no connection to the originator, so an empty host is filled in.
    const named = message.host === "" ? { ...message, host: ip } : message;
    state.sendToAll(chosen, named);
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

  /** An address that claims many names is greeted once with each greeting. */
  #greet(record: PeerRecord): void {
    const { state } = this;
    const greeting = this.greeting.current;
    if (!this.#greeted.add(`${greeting.id} ${placeOf(record)}`, state.nowMs)) return;
    state.send(record, greeting);
  }

  /** Peers about to be dropped are asked themselves, so that healthy quiet ones stay. */
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
    // The gossip of this round: whoever had it answered it, and is not fading.
    const others = fading.filter((record) => !urgent.includes(record));
    if (others.length > 0) state.sendToAll(others, this.#roundGossip ??= this.greeting.fresh());
    if (urgent.length > 0) state.sendToAll(urgent, this.#urgent());
  }

  /** Who answered the gossip of this round, and was not heard, answers only to another one. */
  #urgent(): Gossip {
    const { nowMs } = this.state;
    if (!this.#urgentGossip || nowMs - this.#urgentMs >= ROUND_PAUSE_MS) {
      this.#urgentGossip = this.greeting.fresh();
      this.#urgentMs = nowMs;
    }
    return this.#urgentGossip;
  }
}
