#!/bin/bash
# Install what builds and runs container images, where apt is there: buildah, podman with runc, and
# mmdebstrap for BASES=debian. What is there already stays.
set -euo pipefail
packages=(buildah podman runc skopeo uidmap catatonit)
[ "${BASES:-registry}" = debian ] && packages+=(mmdebstrap)
[ "${VIGIL_BUILDER:-}" = docker ] && exit 0
if ! command -v apt-get >/dev/null; then
    command -v buildah >/dev/null || command -v docker >/dev/null || {
        echo "images: install buildah and podman, or Docker" >&2
        exit 1
    }
    exit 0
fi
missing=()
for package in "${packages[@]}"; do
    dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0
echo "images: installing Debian packages: ${missing[*]}"
sudo=()
[ "$(id -u)" -eq 0 ] || sudo=(sudo)
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq update
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}"
