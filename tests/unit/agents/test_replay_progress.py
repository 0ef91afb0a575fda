"""The progress of a replay, with a simulated clock."""

import io

import pytest

from agents.replay.progress import ProgressDisplay, duration_text


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_elsewhere_a_line_comes_every_ten_seconds() -> None:
    clock, out = Clock(), io.StringIO()
    with ProgressDisplay("catalog", "events", 1_000, stream=out, clock_s=clock) as progress:
        for _ in range(40):
            clock.now_s += 0.5
            progress.add(5)
    assert out.getvalue().splitlines() == [
        "catalog: 100 of 1,000 events (10 %), 10/s, 1 min 30 s left",
        "catalog: 200 of 1,000 events (20 %), 10/s, 1 min 20 s left",
        "catalog: done, 200 events in 20 s",
    ]


def test_on_a_terminal_one_line_is_written_over() -> None:
    clock, out = Clock(), Terminal()
    with ProgressDisplay("chunks", "windows", stream=out, clock_s=clock) as progress:
        progress.add(10)
        clock.now_s += 1
        progress.add(1_990)
        progress.say("Kafka's retention has cut something off.")
        progress.add(1)
    assert "\rchunks: 2,000 windows, 2,000/s" in out.getvalue()
    assert "Kafka's retention has cut something off.\n" in out.getvalue()
    assert out.getvalue().endswith("chunks: done, 2,001 windows in 1 s\n")


def test_what_an_earlier_run_did_counts_but_not_for_the_rate() -> None:
    clock = Clock()
    progress = ProgressDisplay("catalog", "events", 1_000, stream=io.StringIO(), clock_s=clock)
    progress.resume(900)
    clock.now_s += 10
    progress.done += 50
    assert progress.rate == 5
    assert progress.left_s == 10
    assert progress.line() == "catalog: 950 of 1,000 events (95 %), 5/s, 10 s left"


def test_the_rate_is_that_of_the_last_half_minute() -> None:
    clock = Clock()
    progress = ProgressDisplay("catalog", "events", 10_000, stream=io.StringIO(), clock_s=clock)
    for _ in range(60):
        clock.now_s += 1
        progress.add(1)
        assert progress.rate > 0
    for _ in range(60):
        clock.now_s += 1
        progress.add(100)
        assert progress.rate <= 101
    assert progress.rate == pytest.approx(100)


def test_what_stops_says_so() -> None:
    out = io.StringIO()
    with pytest.raises(KeyboardInterrupt), ProgressDisplay("catalog", "events", 10, stream=out):
        raise KeyboardInterrupt
    assert out.getvalue().startswith("catalog: stopped, 0 events in ")


def test_nothing_to_do_does_not_divide_by_zero() -> None:
    progress = ProgressDisplay("catalog", "events", 0, stream=io.StringIO())
    assert progress.line() == "catalog: 0 of 0 events (100 %), 0/s"


@pytest.mark.parametrize(
    ("seconds", "says"),
    [(0.2, "1 s"), (42, "42 s"), (190, "3 min 10 s"), (7_500, "2 h 5 min")],
)
def test_lengths_of_time(seconds: float, says: str) -> None:
    assert duration_text(seconds) == says
