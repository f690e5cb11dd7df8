#!/usr/bin/env bash
# In Deno, that a host does not resolve cannot be recognized by the class or code of the error that listening or connecting throws.
#
# Believed: as for other network failures, `Deno.listen` and `Deno.connect` throw an error with a class of its own
#   (Deno.errors.NotFound, say) or a `code` such as ENOTFOUND, which `node:dns` of the same runtime sets.
# True: both throw a plain Error without `code`; only the text tells what happened. A port in use, for comparison,
#   has a class and a code.
# Versions: deno 2.9.6, as published on npm; x86-64 Linux with glibc. Date: 2026-11-29.
# Why it matters here: a peer must say "the host does not resolve" and exit with the code for usage errors, and must not read
#   texts of errors for that. `net/listener.ts` treats an error without a code as an unresolved host.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
export DENO_DIR="$dir/cache" DENO_NO_UPDATE_CHECK=1 NO_COLOR=1 npm_config_cache="$dir/npm"

echo '{ "private": true, "dependencies": { "deno": "2.9.6" } }' > package.json
npm install --no-audit --no-fund --ignore-scripts --silent
deno=$(find "$dir/node_modules" -type f -name deno -path '*@deno*' | head -n 1)
chmod +x "$deno"

# A label of 64 letters is too long for a name, so no name server is asked.
cat > show.ts <<'TS'
import { lookup } from "node:dns/promises";
const hostname = `${"x".repeat(64)}.invalid`;
const taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
const cases: Record<string, () => unknown> = {
  "Deno.listen, no such host": () => Deno.listen({ hostname, port: 0 }),
  "Deno.connect, no such host": () => Deno.connect({ hostname, port: 1 }),
  "node:dns lookup, no such host": () => lookup(hostname),
  "Deno.listen, port in use": () => Deno.listen({ hostname: "127.0.0.1", port: taken.addr.port }),
};
for (const [what, act] of Object.entries(cases)) {
  try {
    await act();
    console.log(`${what}: no error`);
  } catch (error) {
    const { name, code } = error as Error & { code?: string };
    console.log(`${what}: ${name} ${code ?? "without code"}`);
  }
}
taken.close();
TS
"$deno" run -q --no-config --no-lock --allow-net --allow-sys --allow-env show.ts | tee out.txt

for line in "Deno.listen, no such host: Error without code" "Deno.connect, no such host: Error without code" \
  "node:dns lookup, no such host: Error ENOTFOUND" "Deno.listen, port in use: AddrInUse EADDRINUSE"; do
  grep -qxF "$line" out.txt || { echo "changed: $line"; exit 1; }
done
