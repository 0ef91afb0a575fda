#!/bin/bash
# fill-slots.sh DISK SLOT: copy slot A of a built disk to SLOT and to slot B, and put the choice of the
# slot on the ESP. The machine is off.
set -euo pipefail
disk=$1 slot=$2
here=$(cd "$(dirname "$0")" && pwd)
# Of partition $1: first byte, size in bytes.
place() { sfdisk --json "$disk" | python3 -c '
import json, sys
for one in json.load(sys.stdin)["partitiontable"]["partitions"]:
    if one.get("name") == sys.argv[1]:
        print(one["start"] * 512, one["size"] * 512)' "$1"; }
read -r a_start a_size < <(place root-a)
read -r b_start b_size < <(place root-b)
[ "$a_size" = "$b_size" ] || { echo "The slots differ in size: $a_size, $b_size." >&2; exit 1; }
copy() { dd "$@" bs=4M iflag=skip_bytes,count_bytes oflag=seek_bytes conv=notrunc,sparse status=none; }
rm -f "$slot"
truncate -s "$a_size" "$slot"
copy "if=$disk" "of=$slot" "skip=$a_start" "count=$a_size"
e2fsck -fp "$slot" || [ $? -le 1 ]
copy "if=$slot" "of=$disk" "count=$a_size" "seek=$a_start"
copy "if=$slot" "of=$disk" "count=$b_size" "seek=$b_start"
# The bundle is signed from it: as small as it can be, and a device lets it grow to its slot.
resize2fs -M "$slot" 2>/dev/null
truncate -s "$(dumpe2fs -h "$slot" 2>/dev/null | awk '/^Block count:/ {n = $3} /^Block size:/ {s = $3} END {print n * s}')" "$slot"
read -r esp_start _ < <(place ESP)
esp=$disk@@$esp_start
environment=$(mktemp)
trap 'rm -f "$environment"' EXIT
grub-editenv "$environment" create
grub-editenv "$environment" set ORDER="A B" A_OK=1 B_OK=1 A_TRY=0 B_TRY=0
mmd -D s -i "$esp" ::vigil 2>/dev/null || true
mcopy -o -i "$esp" "$environment" ::vigil/grubenv
for vendor in ubuntu debian; do
    if mdir -i "$esp" "::EFI/$vendor" >/dev/null 2>&1; then
        mcopy -o -i "$esp" "$here/grub.cfg" "::EFI/$vendor/grub.cfg"
    fi
done
