// Files spread and are deleted among honest peers and liars. See files.ts.

import { scenarios } from "./files.ts";
import { testAll } from "./seeds.ts";

testAll(scenarios);
