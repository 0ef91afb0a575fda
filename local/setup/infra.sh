#!/bin/bash
# Build the tools that the tests of the infrastructure need, once for this machine. Terraform and its
# AWS provider cannot be built here: where they are missing, their tests say so and are skipped.
set -euo pipefail
tools=${XDG_CACHE_HOME:-$HOME/.cache}/vigil/tools
helm=v3.22.0
actionlint=v1.7.12
mkdir -p "$tools"
bash local/setup/packages.sh nftables rauc squashfs-tools packer grub-common openssh-client
if [ ! -x "$tools/helm" ]; then
    if ! command -v go >/dev/null; then
        echo "infra: Go is not on this machine, so helm cannot be built; the charts are not tested" >&2
        exit 0
    fi
    echo "infra: building helm $helm (some minutes, once)"
    GOTOOLCHAIN=local GOBIN=$tools go install "helm.sh/helm/v3/cmd/helm@$helm"
fi
if [ ! -x "$tools/actionlint" ] && command -v go >/dev/null; then
    GOTOOLCHAIN=local GOBIN=$tools go install "github.com/rhysd/actionlint/cmd/actionlint@$actionlint"
fi
