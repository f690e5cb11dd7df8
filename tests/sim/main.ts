// Runs every scenario with many seeds and prints one line per run: the measured values, or how to replay a failure.
// Usage: deno run -A tests/sim/main.ts [seeds] [part of the scenario's name]
// Large networks take half a minute each, so they run one seed for every 200 seeds of the small ones.

import { DEFAULT_LIMITS } from "../../protocol/limits.ts";
import * as convergence from "./convergence.ts";
import { type Figures, type Scenario, seeds, withSeed } from "./seeds.ts";
import * as files from "./files.ts";
import * as hostile from "./hostile.ts";
import * as names from "./names.ts";
import * as reach from "./reach.ts";
import * as trouble from "./trouble.ts";

const SMALL_PER_LARGE = 200;

const large: readonly Scenario[] = [
  ...convergence.scenarios(300),
  ...trouble.scenarios,
  ...files.scenarios,
  ...names.scenarios,
  ...reach.scenarios,
  hostile.invented(5_000, DEFAULT_LIMITS),
];

function shown(figures: Figures): string {
  return Object.entries(figures).map(([name, value]) => `${name}: ${value}`).join(", ");
}

if (import.meta.main) {
  const [count = "1", ...words] = Deno.args;
  const wanted = words.join(" ").toLowerCase();
  let failures = 0;
  const largeCount = Math.ceil(Number(count) / SMALL_PER_LARGE);
  const counted = [
    ...hostile.small.map((scenario) => ({ ...scenario, seeds: Number(count) })),
    ...large.map((scenario) => ({ ...scenario, seeds: largeCount })),
  ];
  for (const { name, run, seeds: each } of counted) {
    if (!name.toLowerCase().includes(wanted)) continue;
    for (const seed of seeds(each)) {
      const began = performance.now();
      const seconds = () => `${((performance.now() - began) / 1000).toFixed(1)} s`;
      try {
        const [figures = {}] = withSeed(name, [seed], run);
        console.log(`ok   seed ${seed}, ${seconds()}: ${name} (${shown(figures)})`);
      } catch (error) {
        failures++;
        console.log(
          `FAIL seed ${seed}, ${seconds()}: ${error instanceof Error ? error.message : error}`,
        );
      }
    }
  }
  if (failures > 0) Deno.exit(1);
}
