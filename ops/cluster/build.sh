#!/bin/bash
# Build the programs of `make cluster`, once for this machine: Kubernetes's control plane, helm.
# Versions are pinned by go.mod and go.sum next to this file. Prints the folder that holds them.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
tools=${XDG_CACHE_HOME:-$HOME/.cache}/vigil/tools
kubernetes=$(sed -nE 's/^.*k8s.io\/kubernetes (v[0-9.]+).*$/\1/p' "$here/go.mod" | head -1)
programs=(kube-apiserver kube-controller-manager kube-scheduler kubectl)
folder=$tools/kubernetes-$kubernetes
export GOTOOLCHAIN=local

if ! command -v etcd >/dev/null; then
    echo "cluster: etcd is missing; apt-get install --no-install-recommends etcd-server" >&2
    exit 1
fi
bash "$here/../../local/setup/infra.sh" >&2
if [ ! -x "$folder/kubectl" ]; then
    echo "cluster: building Kubernetes $kubernetes (some minutes, once)" >&2
    mkdir -p "$folder.new"
    # Without its version the server says v0.0.0, and Helm refuses the chart.
    package=k8s.io/component-base/version
    minor=${kubernetes#v1.}
    (cd "$here" && go build -trimpath -o "$folder.new/" \
        -ldflags "-s -w -X $package.gitVersion=$kubernetes -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}" \
        "${programs[@]/#/k8s.io/kubernetes/cmd/}")
    rm -rf "$folder"
    mv "$folder.new" "$folder"
fi
echo "$folder"
