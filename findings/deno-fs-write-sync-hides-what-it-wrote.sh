#!/usr/bin/env bash
# In Deno, `writeSync` of node:fs writes a part to a full non-blocking pipe and throws, without telling how much it wrote.
#
# Believed: as in Node, `writeSync` is one write(2): on a pipe with O_NONBLOCK it returns the number of bytes that fit, and throws
#   EAGAIN only if none did. A loop that waits on EAGAIN and goes on where it was writes everything once.
# True: in Deno it goes on until all is written, and throws EAGAIN when the pipe is full, after writing some of it. The same loop
#   then writes the beginning again and again.
# Versions: deno 2.9.6, as published on npm, and any Node 20 or later for comparison; Linux pipes of 64 KiB. Date: 2026-12-01.
# Why it matters here: who reads the output of `p2p-peer get -o -` may make the pipe non-blocking, as event loops do. A first
#   attempt to wait on EAGAIN turned 1 MB into 25 MB of repeated beginnings; so `client/output.ts` ends with an error there.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
export DENO_DIR="$dir/cache" DENO_NO_UPDATE_CHECK=1 NO_COLOR=1 npm_config_cache="$dir/npm"

echo '{ "private": true, "dependencies": { "deno": "2.9.6" } }' > package.json
npm install --no-audit --no-fund --ignore-scripts --silent
deno=$(find "$dir/node_modules" -type f -name deno -path '*@deno*' | head -n 1)
chmod +x "$deno"

# Tries to write 100,000 bytes in at most 50 attempts. The reader begins when the pipe is full.
cat > write.mjs <<'JS'
import { writeSync } from "node:fs";
const bytes = new Uint8Array(100_000);
const pause = new Int32Array(new SharedArrayBuffer(4));
let told = 0;
for (let attempts = 50; attempts > 0 && told < bytes.length; attempts--) {
  try {
    told += writeSync(1, bytes.subarray(told));
  } catch (error) {
    if (error.code !== "EAGAIN") throw error;
    Atomics.wait(pause, 0, 0, 100);
  }
}
console.error(told);
JS
cat > read.py <<'PY'
import os, subprocess, sys, time
reading, writing = os.pipe()
os.set_blocking(writing, False)
child = subprocess.Popen(sys.argv[1:], stdout=writing, stderr=subprocess.PIPE, text=True)
os.close(writing)
time.sleep(1)
got = 0
while piece := os.read(reading, 65536):
    got += len(piece)
told = int(child.stderr.read())
print("got what was told" if got == told == 100000 else "got more than was told" if got > told else "other", flush=True)
print(f"  (told {told}, got {got})", file=sys.stderr)
PY
show() { printf '%s: %s\n' "$1" "$(python3 read.py "${@:2}")" | tee -a out.txt; }
run=("$deno" run -q --no-config --no-lock --allow-write --allow-env)
show node node write.mjs
show deno "${run[@]}" write.mjs

for line in "node: got what was told" "deno: got more than was told"; do
  grep -qxF "$line" out.txt || { echo "changed: $line"; exit 1; }
done
