#!/usr/bin/env bash
# Measures session-store beside its peers, after installing what is missing, and writes results.json
# and results.md here, and the chart of the documentation. With --quick it is only to see that
# everything runs, and writes nothing.
set -euo pipefail
cd "$(dirname "$0")"

case "$*" in
'' | --quick) ;;
*)
    echo "usage: $0 [--quick]" >&2
    exit 2
    ;;
esac

source ../../tests/install_missing.sh
install_missing redis-server redis-server node nodejs
# Some packages of Node bring it along.
install_missing npm npm

[[ node/node_modules/.package-lock.json -nt node/package-lock.json ]] ||
    (cd node && npm ci --loglevel=error --no-progress --no-audit --no-fund --ignore-scripts >&2)
exec cargo run --quiet --release --locked -- measure "$@"
