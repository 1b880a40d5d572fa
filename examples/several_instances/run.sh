#!/usr/bin/env bash
# Three instances behind nginx, and a visitor who stays signed in while one is killed and another is
# restarted. Ends with an error if anything is lost.
set -euo pipefail
cd "$(dirname "$0")"
PATH+=:/usr/sbin # where Debian has nginx

for program in redis-server nginx curl openssl cargo; do
    command -v "$program" >/dev/null || { echo "this needs $program" >&2; exit 1; }
done
cargo build --quiet --example axum --features axum,redis

directory=$(mktemp -d)
chmod 755 "$directory" # nginx's workers are another user if root starts it
declare -A pids
trap 'kill "${pids[@]}" 2>/dev/null || true; wait; rm -rf "$directory"' EXIT

wait_for() { # port
    for _ in {1..100}; do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
        sleep 0.1
    done
    echo "nothing listens on port $1; the logs:" >&2
    cat "$directory"/*.log >&2
    exit 1
}
start() { # port
    PORT=$1 cargo run --quiet --example axum --features axum,redis >>"$directory/$1.log" 2>&1 & pids[$1]=$!
    wait_for "$1"
}
stop() { # signal port
    kill "-$1" "${pids[$2]}"
    wait "${pids[$2]}" || true
    unset "pids[$2]"
} 2>/dev/null

SESSION_SECRET=$(openssl rand -base64 48)
export SESSION_SECRET REDIS_URL=redis://127.0.0.1:6390 SESSION_COOKIE_SECURE=false
redis-server --port 6390 --bind 127.0.0.1 --save '' --dir "$directory" >"$directory/redis.log" & pids[6390]=$!
wait_for 6390
for port in 3001 3002 3003; do start "$port"; done
nginx -p "$directory" -c "$PWD/nginx.conf" -e stderr 2>"$directory/nginx.log" & pids[8080]=$!
wait_for 8080

request() { # path [JSON]
    curl -sS --fail-with-body -b "$directory/cookies" -c "$directory/cookies" -D "$directory/headers" \
        ${2:+-H 'Content-Type: application/json' -d "$2"} "http://127.0.0.1:8080$1"
}
cart='' # as JSON, without the brackets
buy() { # item
    request /cart "{\"item\": \"$1\"}" >/dev/null
    cart+="${cart:+,}\"$1\""
}
expect_all_kept() { # what happened
    echo "$1"
    for _ in {1..6}; do
        seen=$(request /me)
        printf '    %s  %s\n' "$(sed -n 's/^X-Upstream: \(.*\)\r$/\1/p' "$directory/headers")" "$seen"
        if [[ $seen != *'"user":"ada"'* || $seen != *"\"cart\":[$cart]"* ]]; then
            echo "expected ada with [$cart]" >&2
            exit 1
        fi
    done
}

request /login '{"user": "ada"}' >/dev/null
buy tea
expect_all_kept "ada signed in and bought tea"

stop KILL 3001
buy cake
expect_all_kept "3001 was killed, and she bought cake"

stop TERM 3002
buy jam
expect_all_kept "3002 was stopped, and she bought jam"

start 3002
sleep 1 # until nginx tries it again
buy honey
expect_all_kept "3002 was started again, and she bought honey"

start 3001
sleep 1
buy milk
expect_all_kept "3001 was started again, and she bought milk"
echo "still signed in, and nothing is lost"
