#!/bin/bash
# finish.sh: the last command in the image. It removes what belongs to one machine, and the account of
# the build, and turns the machine off. Each device makes its own keys and ids.
set -euo pipefail
rm -f /etc/ssh/ssh_host_* /var/lib/systemd/random-seed /etc/sudoers.d/90-cloud-init-users
rm -rf /var/lib/cloud /home/builder
: >/etc/machine-id
touch /etc/cloud/cloud-init.disabled
userdel --force builder 2>/dev/null || true
passwd --lock root >/dev/null
if grep -vE '^[^:]+:[!*]' /etc/shadow | cut -d: -f1 | grep .; then
    echo "These accounts have a password: the image is refused." >&2
    exit 1
fi
find / -xdev -name authorized_keys -delete
journalctl --rotate --vacuum-time=1s >/dev/null 2>&1 || true
rm -f /usr/sbin/vigil-image-finish
sync
systemctl poweroff
