// Opens one process's connections on the virtual clock. Uses the real queue (net/dial_queue.ts); without it a
// simulated peer would never pay for a dead neighbor.

import { DialQueue, type DialRank, type QueuedDial } from "../../net/dial_queue.ts";
import { type Address, addressText, type Voucher } from "../../protocol/wire/address.ts";
import { DEFAULT_LIMITS } from "../../protocol/limits.ts";
import type { Host } from "./host.ts";
import type { Dialed } from "./network.ts";

interface Dial extends QueuedDial {
  readonly to: Address;
  readonly done: (dialed: Dialed) => void;
}

export class Dialer {
  readonly #queue = new DialQueue<Dial>(DEFAULT_LIMITS.maxDials);

  constructor(readonly host: Host) {}

  dial(to: Address, voucher: Voucher, rank: DialRank, done: (dialed: Dialed) => void): void {
    const { clock, nowMs } = this.host.network;
    const dial = { key: addressText(to), to, voucher, rank, done };
    const fail = (failure: string, isOurs = false) =>
      clock.after(0, () => done({ failure, isOurs }));
    const turn = this.#queue.request(dial, nowMs);
    switch (turn) {
      case "start":
        return this.#start(dial);
      case "wait":
        return;
      case "dead":
        return fail("did not answer a moment ago");
      case "full":
        return fail("too many wait", true);
      default:
        turn satisfies never;
    }
  }

  #start({ key, rank, to, voucher, done }: Dial): void {
    const { network } = this.host;
    network.connect(this.host, to, voucher, (dialed) => {
      if ("failure" in dialed && dialed.silent) {
        for (const { done } of this.#queue.silent(key, network.nowMs)) {
          network.clock.after(0, () => done({ failure: "does not answer" }));
        }
      } else if (!("failure" in dialed)) this.#queue.answered(key);
      const next = this.#queue.ended(rank);
      if (next) this.#start(next);
      done(dialed);
    });
  }
}
