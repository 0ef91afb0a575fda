"""Why is there no footage?

time, s     0     10     20     30     40
footage     ██████░░░░░░░░░░░░░░████████
"""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stores.catalog.intervals import TOLERANCE_MS, merge
from stores.catalog.timeline import EndedRun, FootageGap
from web.gaps import UNEXPLAINED, explain_gaps, uncovered_intervals

MISSING = [(10_000, 30_000)]


@pytest.mark.parametrize(
    ("reported", "ends", "expected", "why"),
    [
        ([], [], [(10, 30, UNEXPLAINED)], "not known"),
        ([], [(10, "cable")], [(10, 30, "cable")], "the run ended there"),
        ([], [(11, "cable")], [(10, 30, "cable")], "reported a little later"),
        ([], [(20, "no keyframes")], [(10, 30, "no keyframes")], "a run without footage"),
        ([], [(10, "cable"), (20, "retry")], [(10, 30, "cable")], "the first is why it began"),
        ([], [(2, "restart")], [(10, 30, UNEXPLAINED)], "an end with footage after it"),
        ([], [(31, "later")], [(10, 30, UNEXPLAINED)], "an end after the hole"),
        ([(10, 30, "hash")], [(10, "cable")], [(10, 30, "hash")], "a manifest is believed first"),
        (
            [(15, 20, "hash")],
            [(10, "cable")],
            [(10, 15, "cable"), (15, 20, "hash"), (20, 30, "cable")],
            "the rest by the run's end",
        ),
        ([(0, 99, "all")], [], [(10, 30, "all")], "only what is missing"),
        (
            [(10, 20, "a"), (15, 25, "b")],
            [],
            [(10, 20, "a"), (20, 25, "b"), (25, 30, UNEXPLAINED)],
            "reports that overlap",
        ),
        ([(10, 20, "a"), (20, 30, "a")], [], [(10, 30, "a")], "one gap where the reason is one"),
    ],
)
def test_reasons(reported, ends, expected, why) -> None:
    found = explain_gaps(
        MISSING,
        [FootageGap(a * 1_000, b * 1_000, reason) for a, b, reason in reported],
        [EndedRun(at * 1_000, reason) for at, reason in ends],
        MISSING[0][0],
    )
    assert [(gap.from_ms // 1_000, gap.to_ms // 1_000, gap.reason) for gap in found] == expected, (
        why
    )


def test_a_hole_that_began_before_the_range_keeps_its_reason() -> None:
    ends = [EndedRun(1_000, "unplugged")]
    assert explain_gaps([(50_000, 60_000)], [], ends, began_ms=1_000)[0].reason == "unplugged"
    assert explain_gaps([(50_000, 60_000)], [], ends, began_ms=50_000)[0].reason == UNEXPLAINED


intervals = st.lists(
    st.tuples(st.integers(0, 60_000), st.integers(0, 9_000)).map(lambda p: (p[0], p[0] + p[1])),
    max_size=8,
)


@given(intervals)
def test_footage_and_holes_make_up_the_range(pieces) -> None:
    footage = merge(pieces)
    missing = uncovered_intervals([each for each in footage if each[0] < 60_000], 0, 60_000)
    for ms in range(0, 60_000, 50):
        there = any(start - TOLERANCE_MS < ms < end + TOLERANCE_MS for start, end in footage)
        gone = any(start <= ms < end for start, end in missing)
        really = any(start <= ms < end for start, end in footage)
        assert there or gone
        assert not (really and gone)


@given(intervals, intervals, st.lists(st.integers(0, 60_000), max_size=4))
def test_every_missing_moment_has_one_reason(pieces, reports, ended) -> None:
    missing = uncovered_intervals(merge(pieces), 0, 70_000)
    reported = [
        FootageGap(a, b, f"reported {n}") for n, (a, b) in enumerate(sorted(reports)) if b > a
    ]
    ends = [EndedRun(at, f"ended {at}") for at in sorted(ended)]
    found = explain_gaps(missing, reported, ends, missing[0][0] if missing else 0)
    for before, after in pairwise(found):
        assert before.to_ms <= after.from_ms
    for start, end in missing:
        for ms in range(start, end, 100):
            holding = [gap for gap in found if gap.from_ms <= ms < gap.to_ms]
            near = [
                gap for gap in found if gap.from_ms - TOLERANCE_MS <= ms < gap.to_ms + TOLERANCE_MS
            ]
            assert len(holding) <= 1
            assert near
