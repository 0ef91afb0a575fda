#!/bin/bash
# Run the tests. `test.sh`: what is quick, then the way from the camera to playback. `test.sh slow`:
# kills, outages and long runs. (`make chaos` is apart.) Stops after a part that fails.
# VIGIL_TEST_WORKERS processes share the files of tests; each has services of its own.
set -euo pipefail
run() {
    .venv/bin/python -m pytest -q --numprocesses "${VIGIL_TEST_WORKERS:-2}" --dist loadfile "$@"
}
if [ "${1:-}" = slow ]; then
    run -m slow --ignore=tests/acceptance
else
    run -m 'not slow and not chaos and not updates and not infra and not cluster and not images and not lab and not vm'
    run -m slow tests/acceptance
fi
