#!/bin/bash
# Install what reads Terraform and the charts, once for this machine: tflint (Go, a minute) and Checkov
# (Python, in an environment of its own: it pins packages that Vigil needs in newer versions).
set -euo pipefail
tools=${XDG_CACHE_HOME:-$HOME/.cache}/vigil/tools
tflint=v0.64.0
checkov=$tools/checkov-$(sed -n 's/^checkov==\([^ ]*\).*/\1/p' requirements/checkov.txt)
mkdir -p "$tools"
if [[ $("$tools/tflint" --version 2>/dev/null | head -n 1) != *" ${tflint#v}" ]]; then
    command -v go >/dev/null || { echo "lint: Go is not on this machine, so tflint cannot be built" >&2; exit 1; }
    echo "lint: building tflint $tflint (a minute, once)"
    GOTOOLCHAIN=local GOBIN=$tools go install "github.com/terraform-linters/tflint@$tflint"
fi
if [ ! -x "$checkov/bin/checkov" ]; then
    echo "lint: installing Checkov (a minute, once)"
    python=$(bash local/setup/find-python.sh)
    # Not moved afterwards: programs in it name its folder.
    rm -rf "$checkov"
    trap 'rm -rf "$checkov"' ERR
    "$python" -m venv "$checkov"
    "$checkov/bin/pip" install --quiet --disable-pip-version-check --require-hashes -r requirements/checkov.txt
fi
