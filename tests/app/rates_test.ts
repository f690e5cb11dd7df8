// The rates of the last minutes: true whatever a second took, and bounded.

import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { RATE_SECONDS, RateHistory } from "../../app/rates.ts";

Deno.test("rates are means of what was counted since the last sample, however long that took", () => {
  const counted = { bytesIn: 500, bytesOut: 0 };
  let ms = 1_000;
  const history = new RateHistory(counted, () => ms, () => 1_700_000_000_000 + ms);
  counted.bytesIn += 3_000;
  ms += 1_000;
  history.sample();
  counted.bytesIn += 3_000;
  counted.bytesOut += 600;
  ms += 3_000; // the process was busy
  history.sample();
  history.sample(); // in the same moment: no sample, and nothing is divided by zero
  deepStrictEqual(history.all(), [
    { at: 1_700_000_002, in: 3_000, out: 0 },
    { at: 1_700_000_005, in: 1_000, out: 200 },
  ]);
});

Deno.test("only the last minutes are kept", () => {
  const counted = { bytesIn: 0, bytesOut: 0 };
  let ms = 0;
  const history = new RateHistory(counted, () => ms, () => ms);
  for (let second = 1; second <= RATE_SECONDS + 50; second++) {
    ms += 1_000;
    counted.bytesIn += second;
    history.sample();
  }
  strictEqual(history.all().length, RATE_SECONDS);
  strictEqual(history.all().at(-1)?.in, RATE_SECONDS + 50);
  strictEqual(history.all()[0]?.in, 51);
});

Deno.test({
  name: "sampling ends with stop, and leaves no timer behind",
  sanitizeOps: true,
  sanitizeResources: true,
  fn() {
    const history = new RateHistory({ bytesIn: 0, bytesOut: 0 });
    history.start();
    history.start(); // once is enough
    history.stop();
  },
});
