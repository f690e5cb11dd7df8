// Files spread, and are deleted, between honest peers and liars; see files.ts.

import { scenarios } from "./files.ts";
import { testAll } from "./seeds.ts";

testAll(scenarios);
