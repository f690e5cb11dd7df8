// What this peer gossips of itself. PURE.
// Always holds: a gossip id stands for one text, and greetings of some seconds share theirs, so that meeting
// many peers at once does not use up what others answer and hand on for one originator.

import { ORIGINATOR_PER_SECOND } from "../limits.ts";
import type { Gossip } from "../wire/message.ts";
import type { PeerState } from "../state.ts";

/** Greetings within this time share an id; with one round of gossip in it, others still answer them all. */
const GREETING_MS = 2 * 1000 / ORIGINATOR_PER_SECOND;

export class Greeting {
  #latest: Gossip | undefined;
  #sinceMs = 0;

  constructor(readonly state: PeerState) {}

  /** A gossip under a new id; it asks these peers, of all that it reaches, for their whole lists. */
  fresh(wanted: readonly string[] = []): Gossip {
    const { self, ext } = this.state;
    const id = this.state.freshId();
    return {
      type: "GOSSIP",
      ...self,
      id,
      ext: wanted.length > 0 ? { ...ext, want: wanted } : ext,
    };
  }

  /** For who may not know us: whoever met it on its way here has answered already. */
  get current(): Gossip {
    const { nowMs } = this.state;
    if (!this.#latest || nowMs - this.#sinceMs >= GREETING_MS) {
      this.#sinceMs = nowMs;
      this.#latest = this.fresh();
    }
    return this.#latest;
  }
}
