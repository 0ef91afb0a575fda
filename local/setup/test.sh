#!/bin/bash
# Run the tests. `test.sh`: what is quick, then the way from the camera to playback. `test.sh slow`:
# kills, outages and long runs. (`make chaos` is apart.) Stops after a part that fails.
set -euo pipefail
run() { .venv/bin/python -m pytest -q "$@"; }
if [ "${1:-}" = slow ]; then
    run -m slow --ignore=tests/acceptance
else
    run -m 'not slow and not chaos'
    run -m slow tests/acceptance
fi
