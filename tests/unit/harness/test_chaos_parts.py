"""Parts of chaos: a plan that follows from its seed, fragments that carry their numbers."""

import itertools
import random

from harness.chaos.fault_plan import plan
from harness.footage import FPS, film, numbers
from media.keyframes import index_video

WORKERS = ["relay", "assemble-0", "assemble-1", "heal-0", "join-0", "index-0"]
RUN = "01931111-1111-7111-8111-111111111111"


def test_the_same_seed_plans_the_same_faults() -> None:
    plans = [plan(random.Random(7), 600, WORKERS, every_s=5, session_s=6) for _ in range(2)]
    assert plans[0] == plans[1]
    assert plans[0] != plan(random.Random(8), 600, WORKERS, every_s=5, session_s=6)


def test_a_long_run_has_every_kind_of_fault_and_leaves_time_to_come_back() -> None:
    planned = plan(random.Random(1), 600, WORKERS, every_s=5, session_s=6)
    killed = {fault.target for fault in planned if fault.kind == "kill"}
    assert killed == set(WORKERS)
    assert {fault.how for fault in planned if fault.kind == "s3"} == {"error", "reset", "hang"}
    assert {fault.target for fault in planned if fault.kind == "stop"} == {"kafka", "postgres"}
    assert all(5 <= fault.for_s <= 30 for fault in planned if fault.kind == "stop")
    assert all(fault.for_s > 6 for fault in planned if fault.kind == "stall")
    for target in ("kafka", "postgres", "s3"):
        times = [(fault.at_s, fault.for_s) for fault in planned if fault.target == target]
        for (at_s, for_s), (next_s, _) in itertools.pairwise(times):
            assert at_s + for_s < next_s


def test_a_fragment_is_readable_and_its_pictures_are_numbered_on_through_the_run() -> None:
    joined = b""
    for seq in (3, 4):
        event, data = film("a/b/c", RUN, seq, start_ms=1_000_000 + seq * 2_000, duration_ms=2_000)
        assert (event.size_bytes, len(data) % 188) == (len(data), 0)
        assert index_video(data, near_pts=event.start_pts).frames == event.frames == 2 * FPS
        joined += data
    assert numbers(joined) == list(range(30, 50))


def test_two_cameras_never_have_the_same_bytes() -> None:
    events = [
        film(camera, RUN, 0, start_ms=0, duration_ms=2_000)[0] for camera in ("a/b/c", "a/b/d")
    ]
    assert events[0].sha256 != events[1].sha256
