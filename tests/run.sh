#!/usr/bin/env bash
# Runs all tests, after installing what they need from the system's packages.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
command -v node >/dev/null || missing+=(nodejs)
command -v openssl >/dev/null || missing+=(openssl)
if ((${#missing[@]})); then
    if ! command -v apt-get >/dev/null; then
        echo "the tests need ${missing[*]}: install them with this system's package manager" >&2
        exit 1
    fi
    echo "installing ${missing[*]}"
    as_root=()
    ((EUID == 0)) || as_root=(sudo)
    "${as_root[@]}" apt-get update -q
    "${as_root[@]}" apt-get install -q -y --no-install-recommends "${missing[@]}"
fi

# Everything, then what somebody has who adds the crate without a word about features.
cargo test --locked --all-features
cargo test --locked
