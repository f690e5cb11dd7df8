#!/usr/bin/env bash
# A key in the "test" section of deno.json that only newer releases know makes `deno test` fail on an older release.
#
# Believed: deno.json is parsed tolerantly. A key that a release does not know is ignored, perhaps with a warning. So
#   "test": { "sanitizeOps": true }, which newer releases need in order to check for leaked operations, would be harmless on
#   older ones, which check by default.
# True: it depends on the section. Unknown keys at the top level, in "lint", "fmt", "compilerOptions", and in tasks are
#   silently ignored. In "test" an unknown key is an error, but only for `deno test`: `deno run` and `deno check` accept the
#   same file, so it looks fine wherever no tests run. 2.9.6 knows sanitizeOps and sanitizeResources; 2.7.14 does not, and
#   then runs no tests at all.
# Versions: deno 2.7.14 and 2.9.6, as published on npm; x86-64 Linux with glibc. Date: 2026-11-28.
# Why it matters here: the peer is run and tested with both releases, and the sanitizers should be on in both. The test task
#   sets environment variables instead (DENO_TEST_SANITIZE_OPS, DENO_TEST_SANITIZE_RESOURCES), which a release that does not
#   know them ignores.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
export DENO_DIR="$dir/cache" DENO_NO_UPDATE_CHECK=1 NO_COLOR=1 npm_config_cache="$dir/npm"

cat > package.json <<'JSON'
{ "private": true, "dependencies": { "older": "npm:deno@2.7.14", "newer": "npm:deno@2.9.6" } }
JSON
npm install --no-audit --no-fund --ignore-scripts --silent
# Each package's executable is in a platform package that it depends on; npm hoists one of the two to the top level.
declare -A deno
while read -r path; do
  chmod +x "$path"
  deno[$("$path" --version | awk 'NR == 1 { print $2 }')]=$path
done < <(find "$dir/node_modules" -type f -name deno -path '*@deno*')

mkdir project && cd project
echo 'Deno.test("nothing", () => {});' > nothing_test.ts

failed=0
# expect WHAT VERSION WANTED CONFIG COMMAND...: runs the command, prints the result, and records a mismatch.
expect() {
  local what=$1 version=$2 wanted=$3 config=$4 got=accepted
  shift 4
  echo "$config" > deno.json
  "${deno[$version]}" "$@" -q nothing_test.ts > out.txt 2>&1 || got=refused
  echo "$version  $what: $got"
  if [ "$got" = refused ]; then grep -m 1 -o 'unknown field `[^`]*`' out.txt | sed 's/^/          /' || true; fi
  [ "$got" = "$wanted" ] || failed=1
}

new='{ "test": { "sanitizeOps": true } }'
expect 'deno test, "test" with sanitizeOps' 2.9.6 accepted "$new" test
expect 'deno test, "test" with sanitizeOps' 2.7.14 refused "$new" test
expect 'deno run, the same file' 2.7.14 accepted "$new" run
expect 'deno check, the same file' 2.7.14 accepted "$new" check
for version in 2.7.14 2.9.6; do
  expect 'deno test, an unknown key at the top' $version accepted '{ "unheardOf": true }' test
  expect 'deno test, an unknown key in "lint"' $version accepted '{ "lint": { "unheardOf": true } }' test
  expect 'deno test, an unknown key in "fmt"' $version accepted '{ "fmt": { "unheardOf": true } }' test
  expect 'deno test, an unknown key in "compilerOptions"' $version accepted \
    '{ "compilerOptions": { "unheardOf": true } }' test
  expect 'deno test, an unknown key in "test"' $version refused '{ "test": { "unheardOf": true } }' test
done

if [ "$failed" = 1 ]; then
  echo "The behavior described in this script has changed. Update or remove it." >&2
  exit 1
fi
