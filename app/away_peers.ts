// Peers that left: who was here in the last day, so that people see that a peer is away and not that it never was. Only bookkeeping,
// lost at the end of the run.
// Invariants: at most `MAX_AWAY` are remembered, the latest; a peer that is here is not among them.

import type { NodeEvent } from "../protocol/effects.ts";
import type { Address } from "../protocol/wire/address.ts";

/** How long a peer that left is remembered, in milliseconds. */
export const AWAY_MS = 86_400_000;
/** Maximum number of peers remembered. Whoever invents peers pushes out the oldest. (A guess: more than a course has.) */
export const MAX_AWAY = 200;

/** A peer that left. */
export interface AwayPeer extends Address {
  readonly peerId: string;
  /** When it was last heard from, in monotonic milliseconds. */
  readonly seenMs: number;
}

/** The peers that left. */
export class AwayPeers {
  /** The latest last. */
  readonly #peers = new Map<string, AwayPeer>();

  /** Notes who came and who left. */
  note(event: NodeEvent): void {
    if (event.name === "peer-joined") this.#peers.delete(event.peerId);
    if (event.name !== "peer-left") return;
    const { peerId, address, lastHeardMs } = event;
    this.#left({ ...address, peerId, seenMs: lastHeardMs });
  }

  #left(peer: AwayPeer): void {
    this.#peers.delete(peer.peerId);
    this.#peers.set(peer.peerId, peer);
    if (this.#peers.size > MAX_AWAY) this.#peers.delete(this.#peers.keys().next().value!);
  }

  /** Returns those that left in the last day, the latest first. */
  all(nowMs: number): AwayPeer[] {
    for (const [peerId, { seenMs }] of this.#peers) {
      if (nowMs - seenMs > AWAY_MS) this.#peers.delete(peerId);
    }
    return [...this.#peers.values()].reverse();
  }
}
