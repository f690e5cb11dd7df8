// Threats 22 and 25 on the virtual network: loops die out, and whatever was cut off finds back. Seeds are printed where
// one fails; tests/sim runs the same scenarios with many more of them.

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
  "threat 22: gossip that loops in a ring of 30 with duplicates dies within two rounds",
  [ring(30)],
  3,
);
holds(
  "threat 25: halves that lost each other for three minutes are one network within three rounds",
  [partitioned(20)],
  3,
);
holds(
  "threat 25: machines that slept, stood still or whose clocks jumped are back within three rounds",
  [asleep(12), jumps],
  10,
);
holds(
  "threat 25: churn, loss, crashes and bootstraps that go leave one network",
  [churn, lossy, crashes, goneBootstrap],
  1,
);
