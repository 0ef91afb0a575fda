"""Audio stays with its video, whatever its clock does, on a simulated clock.

video   0 40 80 120 ...                arrives in time
audio   0 20 40  60 ... x rate         the same, but its time stamps run at another rate
"""

from collections.abc import Callable, Iterator

import pytest

from media.audio_alignment import AudioAlignment

MS = 90
SECOND = 1_000 * MS


def apart_ticks(stamp_of: Callable[[int], int], seconds: int, delay_ms: int = 0) -> Iterator[int]:
    """Yield how far each audio packet is placed from the video that arrives with it."""
    alignment = AudioAlignment()
    for at_ms in range(0, seconds * 1_000, 20):
        arrived_ms = 1_760_000_000_000 + at_ms // 400 * 400  # reads of 0.4 s
        if at_ms % 40 == 0:
            alignment.note_video(at_ms * MS, arrived_ms)
        stamp = stamp_of(at_ms) * MS
        yield stamp + alignment.correction(stamp, 20 * MS, arrived_ms) - (at_ms - delay_ms) * MS


@pytest.mark.parametrize("rate", [0.9, 0.99, 1.01, 1.1])
def test_audio_with_a_clock_of_another_rate_stays_with_the_video(rate: float) -> None:
    """At 1 % this takes a quarter of an hour to show."""
    apart = list(apart_ticks(lambda at_ms: int(at_ms * rate), 1_200))
    assert max(abs(each) for each in apart) < SECOND


def test_audio_that_jumps_comes_back() -> None:
    for jump_ms in (-3_600_000, 3_600_000):
        apart = list(apart_ticks(lambda ms, by=jump_ms: ms + (by if ms > 9_000 else 0), 20))
        assert abs(apart[-1]) < SECOND // 2


def test_audio_that_is_right_is_not_moved() -> None:
    """Sender reports may say that audio arrives later than the video it belongs to."""
    assert set(apart_ticks(lambda at_ms: at_ms - 250, 60, delay_ms=250)) == {0}
