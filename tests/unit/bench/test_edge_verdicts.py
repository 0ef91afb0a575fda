"""What the edge's benches find wrong when something is wrong."""

import pytest

from bench.cloudlet import Standing, StandingRun, said
from bench.footage import film
from bench.kill import Told, compare
from bench.kill_child import DURATION_MS
from bench.outage_verdict import Seen, count_answered, count_frames, count_underway
from domain.events import AnyEvent, Detection, DetectionFrame, FragmentArrived, RunEnded

CAMERA = "bench/kill/cam-0"
RUN = "01931111-1111-7111-8111-111111111111"
OF = (CAMERA, RUN)


def fragment(seq: int) -> FragmentArrived:
    event, _ = film(CAMERA, RUN, seq, start_ms=seq * DURATION_MS, duration_ms=DURATION_MS)
    return event


def detection(pts: int) -> Detection:
    frames = [DetectionFrame(pts=pts, at_ms=0, objects=[])]
    return Detection(camera=CAMERA, run=RUN, model="bench", model_version="1", frames=frames)


def world(seqs: list[int], last: int) -> tuple[Standing, list[AnyEvent]]:
    end = RunEnded(camera=CAMERA, run=RUN, ended_ms=9_000, last_seq=last, reason="edge restarted")
    fragments = {seq: fragment(seq) for seq in seqs}
    events: list[AnyEvent] = [*fragments.values(), end]
    events += [detection(one.start_pts) for one in fragments.values()]
    return {OF: StandingRun(fragments, end)}, events


def told(handed: int, kept: int) -> Told:
    made = Told()
    for seq in range(handed):
        made.hear("handed", *OF, seq)
    for seq in range(kept):
        made.hear("kept", *OF, seq)
    return made


def test_what_was_being_written_may_stand_or_not() -> None:
    for stands in (2, 3):
        verdict = compare(told(handed=3, kept=2), *world(list(range(stands)), stands - 1))
        assert verdict["faults"] == []
        assert (verdict["lost"], verdict["doubled"]) == (0, 0)
        assert verdict["being_written"] == 3 - stands


def test_a_kept_fragment_that_does_not_stand_is_lost() -> None:
    verdict = compare(told(handed=3, kept=3), *world([0, 2], 2))
    assert verdict["lost"] == 1
    assert any("not in S3" in fault for fault in verdict["faults"])
    assert any("holes" in fault for fault in verdict["faults"])
    assert verdict["detections_lost"] == 1


def test_more_than_was_handed_over_is_doubled() -> None:
    verdict = compare(told(handed=2, kept=2), *world([0, 1, 2], 2))
    assert verdict["doubled"] == 1


def test_notices_and_ends_are_compared_with_what_stands() -> None:
    standing, events = world([0, 1], 1)
    assert said(events, standing) == []
    assert "never noticed" in said(events[1:], standing)[0]
    del standing[OF].fragments[1]
    assert "not in S3" in said(events, standing)[0]
    standing[OF].end = None
    assert "no end" in said(events, standing)[-1]


def test_pictures_are_counted_by_their_numbers() -> None:
    good = count_frames({CAMERA: [[0, 1], [2, 3]]}, 4, from_zero=True)
    assert good == {"frames": 4, "frames_lost": 0, "frames_doubled": 0, "cameras_out_of_order": 0}
    bad = count_frames({CAMERA: [[0, 2], [2, 1]]}, 5, from_zero=True)
    assert (bad["frames_lost"], bad["frames_doubled"], bad["cameras_out_of_order"]) == (2, 1, 1)
    anew = count_frames({CAMERA: [[3, 4, 6], [0, 1]]}, 9, from_zero=False)
    assert (anew["frames_lost"], anew["frames_doubled"]) == (1, 0)


def test_detections_underway_may_come_twice_and_out_of_order() -> None:
    events: list[AnyEvent] = [detection(pts) for pts in (1, 3, 3, 2, 9)]
    counted = count_underway(events, {OF: [(pts, pts) for pts in (1, 2, 3, 4)]})
    assert counted == {
        "detections_lost_underway": 1,
        "detections_sent_again": 1,
        "detections_out_of_order_underway": 1,
    }


TOLD = {OF: [(pts, 10 * pts) for pts in (1, 2, 3)]}
ANSWERED = [(RUN, pts, 10 * pts) for pts in (1, 2, 3)]


def test_detections_answered_once_each_and_in_order_are_good() -> None:
    counted = count_answered({CAMERA: ANSWERED}, TOLD)
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
    counted = count_answered({CAMERA: answered}, TOLD)
    del counted["detections"], counted["detections_answered"]
    found = {name.removeprefix("detections_"): count for name, count in counted.items() if count}
    assert found == wrong


def test_detections_of_a_camera_that_answers_nothing_are_lost() -> None:
    assert count_answered({}, TOLD)["detections_lost"] == 3
