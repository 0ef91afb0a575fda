#!/bin/bash
# Install what signs and verifies images, once for this machine: cosign (Go, some minutes).
# `release.sh test` adds what the test of it needs: Debian's registry and skopeo.
set -euo pipefail
tools=${XDG_CACHE_HOME:-$HOME/.cache}/vigil/tools
cosign=v3.1.3
grype=v0.121.3
mkdir -p "$tools"
if ! command -v cosign >/dev/null && [ ! -x "$tools/cosign" ]; then
    command -v go >/dev/null || { echo "release: Go is not on this machine, so cosign cannot be built" >&2; exit 1; }
    echo "release: building cosign $cosign (some minutes, once)"
    GOTOOLCHAIN=local GOBIN=$tools go install "github.com/sigstore/cosign/v3/cmd/cosign@$cosign"
fi
# Grype was not compiled where Vigil is developed: its database cannot be reached there.
if [ "${1:-}" = scan ] && ! command -v grype >/dev/null && [ ! -x "$tools/grype" ]; then
    GOTOOLCHAIN=local GOBIN=$tools go install "github.com/anchore/grype/cmd/grype@$grype"
fi
[ "${1:-}" = test ] || exit 0
missing=()
for program in docker-registry skopeo; do
    command -v $program >/dev/null || missing+=("$program")
done
[ ${#missing[@]} -eq 0 ] && exit 0
sudo=()
[ "$(id -u)" -eq 0 ] || sudo=(sudo)
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq update
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}"
