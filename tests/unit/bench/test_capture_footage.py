"""What the capture bench reads from a spool: given up with a reason, or missing without one."""

from pathlib import Path

from bench.capture_footage import spooled_footage
from edge_bridge.config.spool import SpoolLimits
from edge_bridge.spool.spool import open_spool
from tests.unit.edge_bridge.material import CAMERA, SECOND_RUN, fragment, started

LIMITS = SpoolLimits(max_bytes=1 << 30, free_floor_bytes=0, free_floor_s=0)
TICKS_PER_FRAME = 3_600
"""Fragments of 4 s have 100 frames."""


def test_a_gap_with_a_reason_is_given_up_and_a_hole_is_missing(tmp_path: Path) -> None:
    #  run     0 1 . . 4 5     . given up
    #  second  0 _ 2           _ missing, without a reason
    spool = open_spool(tmp_path, "e1", LIMITS)
    for seq in (0, 1, 4, 5):
        spool.store(*fragment(seq), started())
        if seq == 1:
            for lost in (2, 3):
                spool.give_up_unwritten(fragment(lost)[0], started(), "disk too slow")
    for seq in (0, 2):
        spool.store(*fragment(seq, run=SECOND_RUN), started(SECOND_RUN))
    spool.close()
    found = spooled_footage(tmp_path, TICKS_PER_FRAME)
    assert (found.runs, found.frames, found.frames_lost, found.overlaps) == (2, 600, 0, 0)
    assert found.given_up == {"disk too slow": {CAMERA: 2}}
    assert list(found.missing) == [SECOND_RUN]


def test_frames_that_are_missing_between_two_fragments_are_lost(tmp_path: Path) -> None:
    spool = open_spool(tmp_path, "e1", LIMITS)
    for seq in range(2):
        event, data = fragment(seq)
        fewer = event.model_copy(update={"frames": 93}) if seq == 0 else event
        spool.store(fewer, data, started())
    spool.close()
    found = spooled_footage(tmp_path, TICKS_PER_FRAME)
    assert (found.frames, found.frames_lost, found.missing) == (193, 7, {})
