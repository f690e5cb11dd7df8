// Runs one benchmark: `deno task bench transfer [MiB] [files] [rounds]`, `attack [samples]`,
// `web [MiB] [rounds] [executable]`, `many [--quick] [files]`,
// `sources [MiB] [rounds]`, `distance [rounds]`, `hex [MiB] [rounds] [executable]`, or
// `reach [MiB] [rounds]`; or counts what is the same on any machine: `--quick`.
// Results are recorded in docs/BENCHMARKS.md.

const benches: Readonly<Record<string, () => Promise<unknown>>> = {
  transfer: () => import("./transfer.ts"),
  attack: () => import("./attack.ts"),
  web: () => import("./web.ts"),
  many: () => import("./many.ts"),
  sources: () => import("./sources.ts"),
  distance: () => import("./distance.ts"),
  hex: () => import("./hex.ts"),
  reach: () => import("./reach.ts"),
  "--quick": async () => {
    const { printQuick } = await import("./quick.ts");
    Deno.exit(await printQuick() ? 0 : 1);
  },
};

const bench = benches[Deno.args[0] ?? "transfer"];
if (!bench) {
  console.error(
    `Unknown benchmark "${Deno.args[0]}". Choose one of: ${Object.keys(benches).join(", ")}`,
  );
  Deno.exit(2);
}
await bench();
