"""What the edge's benches find wrong when something is wrong."""

import pytest

from domain.events import AnyEvent, Detection, DetectionFrame, FragmentArrived, RunEnded
from harness.edge_cloud import StoredRun, StoredRuns, differences
from harness.footage import film
from harness.kill.edge_process import PICTURES
from harness.kill.invariants import BEING_WRITTEN, Reported, RunKey, Stored, compare
from harness.outage.invariants import Seen, count_answered, count_frames, count_underway

CAMERA = "bench/kill/cam-0"
RUN = "01931111-1111-7111-8111-111111111111"
OF = (CAMERA, RUN)
DURATION_MS = 1_000


def fragment(seq: int) -> FragmentArrived:
    event, _ = film(CAMERA, RUN, seq, start_ms=seq * DURATION_MS, duration_ms=DURATION_MS)
    return event


def detection(pts: int) -> Detection:
    frames = [DetectionFrame(pts=pts, at_ms=0, objects=[])]
    return Detection(camera=CAMERA, run=RUN, model="bench", model_version="1", frames=frames)


def world(seqs: list[int], last: int) -> tuple[StoredRuns, list[AnyEvent], dict[RunKey, Stored]]:
    end = RunEnded(camera=CAMERA, run=RUN, ended_ms=9_000, last_seq=last, reason="edge restarted")
    fragments = {seq: fragment(seq) for seq in seqs}
    events: list[AnyEvent] = [*fragments.values(), end]
    events += [detection(seq) for seq in seqs]
    pictures = [seq * PICTURES + at for seq in seqs for at in range(PICTURES)]
    stored = Stored(pictures, {seq: f"hash {seq}" for seq in seqs})
    return {OF: StoredRun(fragments, end)}, events, {OF: stored}


def reported(shown: int, handed: int, kept: int) -> Reported:
    """Pictures shown, fragments handed over, fragments durable; a detection for each of those."""
    made = Reported()
    for number in range(shown):
        made.hear(("shown", *OF, number, ""))
    for seq in range(handed):
        made.hear(("handed", *OF, seq, f"hash {seq}"))
    for seq in range(kept):
        made.hear(("kept", *OF, seq, ""))
        made.hear(("noted", *OF, seq, ""))
    return made


def test_what_was_being_written_may_be_stored_or_not() -> None:
    for present in (2, 3):
        verdict = compare(reported(17, handed=3, kept=2), *world(list(range(present)), present - 1))
        assert verdict["faults"] == []
        assert (verdict["lost"], verdict["frames_lost"], verdict["frames_doubled"]) == (0, 0, 0)
        assert verdict["frames_being_written"] == 17 - present * PICTURES


def test_more_than_what_was_being_written_may_not_be_gone() -> None:
    shown = 2 * PICTURES + BEING_WRITTEN + 1
    verdict = compare(reported(shown, handed=3, kept=2), *world([0, 1], 1))
    assert any("more than a fragment" in fault for fault in verdict["faults"])


def test_a_kept_fragment_that_is_not_stored_is_lost() -> None:
    verdict = compare(reported(15, handed=3, kept=3), *world([0, 2], 2))
    assert (verdict["lost"], verdict["frames_lost"]) == (1, PICTURES)
    assert any("not in S3" in fault for fault in verdict["faults"])
    assert any("holes" in fault for fault in verdict["faults"])
    assert verdict["detections_lost"] == 1


def test_the_end_that_was_kept_is_lost_too_if_it_is_not_stored() -> None:
    verdict = compare(reported(15, handed=3, kept=3), *world([0, 1], 1))
    assert (verdict["lost"], verdict["frames_lost"], verdict["detections_lost"]) == (1, PICTURES, 1)


