// Which seeds a run uses, and the line that replays the one that failed.
// P2P_SIM_SEED: the first seed; P2P_SIM_SEEDS: how many; P2P_SIM_PEERS: size of the large network.

/** What a scenario measured, for people. */
export type Figures = Record<string, number | string>;

export interface Scenario {
  /** A sentence about behaviour. */
  readonly name: string;
  /** Seeds in a row that the tests run it with; default 1. */
  readonly seeds?: number;
  /** Throws where the behaviour is not seen. */
  readonly run: (seed: number) => Figures;
}

/** Chosen once; any other would do. */
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

/** The seeds of this run: `count` in a row, unless the environment says otherwise. */
export function seeds(count = 1): number[] {
  const first = setting("P2P_SIM_SEED", FIRST_SEED);
  return Array.from({ length: setting("P2P_SIM_SEEDS", count) }, (_, i) => first + i);
}

/** Peers in the largest scenario. */
export function largeNetwork(preset: number): number {
  return setting("P2P_SIM_PEERS", preset);
}

/** Runs `fn` with each seed; a failure says how to see it again. */
export function withSeed<T>(name: string, seeds: readonly number[], fn: (seed: number) => T): T[] {
  return seeds.map((seed) => {
    try {
      return fn(seed);
    } catch (cause) {
      const replay = `P2P_SIM_SEED=${seed} P2P_SIM_SEEDS=1 deno test -A tests/sim`;
      const text = cause instanceof Error ? cause.message : String(cause);
      throw new Error(`${name}: fails with seed ${seed}: ${text}\n  Replay: ${replay}`, { cause });
    }
  });
}

/** One test per scenario. */
export function testAll(scenarios: readonly Scenario[]): void {
  for (const { name, run, seeds: count = 1 } of scenarios) {
    Deno.test(name, () => {
      withSeed(name, seeds(count), run);
    });
  }
}
