"""The figures of a live picture in a browser, from what was sent and what was shown."""

from pathlib import Path

import pytest

from bench.live_browser import SentLog, Shown, figures, start_figures
from domain.errors import VigilError


@pytest.fixture
def log(tmp_path: Path) -> SentLog:
    """A clip of 10 pictures, 10 a second, sent three times; its last line is incomplete."""
    path = tmp_path / "sent.log"
    lines = [f"{at % 10} {at * 100_000_000}\n" for at in range(30)]
    path.write_text("".join(lines) + "3")
    return SentLog(path)


def test_pictures_are_late_by_their_newest_sending(log: SentLog) -> None:
    shown = [Shown(at % 10, at * 100 + 250, at) for at in range(5, 25)]
    found = figures(log, shown)
    assert (found["ms_p50"], found["ms_max"]) == (250, 250)
    assert (found["pictures"], found["dropped"], found["backwards"]) == (20, 0, 0)
    assert found["longest_stay_ms"] == 100


def test_what_was_not_shown_is_dropped_and_what_was_not_read_is_not(log: SentLog) -> None:
    # 7 and 8 were never shown; 11 was shown without a callback
    at = [5, 6, 9, 10, 12]
    presented = [1, 2, 3, 4, 6]
    shown = [
        Shown(each % 10, each * 100 + 50, count) for each, count in zip(at, presented, strict=True)
    ]
    found = figures(log, shown)
    assert (found["pictures"], found["dropped"]) == (8, 2)
    assert found["longest_stay_ms"] == 300


def test_a_jump_backwards_is_counted(log: SentLog) -> None:
    shown = [Shown(number, 1_000, count) for count, number in enumerate([5, 6, 4, 7])]
    assert figures(log, shown)["backwards"] == 1


def test_without_a_number_on_the_screen_there_are_no_figures(log: SentLog) -> None:
    with pytest.raises(VigilError, match="no numbered picture"):
        figures(log, [])


def test_the_start_is_the_first_picture_and_the_first_new_one(log: SentLog) -> None:
    # an old keyframe first, then the newest picture
    shown = [Shown(0, 2_040, 1), Shown(9, 2_100, 2), Shown(0, 2_150, 3)]
    found = start_figures(log, shown, 1_000)
    assert (found["first_picture_ms"], found["first_fresh_ms"]) == (1_040, 1_040)
    assert found["start_backwards"] == 1
    assert start_figures(log, [], 1_000)["first_picture_ms"] is None
