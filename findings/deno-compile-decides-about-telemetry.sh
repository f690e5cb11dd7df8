#!/usr/bin/env bash
# OTEL_DENO turns OpenTelemetry on when a program is compiled, not when the executable runs.
#
# Believed: `OTEL_DENO=true ./program` makes an executable send traces, as `OTEL_DENO=true deno run` does: it is an environment
#   variable, and all the other OTEL_ variables are read when the executable starts.
# True: `deno compile` looks at OTEL_DENO and writes the answer into the executable. One that was compiled without it never has a
#   tracer provider, whatever the environment says later, and there is no warning; one that was compiled with it always has one, also
#   without the variable.
# Versions: deno 2.7.14, as published on npm, and the runtime that its `deno compile` downloads; x86-64 Linux with glibc.
#   Date: 2026-12-01.
# Why it matters here: the documentation told people to set the variable for the executable, where no transfer would ever have become
#   a span. `app/tracing.ts` says so at the start now, and docs/DEPLOY.md how to build an executable that traces.
# Needs the network, or DENORT_BIN with the path of that runtime (default: next to the repository, as for .ci/run).
set -euo pipefail

near="$(cd "$(dirname "$0")/.." && pwd)/../shared/denort/denort"
if [ -z "${DENORT_BIN:-}" ] && [ -x "$near" ]; then export DENORT_BIN="$near"; fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
export DENO_DIR="$dir/cache" DENO_NO_UPDATE_CHECK=1 NO_COLOR=1 npm_config_cache="$dir/npm"
# Nothing is sent anywhere: spans would go to standard error.
export OTEL_EXPORTER_OTLP_PROTOCOL=console
unset OTEL_DENO

mkdir tool program
echo '{ "private": true, "dependencies": { "deno": "2.7.14" } }' > tool/package.json
npm install --prefix tool --no-audit --no-fund --ignore-scripts --silent
deno=$(find "$dir/tool/node_modules" -type f -name deno -path '*@deno*' | head -n 1)
chmod +x "$deno"

cd program
# The place where the OpenTelemetry API for JavaScript looks for a provider.
echo 'Deno.stdout.writeSync(new TextEncoder().encode(`${Symbol.for("opentelemetry.js.api.1") in globalThis}\n`));' > show.ts
"$deno" compile -q -o without show.ts
OTEL_DENO=true "$deno" compile -q -o with show.ts
{
  echo "deno run: $("$deno" run -q show.ts 2>/dev/null)"
  echo "deno run, OTEL_DENO=true: $(OTEL_DENO=true "$deno" run -q show.ts 2>/dev/null)"
  echo "compiled without, run without: $(./without 2>/dev/null)"
  echo "compiled without, run with OTEL_DENO=true: $(OTEL_DENO=true ./without 2>/dev/null)"
  echo "compiled with OTEL_DENO=true, run without: $(./with 2>/dev/null)"
} | tee ../out.txt

diff ../out.txt - <<'TEXT' || { echo "changed"; exit 1; }
deno run: false
deno run, OTEL_DENO=true: true
compiled without, run without: false
compiled without, run with OTEL_DENO=true: false
compiled with OTEL_DENO=true, run without: true
TEXT
