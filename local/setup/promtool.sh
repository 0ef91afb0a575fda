#!/bin/bash
# Put promtool and prometheus into .venv/bin: the tests of rules and dashboards ask them. They are
# taken out of Debian's package `prometheus`, which is not installed, because that would start a
# server. Never an error.
set -uo pipefail

have() {
    command -v "$1" >/dev/null || [ -x ".venv/bin/$1" ]
}
have promtool && have prometheus && exit 0

without() {
    echo "setup: $1; going on without Prometheus: the tests of alerts and dashboards are skipped." >&2
    exit 0
}

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || without "apt is not available"
venv=$PWD/.venv
folder=$(mktemp -d) || without "no temporary folder can be made"
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 0
echo "setup: fetching Prometheus"
apt-get -qq download prometheus >"$venv/promtool.log" 2>&1 ||
    without "apt cannot fetch the package prometheus (see .venv/promtool.log; refresh apt's lists)"
dpkg-deb -x prometheus_*.deb . 2>>"$venv/promtool.log" ||
    without "the package prometheus cannot be unpacked"
for program in promtool prometheus; do
    "usr/bin/$program" --version >>"$venv/promtool.log" 2>&1 ||
        without "the package prometheus has no $program that runs here"
    mv "usr/bin/$program" "$venv/bin/$program"
done
