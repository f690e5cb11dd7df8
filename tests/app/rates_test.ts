// Transfer rates of the last minutes: accurate even if samples are late, and bounded in number.

import { deepStrictEqual, strictEqual } from "node:assert/strict";
import { RATE_SECONDS, RateHistory } from "../../app/rates.ts";

Deno.test("a rate is the average since the last sample, however long ago that was", () => {
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
  history.sample(); // at the same instant: adds no sample and does not divide by zero
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
  name: "stop ends sampling and leaves no timer behind",
  sanitizeOps: true,
  sanitizeResources: true,
  fn() {
    const history = new RateHistory({ bytesIn: 0, bytesOut: 0 });
    history.start();
    history.start(); // a second start has no effect
    history.stop();
  },
});
