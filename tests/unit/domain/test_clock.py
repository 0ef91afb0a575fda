r"""The run's clock against a simulated camera, network and wall clock.

camera  p0   p1   p2   p3        taken at true times, PTS from a crystal that drifts
wire      \    \ \      \        each delayed by at least 0
edge       a0   a1a2     a3      arrivals, read from a wall clock that may step
"""

from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.clock import DIVERGED_MS, FAR_SLEW_PPM, SLEW_PPM, RunClock

T0_MS = 1_760_000_000_000
FRAME_MS = 40
FRAGMENT_FRAMES = 100


@dataclass
class Simulation:
    """A camera of 25 pictures/s; true time in microseconds since its first picture."""

    drift_ppm: int = 0
    delays_ms: list[int] = field(default_factory=lambda: [0])
    steps: dict[int, int] = field(default_factory=dict)
    """At picture n the edge's wall clock steps by so many ms."""
    clock: RunClock = field(default_factory=RunClock)
    borders: list[tuple[int, int, int]] = field(default_factory=list)
    """(pts, UTC the clock gave, UTC that was true) of each fragment's first picture."""

    def run(self, pictures: int) -> int | None:
        """Feed the clock; return the picture at which it reported that the clocks have diverged."""
        stepped = 0
        first: tuple[int, int] | None = (900_000, T0_MS)
        for n in range(pictures):
            stepped += self.steps.get(n, 0)
            true_us = n * FRAME_MS * 1_000
            true_ms = T0_MS + true_us // 1_000
            pts = 900_000 + (true_us + true_us * self.drift_ppm // 1_000_000) * 9 // 100
            if n and n % FRAGMENT_FRAMES == 0:
                if first is not None:  # the first fragment's start is fixed when it closes
                    self._border(*first)
                    first = None
                self._border(pts, true_ms)
            if not self.clock.observe(
                pts, true_ms + stepped + self.delays_ms[n % len(self.delays_ms)]
            ):
                return n
        return None

    def _border(self, pts: int, true_ms: int) -> None:
        self.borders.append((pts, self.clock.advance(pts), true_ms))


def test_a_run_starts_at_its_least_delayed_picture() -> None:
    # Burst at connecting: the first pictures waited in the server.
    late = [900, 700, 500, 300, 100, 30] + [50] * 94
    simulation = Simulation(delays_ms=late)
    simulation.run(150)
    assert simulation.borders[0][1] == T0_MS + 30


@settings(deadline=None, max_examples=60)
@given(
    drift=st.integers(-400, 400),
    delays=st.lists(st.integers(0, 400), min_size=1, max_size=60),
)
def test_follows_a_drifting_camera_within_its_jitter(drift: int, delays: list[int]) -> None:
    simulation = Simulation(drift_ppm=drift, delays_ms=delays)
    assert simulation.run(15_000) is None
    for _, clock_ms, true in simulation.borders:
        # Never further off than the jitter, and what drifts within one window.
        assert -12 <= clock_ms - true <= 400 + 12


@settings(deadline=None, max_examples=60)
@given(
    drift=st.integers(-3_000, 3_000),
    delays=st.lists(st.integers(0, 2_000), min_size=1, max_size=60),
    steps=st.dictionaries(st.integers(1, 5_000), st.integers(-1_000, 1_000), max_size=3),
    far=st.booleans(),
)
def test_slews_slowly_near_the_truth_and_never_goes_back(
    drift: int, delays: list[int], steps: dict[int, int], far: bool
) -> None:
    most_ppm = FAR_SLEW_PPM
    if not far:  # then the error stays below a second
        drift, most_ppm = drift // 10, SLEW_PPM
        steps = {at: step // 4 for at, step in steps.items()}
    simulation = Simulation(drift_ppm=drift, delays_ms=delays, steps=steps)
    simulation.run(6_000)
    pairs = zip(simulation.borders, simulation.borders[1:], strict=False)
    for (pts, clock_ms, _), (next_pts, next_clock_ms, _) in pairs:
        media_us = (next_pts - pts) * 100 // 9
        assert next_clock_ms >= clock_ms
        assert (
            abs((next_clock_ms - clock_ms) * 1_000 - media_us)
            <= media_us * most_ppm // 1_000_000 + 1_001
        )


@pytest.mark.parametrize(
    ("step_ms", "parts_within"),
    [
        (4_000, None),  # a small step is slewed away
        (-4_000, None),
        (-5_200, 1),  # pictures from the future: at once
        (-3_600_000, 1),
        (5_200, 300),  # pictures all late: when a whole window (10 s) has shown it
        (3_600_000, 300),
    ],
)
def test_a_step_of_the_wall_clock(step_ms: int, parts_within: int | None) -> None:
    at = 1_000
    parted = Simulation(steps={at: step_ms}).run(4_000)
    if parts_within is None:
        assert parted is None
    else:
        assert parted is not None
        assert at <= parted <= at + parts_within


def test_a_stall_of_the_network_is_not_a_divergence() -> None:
    # 8 s without a picture, then all of them at once; true time never jumped.
    clock = RunClock()
    for n in range(250):
        assert clock.observe(n * 3_600, T0_MS + n * 40)
    start = clock.advance(0)
    for n in range(250, 450):
        assert clock.observe(n * 3_600, T0_MS + 450 * 40)
    for n in range(450, 900):
        assert clock.observe(n * 3_600, T0_MS + n * 40)
    assert abs(clock.advance(800 * 3_600) - start - 32_000) <= 16


def test_a_jump_in_pts_parts_before_the_first_border_too() -> None:
    clock = RunClock()
    assert clock.observe(0, T0_MS)
    assert not clock.observe(90 * (DIVERGED_MS + 100), T0_MS + 40)


@pytest.mark.parametrize("drift_ppm", [-70_000, -10_000, 10_000, 70_000])
def test_a_camera_at_a_wrong_rate_is_followed(drift_ppm: int) -> None:
    """The borders follow the arrival: no new run begins, and fragments adjoin."""
    simulation = Simulation(drift_ppm=drift_ppm)
    assert simulation.run(25 * 600) is None
    assert max(abs(utc - true) for _, utc, true in simulation.borders) < 2_000


def test_a_seeded_day_stays_true() -> None:
    seed = 20261122
    print(f"seed {seed}")
    random = Random(seed)
    simulation = Simulation(
        drift_ppm=80, delays_ms=[int(random.expovariate(1 / 30)) for _ in range(997)]
    )
    assert simulation.run(25 * 3_600 * 24) is None
    assert max(abs(clock_ms - true) for _, clock_ms, true in simulation.borders) <= 20
    assert len(simulation.borders) == 24 * 3_600 * 25 // FRAGMENT_FRAMES


def test_steps_that_come_again_and_again_part_each_time() -> None:
    """NTP that flaps by 7 s: each step back is seen at once, by whatever run is on then."""
    clock, parted, now_ms = RunClock(), [], T0_MS
    for n in range(3_000):
        if n % 300 == 150:
            now_ms += 7_000 if (n // 300) % 2 else -7_000
        now_ms += 40
        if not clock.observe(n * 3_600, now_ms):
            parted.append(n)
            clock = RunClock()
            assert clock.observe(n * 3_600, now_ms)
        if n % 100 == 99:
            clock.advance(n * 3_600)
    assert [n for n in range(150, 3_000, 600) if n not in parted] == []
    assert len(parted) <= 10  # one for each step at most
