// What was refused, counted by reason and by who it came from, in bounded memory. PURE.

import type { Reason } from "../wire/errors.ts";

/** Peers and addresses that are told apart; the counts of the longest unseen go to `OTHERS`. */
const MAX_NAMED = 256;
/** No peer can be called so: it is no clean name. */
export const OTHERS = "(others)\n";

type Counts = Map<Reason, number>;

export class Refusals {
  readonly byReason: Counts = new Map();
  /** The latest last. */
  readonly #byPeer = new Map<string, Counts>();

  note(who: string, reason: Reason): void {
    add(this.byReason, reason, 1);
    const counts: Counts = this.#byPeer.get(who) ?? new Map();
    add(counts, reason, 1);
    this.#byPeer.delete(who);
    this.#byPeer.set(who, counts);
    const named = this.#byPeer.size - (this.#byPeer.has(OTHERS) ? 1 : 0);
    if (named > MAX_NAMED) this.#forgetOldest();
  }

  /** Who and how often, the most first; `OTHERS` is last. */
  byPeer(): { readonly who: string; readonly counts: ReadonlyMap<Reason, number> }[] {
    const total = (counts: Counts) => [...counts.values()].reduce((sum, n) => sum + n, 0);
    return [...this.#byPeer]
      .map(([who, counts]) => ({ who, counts, total: who === OTHERS ? -1 : total(counts) }))
      .sort((a, b) => b.total - a.total);
  }

  #forgetOldest(): void {
    for (const [who, counts] of this.#byPeer) {
      if (who === OTHERS) continue;
      const others: Counts = this.#byPeer.get(OTHERS) ?? new Map();
      for (const [reason, n] of counts) add(others, reason, n);
      this.#byPeer.delete(who);
      this.#byPeer.set(OTHERS, others);
      return;
    }
  }
}

function add(counts: Counts, reason: Reason, n: number): void {
  counts.set(reason, (counts.get(reason) ?? 0) + n);
}
