// The network comes through partitions, sleep and churn; see trouble.ts.

import { testAll } from "./seeds.ts";
import { scenarios } from "./trouble.ts";

testAll(scenarios);
