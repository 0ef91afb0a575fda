"""A clock that is plainly wrong, and times that show whether they are provisional."""

import os

import pytest

from domain import unset_clock
from domain.events import Detection, FragmentArrived, RunStarted
from domain.events.detections import DetectionFrame
from domain.identity import check_run, new_run_id, run_started_ms
from domain.unset_clock import EARLIEST_MS, LATEST_MS, PROVISIONAL_BELOW_MS
from tests.unit.edge_bridge.material import CAMERA, RUN, fragment

DAY_MS = 86_400_000
SHIFT_MS = 1_790_000_000_000


@pytest.mark.parametrize(
    ("wall_ms", "wrong"),
    [
        (0, True),  # 1970: no battery
        (946_684_800_000, True),  # 2000: another kind of no battery
        (EARLIEST_MS - 1, True),
        (EARLIEST_MS, False),
        (LATEST_MS - 1, False),
        (LATEST_MS, True),
        (-5, True),
    ],
)
def test_which_times_are_plainly_wrong(wall_ms: int, wrong: bool) -> None:
    assert unset_clock.plainly_wrong(wall_ms) is wrong
    now = unset_clock.now_ms(wall_ms, 7 * DAY_MS)
    assert now == (7 * DAY_MS if wrong else wall_ms)
    assert unset_clock.is_provisional(now) is wrong


def test_a_provisional_time_stays_provisional_however_long_the_device_runs() -> None:
    assert unset_clock.now_ms(0, 1 << 50) < PROVISIONAL_BELOW_MS
    assert unset_clock.now_ms(0, -1) == 0


def test_a_true_run_differs_in_its_time_alone_and_true_ones_stay() -> None:
    seed = os.urandom(10)
    print("seed", seed.hex())
    held = new_run_id(61_000, seed)
    true = unset_clock.true_run(held, SHIFT_MS)
    assert check_run(true) == true
    assert true == new_run_id(61_000 + SHIFT_MS, seed)
    assert true[14:] == held[14:]
    assert (unset_clock.is_undated(held), unset_clock.is_undated(true)) == (True, False)
    assert unset_clock.true_run(true, SHIFT_MS) == true
    assert unset_clock.boot_mark_of(held) == seed[-4:].hex()
    assert not unset_clock.is_undated(RUN)


def test_each_event_is_stamped_where_it_is_provisional() -> None:
    held = new_run_id(61_000, bytes(range(10)))
    true = unset_clock.true_run(held, SHIFT_MS)
    event = fragment(3, run=held)[0].model_copy(
        update={"start_ms": 61_000, "arrived_ms": 61_040, "closed_ms": SHIFT_MS + 70_000}
    )
    out = unset_clock.with_true_time(event, SHIFT_MS)
    assert isinstance(out, FragmentArrived)
    times = (out.run, out.start_ms, out.arrived_ms, out.closed_ms)
    assert times == (true, SHIFT_MS + 61_000, SHIFT_MS + 61_040, SHIFT_MS + 70_000)
    assert unset_clock.with_true_time(out, SHIFT_MS) == out  # twice is once
    start = RunStarted(camera=CAMERA, run=held, started_ms=61_000, edge="e1")
    assert unset_clock.with_true_time(start, SHIFT_MS).started_ms == SHIFT_MS + 61_000
    frames = [DetectionFrame(pts=one, at_ms=61_000 + one, objects=[]) for one in range(3)]
    seen = Detection(camera=CAMERA, run=held, model="m", model_version="1", frames=frames)
    stamped = unset_clock.with_true_time(seen, SHIFT_MS)
    assert stamped.run == true
    assert [one.at_ms for one in stamped.frames] == [SHIFT_MS + 61_000 + one for one in range(3)]
    assert run_started_ms(true) == SHIFT_MS + 61_000
