#!/bin/bash
# build.sh VERSION KEYRING: build the golden image with Packer. Needs packer, qemu with KVM, mtools.
# The key of the build lives as long as the build.
set -euo pipefail
if [ $# -ne 2 ]; then
    echo "build.sh VERSION KEYRING" >&2
    exit 2
fi
version=$1 keyring=$(realpath "$2")
cd "$(dirname "$0")/../../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ssh-keygen -q -t ed25519 -N '' -C build -f "$work/key"
mkdir "$work/http"
sed "s|@KEY@|$(cat "$work/key.pub")|" ops/edge/image/user-data.in >"$work/http/user-data"
: >"$work/http/meta-data"
if [ "${PACKER_COMMAND:-build}" = build ]; then
    mkdir -p build
    cp /usr/share/OVMF/OVMF_VARS_4M.ms.fd build/edge-image-vars.fd
fi
packer "${PACKER_COMMAND:-build}" -var "version=$version" -var "keyring=$keyring" \
    -var "http_directory=$work/http" -var "ssh_private_key_file=$work/key" ops/edge/image/edge.pkr.hcl
