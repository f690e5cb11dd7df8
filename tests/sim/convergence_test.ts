// Peers converge to one network, on the virtual network. See convergence.ts.

import { scenarios } from "./convergence.ts";
import { testAll } from "./seeds.ts";

// 300 peers exchange 360,000 messages per round, about a minute of work. `deno task sim` runs that size.
testAll(scenarios(100));
