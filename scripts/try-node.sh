#!/bin/sh
# Runs the unit tests and a job (`demo`) with other versions of Node, from the npm package `node` of each.
#
#   scripts/try-node.sh           Node 20, 22 and 24
#   scripts/try-node.sh 22 24     these
set -u
cd "$(dirname "$0")/.." || exit 1
[ "$#" -gt 0 ] || set -- 20 22 24
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM
failed=0

try() { # try VERSION WORDS COMMAND...
  version=$1
  words=$2
  shift 2
  begin=$(date +%s)
  if "$@" >"$folder/log" 2>&1; then
    printf '%s: %s: well (%s s)\n' "$version" "$words" "$(($(date +%s) - begin))"
  else
    printf '%s: %s: NOT WELL\n' "$version" "$words"
    tail -n 30 "$folder/log" | sed 's/^/    /'
    failed=1
  fi
}

for major in "$@"; do
  home="$folder/$major"
  mkdir "$home"
  if ! npm install --prefix "$home" --no-audit --no-fund "node@$major" >"$folder/log" 2>&1; then
    printf '%s: the npm package node was not to be had\n' "$major"
    failed=1
    continue
  fi
  PATH="$home/node_modules/node/bin:$PATH"
  version=$(node --version)
  try "$version" "unit tests" node node_modules/vitest/vitest.mjs run --project unit
  try "$version" "a transcription and a conversion (demo)" node bin/mirumoji-worker.js demo --json
done
exit "$failed"
