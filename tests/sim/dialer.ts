// How one process opens connections: so many at once, the others wait, and who did not answer is left
// alone for a moment. The same rules as `Dialer` in net/dialer.ts, on the virtual clock; without them
// a simulated peer would never feel what a dead neighbour costs.

import { type Address, addressText, type Voucher } from "../../protocol/wire/address.ts";
import { DEFAULT_LIMITS } from "../../protocol/limits.ts";
import type { Host } from "./host.ts";
import type { Dialled } from "./network.ts";

const MAX_WAITING = 4_096;
const DEAD_MS = 5_000;

interface Waiting {
  readonly key: string;
  readonly to: Address;
  readonly voucher: Voucher;
  readonly done: (dialled: Dialled) => void;
}

export class Dialer {
  #open = 0;
  #waiting: Waiting[] = [];
  #next = 0;
  readonly #deadUntil = new Map<string, number>();

  constructor(readonly host: Host) {}

  /** `urgent`: somebody waits for a file; it goes before gossip. */
  dial(to: Address, voucher: Voucher, urgent: boolean, done: (dialled: Dialled) => void): void {
    const { network } = this.host;
    const request = { key: addressText(to), to, voucher, done };
    const fail = (failure: string, isOurs = false) =>
      network.clock.after(0, () => done({ failure, isOurs }));
    const deadUntil = this.#deadUntil.get(request.key) ?? 0;
    if (voucher !== "operator" && !urgent && network.nowMs < deadUntil) {
      return fail("did not answer a moment ago");
    }
    if (this.#open < DEFAULT_LIMITS.maxDials) return this.#start(request);
    if (this.#waiting.length - this.#next >= MAX_WAITING) return fail("too many wait", true);
    if (urgent) this.#waiting.splice(this.#next, 0, request);
    else this.#waiting.push(request);
  }

  #start({ key, to, voucher, done }: Waiting): void {
    const { network } = this.host;
    this.#open++;
    network.connect(this.host, to, voucher, (dialled) => {
      this.#open--;
      if ("failure" in dialled && dialled.silent) this.#markDead(key);
      else if (!("failure" in dialled)) this.#deadUntil.delete(key);
      const next = this.#waiting[this.#next];
      if (next) {
        this.#next++;
        if (this.#next > 64 && this.#next * 2 > this.#waiting.length) {
          this.#waiting = this.#waiting.slice(this.#next);
          this.#next = 0;
        }
        this.#start(next);
      }
      done(dialled);
    });
  }

  #markDead(key: string): void {
    const { network } = this.host;
    this.#deadUntil.set(key, network.nowMs + DEAD_MS);
    const waiting = this.#waiting.slice(this.#next);
    this.#next = 0;
    this.#waiting = waiting.filter((request) => request.key !== key);
    for (const { key: other, done } of waiting) {
      if (other === key) network.clock.after(0, () => done({ failure: "does not answer" }));
    }
  }
}
