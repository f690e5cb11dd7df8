// Our own GOSSIP messages. PURE.
// Invariants: a gossip id identifies one text; greetings within a few seconds share an id, so that meeting many peers
// at once does not exceed what others answer and forward for one originator.

import { ORIGINATOR_PER_SECOND } from "../limits.ts";
import type { Gossip } from "../wire/message.ts";
import type { PeerState } from "../state.ts";

/**
 * How long greetings share an id, in milliseconds: the time in which others answer two gossips of one originator, so
 * that greetings and one gossip round fit in.
 */
const GREETING_MS = 2 * 1000 / ORIGINATOR_PER_SECOND;

/** Creates the gossips of this peer. */
export class Greeting {
  #latest: Gossip | undefined;
  #sinceMs = 0;

  /** Shares `state` with the other parts of the peer. */
  constructor(readonly state: PeerState) {}

  /** Returns a gossip with a new id. It asks the `wanted` peers, if it reaches them, for their whole lists. */
  fresh(wanted: readonly string[] = []): Gossip {
    const { self, ext } = this.state;
    const id = this.state.freshId();
    const want = wanted.length > 0 ? { want: wanted } : {};
    return { type: "GOSSIP", ...self, id, ext: { ...ext, ...want, here: true } };
  }

  /** Forgets what others have received: it says something about us that is no longer true. */
  renew(): void {
    this.#latest = undefined;
  }

  /** The gossip for peers that may not know us yet. One that already received it, forwarded by others, has answered. */
  get current(): Gossip {
    const { nowMs } = this.state;
    if (!this.#latest || nowMs - this.#sinceMs >= GREETING_MS) {
      this.#sinceMs = nowMs;
      this.#latest = this.fresh();
    }
    return this.#latest;
  }
}
