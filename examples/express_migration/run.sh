#!/usr/bin/env bash
# Redis, the Express service, the Rust service and nginx before them, until Ctrl-C.
set -euo pipefail
cd "$(dirname "$0")"
PATH+=:/usr/sbin # where Debian has nginx

for program in redis-server node npm nginx cargo; do
    command -v "$program" >/dev/null || { echo "this needs $program" >&2; exit 1; }
done
npm ci --loglevel=error --no-audit --no-fund
cargo build --quiet --example axum --features axum,redis

directory=$(mktemp -d)
chmod 755 "$directory" # nginx's workers are another user if root starts it
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait; rm -rf "$directory"' EXIT

# Both sign with the first of these, and accept all.
export SESSION_SECRET="${SESSION_SECRET:-for your own machine only and never for a server}"
export REDIS_URL=redis://127.0.0.1:6390
redis-server --port 6390 --bind 127.0.0.1 --save '' --dir "$directory" --loglevel warning >"$directory/redis.log" & pids+=($!)
until (exec 3<>/dev/tcp/127.0.0.1/6390) 2>/dev/null; do sleep 0.1; done
PORT=3001 SESSION_TTL=3600 node server.js & pids+=($!)
PORT=3002 SESSION_TTL=3600 SESSION_LAYOUT=express SESSION_COOKIE_SECURE=false \
    cargo run --quiet --example axum --features axum,redis & pids+=($!)
nginx -p "$directory" -c "$PWD/nginx.conf" -e stderr & pids+=($!)

echo "open http://127.0.0.1:8080, end with Ctrl-C"
wait -n
echo "one of the services ended" >&2
exit 1
