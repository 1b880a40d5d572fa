#!/usr/bin/env bash
# Measures session-store beside its peers, after installing what is missing, and writes results.json
# and results.md here, and the chart of the documentation. With --quick it is only to see that everything runs, and writes nothing.
set -euo pipefail
cd "$(dirname "$0")"

case "$*" in
'' | --quick) ;;
*)
    echo "usage: $0 [--quick]" >&2
    exit 2
    ;;
esac

install_missing() { # pairs of a program and its package
    local missing=() as_root=() policy=/usr/sbin/policy-rc.d status=0
    while (($#)); do
        command -v "$1" >/dev/null || missing+=("$2")
        shift 2
    done
    ((${#missing[@]})) || return 0
    if ! command -v apt-get >/dev/null; then
        echo "this needs ${missing[*]}: install them with this system's package manager" >&2
        exit 1
    fi
    echo "installing ${missing[*]}" >&2
    ((EUID == 0)) || as_root=(sudo)
    "${as_root[@]}" apt-get update -q >&2
    # A server of the package, running all the time, would only disturb the measurement.
    [[ -e $policy ]] && policy=''
    if [[ -n $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
        "${as_root[@]}" chmod 755 "$policy"
    fi
    "${as_root[@]}" apt-get install -q -y --no-install-recommends "${missing[@]}" >&2 || status=$?
    [[ -z $policy ]] || "${as_root[@]}" rm "$policy"
    return "$status"
}
install_missing redis-server redis-server node nodejs
# Some packages of Node bring it along.
install_missing npm npm

[[ node/node_modules/.package-lock.json -nt node/package-lock.json ]] ||
    (cd node && npm ci --loglevel=error --no-progress --no-audit --no-fund --ignore-scripts >&2)
exec cargo run --quiet --release --locked -- measure "$@"
