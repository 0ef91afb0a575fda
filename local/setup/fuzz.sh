#!/bin/bash
# Ask the API by Schemathesis for a long time, each round with another seed. A failure prints how to
# repeat it.
set -euo pipefail
rounds=${VIGIL_FUZZ_ROUNDS:-4}
for ((round = 1; round <= rounds; round++)); do
    export VIGIL_FUZZ_SEED=${VIGIL_FUZZ_SEED:-$((RANDOM * 32768 + RANDOM))}
    export VIGIL_FUZZ_EXAMPLES=${VIGIL_FUZZ_EXAMPLES:-100}
    echo "fuzz: round $round of $rounds, VIGIL_FUZZ_SEED=$VIGIL_FUZZ_SEED"
    .venv/bin/python -m pytest -q -o timeout=3600 tests/integration/test_contract.py
    unset VIGIL_FUZZ_SEED
done
