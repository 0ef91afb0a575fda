#!/bin/bash
# Print the Python that makes .venv: the first of these that is installed, or say what to install.
# $PYTHON wins where it is set. The order: what CI has run (newest first), then what is only locked.
set -uo pipefail

ran=(3.13 3.11)      # CI: the unit tests on the newest that the machine has, everything on 3.11
locked=(3.12 3.14)   # wheels and hashes exist, CI has never run them

fail() {
    echo "setup: $1" >&2
    exit 1
}

# The version as "3.11" where the command runs at all: pyenv's shims exist for what is not active.
version_of() {
    "$1" -c 'import ensurepip, sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

# Where Python $1 is: on the PATH, or among pyenv's versions.
candidates() {
    echo "python$1"
    local pyenv=${PYENV_ROOT:-$HOME/.pyenv}
    compgen -G "$pyenv/versions/$1.*/bin/python$1" | sort -rV
}

if [ -n "${PYTHON:-}" ]; then
    version=$(version_of "$PYTHON") ||
        fail "$PYTHON does not run, or has no venv module. Name another: make setup PYTHON=/path/to/python3.11"
    for each in "${ran[@]}" "${locked[@]}"; do
        [ "$version" = "$each" ] && { command -v "$PYTHON"; exit 0; }
    done
    fail "$PYTHON is Python $version. Vigil needs ${ran[*]} or ${locked[*]}: make setup PYTHON=/path/to/python3.11"
fi

for each in "${ran[@]}" "${locked[@]}"; do
    while read -r candidate; do
        [ "$(version_of "$candidate")" = "$each" ] || continue
        [[ " ${locked[*]} " = *" $each "* ]] &&
            echo "setup: Python $each is locked, but CI has never run it; ${ran[*]} are safer." >&2
        command -v "$candidate"
        exit 0
    done < <(candidates "$each")
done
fail "no fitting Python is installed. Install Python 3.11 or 3.13 with its venv module (Debian: python3.11 python3.11-venv), or name one: make setup PYTHON=/path/to/python"
