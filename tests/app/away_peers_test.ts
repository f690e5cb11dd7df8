// Who left in the last day.

import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { AWAY_MS, AwayPeers, MAX_AWAY } from "../../app/away_peers.ts";

const address = { host: "10.0.0.1", port: 6000 };
const names = (away: AwayPeers, nowMs: number) => away.all(nowMs).map(({ peerId }) => peerId);

Deno.test("a peer that left is away until it comes back, or for a day, and the latest are first", () => {
  const away = new AwayPeers();
  const left = (peerId: string, lastHeardMs: number) =>
    away.note({ name: "peer-left", peerId, address, lastHeardMs });
  left("a", 0);
  left("b", 1_000);
  left("a", 2_000);
  deepStrictEqual(away.all(3_000), [
    { ...address, peerId: "a", seenMs: 2_000 },
    { ...address, peerId: "b", seenMs: 1_000 },
  ]);
  away.note({ name: "peer-joined", peerId: "a", address });
  deepStrictEqual(names(away, 1_000 + AWAY_MS), ["b"]);
  deepStrictEqual(names(away, 1_001 + AWAY_MS), []);
});

Deno.test("thousands of invented peers that leave push out the oldest, and take no more memory", () => {
  const away = new AwayPeers();
  for (let i = 0; i < 10_000; i++) {
    away.note({ name: "peer-left", peerId: `p${i}`, address, lastHeardMs: i });
  }
  const left = names(away, 10_000);
  strictEqual(left.length, MAX_AWAY);
  deepStrictEqual([left[0], left.at(-1)], ["p9999", `p${10_000 - MAX_AWAY}`]);
});
