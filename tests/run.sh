#!/usr/bin/env bash
# Runs all tests, after installing what they need from the system's packages and from npm.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH+=:/usr/sbin # where Debian has nginx

install_missing() { # pairs of a program and its package
    local missing=() as_root=() policy=/usr/sbin/policy-rc.d status=0
    while (($#)); do
        command -v "$1" >/dev/null || missing+=("$2")
        shift 2
    done
    ((${#missing[@]})) || return 0
    if ! command -v apt-get >/dev/null; then
        echo "the tests need ${missing[*]}: install them with this system's package manager" >&2
        exit 1
    fi
    echo "installing ${missing[*]}"
    ((EUID == 0)) || as_root=(sudo)
    "${as_root[@]}" apt-get update -q
    # The tests start servers of their own; those of the packages would only take their ports.
    [[ -e $policy ]] && policy=''
    if [[ -n $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
        "${as_root[@]}" chmod 755 "$policy"
    fi
    "${as_root[@]}" apt-get install -q -y --no-install-recommends "${missing[@]}" || status=$?
    [[ -z $policy ]] || "${as_root[@]}" rm "$policy"
    return "$status"
}
install_missing redis-server redis-server node nodejs openssl openssl nginx nginx "${CHROMIUM:-chromium}" chromium
# Some packages of Node bring it along.
install_missing npm npm

for folder in examples/express_migration tests/browser; do
    [[ $folder/node_modules/.package-lock.json -nt $folder/package-lock.json ]] ||
        (cd "$folder" && npm ci --loglevel=error --no-progress --no-audit --no-fund --ignore-scripts)
done

# Everything, then what somebody has who adds the crate without a word about features.
cargo test --locked --all-features
cargo test --locked
