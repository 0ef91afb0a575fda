#!/bin/bash
# packages.sh NAME...: install the Debian packages of these that are missing, where apt is there.
# Where they cannot be installed, it says so: the tests that need them are skipped, and say why.
set -uo pipefail
missing=()
for package in "$@"; do
    dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
echo "setup: installing Debian packages: ${missing[*]}"
sudo=()
[ "$(id -u)" -eq 0 ] || sudo=(sudo -n)
apt=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq)
"${apt[@]}" update >/dev/null 2>&1
"${apt[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
    echo "setup: apt cannot install ${missing[*]}: tests that need them are skipped" >&2
exit 0
