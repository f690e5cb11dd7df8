// The signals that stop the program, on each system.

import { deepStrictEqual } from "node:assert/strict";
import { stopSignals } from "../../cli/stop_signals.ts";

Deno.test("Windows is asked only for signals that it has", () => {
  deepStrictEqual(stopSignals("windows").map(([signal]) => signal), ["SIGINT", "SIGBREAK"]);
  for (const os of ["linux", "darwin"]) {
    deepStrictEqual(stopSignals(os), [["SIGINT", 130], ["SIGTERM", 0]]);
  }
});
