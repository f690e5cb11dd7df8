// Limits of which nobody may use more than a share: one throttle for all, and one for each of those that use it.
// Invariants: what is remembered is bounded by what is in use; a share follows the limit of all when its user comes.

import { Throttle } from "./throttle.ts";

/** A limit, and the share of it that one user may have. */
export class Shares {
  readonly #users = new Map<string, { readonly throttle: Throttle; uses: number }>();

  /** `share`: how much of `all` one user may have, from 0 to 1. */
  constructor(readonly all: Throttle, readonly share: number) {}

  /** Number of users. */
  get size(): number {
    return this.#users.size;
  }

  /** Returns the limits that hold for these users together. Each use must be given back, once. */
  take(users: readonly string[]): readonly Throttle[] {
    const own = users.map((name) => {
      const user = this.#users.get(name) ?? { throttle: new Throttle(0, this.all.clock), uses: 0 };
      user.throttle.bytesPerSecond = this.all.bytesPerSecond * this.share;
      user.uses++;
      this.#users.set(name, user);
      return user.throttle;
    });
    return [...own, this.all];
  }

  /** Notes that something that these users shared is over. */
  give(users: readonly string[]): void {
    for (const name of users) {
      const user = this.#users.get(name);
      if (user && --user.uses === 0) this.#users.delete(name);
    }
  }
}
