#!/usr/bin/env bash
# In Deno, aborting a POST of node:http that went out on a kept connection sends it a second time, and the caller hears nothing.
#
# Believed: a request that is aborted through its `signal` ends: its "error" event has code ABORT_ERR, "close" follows, and the
#   server has seen it once, as in Node.
# True: if the request was sent on a connection that an Agent had kept from an earlier request, Deno takes the end of that connection
#   for a server that closed an idle one: it opens another and sends the request again, whatever its method. Neither "error"
#   nor "close" follows, and the request goes on. On a fresh connection it ends as in Node.
#   (Known since September 2026: denoland/deno issue 36786, for a timeout that destroys the request.)
# Versions: deno 2.9.6, as published on npm, and any Node 20 or later for comparison; x86-64 Linux with glibc. Date: 2026-12-01.
# Why it matters here: Ctrl-C on `p2p-peer get` aborted the POST that fetches a file: the download that had just been canceled began
#   anew, and the command hung. `client/gets.ts` cancels at the peer instead, and `client/api.ts` keeps connections only for GET.
set -euo pipefail

dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2> /dev/null || true; rm -rf "$dir"' EXIT
cd "$dir"
export DENO_DIR="$dir/cache" DENO_NO_UPDATE_CHECK=1 NO_COLOR=1 npm_config_cache="$dir/npm"

echo '{ "private": true, "dependencies": { "deno": "2.9.6" } }' > package.json
npm install --no-audit --no-fund --ignore-scripts --silent
deno=$(find "$dir/node_modules" -type f -name deno -path '*@deno*' | head -n 1)
chmod +x "$deno"

# Answers every GET with the number of POSTs so far, and no POST at all. It is the same program for both.
cat > server.mjs <<'JS'
import { createServer } from "node:http";
let posts = 0;
const server = createServer((request, response) => {
  if (request.method === "POST") posts++;
  else response.end(String(posts));
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
setTimeout(() => process.exit(), 50_000).unref();
JS
node server.mjs > port &
server=$!
for _ in $(seq 100); do [ -s port ] && break; sleep 0.1; done

cat > client.mjs <<'JS'
import { Agent, request } from "node:http";
const port = Number(process.argv[2]);
const count = (agent) =>
  new Promise((go, fail) => {
    const asked = request({ host: "127.0.0.1", port, agent }, async (answer) => {
      let text = "";
      for await (const bytes of answer) text += bytes;
      go(Number(text));
    });
    asked.on("error", fail).end();
  });
for (const isKept of [false, true]) {
  const agent = new Agent({ keepAlive: true });
  const before = isKept ? await count(agent) : await count(new Agent());
  await new Promise((go) => setTimeout(go, 100)); // the connection goes back to the agent
  const abort = new AbortController();
  const said = [];
  const post = request({ host: "127.0.0.1", port, agent, method: "POST", signal: abort.signal });
  post.on("error", ({ code }) => said.push(code)).on("close", () => said.push("close")).end();
  while (await count(new Agent()) === before) await new Promise((go) => setTimeout(go, 20));
  abort.abort();
  await new Promise((go) => setTimeout(go, 1_000));
  const seen = await count(new Agent()) - before;
  console.log(`${isKept ? "kept" : "fresh"}: sent ${seen} x, said ${said.join(" ") || "nothing"}`);
}
process.exit();
JS
node client.mjs "$(cat port)" | tee node.txt | sed 's/^/node: /'
"$deno" run -q --no-config --no-lock --allow-net --allow-env --allow-sys client.mjs "$(cat port)" |
  tee deno.txt | sed 's/^/deno: /'

expect() { grep -qxF "$2" "$1" || { echo "changed: $1, $2"; exit 1; }; }
expect node.txt "fresh: sent 1 x, said ABORT_ERR close"
expect node.txt "kept: sent 1 x, said ABORT_ERR close"
expect deno.txt "fresh: sent 1 x, said ABORT_ERR close"
expect deno.txt "kept: sent 2 x, said nothing"