def test_more_than_was_shown_is_doubled() -> None:
    verdict = compare(reported(10, handed=2, kept=2), *world([0, 1, 2], 2))
    assert verdict["frames_doubled"] == PICTURES
    found, events, stored = world([0, 1], 1)
    stored[OF] = Stored([*stored[OF].pictures, 9], stored[OF].sha256)
    assert compare(reported(10, 2, 2), found, events, stored)["frames_doubled"] == 1


def test_pictures_out_of_order_and_other_bytes_are_reported() -> None:
    found, events, stored = world([0, 1], 1)
    swapped = [1, 0, *stored[OF].pictures[2:]]
    stored[OF] = Stored(swapped, {**stored[OF].sha256, 1: "another hash"})
    verdict = compare(reported(10, 2, 2), found, events, stored)
    assert verdict["wrong_bytes"] == 1
    assert any("out of order" in fault for fault in verdict["faults"])


def test_processes_that_recorded_nothing_prove_nothing() -> None:
    assert any(
        "nothing was recorded" in fault for fault in compare(Reported(), {}, [], {})["faults"]
    )


def test_notices_and_ends_are_compared_with_what_is_stored() -> None:
    stored, events, _ = world([0, 1], 1)
    assert differences(events, stored) == []
    assert "never announced" in differences(events[1:], stored)[0]
    del stored[OF].fragments[1]
    assert "not in S3" in differences(events, stored)[0]
    stored[OF].end = None
    assert "no end" in differences(events, stored)[-1]


def test_pictures_are_counted_by_their_numbers() -> None:
    good = count_frames({CAMERA: [[0, 1], [2, 3]]}, 4, from_zero=True)
    assert good == {"frames": 4, "frames_lost": 0, "frames_doubled": 0, "cameras_out_of_order": 0}
    bad = count_frames({CAMERA: [[0, 2], [2, 1]]}, 5, from_zero=True)
    assert (bad["frames_lost"], bad["frames_doubled"], bad["cameras_out_of_order"]) == (2, 1, 1)
    again = count_frames({CAMERA: [[3, 4, 6], [0, 1]]}, 9, from_zero=False)
    assert (again["frames_lost"], again["frames_doubled"]) == (1, 0)


def test_detections_underway_may_come_twice_and_out_of_order() -> None:
    events: list[AnyEvent] = [detection(pts) for pts in (1, 3, 3, 2, 9)]
    counted = count_underway(events, {OF: [(pts, pts) for pts in (1, 2, 3, 4)]})
    assert counted == {
        "detections_lost_underway": 1,
        "detections_sent_again": 1,
        "detections_out_of_order_underway": 1,
    }


REPORTED = {OF: [(pts, 10 * pts) for pts in (1, 2, 3)]}
ANSWERED = [(RUN, pts, 10 * pts) for pts in (1, 2, 3)]


def test_detections_answered_once_each_and_in_order_are_good() -> None:
    counted = count_answered({CAMERA: ANSWERED}, REPORTED)
    assert (counted.pop("detections"), counted.pop("detections_answered")) == (3, 3)
    assert not any(counted.values())


@pytest.mark.parametrize(
    ("answered", "wrong"),
    [
        (ANSWERED[:2], {"lost": 1}),
        (ANSWERED + ANSWERED[2:], {"doubled": 1}),
        ([*ANSWERED, (RUN, 4, 40)], {"unknown": 1}),
        ([ANSWERED[1], ANSWERED[0], ANSWERED[2]], {"out_of_order": 1}),
        ([*ANSWERED[:2], (RUN, 3, 31)], {"lost": 1, "unknown": 1}),
    ],
)
def test_what_is_wrong_with_answers_is_counted(answered: list[Seen], wrong: dict[str, int]) -> None:
    counted = count_answered({CAMERA: answered}, REPORTED)
    del counted["detections"], counted["detections_answered"]
    found = {name.removeprefix("detections_"): count for name, count in counted.items() if count}
    assert found == wrong


def test_detections_of_a_camera_that_answers_nothing_are_lost() -> None:
    assert count_answered({}, REPORTED)["detections_lost"] == 3
