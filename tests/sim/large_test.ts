// The full size: 300 peers that start within seconds and grow together. A round of theirs is 350,000 messages,
// each through the real encoder and decoder, so this runs one seed; `deno task sim` runs more, and longer.

import assert from "node:assert/strict";
import { joiningBound } from "./convergence.ts";
import { buildLab, roundsToOneView, startAll } from "./lab.ts";
import { ROUND_MS } from "./network.ts";
import { seeds, withSeed } from "./seeds.ts";
import { gaps } from "./views.ts";

const PEERS = 300;
const NAME = "300 peers that start together all know each other and their files within four rounds";

Deno.test(NAME, () => {
  withSeed(NAME, seeds(1), (seed) => {
    const lab = buildLab(seed, PEERS);
    const { network } = lab;
    startAll(lab);
    network.run(2 * ROUND_MS);
    const pairs = PEERS * (PEERS - 1);
    const { peers, files } = gaps(network);
    // A gossip reaches 19 of 20 peers, so some pairs still miss each other or a list; the next rounds bring them.
    assert(peers <= pairs / 500, `${peers} of ${pairs} pairs do not know each other`);
    assert(files <= 0.03 * pairs, `${files} of ${pairs} files are not known where they could be`);
    roundsToOneView(network, 2);
    for (let round = 0; round < 2; round++) {
      const perPeer = network.meter.between(round, round + 1).messages / PEERS;
      assert(perPeer <= joiningBound(PEERS), `${perPeer} messages per peer in round ${round}`);
    }
    network.invariants.scanAll();
  });
});
