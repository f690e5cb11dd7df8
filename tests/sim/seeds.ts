// Chooses the seeds of a run, and prints the command that replays a failed one.
// P2P_SIM_SEED: first seed. P2P_SIM_SEEDS: number of seeds. P2P_SIM_PEERS: size of the large network.

/** Values that a scenario measured, by name, for people to read. */
export type Figures = Record<string, number | string>;

export interface Scenario {
  /** A sentence about behavior. */
  readonly name: string;
  /** Number of consecutive seeds that the tests run it with. Default: 1. */
  readonly seeds?: number;
  /** Runs the scenario. Throws if the behavior is not observed. */
  readonly run: (seed: number) => Figures;
}

/** Arbitrary, but fixed. */
const FIRST_SEED = 20_260_101;

function setting(name: string, preset: number): number {
  const text = Deno.env.get(name);
  if (text === undefined || text === "") return preset;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new RangeError(`${name} must be a positive integer, got "${text}"`);
  }
  return value;
}

/** Returns the seeds of this run: `count` consecutive ones, unless the environment overrides that. */
export function seeds(count = 1): number[] {
  const first = setting("P2P_SIM_SEED", FIRST_SEED);
  return Array.from({ length: setting("P2P_SIM_SEEDS", count) }, (_, i) => first + i);
}

/** Returns the number of peers in the largest scenario. */
export function largeNetwork(preset: number): number {
  return setting("P2P_SIM_PEERS", preset);
}

/** Runs `fn` with each seed. The error of a failed run says how to replay it. */
export function withSeed<T>(name: string, seeds: readonly number[], fn: (seed: number) => T): T[] {
  return seeds.map((seed) => {
    try {
      return fn(seed);
    } catch (cause) {
      const replay = `P2P_SIM_SEED=${seed} P2P_SIM_SEEDS=1 deno test -A tests/sim`;
      const text = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`${name}: failed with seed ${seed}: ${text}\n  To replay: ${replay}`, {
        cause,
      });
    }
  });
}

/** Registers one test per scenario. */
export function testAll(scenarios: readonly Scenario[]): void {
  for (const { name, run, seeds: count = 1 } of scenarios) {
    Deno.test(name, () => {
      withSeed(name, seeds(count), run);
    });
  }
}
