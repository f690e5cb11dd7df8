// What transfers cost on any machine, as `deno task bench --quick` counts it.

import { ok } from "node:assert/strict";
import { quick } from "../bench/quick.ts";

Deno.test({
  name: "transfers cost no more requests, bytes and copies than they should",
  ignore: Deno.build.os !== "linux", // for /proc
  async fn() {
    const counts = await quick();
    for (const { what, value, most } of counts) ok(value <= most, `${what}: ${value} of ${most}`);
    ok(counts.every(({ value }) => Number.isFinite(value)));
  },
});
