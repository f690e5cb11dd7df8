// Joining: gossip to the bootstraps and the peers of the last run until a peer answers. PURE.
// Invariants: while no peer is tracked, joining is retried with increasing delays; a silent bootstrap is reported
// once; the peer is synchronized when everyone it asked has answered, or no further answers arrive; whoever adds a peer hears
// once what became of that.

import { type Address, addressText } from "../wire/address.ts";
import type { Bounded } from "../bounds/expiring.ts";
import type { Greeting } from "./greeting.ts";
import {
  JOIN_ANSWER_MS,
  JOIN_BACKOFF_FIRST_MS,
  JOIN_BACKOFF_LAST_MS,
  JOIN_QUIET_MS,
  MAX_ADDED,
  MAX_REJOIN_PEERS,
} from "../limits.ts";
import { machineOf, type PeerRecord, sameAddress } from "./membership.ts";
import type { Destination, PeerState } from "../state.ts";

/** Joins the network and knows which peers are the configured bootstraps. */
export class Joining {
  /** Why those that do not answer do not. */
  readonly #silentBootstraps = new Map<
    string,
    { readonly address: Address; readonly text: string }
  >();
  /** Addresses that people have added, and wait for. */
  readonly #added = new Set<string>();
  /** Where the first gossip was sent and when, until it is answered or fails. */
  readonly #pending = new Map<string, { readonly address: Address; readonly sinceMs: number }>();
  /** Machine and port that each configured bootstrap led to; the peer there may advertise another address. */
  readonly #ledTo = new Map<string, string>();
  #startedMs = 0;
  #synchronized = false;
  #saidAlone = false;
  #lastReplyMs: number | undefined;
  #nextMs = Infinity;
  #backoffMs = JOIN_BACKOFF_FIRST_MS;

  /** Shares `state` with the other parts of the peer. Sends nothing before `start`. */
  constructor(
    readonly state: PeerState,
    readonly greeting: Greeting,
    readonly whenSynchronized: (alone: boolean) => void,
  ) {}

  /** Whether the first lists have arrived. */
  get synchronized(): boolean {
    return this.#synchronized;
  }

