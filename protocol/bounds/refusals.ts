// Counts of what was refused, by reason and by sender, in bounded memory. PURE.

import type { Reason } from "../wire/errors.ts";

/** Maximum number of senders counted separately. Beyond this, the one not seen for longest is merged into `OTHERS`. */
const MAX_NAMED = 256;
/** Name under which all other senders are counted. It contains a line break, so no peer can have this name. */
export const OTHERS = "(others)\n";

/** Number of refusals by reason. */
export type Counts = Map<Reason, number>;

/** Counts refusals since this peer started. */
export class Refusals {
  /** Number of refusals by reason, over all senders. */
  readonly byReason: Counts = new Map();
  /** The most recent sender is last. */
  readonly #byPeer = new Map<string, Counts>();

  /** Counts a refusal, `times` times. `who` is a peer id or an address. */
  note(who: string, reason: Reason, times = 1): void {
    add(this.byReason, reason, times);
    const counts: Counts = this.#byPeer.get(who) ?? new Map();
    add(counts, reason, times);
    this.#byPeer.delete(who);
    this.#byPeer.set(who, counts);
    const named = this.#byPeer.size - (this.#byPeer.has(OTHERS) ? 1 : 0);
    if (named > MAX_NAMED) this.#forgetOldest();
  }

  /** Returns the counts of each sender, those with the most refusals first and `OTHERS` last. */
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
