#!/usr/bin/env bash
# Installs the packages of these folders, in the versions that their package-lock.json says.
set -euo pipefail

for folder; do
    [[ $folder/node_modules/.package-lock.json -nt $folder/package-lock.json ]] ||
        (cd "$folder" && npm ci --loglevel=error --no-progress --no-audit --no-fund --ignore-scripts)
done
