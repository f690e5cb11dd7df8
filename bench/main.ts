// What it costs: `deno task bench transfer [MiB] [rounds]`, or `deno task bench attack [samples]`.

const benches: Readonly<Record<string, () => Promise<unknown>>> = {
  transfer: () => import("./transfer.ts"),
  attack: () => import("./attack.ts"),
};

const bench = benches[Deno.args[0] ?? "transfer"];
if (!bench) {
  console.error(
    `There is no bench "${Deno.args[0]}"; there are ${Object.keys(benches).join(", ")}`,
  );
  Deno.exit(2);
}
await bench();
