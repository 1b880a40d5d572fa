#!/usr/bin/env bash
# Runs tests/express/generations with all the packages of tests/node, the old and the rare ones too.
#
#   tests/node_versions.sh                      with the Node of the PATH
#   NODE=/opt/node-24/bin/node tests/node_versions.sh
#
# Packages that need a newer Node are not run, and named at the end.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/install_missing.sh
install_missing redis-server redis-server "${NODE:-node}" nodejs npm npm
export NODE="${NODE:-node}"

folders=(examples/express_migration tests/node/*/)
tests/node/install.sh "${folders[@]}"

skip=() skipped=()
for folder in "${folders[@]}"; do
    needed=$("$NODE" -p 'require(process.argv[1]).engines.node' "$PWD/$folder/package.json")
    serves=$("$NODE" -p 'parseInt(process.versions.node) >= parseInt(process.argv[1].slice(2))' "$needed")
    if [[ $serves == false ]]; then
        name=$(basename "$folder")
        skip+=(--skip "generations::${name//[-.]/_}")
        skipped+=("$name, which needs Node $needed")
    fi
done
cargo test --locked --all-features --test express generations -- --include-ignored ${skip[@]+"${skip[@]}"}

echo "with Node $("$NODE" --version)"
((${#skipped[@]} == 0)) || printf 'not run: %s\n' "${skipped[@]}"
