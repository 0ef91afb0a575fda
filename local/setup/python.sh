#!/bin/bash
# Make .venv: the packages of requirements/dev.txt, each checked against its hash, and vigil itself.
set -uo pipefail

fail() {
    echo "setup: $1" >&2
    exit 1
}

python=${PYTHON:-python3.11}
command -v "$python" >/dev/null ||
    fail "$python is not installed; install Python 3.11 (Debian: python3.11 and python3.11-venv) or run 'make setup PYTHON=/path/to/python3.11'."
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
    fail "$python is not Python 3.11; run 'make setup PYTHON=/path/to/python3.11'."

# An environment that was moved or cut off is made anew.
if ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    rm -rf .venv
    echo "setup: making .venv"
    "$python" -m venv .venv >/dev/null ||
        fail "$python cannot make .venv here; install its venv module (Debian: python3.11-venv) or free disk space."
fi

free_kib=$(df -Pk . | awk 'NR == 2 { print $4 }')
[ "$free_kib" -ge 3145728 ] ||
    fail "the disk is nearly full: $((free_kib / 1024)) MiB are free and 3072 are needed; free some."

echo "setup: installing the Python packages (a few minutes the first time)"
[ -t 1 ] && bar=on || bar=off
if ! .venv/bin/python -m pip install --disable-pip-version-check --no-input --progress-bar "$bar" \
    --quiet --require-hashes --requirement requirements/dev.txt 2>.venv/pip.log; then
    tail -n 3 .venv/pip.log >&2
    if grep -qi 'no space left' .venv/pip.log; then
        fail "the disk is full; free some space and run 'make setup' again."
    elif grep -qiE 'do not match the hashes|hashes are required' .venv/pip.log; then
        fail "a package is not the one that requirements/dev.txt pins; run 'make setup' again, and if that fails report it."
    fi
    fail "the package registry cannot be reached, or does not have a pinned package; check the network or pip's index setting, then run 'make setup' again (all messages: .venv/pip.log)."
fi
.venv/bin/python -m pip install --disable-pip-version-check --no-input --quiet \
    --no-deps --no-build-isolation --editable . 2>.venv/pip.log ||
    { tail -n 3 .venv/pip.log >&2; fail "vigil itself cannot be installed into .venv (all messages: .venv/pip.log)."; }
touch .venv/.installed
