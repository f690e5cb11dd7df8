#!/usr/bin/env bash
# A program made by `deno compile` cannot start a worker from a blob: URL, which the same program can under `deno run`.
#
# Believed: `new Worker(URL.createObjectURL(blob), { type: "module" })` works wherever `Deno.Worker` does: the module is in memory, so
#   no loader has to find it, and it is the usual way to keep a program with a worker in one file.
# True: under `deno run` it works. In the executable, the worker fails with "Module not found: blob:null/...". A data: URL with the same
#   text works in both.
# Versions: deno 2.7.14, as published on npm, and the runtime that its `deno compile` downloads; x86-64 Linux with glibc.
#   Date: 2026-11-30.
# Why it matters here: `storage/disk_thread.ts` lists and hashes folders in a worker whose text is embedded. The executable could not
#   index a folder of more than a few files until that text became a data: URL; no test from source could notice.
# Needs the network, or DENORT_BIN with the path of that runtime (default: next to the repository, as for .ci/run).
set -euo pipefail

near="$(cd "$(dirname "$0")/.." && pwd)/../shared/denort/denort"
if [ -z "${DENORT_BIN:-}" ] && [ -x "$near" ]; then export DENORT_BIN="$near"; fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
export DENO_DIR="$dir/cache" DENO_NO_UPDATE_CHECK=1 NO_COLOR=1 npm_config_cache="$dir/npm"

mkdir tool program
echo '{ "private": true, "dependencies": { "deno": "2.7.14" } }' > tool/package.json
npm install --prefix tool --no-audit --no-fund --ignore-scripts --silent
deno=$(find "$dir/tool/node_modules" -type f -name deno -path '*@deno*' | head -n 1)
chmod +x "$deno"

cat > program/show.ts <<'TS'
const text = `postMessage("started")`;
const urls = {
  blob: URL.createObjectURL(new Blob([text], { type: "text/javascript" })),
  data: `data:text/javascript;base64,${btoa(text)}`,
};
for (const [kind, url] of Object.entries(urls)) {
  const { promise, resolve } = Promise.withResolvers<string>();
  const worker = new Worker(url, { type: "module" });
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = (event) => {
    event.preventDefault();
    resolve(event.message.replace(/[\w-]{36}/, "..."));
  };
  console.log(`${kind}: ${await promise}`);
  worker.terminate();
}
TS
cd program
"$deno" compile -q -o show show.ts
{ echo "deno run:"; "$deno" run -q show.ts 2>/dev/null; echo "executable:"; ./show 2>/dev/null; } | tee ../out.txt

diff ../out.txt - <<'TEXT' || { echo "changed"; exit 1; }
deno run:
blob: started
data: started
executable:
blob: Module not found: blob:null/...
data: started
TEXT
