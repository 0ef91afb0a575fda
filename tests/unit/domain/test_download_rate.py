"""How fast an update may be downloaded: a table of cases."""

import pytest

from domain.download_rate import FLOOR_BYTES_PER_S, download_bytes_per_s

CASES = [
    # cap, live lag, line, up: rate, because
    (1_000_000, 0.0, None, True, 1_000_000, "nothing is known of the line: the cap"),
    (1_000_000, 0.0, 10_000_000.0, True, 1_000_000, "a wide line: the cap"),
    (1_000_000, 0.0, 1_000_000.0, True, 250_000, "a thin line: a quarter"),
    (1_000_000, 0.0, 1_000.0, True, FLOOR_BYTES_PER_S, "a very thin line: the floor"),
    (1_000_000, 15.0, None, True, 1_000_000, "live footage is just in time"),
    (1_000_000, 15.1, None, True, FLOOR_BYTES_PER_S, "live footage waits: the floor"),
    (1_000, 60.0, None, True, 1_000, "a cap below the floor counts"),
    (1_000_000, 0.0, None, False, 0, "no line"),
    (0, 0.0, None, True, 0, "downloads are forbidden"),
]


@pytest.mark.parametrize(("cap", "lag_s", "line", "up", "rate", "why"), CASES)
def test_rate(cap: int, lag_s: float, line: float | None, up: bool, rate: int, why: str) -> None:
    found = download_bytes_per_s(cap, live_lag_s=lag_s, line_bytes_per_s=line, line_up=up)
    assert found == rate, why
