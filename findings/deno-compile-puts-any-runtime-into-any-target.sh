#!/usr/bin/env bash
# `deno compile --target` for another architecture succeeds with a runtime of this one, if DENORT_BIN names it.
#
# Believed: `--target aarch64-unknown-linux-gnu` makes an executable for that machine or fails. A runtime for another machine in
#   DENORT_BIN is refused, as it is for macOS and Windows, or ignored, because it is not the one for the target.
# True: for the other Linux architecture, the runtime is used as it is: exit code 0, no warning, and an executable that the target
#   cannot start. (For macOS and Windows, the same mistake is an error, because those formats have to be parsed.)
# Versions: deno 2.9.6 from npm; x86-64 or aarch64 Linux with glibc. Date: 2026-12-01.
# Why it matters here: closed networks set DENORT_BIN for `deno task compile`, and `compile:all` would then publish an executable for
#   the wrong machine, with a valid checksum. `release/make.ts` unsets it for other targets, and reads from the header of each
#   executable what it was built for before it counts.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
export DENO_DIR="$dir/cache" DENO_NO_UPDATE_CHECK=1 NO_COLOR=1 npm_config_cache="$dir/npm"

echo '{ "private": true, "dependencies": { "deno": "2.9.6" } }' > package.json
npm install --no-audit --no-fund --ignore-scripts --silent
# Any executable of this machine's format will do as a runtime: nothing is started.
deno=$(find "$dir/node_modules" -type f -name deno -path '*@deno*' | head -n 1)
chmod +x "$deno"
mkdir program && cd program
echo 'console.log("hello");' > hello.ts

case "$(uname -m)" in
  x86_64) own="3e 00" other=aarch64 ;;
  *) own="b7 00" other=x86_64 ;;
esac
{
  for target in "$other-unknown-linux-gnu" "$other-apple-darwin"; do
    code=0
    DENORT_BIN="$deno" "$deno" compile -q --target "$target" -o out hello.ts 2>/dev/null || code=$?
    made="no file"
    if [ -f out ]; then
      # e_machine of the ELF header
      machine=$(od -An -tx1 -j18 -N2 out | xargs)
      made="an executable for another machine"
      if [ "$machine" = "$own" ]; then made="an executable for this machine"; fi
      rm out
    fi
    echo "${target#*-}, other architecture: exit code $code, $made"
  done
} | tee ../out.txt

diff ../out.txt - <<'TEXT' || { echo "changed"; exit 1; }
unknown-linux-gnu, other architecture: exit code 0, an executable for this machine
apple-darwin, other architecture: exit code 1, no file
TEXT
