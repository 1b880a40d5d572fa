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

# The second server has to compare by itself, which Valkey does from 8.1 on: that of the system, or else the newest that
# tests/servers.sh got.
if [[ -z ${VALKEY_SERVER-} ]]; then
    servers=${SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/session-store-servers}
    while read -r program; do
        [[ $("$program" --version 2>/dev/null) =~ \ v=([0-9]+)\.([0-9]+) ]] || continue
        ((BASH_REMATCH[1] * 100 + BASH_REMATCH[2] >= 801)) || continue
        export VALKEY_SERVER=$program
        break
    done < <(command -v valkey-server || true; printf '%s\n' "$servers"/valkey-*/redis-server | sort -rV)
    [[ ${VALKEY_SERVER-} ]] ||
        echo 'no Valkey 8.1 or later, so its rows are left out; `SUITES=owners tests/servers.sh valkey-9.1` gets one' >&2
fi

[[ node/node_modules/.package-lock.json -nt node/package-lock.json ]] ||
    (cd node && npm ci --loglevel=error --no-progress --no-audit --no-fund --ignore-scripts >&2)
exec cargo run --quiet --release --locked -- measure "$@"
