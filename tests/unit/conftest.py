"""Hypothesis for unit tests: quick, never the same twice, and the way back printed on failure."""

import os

from hypothesis import HealthCheck, Phase, settings

QUICK = settings(
    max_examples=int(os.environ.get("VIGIL_TEST_EXAMPLES", "100")),
    deadline=None,
    derandomize=False,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    phases=[Phase.explicit, Phase.generate, Phase.target, Phase.shrink],
)
settings.register_profile("unit", QUICK)
settings.load_profile("unit")
