// Peers that announce themselves on the local network (DNS-SD). PURE.
// An announcement proves nothing, and anybody on the network can send any number: it leads to an ordinary greeting, like one to a
// stranger, of which there are only so many an hour.
// Invariants: nobody is greeted twice in a minute because of announcements; a peer that is tracked is not greeted at all.

import { type Address, addressText } from "../wire/address.ts";
import { type Bounded, ExpiringSet } from "../bounds/expiring.ts";
import { KeyedWindows } from "../bounds/rate_limit.ts";
import { DISCOVERED_PER_HOUR, DISCOVERED_PER_MACHINE } from "../limits.ts";
import type { PeerState } from "../state.ts";
import type { Greeting } from "./greeting.ts";
import { sameAddress } from "./membership.ts";

const HOUR_MS = 3_600_000;
/** How long an announced address is not greeted again, in milliseconds: announcements come several times. (A guess.) */
const AGAIN_MS = 60_000;
/** Maximum number of announced addresses remembered for that time. */
const MAX_GREETED = 4_096;

/** Greets peers that announce themselves. */
export class Discovered {
  readonly #greeted = new ExpiringSet(MAX_GREETED, AGAIN_MS);
  readonly #budget = new KeyedWindows(DISCOVERED_PER_HOUR, HOUR_MS);
  readonly #perMachine = new KeyedWindows(DISCOVERED_PER_MACHINE, HOUR_MS);

  /** Shares `state` with the other parts of the peer. */
  constructor(readonly state: PeerState, readonly greeting: Greeting) {}

  /** Everything remembered here, with its bounds. */
  get sizes(): Bounded[] {
    const machines = this.#perMachine;
    return [
      { name: "peers discovered", size: () => this.#greeted.size, max: () => MAX_GREETED },
      { name: "machines with peers", size: () => machines.size, max: () => machines.maxKeys },
    ];
  }

  /** Handles an announcement from `address`. `node`: the public key in it. */
  on(address: Address, node: string | undefined): void {
    const { state } = this;
    const { membership, nowMs, config } = state;
    if (node === config.node || sameAddress(state.address, address)) return;
    for (const record of membership.all()) {
      const isIt = (node !== undefined && record.node === node) ||
        (record.address.port === address.port &&
          (record.ip === address.host || record.also.includes(address.host)));
      if (isIt) return;
    }
    if (!this.#greeted.add(addressText(address), nowMs)) return;
    // The address is where the announcement came from.
    if (!this.#perMachine.take(address.host, nowMs) || !this.#budget.take("", nowMs)) {
      return state.overload("announced-ignored");
    }
    state.send({ address, voucher: "remote" }, this.greeting.current);
  }
}
