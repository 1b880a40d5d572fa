#!/usr/bin/env bash
# Runs fuzz targets for so many seconds each: all of them, or those that are named.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:?how many seconds for each target?}
shift
(($#)) || set -- $(cargo +nightly fuzz list)

cargo +nightly fuzz build
for target in "$@"; do
    echo "fuzzing $target for $seconds s"
    mkdir -p "corpus/$target"
    # No single input may take more than 10 seconds, and none that is short may take much memory.
    mkdir -p "artifacts/$target"
    cargo +nightly fuzz run "$target" "corpus/$target" "seeds/$target" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=64 -max_len=20000 \
        -print_final_stats=1 -verbosity=0
done
