// Many peers that start within seconds and converge. One round of 300 peers takes 350,000 messages, each through the real encoder and
// decoder: `deno task sim:large` has that size, and every other run half of it, which takes a quarter. `deno task sim` runs more seeds.

import assert from "node:assert/strict";
import { joiningBound } from "./convergence.ts";
import { buildLab, roundsToOneView, startAll } from "./lab.ts";
import { ROUND_MS } from "./network.ts";
import { seeds, withSeed } from "./seeds.ts";
import { gaps } from "./views.ts";

const PEERS = Number(Deno.env.get("P2P_SIM_PEERS") ?? 150);
const NAME = `${PEERS} peers that start together know each other and all files within four rounds`;

Deno.test(NAME, () => {
  withSeed(NAME, seeds(1), (seed) => {
    const lab = buildLab(seed, PEERS);
    const { network } = lab;
    startAll(lab);
    network.run(2 * ROUND_MS);
    const pairs = PEERS * (PEERS - 1);
    const { peers, files } = gaps(network);
    // A gossip reaches 19 of 20 peers, so some pairs still lack each other or a list until the next rounds.
    assert(peers <= pairs / 500, `${peers} of ${pairs} pairs do not know each other`);
    assert(files <= 0.03 * pairs, `${files} of ${pairs} pairs of peer and file are unknown`);
    roundsToOneView(network, 2);
    for (let round = 0; round < 2; round++) {
      const perPeer = network.meter.between(round, round + 1).messages / PEERS;
      assert(
        perPeer <= joiningBound(PEERS),
        `Too many messages: ${perPeer} per peer in round ${round}`,
      );
    }
    network.invariants.scanAll();
  });
});
