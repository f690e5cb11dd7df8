// The network survives partitions, sleep, and churn. See trouble.ts.

import { testAll } from "./seeds.ts";
import { scenarios } from "./trouble.ts";

testAll(scenarios);
