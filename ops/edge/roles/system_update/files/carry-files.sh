#!/bin/bash
# RAUC runs this after it wrote the other slot: this device's own files go along to the new system.
# It may run again: each file is copied whole.
set -euo pipefail
list=${VIGIL_LIST:-/usr/lib/vigil/carried-files}
from=${VIGIL_FROM:-}
if [ -n "${VIGIL_TO:-}" ]; then
    to=$VIGIL_TO
else
    # The slot that was written: RAUC numbers its slots and names those it writes.
    device=
    for number in $RAUC_TARGET_SLOTS; do
        name=RAUC_SLOT_DEVICE_$number
        device=${!name}
    done
    to=$(mktemp -d)
    mount "$device" "$to"
    trap 'umount "$to" && rmdir "$to"' EXIT
fi
while read -r path; do
    case $path in '' | '#'*) continue ;; esac
    [ -e "$from$path" ] || continue
    mkdir -p "$to$(dirname "$path")"
    rm -rf "${to:?}$path"
    cp -a "$from$path" "$to$path"
done <"$list"
sync
