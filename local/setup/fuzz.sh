#!/bin/bash
# Ask the API by Schemathesis until the time is over, each round with another seed. A failure prints
# how to repeat it. The last round is finished: one of 20 examples takes some 10 minutes.
set -euo pipefail
minutes=${VIGIL_FUZZ_MINUTES:-60}
export VIGIL_FUZZ_EXAMPLES=${VIGIL_FUZZ_EXAMPLES:-20}
given=${VIGIL_FUZZ_SEED:-}
until_s=$((SECONDS + minutes * 60))
round=0
while ((SECONDS < until_s)); do
    round=$((round + 1))
    export VIGIL_FUZZ_SEED=${given:-$((RANDOM * 32768 + RANDOM))}
    given=""
    echo "fuzz: round $round, minute $((SECONDS / 60)) of $minutes, VIGIL_FUZZ_SEED=$VIGIL_FUZZ_SEED"
    .venv/bin/python -m pytest -q -s -o timeout=7200 tests/integration/test_contract.py
done
