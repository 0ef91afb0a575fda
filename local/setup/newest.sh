#!/bin/bash
# Run the unit tests on the newest Python that is installed, in an environment of its own
# (.venv-newest), where .venv has an older one.
set -euo pipefail

version_of() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])'; }

newest=$(PYTHON='' bash local/setup/find-python.sh)
if [ "$(version_of "$newest")" = "$(version_of .venv/bin/python)" ]; then
    echo "newest: .venv has the newest Python already ($(version_of "$newest"))"
    venv=.venv
else
    venv=.venv-newest
    if ! [ "$venv/.installed" -nt requirements/dev.txt ] || ! [ "$venv/.installed" -nt pyproject.toml ]; then
        PYTHON=$newest bash local/setup/python.sh "$venv"
    fi
fi
echo "newest: the unit tests on Python $(version_of "$venv/bin/python")"
"$venv/bin/python" -m pytest -q --numprocesses "${VIGIL_TEST_WORKERS:-2}" \
    --dist loadfile -p no:cacheprovider tests/unit
