#!/usr/bin/env bash
# Counts instructions with valgrind: what the session's cookie takes, in the engine and in cookie-rs' signed
# jar; and what whole requests take, in memory, in Redis, and with nothing but a client of Redis and serde_json.
# Each step runs few times and many times; the difference is what the steps alone take.
#
# valgrind's processor has no instructions for SHA-256, so everything hashes by software here: a request, about
# 9,000 instructions more than on a processor of today.
set -euo pipefail
cd "$(dirname "$0")/.."
few=500 many=2500
command -v valgrind >/dev/null || { echo "valgrind is missing: install it with this system's package manager" >&2; exit 1; }

built=$(cargo bench --locked --features full --no-run --bench instructions --message-format json)
program=$(sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' <<<"$built")

collected() { # a step, how often
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$@" 2>&1 |
        sed -n 's/^==[0-9]*== Collected : //p'
}
per_step() {
    echo $((($(collected "$1" $many) - $(collected "$1" $few)) / (many - few)))
}

nothing=$(per_step nothing)
verify=$(($(per_step begin-verified) - $(per_step begin)))
# Of the response that signs, the first key does not fit; nor does either key of a forged cookie.
misfit=$(($(per_step begin-forged-twice) - $(per_step begin-forged)))
sign=$(($(per_step respond-signed) - $(per_step respond) - misfit))
jar_verify=$(($(per_step jar-verify) - nothing))
jar_sign=$(($(per_step jar-sign) - nothing))

cat <<END
| instructions | verify | sign |
|---|--:|--:|
| engine | $verify | $sign |
| cookie-rs, signed jar | $jar_verify | $jar_sign |

| instructions of a request | reads | writes |
|---|--:|--:|
| memory | $(per_step read) | $(per_step write) |
| memory, sealed | $(per_step sealed-read) | $(per_step sealed-write) |
| Redis | $(per_step redis-read) | $(per_step redis-write) |
| Redis, sealed | $(per_step redis-sealed-read) | $(per_step redis-sealed-write) |
| Redis, client and serde_json alone | $(per_step raw-read) | $(per_step raw-write) |
END
