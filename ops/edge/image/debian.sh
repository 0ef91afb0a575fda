#!/bin/bash
# debian.sh SUITE OUTPUT VERSION KEYRING: make the root of an edge device from Debian's packages, as a
# file system in OUTPUT. It takes the place of Ubuntu, which cannot be had everywhere: tests start it
# in a virtual machine. Root is needed. What mmdebstrap made is kept in the cache.
set -euo pipefail
suite=$1 output=$(realpath -m "$2") version=$3 keyring=$(realpath "$4")
here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../../.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/vigil/vm
mkdir -p "$cache"
packages=systemd-sysv,udev,dbus,iproute2,nftables,rauc,rauc-service,linux-image-cloud-amd64,initramfs-tools,zstd,kmod,procps,ca-certificates,curl,tzdata,python3,python3-apt,cryptsetup,cryptsetup-bin,tpm2-tools,openssh-server,chrony,unattended-upgrades,strongswan-swanctl,charon-systemd,libstrongswan-standard-plugins,libcharon-extra-plugins,prometheus-node-exporter,grub-common,e2fsprogs,dosfstools
case $suite in
    bookworm) packages+=,libtss2-esys-3.0.2-0,libtss2-mu0,libtss2-rc0,libtss2-tcti-device0 ;;
    *) packages+=,libtss2-esys-3.0.2-0t64,libtss2-mu-4.0.1-0t64,libtss2-rc0t64,libtss2-tcti-device0t64,systemd-cryptsetup ;;
esac
if [ ! -s "$cache/$suite.tar" ]; then
    mmdebstrap --variant=minbase --mode=root --dpkgopt=force-unsafe-io --quiet --skip=cleanup/apt/lists \
        "--include=$packages" "$suite" "$cache/$suite.tar.new"
    mv "$cache/$suite.tar.new" "$cache/$suite.tar"
fi

root=$(mktemp -d "$cache/root.XXXXXX")
finish() {
    for inside in dev proc/sys proc; do ! mountpoint -q "$root/$inside" || umount "$root/$inside"; done
    rm -rf --one-file-system "$root"
}
trap finish EXIT
tar -xpf "$cache/$suite.tar" -C "$root" --exclude='./dev/*'
mount -t proc proc "$root/proc"
# A handler applies kernel settings: those of this machine are not the image's to change.
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t tmpfs tmpfs "$root/dev"
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 666 "$root/dev/zero" c 1 5
mknod -m 666 "$root/dev/urandom" c 1 9
mknod -m 666 "$root/dev/random" c 1 8
ln -s /proc/self/fd "$root/dev/fd"

# The roles, by Ansible's own SSH way: its command is run in the root in place of a remote shell.
VIGIL_ROOT=$root ANSIBLE_CONFIG=$repository/ops/edge/ansible.cfg ANSIBLE_ROLES_PATH=$repository/ops/edge/roles \
    ANSIBLE_SSH_EXECUTABLE=$here/in-root.sh ANSIBLE_SSH_TRANSFER_METHOD=piped ANSIBLE_PIPELINING=true LC_ALL=C.UTF-8 \
    "$repository/.venv/bin/ansible-playbook" -i root, -u root "$repository/ops/edge/image.yml" \
    -e system_update_keyring_file="$keyring" -e "system_update_version=$version" \
    -e '{"docker_install": false, "monitoring_gpu": false, "ssh_keep": true}' </dev/null

cat >"$root/etc/fstab" <<'F'
PARTLABEL=ESP /boot/efi vfat umask=0077,sync 0 2
LABEL=vigil-footage /srv/vigil ext4 noatime,nodev,nosuid,noexec,nofail 0 2
F
mkdir -p "$root/srv/vigil" "$root/boot/efi" "$root/state"
# No identity and no secret in an image: each device makes its own.
rm -f "$root"/etc/ssh/ssh_host_* "$root/var/lib/dbus/machine-id" "$root"/var/lib/systemd/random-seed
: >"$root/etc/machine-id"
if [ -n "${VIGIL_EXTRA:-}" ]; then
    cp -a "$VIGIL_EXTRA/." "$root/"
    chroot "$root" update-initramfs -u >/dev/null
fi
for inside in dev proc/sys proc; do umount "$root/$inside"; done
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/usr/share/{doc,man,locale,i18n}/*
mkdir -p "$(dirname "$output")"
rm -f "$output"
mke2fs -q -t ext4 -O ^metadata_csum_seed,^orphan_file -d "$root" "$output" "${VIGIL_SLOT_SIZE:-900M}"
