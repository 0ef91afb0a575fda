#!/bin/sh
# RAUC runs this before it writes: a bundle that is older than this system is refused. A revoked
# weakness must not come back by an old bundle, which is signed as well as a new one.
# VIGIL_MANIFEST and VIGIL_SYSTEM are for tests; /state/update/allow-downgrade allows it once.
set -eu
manifest=${VIGIL_MANIFEST:-$RAUC_UPDATE_SOURCE/manifest.raucm}
system=${VIGIL_SYSTEM:-/usr/lib/vigil/system-version}
allowed=${VIGIL_ALLOW:-/state/update/allow-downgrade}
offered=$(sed -n 's/^version=//p' "$manifest" | head -n 1)
running=$(cat "$system")
if [ -z "$offered" ]; then
    echo "The bundle has no version: it is refused." >&2
    exit 1
fi
if [ -e "$allowed" ]; then
    rm -f "$allowed"
    exit 0
fi
oldest=$(printf '%s\n%s\n' "$offered" "$running" | sort -V | head -n 1)
if [ "$oldest" = "$offered" ] && [ "$offered" != "$running" ]; then
    echo "The bundle ($offered) is older than the system ($running): it is refused." >&2
    exit 1
fi
