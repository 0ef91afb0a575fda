"""The sampling rate: by the frames' own time, and lower when the device is behind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_bridge.inference.rate_control import FrameSampler, RateController

SECOND = 90_000


@pytest.mark.parametrize(
    ("fps", "rate", "expected"),
    [
        (25, 5, [0, 5, 10, 15, 20, 25]),
        (10, 5, [0, 2, 4, 6]),
        (30, 2, [0, 15, 30, 45]),
        (10, 60, [0, 1, 2, 3]),
        (1, 5, [0, 1, 2]),
    ],
)
def test_pictures_are_sampled_evenly(fps: int, rate: float, expected: list[int]) -> None:
    sampler = FrameSampler()
    chosen = [i for i in range(50) if sampler.should_sample(i * SECOND // fps, rate)]
    assert chosen[: len(expected)] == expected


@given(st.floats(0.5, 10), st.floats(11, 60), st.integers(0, 1 << 40))
def test_the_rate_is_kept_over_time(rate: float, fps: float, start: int) -> None:
    sampler = FrameSampler()
    wanted = sum(
        sampler.should_sample(start + round(i * SECOND / fps), rate) for i in range(round(60 * fps))
    )
    assert wanted == pytest.approx(60 * rate, rel=0.05, abs=2)


def test_a_jump_in_time_starts_again() -> None:
    sampler = FrameSampler()
    assert sampler.should_sample(10 * SECOND, 1)
    assert not sampler.should_sample(10 * SECOND + 100, 1)
    assert sampler.should_sample(5 * SECOND, 1)  # backwards
    assert not sampler.should_sample(5 * SECOND + 100, 1)
    assert sampler.should_sample(500 * SECOND, 1)  # far ahead
    assert not sampler.should_sample(500 * SECOND + 100, 1)


def test_a_raised_rate_counts_at_once() -> None:
    sampler = FrameSampler()
    assert sampler.should_sample(0, 0.1)
    assert not sampler.should_sample(SECOND // 4, 2)
    assert sampler.should_sample(SECOND, 2)


def work(
    rate: RateController,
    *,
    cameras: int,
    cost_s: float,
    decoding: float,
    seconds: int,
    inference: bool = False,
) -> float:
    """Simulate a worker that prepares (or infers) frames at the controlled rate.

    Returns the share of its thread's time that it was busy.
    """
    busy = 0.0
    for _ in range(seconds):
        for camera in range(cameras):
            rate.packet_arrived(f"a/b/c{camera}", 0.0)
        frames = max(1, round(rate.rate_fps * cameras))
        for _ in range(frames):
            rate.frame_sampled()
        spent_s = frames * cost_s
        rate.spent(
            decoding_s=decoding,
            preparing_s=0 if inference else spent_s,
            inference_s=spent_s if inference else 0,
        )
        busy = (0 if inference else decoding) + rate.rate_fps * cameras * cost_s
        rate.adjust(1.0)
    return busy


@pytest.mark.parametrize(
    ("cameras", "cost_s", "decoding", "expected"),
    [
        (1, 0.01, 0.05, 5.0),  # plenty of time
        (4, 0.28, 0.05, 0.80 / 1.12),
        (16, 0.28, 0.25, 0.60 / 4.48),
        (8, 0.02, 0.80, 0.05 / 0.16),
        (1, 100.0, 0.0, 0.02),  # it never stops
    ],
)
def test_the_rate_is_what_the_device_can_do(
    cameras: int, cost_s: float, decoding: float, expected: float
) -> None:
    rate = RateController(5)
    busy = work(rate, cameras=cameras, cost_s=cost_s, decoding=decoding, seconds=20)
    assert rate.rate_fps == pytest.approx(expected, rel=0.01)
    assert busy <= 0.86 or expected == 0.02


def test_decoding_does_not_slow_inference_which_has_its_own_thread() -> None:
    rate = RateController(5)
    busy = work(rate, cameras=4, cost_s=0.28, decoding=0.8, seconds=20, inference=True)
    assert rate.rate_fps == pytest.approx(0.85 / 1.12, rel=0.01)
    assert busy <= 0.86


def test_more_decode_threads_give_a_higher_rate() -> None:
    """Two threads have 1.7 s a second: 0.8 for decoding, the rest for 16 cameras' pictures."""
    rate = RateController(5, decode_threads=2)
    work(rate, cameras=16, cost_s=0.28, decoding=0.8, seconds=20)
    assert rate.rate_fps == pytest.approx(0.90 / 4.48, rel=0.01)


def test_it_slows_down_at_once_and_recovers_when_the_load_is_gone() -> None:
    rate = RateController(5)
    work(rate, cameras=4, cost_s=0.01, decoding=0.1, seconds=5)
    assert rate.rate_fps == 5
    work(rate, cameras=4, cost_s=0.3, decoding=0.1, seconds=3)
    assert rate.rate_fps < 1
    work(rate, cameras=4, cost_s=0.01, decoding=0.1, seconds=8)
    assert rate.rate_fps == 5


def test_no_packets_change_nothing() -> None:
    rate = RateController(5)
    work(rate, cameras=4, cost_s=0.28, decoding=0.05, seconds=9)
    before = rate.rate_fps
    for _ in range(20):
        rate.adjust(1.0)
    assert rate.rate_fps == before


def test_far_behind_nothing_is_analysed_until_caught_up() -> None:
    rate = RateController(5)
    rate.packet_arrived("a/b/c", 2.5)
    assert rate.behind
    rate.packet_arrived("a/b/c", 0.1)
    assert not rate.behind
