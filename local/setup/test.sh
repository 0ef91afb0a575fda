#!/bin/bash
# Run the suite: first what is quick, then what is slow (`make chaos` is apart). Stops after a stage that fails.
set -euo pipefail
.venv/bin/python -m pytest -q -m 'not slow and not chaos'
.venv/bin/python -m pytest -q -m slow
