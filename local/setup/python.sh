#!/bin/bash
# Make a virtual environment: the packages of requirements/dev.txt, each checked against its hash,
# and vigil itself. `python.sh [FOLDER]`; the folder is .venv where none is given. $PYTHON names the
# interpreter; without it, an environment that works stays as it is, and a new one gets the Python
# that find-python.sh finds.
set -uo pipefail

fail() {
    echo "setup: $1" >&2
    exit 1
}

venv=${1:-.venv}
version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null; }

# An environment that was moved, was cut off, or has another Python than $PYTHON is made again.
if ! "$venv/bin/python" -c 'import pip' 2>/dev/null ||
    { [ -n "${PYTHON:-}" ] && [ "$(version_of "$venv/bin/python")" != "$(version_of "$PYTHON")" ]; }; then
    python=$(bash local/setup/find-python.sh) || exit 1
    rm -rf "$venv"
    echo "setup: making $venv with Python $(version_of "$python")"
    "$python" -m venv "$venv" >/dev/null ||
        fail "$python cannot make $venv here. Install its venv module (Debian: python3.11-venv) or free disk space."
fi

free_kib=$(df -Pk . | awk 'NR == 2 { print $4 }')
[ "$free_kib" -ge 3145728 ] ||
    fail "the disk is nearly full: $((free_kib / 1024)) MiB are free and 3072 are needed; free some."

echo "setup: installing the Python packages (a few minutes the first time)"
[ -t 1 ] && bar=on || bar=off
if ! "$venv"/bin/python -m pip install --disable-pip-version-check --no-input --progress-bar "$bar" \
    --quiet --require-hashes --requirement requirements/dev.txt 2>"$venv"/pip.log; then
    tail -n 3 "$venv"/pip.log >&2
    if grep -qi 'no space left' "$venv"/pip.log; then
        fail "the disk is full; free some space and run 'make setup' again."
    elif grep -qiE 'do not match the hashes|hashes are required' "$venv"/pip.log; then
        fail "a package is not the one that requirements/dev.txt pins; run 'make setup' again, and if that fails report it."
    fi
    fail "the package registry cannot be reached, or does not have a pinned package; check the network or pip's index setting, then run 'make setup' again (all messages: $venv/pip.log)."
fi
"$venv"/bin/python -m pip install --disable-pip-version-check --no-input --quiet \
    --no-deps --no-build-isolation --editable . 2>"$venv"/pip.log ||
    { tail -n 3 "$venv"/pip.log >&2; fail "vigil itself cannot be installed into $venv (all messages: $venv/pip.log)."; }
"$venv"/bin/python -c 'from media import native; raise SystemExit(not native.AVAILABLE)' ||
    echo "setup: the extension in Rust is not built: cargo or its crates cannot be had. The recorder uses its Python path: slower."
touch "$venv"/.installed
