// Peers grow together into one network, on the virtual network; see convergence.ts.

import { scenarios } from "./convergence.ts";
import { testAll } from "./seeds.ts";

// 300 peers exchange 360,000 messages a round, a minute of work; `deno task sim` runs that.
testAll(scenarios(100));
