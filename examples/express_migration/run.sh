#!/usr/bin/env bash
# Redis, the Express service, the Rust service and nginx before them, until Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")"
PATH+=:/usr/sbin # where Debian has nginx

for program in redis-server node npm nginx cargo; do
    command -v "$program" >/dev/null || { echo "this needs $program" >&2; exit 1; }
done
[[ node_modules/.package-lock.json -nt package-lock.json ]] ||
    npm ci --loglevel=error --no-progress --no-audit --no-fund
cargo build --quiet --example axum --features axum,redis,express

directory=$(mktemp -d)
chmod 755 "$directory" # nginx's workers are another user if root starts it
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait; rm -rf "$directory"' EXIT

wait_for() { # port
    for _ in {1..100}; do
        (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return
        sleep 0.1
    done
    echo "nothing listens on port $1" >&2
    exit 1
}

# Both sign with the first of these, and accept all.
export SESSION_SECRET="${SESSION_SECRET:-for your own machine only and never for a server}"
export REDIS_URL=redis://127.0.0.1:6390 SESSION_TTL=3600
redis-server --port 6390 --bind 127.0.0.1 --save '' --dir "$directory" >"$directory/redis.log" & pids+=($!)
wait_for 6390
PORT=3001 node server.js & pids+=($!)
PORT=3002 SESSION_LAYOUT=express SESSION_COOKIE_SECURE=false SESSION_COOKIE_PERSISTENT=true \
    cargo run --quiet --example axum --features axum,redis,express & pids+=($!)
wait_for 3001
wait_for 3002
nginx -p "$directory" -c "$PWD/nginx.conf" -e stderr & pids+=($!)
wait_for 8080

echo "open http://127.0.0.1:8080, end with Ctrl-C"
wait -n
echo "one of the services ended" >&2
exit 1
