// Names and addresses: peers that move, impostors, and addresses that must not be dialed. See names.ts.

import { scenarios } from "./names.ts";
import { testAll } from "./seeds.ts";

testAll(scenarios);
