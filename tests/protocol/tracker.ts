// A membership for its tests, and claims to feed it.

import { ok } from "node:assert/strict";
import {
  type Claim,
  Membership,
  type PeerRecord,
  sameAddress,
} from "../../protocol/members/membership.ts";

export const BOUNDS = { maxPeers: 10, maxPeersPerAddress: 4, timeoutMs: 60_000 };
export const BOOTSTRAP = { host: "10.0.0.1", port: 6000 };
export const NODE = "n".repeat(43);

export const tracker = (over: Partial<typeof BOUNDS> = {}) =>
  new Membership({ ...BOUNDS, ...over }, (address) => sameAddress(BOOTSTRAP, address));

/** Returns a claim, by default from the address that it names. */
export function claim(
  peerId: string,
  host: string,
  over: Partial<Claim> & { port?: number; node?: string } = {},
): Claim {
  const { port = 6000, node, ...rest } = over;
  const ext = node === undefined ? undefined : { v: 1, node };
  return {
    peerId,
    address: { host, port },
    also: [],
    ip: host,
    ext,
    isForwardable: false,
    ...rest,
  };
}

/** Hears a claim that is expected to be tracked. */
export function track(members: Membership, said: Claim, nowMs = 0): PeerRecord {
  const hearing = members.hear(said, nowMs);
  ok("record" in hearing && hearing.outcome !== "conflict", hearing.outcome);
  return hearing.record;
}
export const outcome = (members: Membership, said: Claim, nowMs = 0) =>
  members.hear(said, nowMs).outcome;
export const ids = (members: Membership) => [...members.all()].map(({ peerId }) => peerId);
