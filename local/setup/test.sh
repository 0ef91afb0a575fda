#!/bin/bash
# Run the whole suite: first what is quick, then what is slow. Stops after a stage that fails.
set -euo pipefail
.venv/bin/python -m pytest -q -m 'not slow'
.venv/bin/python -m pytest -q -m slow
