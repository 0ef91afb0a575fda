#!/bin/bash
# disk.sh OUTPUT SLOT FOOTAGE: put a whole disk together from the file system of a slot (for both) and
# one for the footage. Debian's signed shim and GRUB come from its packages. No root is needed.
#
#   1 ESP      signed shim and GRUB, the choice of the slot, its counters
#   2 root-a   3 root-b
#   4 state    empty: each device encrypts it at its first start, for its own TPM
#   5 footage  a disk of its own at a site; here a partition
set -euo pipefail
output=$1 slot=$2 footage=$3
here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/vigil/vm
if [ ! -s "$cache/signed/grubx64.efi" ]; then
    packages=$(mktemp -d)
    (cd "$packages" && apt-get -qq -o APT::Sandbox::User=root download shim-signed grub-efi-amd64-signed &&
        for package in *.deb; do dpkg-deb -x "$package" tree; done)
    mkdir -p "$cache/signed"
    cp "$packages/tree/usr/lib/shim/shimx64.efi.signed" "$cache/signed/bootx64.efi"
    cp "$packages/tree/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed" "$cache/signed/grubx64.efi"
    rm -rf "$packages"
fi
mib() { echo $((($(stat -c %s "$1") + 1048575) / 1048576)); }
slot_mib=$(($(mib "$slot") + 64)) footage_mib=$(mib "$footage") esp_mib=64 state_mib=64
rm -f "$output"
truncate -s $((1 + esp_mib + 2 * slot_mib + state_mib + footage_mib + 2))M "$output"
sfdisk --quiet "$output" <<F
label: gpt
start=1MiB, size=${esp_mib}MiB, type=uefi, name=ESP
size=${slot_mib}MiB, type=linux, name=root-a
size=${slot_mib}MiB, type=linux, name=root-b
size=${state_mib}MiB, type=linux, name=state
size=${footage_mib}MiB, type=linux, name=footage
F
esp=$(mktemp)
trap 'rm -f "$esp" "$esp.env"' EXIT
truncate -s ${esp_mib}M "$esp"
mkfs.vfat -F 32 -n ESP "$esp" >/dev/null
mmd -i "$esp" ::EFI ::EFI/BOOT ::EFI/debian ::vigil
mcopy -i "$esp" "$cache/signed/bootx64.efi" ::EFI/BOOT/BOOTX64.EFI
mcopy -i "$esp" "$cache/signed/grubx64.efi" ::EFI/BOOT/grubx64.efi
mcopy -i "$esp" "$here/grub.cfg" ::EFI/debian/grub.cfg
grub-editenv "$esp.env" create
grub-editenv "$esp.env" set ORDER="A B" A_OK=1 B_OK=1 A_TRY=0 B_TRY=0 ${VIGIL_KERNEL:+extra="$VIGIL_KERNEL"}
mcopy -i "$esp" "$esp.env" ::vigil/grubenv
put() { dd if="$1" of="$output" bs=1M seek="$2" conv=notrunc,sparse status=none; }
put "$esp" 1
put "$slot" $((1 + esp_mib))
put "$slot" $((1 + esp_mib + slot_mib))
put "$footage" $((1 + esp_mib + 2 * slot_mib + state_mib))
