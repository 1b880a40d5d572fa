# A function for scripts that need programs of the system's packages.

install_missing() { # pairs of a program and its package
    local missing=() as_root=() policy=/usr/sbin/policy-rc.d status=0
    while (($#)); do
        command -v "$1" >/dev/null || missing+=("$2")
        shift 2
    done
    ((${#missing[@]})) || return 0
    if ! command -v apt-get >/dev/null; then
        echo "this needs ${missing[*]}: install them with this system's package manager" >&2
        exit 1
    fi
    echo "installing ${missing[*]}" >&2
    ((EUID == 0)) || as_root=(sudo)
    "${as_root[@]}" apt-get update -q >&2
    # Whoever needs servers starts its own; those of the packages would only take their ports and their time.
    [[ -e $policy ]] && policy=''
    if [[ -n $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
        "${as_root[@]}" chmod 755 "$policy"
    fi
    "${as_root[@]}" apt-get install -q -y --no-install-recommends "${missing[@]}" >&2 || status=$?
    [[ -z $policy ]] || "${as_root[@]}" rm "$policy"
    return "$status"
}
