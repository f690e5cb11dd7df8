// Peers that nobody can dial, on the virtual network. See reach.ts.

import { scenarios } from "./reach.ts";
import { testAll } from "./seeds.ts";

testAll(scenarios);
