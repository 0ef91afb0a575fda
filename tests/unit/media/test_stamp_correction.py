"""Correcting time stamps: the rate is checked when a second is over, not for each frame."""

from hypothesis import given
from hypothesis import strategies as st

from media.stamp_correction import StampCorrector

T0_MS = 1_760_000_000_000
FRAME = st.tuples(
    st.sampled_from([3_600] * 30 + [0, 1, -3_600, 45_000, 200_000, -900_000, 7_200, 1_000]),
    st.sampled_from([40] * 30 + [0, 20, 90, 400, 5_000, -2_000, 60_000]),
)
RATES = st.tuples(st.sampled_from([3_600, 3_000, 7_200, 0]), st.sampled_from([40, 33, 90]))


class CheckedEachTime(StampCorrector):
    """Checks the rate at each frame."""

    def correction(self, stamp: int, arrived_ms: int) -> int:
        self._rate_checked = False
        return super().correction(stamp, arrived_ms)


@given(st.lists(FRAME, max_size=60), RATES, st.integers(0, 600))
def test_checking_the_rate_once_a_second_changes_nothing(
    odd: list[tuple[int, int]], rate: tuple[int, int], usual: int
) -> None:
    one, other = StampCorrector(), CheckedEachTime()
    stamp, arrived_ms = 0, T0_MS
    for step, wait_ms in [*odd, *([rate] * usual), *odd]:
        stamp += step
        arrived_ms += wait_ms
        assert one.correction(stamp, arrived_ms) == other.correction(stamp, arrived_ms)
        assert one.note == other.note
