// Threats 22 and 25 in docs/SECURITY-TESTS.md on the virtual network: loops die out, and whatever was cut off reconnects. A
// failure prints its seed; tests/sim runs the same scenarios with many more seeds.

import { strictEqual } from "node:assert/strict";
import { lossy } from "../sim/convergence.ts";
import { crashes, jumps, ring } from "../sim/hostile.ts";
import { type Scenario, seeds, withSeed } from "../sim/seeds.ts";
import { asleep, churn, goneBootstrap, partitioned } from "../sim/trouble.ts";

function holds(name: string, scenarios: readonly Scenario[], count: number): void {
  Deno.test(name, () => {
    let runs = 0;
    for (const { name, run } of scenarios) runs += withSeed(name, seeds(count), run).length;
    strictEqual(runs, scenarios.length * seeds(count).length);
  });
}

holds(
  "threat 22: gossip looping in a ring of 30 with duplicates dies out within two rounds",
  [ring(30)],
  3,
);
holds(
  "threat 25: a network split in half for three minutes is whole again within three rounds",
  [partitioned(20)],
  3,
);
holds(
  "threat 25: machines that slept, froze, or had their clocks jump are back within three rounds",
  [asleep(12), jumps],
  10,
);
holds(
  "threat 25: churn, packet loss, crashes, and lost bootstraps leave one connected network",
  [churn, lossy, crashes, goneBootstrap],
  1,
);
