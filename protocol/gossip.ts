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
} from "./address.ts";
import { KeyedBuckets } from "./budget.ts";
import type { Ticket } from "./effects.ts";
import { type Bounded, ExpiringSet } from "./expiring.ts";
import {
  GOSSIP_FANOUT,
  MAX_FORWARDS,
  MAX_SEEN_GOSSIPS,
  MAX_WANTED_LISTS,
  ORIGINATOR_BURST,
  ORIGINATOR_PER_SECOND,
  ROUND_PAUSE_MS,
  SEEN_GOSSIP_MS,
} from "./limits.ts";
import { Greeting } from "./greeting.ts";
import { Joining } from "./joining.ts";
import type { Lists } from "./lists.ts";
import { type PeerRecord, sameAddress } from "./membership.ts";
import type { Ext, Gossip, GossipReply } from "./message.ts";
import type { Destination, PeerState } from "./state.ts";

type Sender = Pick<Gossip, "peerId" | "host" | "port"> & { readonly ext?: Ext };

/** Files named to somebody whose name belongs to another peer: enough to see that we are alive. */
const STRANGER_FILES = 8;
/** A peer that was silent for this share of the timeout is asked itself, with some others at once. */
const FADING_SHARE = 2 / 3;
/** Silent for this share, it is asked under an id that it has not met. */
const URGENT_SHARE = 0.8;
const MAX_FADING = 16;
/** An old address is asked at most this often who is there. */
const PROBE_EVERY_MS = 3_000;

export class Gossiping {
  readonly #seen = new ExpiringSet(MAX_SEEN_GOSSIPS, SEEN_GOSSIP_MS);
  readonly #originators = new KeyedBuckets(ORIGINATOR_BURST, ORIGINATOR_PER_SECOND);
  readonly #probes: ExpiringSet;
  readonly greeting: Greeting;
  readonly joining: Joining;
  /** Gossip of peers whose name was not dialled yet, to be handed on then. */
  readonly #unresolved = new Map<string, { readonly message: Gossip; readonly ip: string }>();
  #started = false;
  #lastRoundMs = 0;
  #nextRoundMs = 0;
  #roundGossip: Gossip | undefined;
  #urgentGossip: Gossip | undefined;
  #urgentMs = -Infinity;
  #nextAskMs = 0;

  constructor(
    readonly state: PeerState,
    readonly lists: Lists,
    whenSynchronized: (alone: boolean) => void,
  ) {
    this.#probes = new ExpiringSet(state.config.limits.maxPeers, PROBE_EVERY_MS);
    this.greeting = new Greeting(state);
    this.joining = new Joining(state, this.greeting, whenSynchronized);
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
    const key = record ? record.peerId : addressText(this.#claimed(message, ip));
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
      // Where a name leads is known once it was dialled; before that nobody is sent there.
      if (record.ip === undefined) this.#unresolved.set(record.peerId, { message, ip });
      else this.#forward(message, ip, record);
    }
  }

  /** A GOSSIP_REPLY came. */
  onReply(message: GossipReply, ip: string): void {
    const { state } = this;
    if (message.peerId === state.config.peerId) return;
    const record = this.#hear(message, ip);
    if (!record) return;
    this.lists.take(record, message);
    // It told news of a list that is not here: the next round asks for all of it.
    if (this.lists.isMissing(record)) this.#hastenRound();
    this.joining.answered(record);
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

  onUnreachable(
    to: Address,
    peerId: string | undefined,
    ticket: Ticket | undefined,
    text: string,
  ): void {
    if (ticket?.for === "join") this.joining.failed(to, text);
    if (ticket?.for === "probe") this.#oldAddressIsDead(ticket.peerId, to);
    if (peerId !== undefined) this.lists.notDelivered(peerId);
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
        `Names ${addressText(address)}, which is not dialled: it ${refusal}`,
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
        return hearing.record;
      case "moved":
        this.#moved(hearing.record, hearing.old);
        return hearing.record;
      case "known":
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

  /** Why an address is not dialled, as far as its text tells; names are judged again when resolved. */
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
    }
  }

  #onConflict(record: PeerRecord, address: Address, isGossip: boolean, ip: string): void {
    const { state } = this;
    const { peerId } = record;
    if (this.#probes.add(peerId, state.nowMs)) {
      state.refuse(
        peerId,
        "name-conflict",
        `Is at ${addressText(record.address)}, and claimed by ${addressText(address)}`,
      );
      state.tell({ name: "peer-conflict", peerId, address: record.address, other: address });
      // The old address is asked; if it does not answer, the new one takes over.
      state.send(record, this.greeting.fresh(), { for: "probe", peerId });
    }
    if (isGossip) this.#answerStranger(address, ip);
  }

  /** Who is not tracked is answered all the same: a bounded number of times, one small piece. */
  #answerStranger(address: Address, ip: string): void {
    const { state } = this;
    const stranger = { address, voucher: isLoopback(ip) ? "local" : "remote" } as const;
    state.send(stranger, {
      type: "GOSSIP_REPLY",
      ...state.self,
      files: this.lists.some(STRANGER_FILES),
      ext: state.ext,
    });
  }

  #oldAddressIsDead(peerId: string, old: Address): void {
    const record = this.state.membership.get(peerId);
    const { membership } = this.state;
    if (!record?.rival || record.rivalIp === undefined || !sameAddress(record.address, old)) return;
    if (!membership.hasRoomAt(record.rival, record)) return;
    membership.move(record, record.rival, record.rivalIp);
    record.lastHeardMs = this.state.nowMs;
    this.#moved(record, old);
    // It came back without what it knew: ask and tell anew.
    this.#greet(record);
  }

  #moved(record: PeerRecord, old: Address): void {
    const { state } = this;
    this.lists.forget(record.peerId);
    state.tell({ name: "peer-moved", peerId: record.peerId, address: record.address, other: old });
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
    const others = (record: PeerRecord) =>
      record !== originator && record !== sender && !state.pauseOf(record);
    const pick = (passes: (record: PeerRecord) => boolean) =>
      state.membership.pick(MAX_FORWARDS, () => state.random(), passes);
    // Who has not proved itself may be dialled seldom; meeting it goes before handing on.
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

  #greet(record: PeerRecord): void {
    this.state.send(record, this.greeting.current);
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