  /** Everything remembered here, with its bounds. */
  get sizes(): Bounded[] {
    const { config } = this.state;
    const max = config.bootstraps.length + MAX_ADDED + MAX_REJOIN_PEERS;
    return [
      { name: "joins in progress", size: () => this.#pending.size, max: () => max },
      { name: "silent bootstraps", size: () => this.#silentBootstraps.size, max: () => max },
      { name: "peers added", size: () => this.#added.size, max: () => max },
      { name: "places of bootstraps", size: () => this.#ledTo.size, max: () => max },
    ];
  }

  /** Sends the first gossip. */
  start(): void {
    this.#startedMs = this.state.nowMs;
    this.#join();
    if (this.#pending.size === 0) this.#alone();
  }

  /** The bootstraps that do not answer, and why, as sentences that begin with the address. */
  get troubles(): Iterable<{ readonly address: Address; readonly text: string }> {
    return this.#silentBootstraps.values();
  }

  /** Joins through one more peer. */
  add(given: Address): void {
    const { state } = this;
    // What is known already keeps its spelling, under which answers are expected.
    const address = state.bootstraps.find((each) => sameAddress(each, given)) ?? given;
    const key = addressText(address);
    const known = [...state.membership.all()].find((record) =>
      record.proven && (sameAddress(record.address, address) || this.#isAt(key, record))
    );
    if (!this.isNamed(address)) {
      if (state.bootstraps.length >= state.config.bootstraps.length + MAX_ADDED) {
        const text = "Too many peers have been added; restart this one to forget them";
        return state.tell({ name: "not-connected", address, text });
      }
      state.bootstraps.push(address);
    }
    if (known) {
      state.membership.promote(known.peerId);
      return state.tell({ name: "connected", address, peerId: known.peerId });
    }
    this.#added.add(key);
    this.#silentBootstraps.delete(key); // it is told again why it does not answer
    this.#pending.set(key, { address, sinceMs: state.nowMs });
    state.send({ address, voucher: "operator" }, this.greeting.fresh(), { for: "join" });
  }

  /** Joins again on the next tick, because the last tracked peer is gone. */
  begin(): void {
    this.#nextMs = this.state.nowMs;
  }

  /** Gives up on peers that do not answer, and retries when it is time. */
  tick(): void {
    const { state } = this;
    for (const [key, { address, sinceMs }] of this.#pending) {
      if (state.nowMs - sinceMs >= JOIN_ANSWER_MS) {
        this.failed(address, `${key} ${this.#silence()}`);
      }
    }
    if (state.membership.size === 0 && state.nowMs >= this.#nextMs) this.#join();
    this.#checkSynchronized();
  }

  /** Notes that a tracked peer sent its list. */
  answered(record: PeerRecord): void {
    this.#lastReplyMs = this.state.nowMs;
    const isIt = (key: string) => key === addressText(record.address) || this.#isAt(key, record);
    for (const key of this.#pending.keys()) if (isIt(key)) this.#pending.delete(key);
    if (record.bootstrap) {
      for (const key of this.#silentBootstraps.keys()) {
        if (isIt(key)) this.#silentBootstraps.delete(key);
      }
    }
    for (const key of this.#added) {
      const address = this.state.bootstraps.find((each) => addressText(each) === key);
      if (!isIt(key) || !address) continue;
      this.#added.delete(key);
      this.state.tell({ name: "connected", address, peerId: record.peerId });
    }
    this.#checkSynchronized();
  }

  /** Returns whether a configured address led to where this peer is. */
  #isAt(key: string, record: PeerRecord): boolean {
    return this.#ledTo.get(key) === placeText(record);
  }

  /** Notes which machine a dial led to. A configured bootstrap may be there under another host name. */
  ledTo(to: Address, ip: string): void {
    if (!this.isNamed(to)) return;
    this.#ledTo.set(addressText(to), `${ip} ${to.port}`);
    for (const other of this.state.membership.all()) {
      if (other.heardFrom.has(ip)) this.markBootstrap(other);
    }
  }

  /** Treats a peer as a bootstrap if it is where a configured one led. */
  markBootstrap(record: PeerRecord): void {
    if ([...this.#ledTo.values()].includes(placeText(record))) {
      this.state.membership.promote(record.peerId);
    }
  }

  /** Notes that the gossip to an address failed or was not answered; `text` says why. */
  failed(to: Address, text: string): void {
    const { state } = this;
    const key = addressText(to);
    this.#pending.delete(key);
    if (this.#added.delete(key)) state.tell({ name: "not-connected", address: to, text });
    if (this.isNamed(to)) {
      const isNews = !this.#silentBootstraps.has(key);
      this.#silentBootstraps.set(key, { address: to, text });
      if (isNews) state.tell({ name: "bootstrap-silent", address: to, text });
    }
    if (this.#pending.size === 0 && state.membership.size === 0) this.#alone();
    this.#checkSynchronized();
  }

  /** Returns what is known of why a peer does not answer. Answers are connections to us, so it may not be to blame. */
  #silence(): string {
    const { hasBeenReached, address } = this.state;
    if (hasBeenReached) return "accepts connections but does not answer";
    return `accepts connections, but nobody has connected to ${addressText(address)} to answer: ` +
      `if a firewall keeps connections to this machine out, open TCP port ${address.port}`;
  }

  /** Returns the configured bootstraps that are not among the tracked peers. */
  missing(): Destination[] {
    const tracked = [...this.state.membership.all()].filter(({ bootstrap }) => bootstrap);
    const isTracked = (address: Address) =>
      tracked.some((record) =>
        sameAddress(record.address, address) ||
        this.#ledTo.get(addressText(address)) === placeText(record)
      );
    return this.state.bootstraps
      .filter((address) => !isTracked(address))
      .map((address) => ({ address, voucher: "operator" }));
  }

  /** Returns whether somebody configured or added an address. */
  isNamed(address: Address): boolean {
    return this.state.bootstraps.some((bootstrap) => sameAddress(bootstrap, address));
  }

  #join(): void {
    const { state } = this;
    const { bootstraps, config: { rejoin } } = state;
    const targets: Destination[] = [
      ...bootstraps.map((address) => ({ address, voucher: "operator" }) as const),
      ...rejoin.slice(0, MAX_REJOIN_PEERS),
    ];
    for (const { address } of targets) {
      const key = addressText(address);
      if (!this.#pending.has(key)) this.#pending.set(key, { address, sinceMs: state.nowMs });
    }
    if (targets.length > 0) state.sendToAll(targets, this.greeting.current, { for: "join" });
    this.#nextMs = state.nowMs + this.#backoffMs * (0.75 + 0.5 * state.random());
    this.#backoffMs = Math.min(this.#backoffMs * 2, JOIN_BACKOFF_LAST_MS);
  }

  #checkSynchronized(): void {
    const { state } = this;
    if (this.#synchronized || this.#lastReplyMs === undefined) return;
    const quiet = state.nowMs - this.#lastReplyMs >= JOIN_QUIET_MS;
    if (this.#pending.size > 0 && !quiet) return;
    this.#synchronized = true;
    this.#backoffMs = JOIN_BACKOFF_FIRST_MS;
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
    const { bootstraps, config: { rejoin } } = this.state;
    this.state.tell({ name: "alone", isTrying: bootstraps.length + rejoin.length > 0 });
    this.whenSynchronized(true);
  }
}

function placeText(record: PeerRecord): string {
  return `${machineOf(record)} ${record.address.port}`;
}
