// Names and addresses: who moves, who pretends, and who may not be dialed; see names.ts.

import { scenarios } from "./names.ts";
import { testAll } from "./seeds.ts";

testAll(scenarios);
