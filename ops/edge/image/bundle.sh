#!/bin/bash
# bundle.sh SLOT VERSION CERTIFICATE KEY OUTPUT: sign the file system of a slot as a bundle for RAUC.
# KEY is a file, or a PKCS#11 URI of the vault. It is never in the repository, nor in CI's variables.
# COMPATIBLE names the hardware; SIGNING_CA the intermediate certificates.
set -euo pipefail
if [ $# -ne 5 ]; then
    echo "bundle.sh SLOT VERSION CERTIFICATE KEY OUTPUT" >&2
    exit 2
fi
slot=$1 version=$2 certificate=$3 key=$4 output=$5
content=$(mktemp -d)
trap 'rm -rf "$content"' EXIT
cp --reflink=auto --sparse=always "$slot" "$content/rootfs.ext4"
cat >"$content/manifest.raucm" <<F
[update]
compatible=${COMPATIBLE:-vigil-edge-x86_64}
version=$version

[bundle]
format=verity

[image.rootfs]
filename=rootfs.ext4
F
mkdir -p "$(dirname "$output")"
rm -f "$output"
rauc "--cert=$certificate" "--key=$key" ${SIGNING_CA:+"--intermediate=$SIGNING_CA"} \
    --mksquashfs-args="${MKSQUASHFS:--comp zstd}" bundle "$content" "$output"
