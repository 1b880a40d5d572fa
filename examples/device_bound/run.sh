#!/usr/bin/env bash
# Starts the bank with a certificate for localhost that it makes, and a Chromium or Chrome of its own that trusts it, with
# a key of software where the machine has no better one.
set -euo pipefail
cd "$(dirname "$0")"

browser=${BROWSER:-$(command -v chromium || command -v google-chrome || true)}
for program in openssl cargo "${browser:-chromium}"; do
    command -v "$program" >/dev/null || { echo "this needs $program" >&2; exit 1; }
done
directory=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$directory"' EXIT
export TLS_CERTIFICATE=$directory/certificate.pem TLS_KEY=$directory/key.pem PORT=${PORT:-3000}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout "$TLS_KEY" -out "$TLS_CERTIFICATE" 2>/dev/null
key=$(openssl x509 -in "$TLS_CERTIFICATE" -noout -pubkey | openssl pkey -pubin -outform der | openssl sha256 -binary | base64)

cargo build --quiet --example device_bound --features axum,redis,tls,device-bound
cargo run --quiet --example device_bound --features axum,redis,tls,device-bound &
for _ in {1..100}; do
    (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null && break
    sleep 0.1
done
"$browser" --user-data-dir="$directory/profile" --no-first-run --ignore-certificate-errors-spki-list="$key" \
    --enable-features=DeviceBoundSessions,EnableBoundSessionCredentialsSoftwareKeysForManualTesting \
    "https://localhost:$PORT" 2>/dev/null
