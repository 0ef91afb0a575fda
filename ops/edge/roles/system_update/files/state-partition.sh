#!/bin/bash
# Open the state partition and lay its folders over the system's, before anything reads them. At a
# device's first start the partition is empty: it is then encrypted with a key that only this
# device's TPM has, and only while Secure Boot is as it is now (PCR 7). No image holds a key.
set -euo pipefail
partition=/dev/disk/by-partlabel/state
opened=/dev/mapper/vigil-state
folders='/etc/vigil /etc/swanctl /etc/systemd/network /var/lib/rauc'
kind=$(blkid --probe --match-tag TYPE --output value "$partition" || true)
if [ -z "$kind" ]; then
    key=$(mktemp -p /run)
    trap 'rm -f "$key"' EXIT
    head -c 64 /dev/urandom >"$key"
    # The key is 512 random bits: a slow derivation would protect nothing.
    cryptsetup luksFormat --batch-mode --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 \
        --key-file "$key" "$partition"
    systemd-cryptenroll --unlock-key-file="$key" --tpm2-device=auto --tpm2-pcrs=7 "$partition"
    # To be fetched by Ansible, kept in the vault, and removed here: docs/design/golden-image.md.
    systemd-cryptenroll --unlock-key-file="$key" --recovery-key "$partition" >/run/vigil-recovery-key
    cryptsetup open --key-file "$key" "$partition" vigil-state
    mkfs.ext4 -q -L vigil-state "$opened"
    # Only now: after a cut before this the next start would begin again.
    cryptsetup luksRemoveKey --batch-mode "$partition" "$key"
fi
[ -e "$opened" ] || /lib/systemd/systemd-cryptsetup attach vigil-state "$partition" - tpm2-device=auto,discard ||
    /usr/bin/systemd-cryptsetup attach vigil-state "$partition" - tpm2-device=auto,discard
mountpoint -q /state || mount -o noatime,nodev,nosuid "$opened" /state
mkdir -p /state/rauc /state/update /state/root
if [ -e /run/vigil-recovery-key ]; then
    install -m 0600 /run/vigil-recovery-key /state/recovery-key
    rm -f /run/vigil-recovery-key
fi
for folder in $folders; do
    kept=/state/root$folder
    mkdir -p "$folder"
    if [ ! -d "$kept" ]; then
        # What the image brings, once.
        rm -rf "$kept.new"
        mkdir -p "$(dirname "$kept")"
        cp -a "$folder" "$kept.new"
        mv "$kept.new" "$kept"
    fi
    mountpoint -q "$folder" || mount --bind "$kept" "$folder"
done
# A cut while GRUB's variables were written may leave them unreadable; GRUB then used its defaults.
if ! grub-editenv /boot/efi/vigil/grubenv list >/dev/null 2>&1; then
    grub-editenv /boot/efi/vigil/grubenv create
    slot=$(sed -n 's/.*rauc\.slot=\([AB]\).*/\1/p' /proc/cmdline)
    [ -z "$slot" ] || grub-editenv /boot/efi/vigil/grubenv set "${slot}_OK=1" "${slot}_TRY=1"
fi
