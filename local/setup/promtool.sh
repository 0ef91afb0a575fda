#!/bin/bash
# Put promtool, which tests the alert rules, into .venv/bin: taken out of Debian's package
# `prometheus`, which is not installed, because that would start a server. Never an error.
set -uo pipefail

command -v promtool >/dev/null && exit 0
[ -x .venv/bin/promtool ] && exit 0

without() {
    echo "setup: $1; going on without promtool: the tests of the alert rules are skipped." >&2
    exit 0
}

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || without "apt is not available"
venv=$PWD/.venv
folder=$(mktemp -d) || without "no temporary folder can be made"
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 0
echo "setup: fetching promtool"
apt-get -qq download prometheus >"$venv/promtool.log" 2>&1 ||
    without "apt cannot fetch the package prometheus (see .venv/promtool.log; refresh apt's lists)"
dpkg-deb --fsys-tarfile prometheus_*.deb 2>>"$venv/promtool.log" | tar -xO ./usr/bin/promtool >promtool &&
    chmod +x promtool && ./promtool --version >>"$venv/promtool.log" 2>&1 ||
    without "the package prometheus holds no promtool that runs here"
mv promtool "$venv/bin/promtool"
