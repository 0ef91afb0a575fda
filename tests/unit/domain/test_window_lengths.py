"""Window lengths change at common borders, and what was cut stays cut as it was."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.camera_windows import CameraWindows
from domain.errors import ConfigError, InvalidEventError
from domain.events import ChunkDue, Event, encode, parse
from domain.window_lengths import MAX_STEPS, WindowLengths
from domain.windows import WindowRules
from tests.unit.domain.footage import CAMERA, RUN, T0_MS, configured, fragment, run_id

MINUTE_MS = 60_000
RULES = WindowRules(window_ms=12_000, grace_ms=6_000, idle_ms=20_000, late_ms=3_000)
LENGTHS = st.sampled_from([1_000, 2_000, 7_000, 12_000, 60_000, 90_000, 3_600_000])


@st.composite
def lengths(draw: st.DrawFn) -> WindowLengths:
    made = WindowLengths.always(draw(LENGTHS))
    for _ in range(draw(st.integers(0, 5))):
        made = made.changed(draw(LENGTHS), T0_MS + draw(st.integers(0, 1 << 34)))
    return made


def test_a_length_changes_at_the_next_border_of_both() -> None:
    made = WindowLengths.always(MINUTE_MS).changed(90_000, T0_MS + 1)
    assert made.steps == ((0, MINUTE_MS), (T0_MS + 180_000, 90_000))
    assert made.window(T0_MS + 179_999) == (T0_MS + 120_000, MINUTE_MS)
    assert made.window(T0_MS + 180_000) == (T0_MS + 180_000, 90_000)


def test_a_change_that_has_not_begun_is_overruled() -> None:
    made = WindowLengths.always(MINUTE_MS).changed(90_000, T0_MS + 1).changed(30_000, T0_MS + 2)
    assert made.steps == ((0, MINUTE_MS), (T0_MS + 60_000, 30_000))
    assert made.changed(MINUTE_MS, T0_MS + 2) == WindowLengths.always(MINUTE_MS)


@given(lengths(), st.lists(st.integers(T0_MS - (1 << 30), T0_MS + (1 << 35)), min_size=2))
def test_windows_are_the_same_or_apart(made: WindowLengths, moments: list[int]) -> None:
    windows = sorted({made.window(moment) for moment in moments})
    for moment in moments:
        start_ms, length_ms = made.window(moment)
        assert start_ms <= moment < start_ms + length_ms
    for (start_ms, length_ms), (next_ms, _) in pairwise(windows):
        assert start_ms + length_ms <= next_ms


@given(
    lengths(),
    lengths(),
    st.integers(T0_MS - (1 << 30), T0_MS + (1 << 34)),
    st.integers(1, 1 << 33),
    st.lists(st.integers(0, 1 << 33), min_size=1),
)
def test_what_was_cut_stays_and_far_from_it_the_word_counts(
    cut: WindowLengths, wanted: WindowLengths, from_ms: int, span_ms: int, moments: list[int]
) -> None:
    to_ms = from_ms + span_ms
    made = cut.changed_outside(wanted, from_ms, to_ms)
    for moment in moments:
        inside = from_ms + moment % span_ms
        assert made.window(inside) == cut.window(inside)
    assert made.at(1 << 60) == wanted.at(1 << 60)
    assert WindowLengths(made.steps) == made


def test_no_more_changes_are_remembered_than_allowed() -> None:
    made = WindowLengths.always(MINUTE_MS)
    for number in range(MAX_STEPS + 5):
        made = made.changed(30_000 if number % 2 else 20_000, T0_MS + number * 3_600_000)
    assert len(made.steps) == MAX_STEPS
    assert made.steps[0][0] == 0


@pytest.mark.parametrize(
    "steps",
    [
        (),
        ((5_000, 5_000),),
        ((0, 1_500),),
        ((0, 60_000), (T0_MS + 30_000, 30_000)),
        ((0, 60_000), (T0_MS, 7_000)),
        ((0, 60_000), (T0_MS, 30_000), (T0_MS, 60_000)),
    ],
)
def test_windows_that_would_overlap_are_refused(steps: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(ConfigError):
        WindowLengths(steps)


def test_an_event_whose_windows_would_overlap_cannot_be_read() -> None:
    good = encode(configured(WindowLengths.always(MINUTE_MS).changed(30_000, T0_MS)))
    assert parse(good)
    bad = good.replace(str(T0_MS).encode(), str(T0_MS + 30_000).encode(), 1)
    with pytest.raises(InvalidEventError, match=r"camera-configured.*border"):
        parse(bad)


# -- what a camera makes of it


def lines(events: list[Event]) -> list[tuple[int, int, list[int]]]:
    return [
        (due.window_start_ms - T0_MS, due.window_ms, [each.seq for each in due.fragments])
        for due in events
        if isinstance(due, ChunkDue)
    ]


def test_a_run_goes_on_over_the_border() -> None:
    windows = CameraWindows(CAMERA, RULES)
    windows.on_configured(configured(WindowLengths.always(12_000).changed(8_000, T0_MS + 1)))
    made = [event for seq in range(12) for event in windows.on_fragment(fragment(seq), T0_MS)[1]]
    assert lines(made) == [
        (0, 12_000, [0, 1, 2]),
        (12_000, 12_000, [3, 4, 5]),
        (24_000, 8_000, [6, 7]),
        (32_000, 8_000, [8, 9]),
    ]


def test_what_is_open_when_the_word_comes_too_late_stays_as_it_was_cut() -> None:
    windows = CameraWindows(CAMERA, RULES)
    made = [event for seq in range(5) for event in windows.on_fragment(fragment(seq), T0_MS)[1]]
    windows.on_configured(configured(WindowLengths.always(12_000).changed(8_000, T0_MS)))
    for seq in range(5, 12):
        made += windows.on_fragment(fragment(seq), T0_MS)[1]
    assert [(start, length) for start, length, _ in lines(made)] == [
        (0, 12_000),
        (12_000, 12_000),
        (24_000, 8_000),
        (32_000, 8_000),
    ]


def test_a_forgotten_run_that_comes_late_is_cut_as_it_was_then() -> None:
    wanted = WindowLengths.always(12_000).changed(8_000, T0_MS + 1)
    windows = CameraWindows(CAMERA, RULES)
    windows.on_configured(configured(wanted))
    again = CameraWindows.restore(CAMERA, RULES, windows.snapshot())
    again.on_fragment(fragment(2), T0_MS + 10**9)
    again.on_fragment(fragment(9, run=run_id(1)), T0_MS + 10**9)
    assert [*again.runs[RUN].windows] == [T0_MS]
    assert [*again.runs[run_id(1)].windows] == [T0_MS + 32_000]


def test_an_older_word_that_comes_later_counts_for_nothing() -> None:
    windows = CameraWindows(CAMERA, RULES)
    newer = WindowLengths.always(12_000).changed(8_000, T0_MS)
    windows.on_configured(configured(newer, 2, grace_ms=1_000))
    windows.on_configured(configured(WindowLengths.always(12_000), 1, idle_ms=5_000))
    assert (windows.lengths, windows.rules.grace_ms, windows.rules.idle_ms) == (
        newer,
        1_000,
        RULES.idle_ms,
    )


def test_waits_of_a_camera_are_its_own_and_go_back_to_the_settings() -> None:
    windows = CameraWindows(CAMERA, RULES)
    always = WindowLengths.always(12_000)
    windows.on_configured(configured(always, 1, grace_ms=0, idle_ms=5_000))
    again = CameraWindows.restore(CAMERA, RULES, windows.snapshot())
    assert (again.rules.grace_ms, again.rules.idle_ms) == (0, 5_000)
    again.on_configured(configured(always, 2))
    assert again.rules == RULES
    assert not again, "nothing is open: no tick has to check it"
    assert again.snapshot(), "yet it is remembered"


def test_settings_that_change_take_effect_with_a_run_that_begins_at_a_border() -> None:
    windows = CameraWindows(CAMERA, RULES)
    windows.on_fragment(fragment(0), T0_MS)
    again = CameraWindows.restore(CAMERA, replace(RULES, window_ms=8_000), windows.snapshot())
    again.on_fragment(fragment(1), T0_MS)
    assert again.lengths == WindowLengths.always(12_000)
    again.on_fragment(fragment(0, run=run_id(1)), T0_MS)
    assert [step[1] for step in again.lengths.steps] == [12_000, 8_000]


def test_a_table_of_the_form_before_is_read() -> None:
    windows = CameraWindows(CAMERA, RULES)
    for seq in (0, 1, 2, 3, 4, 7, 8, 9):
        windows.on_fragment(fragment(seq), T0_MS)
    now = windows.snapshot()
    del now["windows"]
    before = now[RUN] | {
        "w": 12_000,
        "s": [T0_MS // 12_000, T0_MS // 12_000],
        "o": [[start_ms, *rest] for start_ms, _, *rest in now[RUN]["o"]],
    }
    del before["q"]
    again = CameraWindows.restore(CAMERA, RULES, {RUN: before})
    assert again.snapshot() == windows.snapshot()
