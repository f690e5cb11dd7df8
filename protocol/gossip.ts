// Joining and staying: gossip in both directions, forwarding, who is tracked and who is dropped. PURE.
// Always holds: a gossip id is handled once; forwards and replies are limited per originator; joining is
// retried until somebody answers; silence for the timeout ends a peer, also as a holder.

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
import { ExpiringSet } from "./expiring.ts";
import {
  GOSSIP_FANOUT,
  JOIN_ANSWER_MS,
  JOIN_BACKOFF_FIRST_MS,
  JOIN_BACKOFF_LAST_MS,
  JOIN_QUIET_MS,
  MAX_FORWARDS,
  MAX_REJOIN_PEERS,
  MAX_SEEN_GOSSIPS,
  ORIGINATOR_BURST,
  ORIGINATOR_PER_SECOND,
  SEEN_GOSSIP_MS,
} from "./limits.ts";
import type { Lists } from "./lists.ts";
import { machineOf, type PeerRecord, sameAddress } from "./membership.ts";
import type { Ext, Gossip, GossipReply } from "./message.ts";
import type { Destination, PeerState } from "./state.ts";

type Sender = Pick<Gossip, "peerId" | "host" | "port"> & { readonly ext?: Ext };

/** Greetings within this time share an id; with one round of gossip in it, others still answer them all. */
const GREETING_MS = 2 * 1000 / ORIGINATOR_PER_SECOND;
/** Files named to somebody whose name belongs to another peer: enough to see that we are alive. */
const STRANGER_FILES = 8;
/** A peer that was silent for this share of the timeout is asked itself, with some others at once. */
const FADING_SHARE = 2 / 3;
const MAX_FADING = 16;
/** An old address is asked at most this often who is there. */
const PROBE_EVERY_MS = 3_000;

export class Gossiping {
  readonly #seen = new ExpiringSet(MAX_SEEN_GOSSIPS, SEEN_GOSSIP_MS);
  readonly #originators = new KeyedBuckets(ORIGINATOR_BURST, ORIGINATOR_PER_SECOND);
  readonly #probes: ExpiringSet;
  readonly #silentBootstraps = new Set<string>();
  /** Where the first gossip went and when, until an answer or a failure came back. */
  readonly #pending = new Map<string, { readonly address: Address; readonly sinceMs: number }>();
  /** Machine and port that the configured bootstraps led to: they may call themselves otherwise. */
  readonly #ledTo = new Map<string, string>();
  #greetingId = "";
  #greetingMs = -Infinity;
  #startedMs = 0;
  #started = false;
  #synchronized = false;
  #saidAlone = false;
  #lastReplyMs: number | undefined;
  #nextRoundMs = 0;
  #roundGossip: Gossip | undefined;
  #nextAskMs = 0;
  #nextJoinMs = Infinity;
  #joinBackoffMs = JOIN_BACKOFF_FIRST_MS;

  constructor(
    readonly state: PeerState,
    readonly lists: Lists,
    readonly whenSynchronized: (alone: boolean) => void,
  ) {
    this.#probes = new ExpiringSet(state.config.limits.maxPeers, PROBE_EVERY_MS);
  }

  /** Whether the first lists are here. */
  get synchronized(): boolean {
    return this.#synchronized;
  }

