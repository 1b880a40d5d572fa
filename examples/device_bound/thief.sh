#!/usr/bin/env bash
# Plays a thief who copied somebody's cookies: in the browser's developer tools, under Application, Cookies.
#
#   examples/device_bound/thief.sh '__Host-Http-id=…; __Host-id-device=…'
#
# Says once a minute whether the bank still takes the thief for them: for five minutes it does.
set -euo pipefail
cookies=${1:?the cookies, as name=value; name=value}
while true; do
    page=$(curl --silent --insecure --noproxy '*' --header "Cookie: $cookies" "https://localhost:${PORT:-3000}/")
    printf '%s  %s\n' "$(date +%T)" "$(sed -n 's:.*<h1>\(.*\)</h1>.*:\1:p' <<<"$page")"
    sleep 60
done
