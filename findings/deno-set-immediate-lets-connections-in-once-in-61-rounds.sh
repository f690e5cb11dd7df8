#!/usr/bin/env bash
# In Deno, a loop that awaits setImmediate between its pieces serves connections only about once in 60 rounds.
#
# Believed: as in Node, each round of setImmediate goes through the phase that looks at sockets, so a long loop that
#   awaits it between pieces of a few milliseconds keeps nobody waiting.
# True: callbacks of setImmediate run in every round, but sockets are looked at about once in 60 (the default of the
#   runtime below, which looks less often while there is always something ready). A connection from a program to itself
#   and one byte back takes a handful of rounds in Node and well over 100 in Deno. After `setTimeout(0)` sockets are
#   looked at every time, but that pauses the loop for about 2 ms.
# Versions: deno 2.9.6, as published on npm, beside the Node that runs npm (20.20); x86-64 Linux. Date: 2026-11-29.
# Why it matters here: the first index of 100,000 files is such a loop. With pieces of 8 ms, an HTTP request waited for
#   0.96 s. `storage/turns.ts` therefore waits for a timer, and makes its pieces longer instead.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export DENO_DIR="$work/cache" DENO_NO_UPDATE_CHECK=1 NO_COLOR=1 npm_config_cache="$work/npm"
npm install --silent --no-fund --no-audit --prefix "$work/deno" deno@2.9.6
deno="$work/deno/node_modules/.bin/deno"
cat >rounds.mjs <<'CODE'
import { connect, createServer } from "node:net";
import { setImmediate, setTimeout } from "node:timers";
import process from "node:process";
const yields = {
  immediate: () => new Promise((go) => setImmediate(go)),
  timeout: () => new Promise((go) => setTimeout(go, 0)),
};
const server = createServer((socket) => socket.end("x"));
await new Promise((go) => server.listen(0, "127.0.0.1", go));
const { port } = server.address();
/** Rounds of a loop of 1 ms of work each until a byte has come over a new connection. */
async function rounds(wait) {
  let done = false;
  connect(port, "127.0.0.1").on("data", () => done = true);
  let count = 0;
  while (!done && count < 5_000) {
    const until = performance.now() + 1;
    while (performance.now() < until);
    await wait();
    count++;
  }
  return count;
}
const median = async (wait) => {
  const counts = [];
  for (let i = 0; i < 7; i++) counts.push(await rounds(wait));
  return counts.sort((a, b) => a - b)[3];
};
console.log(`${await median(yields.immediate)} ${await median(yields.timeout)}`);
process.exit(0);
CODE
read -r node_immediate node_timeout < <(node rounds.mjs)
read -r deno_immediate deno_timeout < <("$deno" run --no-prompt --allow-net --allow-read rounds.mjs)
echo "Rounds until a byte came over a new connection (median of 7):"
echo "  Node $(node --version): setImmediate $node_immediate, setTimeout $node_timeout"
echo "  Deno 2.9.6: setImmediate $deno_immediate, setTimeout $deno_timeout"
[ "$node_immediate" -le 20 ] && [ "$deno_timeout" -le 20 ] && [ "$deno_immediate" -ge 60 ] ||
  { echo "changed: Deno now looks at sockets as often as Node"; exit 1; }
