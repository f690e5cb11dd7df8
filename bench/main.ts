// What it costs: `deno task bench transfer [MiB] [rounds]`, `attack [samples]` or `web [MiB] [rounds]`.

const benches: Readonly<Record<string, () => Promise<unknown>>> = {
  transfer: () => import("./transfer.ts"),
  attack: () => import("./attack.ts"),
  web: () => import("./web.ts"),
};

const bench = benches[Deno.args[0] ?? "transfer"];
if (!bench) {
  console.error(
    `There is no bench "${Deno.args[0]}"; there are ${Object.keys(benches).join(", ")}`,
  );
  Deno.exit(2);
}
await bench();