  start(): void {
    const { state } = this;
    this.#startedMs = state.nowMs;
    this.#started = true;
    this.#nextRoundMs = state.nowMs + state.config.gossipIntervalMs;
    this.#join();
    if (this.#pending.size === 0) this.#alone();
  }

  tick(): void {
    const { state } = this;
    if (!this.#started) return;
    for (const [key, { address, sinceMs }] of this.#pending) {
      if (state.nowMs - sinceMs >= JOIN_ANSWER_MS) {
        this.#joinFailed(address, `${key} takes connections and does not answer`);
      }
    }
    for (const gone of state.membership.expire(state.nowMs)) this.#left(gone);
    if (state.membership.size === 0) {
      if (state.nowMs >= this.#nextJoinMs) this.#join();
    } else {
      if (state.nowMs >= this.#nextRoundMs) this.#round();
      this.#askFading();
    }
    this.#checkSynchronized();
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
      this.lists.reply(record, message.ext?.want === "list");
      this.#forward(message, ip, record);
    }
  }

  /** A GOSSIP_REPLY came. */
  onReply(message: GossipReply, ip: string): void {
    const { state } = this;
    if (message.peerId === state.config.peerId) return;
    const record = this.#hear(message, ip);
    if (!record) return;
    this.lists.take(record, message);
    this.#lastReplyMs = state.nowMs;
    this.#pending.delete(addressText(record.address));
    for (const key of this.#pending.keys()) {
      if (this.#ledTo.get(key) === `${machineOf(record)} ${record.address.port}`) {
        this.#pending.delete(key);
      }
    }
    if (record.bootstrap) this.#silentBootstraps.delete(addressText(record.address));
    this.#checkSynchronized();
  }

  onSent(to: Address, ip: string, peerId: string | undefined): void {
    const { membership } = this.state;
    const record = peerId === undefined ? undefined : membership.get(peerId);
    if (record && sameAddress(record.address, to) && !membership.reached(record, ip)) {
      this.#left(record);
    }
    if (!this.#bootstrapNamed(to)) return;
    this.#ledTo.set(addressText(to), `${ip} ${to.port}`);
    for (const other of membership.all()) {
      if (other.heardFrom.has(ip)) this.#markBootstrap(other);
    }
  }

  onUnreachable(
    to: Address,
    peerId: string | undefined,
    ticket: Ticket | undefined,
    text: string,
  ): void {
    if (ticket?.for === "join") this.#joinFailed(to, text);
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
        // Some gossip only once in their life: who is new is asked at once, for its whole list.
        this.#markBootstrap(hearing.record);
        this.#gossipTo([hearing.record]);
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

  #markBootstrap(record: PeerRecord): void {
    const place = `${machineOf(record)} ${record.address.port}`;
    if (record.proven && [...this.#ledTo.values()].includes(place)) record.bootstrap = true;
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
      state.send(record, this.#ownGossip(true), { for: "probe", peerId });
    }
    // The gossip is answered all the same, as to a stranger: a bounded number of times, one small piece.
    const stranger = { address, voucher: isLoopback(ip) ? "local" : "remote" } as const;
    if (!isGossip) return;
    state.send(stranger, {
      type: "GOSSIP_REPLY",
      ...this.#self(),
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
    this.#gossipTo([record]);
  }

  #moved(record: PeerRecord, old: Address): void {
    const { state } = this;
    this.lists.forget(record.peerId);
    state.tell({ name: "peer-moved", peerId: record.peerId, address: record.address, other: old });
    state.save();
  }

  #left(record: PeerRecord): void {
    const { state } = this;
    this.lists.forget(record.peerId);
    state.catalogue.dropPeer(record.peerId, state.nowMs);
    state.tell({ name: "peer-left", peerId: record.peerId, address: record.address });
    state.save();
    if (state.membership.size === 0) this.#nextJoinMs = state.nowMs;
  }

  #forward(message: Gossip, ip: string, originator: PeerRecord): void {
    const { state } = this;
    // The sender's port is not known; where it is the only peer of its machine, it is left out.
    const sender = state.membership.soleAt(ip);
    const others = (record: PeerRecord) => record !== originator && record !== sender;
    const pick = (passes: (record: PeerRecord) => boolean) =>
      state.membership.pick(MAX_FORWARDS, () => state.random(), passes);
    // Addresses that never answered may be dialled seldom; meeting them goes before handing on.
    const known = pick((record) => others(record) && (record.proven || record.answered));
    const chosen = known.length > 0 ? known : pick(others);
    // The receiver has no connection to the originator, so an empty host is filled in.
    const named = message.host === "" ? { ...message, host: ip } : message;
    state.sendToAll(chosen, named);
  }

  #round(): void {
    const { state } = this;
    const { gossipIntervalMs } = state.config;
    this.#nextRoundMs = state.nowMs + gossipIntervalMs * (0.9 + 0.2 * state.random());
    const chosen = state.membership.pick(GOSSIP_FANOUT, () => state.random(), () => true);
    const missing = this.#missingBootstraps();
    const bootstrap = missing[Math.floor(state.random() * missing.length)];
    this.#roundGossip = this.#ownGossip(false);
    state.sendToAll(chosen, this.#roundGossip);
    if (bootstrap) this.#gossipTo([bootstrap]);
  }

  #bootstrapNamed(address: Address): boolean {
    return this.state.config.bootstraps.some((bootstrap) => sameAddress(bootstrap, address));
  }

  /** Peers about to be dropped are asked themselves, so that healthy quiet ones stay. */
  #askFading(): void {
    const { state } = this;
    if (state.nowMs < this.#nextAskMs) return;
    this.#nextAskMs = state.nowMs + state.config.peerTimeoutMs / 12;
    const fading = state.membership.pick(
      MAX_FADING,
      () => state.random(),
      ({ lastHeardMs }) => state.nowMs - lastHeardMs > FADING_SHARE * state.config.peerTimeoutMs,
    );
    // The gossip of this round: whoever had it answered it, and is not fading.
    if (fading.length > 0) state.sendToAll(fading, this.#roundGossip ?? this.#ownGossip(false));
  }

  #missingBootstraps(): Destination[] {
    const tracked = [...this.state.membership.all()].filter(({ bootstrap }) => bootstrap);
    const isTracked = (address: Address) =>
      tracked.some((record) =>
        sameAddress(record.address, address) ||
        this.#ledTo.get(addressText(address)) === `${machineOf(record)} ${record.address.port}`
      );
    return this.state.config.bootstraps
      .filter((address) => !isTracked(address))
      .map((address) => ({ address, voucher: "operator" }));
  }

  #join(): void {
    const { state } = this;
    const { bootstraps, rejoin } = state.config;
    const targets: Destination[] = [
      ...bootstraps.map((address) => ({ address, voucher: "operator" }) as const),
      ...rejoin.slice(0, MAX_REJOIN_PEERS),
    ];
    for (const { address } of targets) {
      const key = addressText(address);
      if (!this.#pending.has(key)) this.#pending.set(key, { address, sinceMs: state.nowMs });
    }
    this.#gossipTo(targets, { for: "join" });
    this.#nextJoinMs = state.nowMs + this.#joinBackoffMs * (0.75 + 0.5 * state.random());
    this.#joinBackoffMs = Math.min(this.#joinBackoffMs * 2, JOIN_BACKOFF_LAST_MS);
  }

  /** One own gossip to each; it asks for whole lists. */
  #gossipTo(
    targets: readonly Destination[],
    ticket?: Ticket,
  ): void {
    if (targets.length > 0) this.state.sendToAll(targets, this.#ownGossip(true), ticket);
  }

  #ownGossip(wantList: boolean): Gossip {
    const { state } = this;
    if (!wantList) {
      return { type: "GOSSIP", ...this.#self(), id: state.freshId(), ext: state.ext };
    }
    // Greetings of some seconds are one gossip: who met it on its way has answered already, and the
    // limits of others on what one originator may say are not used up by meeting many peers at once.
    if (state.nowMs - this.#greetingMs >= GREETING_MS) {
      this.#greetingMs = state.nowMs;
      this.#greetingId = state.freshId();
    }
    const ext = { ...state.ext, want: "list" as const };
    return { type: "GOSSIP", ...this.#self(), id: this.#greetingId, ext };
  }

  #self(): { peerId: string; host: string; port: number } {
    const { peerId, address } = this.state.config;
    return { peerId, host: address.host, port: address.port };
  }

  #joinFailed(to: Address, text: string): void {
    const { state } = this;
    const key = addressText(to);
    this.#pending.delete(key);
    if (this.#bootstrapNamed(to) && !this.#silentBootstraps.has(key)) {
      this.#silentBootstraps.add(key);
      state.tell({ name: "bootstrap-silent", address: to, text });
    }
    if (this.#pending.size === 0 && state.membership.size === 0) this.#alone();
    this.#checkSynchronized();
  }

  #checkSynchronized(): void {
    const { state } = this;
    if (this.#synchronized || this.#lastReplyMs === undefined) return;
    const quiet = state.nowMs - this.#lastReplyMs >= JOIN_QUIET_MS;
    if (this.#pending.size > 0 && !quiet) return;
    this.#synchronized = true;
    this.#joinBackoffMs = JOIN_BACKOFF_FIRST_MS;
    state.tell({
      name: "synchronized",
      afterMs: state.nowMs - this.#startedMs,
      peers: state.membership.size,
      files: state.catalogue.size,
    });
    this.whenSynchronized(false);
  }

  #alone(): void {
    if (this.#saidAlone) return;
    this.#saidAlone = true;
    this.state.tell({ name: "alone" });
    this.whenSynchronized(true);
  }
}
