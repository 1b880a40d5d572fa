#!/usr/bin/env bash
# Runs all tests, after installing what they need from the system's packages and from npm.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH+=:/usr/sbin # where Debian has nginx

source tests/install_missing.sh
install_missing redis-server redis-server node nodejs openssl openssl nginx nginx "${CHROMIUM:-chromium}" chromium
# Some packages of Node bring it along.
install_missing npm npm

# tests/node_versions.sh installs and runs the rest.
tests/node/install.sh examples/express_migration tests/browser tests/node/connect-redis-7 \
    tests/node/connect-redis-8-ioredis-5

# Everything, then what somebody has who adds the crate without a word about features.
cargo test --locked --all-features
cargo test --locked
