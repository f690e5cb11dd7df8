// Small networks under attack, with hundreds of seeds each. See hostile.ts. `deno task sim 5000` runs thousands.

import { DEFAULT_LIMITS } from "../../protocol/limits.ts";
import { invented, small } from "./hostile.ts";
import { testAll } from "./seeds.ts";

const SEEDS = 200;

testAll(small.map((scenario) => ({ ...scenario, seeds: SEEDS })));
testAll([invented(5_000, DEFAULT_LIMITS)]);
