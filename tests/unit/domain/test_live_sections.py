"""Which run is live, and that a number is given once."""

from dataclasses import dataclass, field

import pytest

from domain.live_sections import (
    HOLD_MS,
    TAKEOVER_MS,
    LiveFragment,
    LiveSection,
    began_before,
    begin_earlier,
    changes_form,
    close,
    extend,
    first_section,
    next_section,
    takes_over,
)

NOW_MS = 1_795_369_409_000


def fragment(run: str, seq: int, start_ms: int, duration_ms: int = 2_000) -> LiveFragment:
    start = NOW_MS + start_ms
    return LiveFragment(run, seq, start, start + duration_ms)


@dataclass
class Camera:
    """Sections as the catalog keeps them, without what was in flight when a run took over."""

    sections: list[LiveSection] = field(default_factory=list)
    ends: dict[str, int] = field(default_factory=dict)

    def arrive(self, *fragments: LiveFragment, at_ms: int = 0) -> None:
        now_ms = NOW_MS + at_ms
        for each in fragments:
            if not self.sections:
                self.sections.append(first_section(each, now_ms))
                continue
            live = self.sections[-1]
            known = [section for section in self.sections if section.run == each.run]
            end = self.ends.get(live.run)
            if takes_over(live, end, each, now_ms, was_live=bool(known)):
                closed = close(live, end)
                self.sections[-1:] = [closed, next_section(closed, each, each.seq, now_ms)]
            else:
                self.sections[-1] = extend(live, each, now_ms)

    @property
    def runs(self) -> str:
        return "".join(section.run for section in self.sections)


def test_the_first_number_follows_from_the_time() -> None:
    camera = Camera()
    camera.arrive(fragment("A", 5, 0), fragment("A", 6, 2_000))
    [section] = camera.sections
    assert (section.number, section.first_seq, section.last_seq) == (NOW_MS // 1_000, 5, 6)
    assert section.next_number == section.number + 2


def test_the_next_run_begins_once_the_end_is_known_and_here() -> None:
    camera = Camera(ends={"A": 2})
    camera.arrive(fragment("A", 0, 0), fragment("A", 1, 2_000), fragment("B", 0, 8_000))
    assert camera.runs == "A", "A's last fragment is still missing"
    camera.arrive(fragment("A", 2, 4_000), fragment("B", 1, 10_000))
    assert camera.runs == "AB"
    a, b = camera.sections
    assert b.number == a.number + 3
    assert b.discontinuities == 1


def test_a_backlog_of_an_earlier_run_changes_no_number() -> None:
    """An outage: A's backlog has no end yet, B is live, then one of each arrives in turn."""
    camera = Camera()
    camera.arrive(*(fragment("A", seq, -60_000 + 2_000 * seq) for seq in range(5)))
    camera.arrive(*(fragment("B", seq, -20_000 + 2_000 * seq) for seq in range(9)))
    numbers = [section.number for section in camera.sections]
    assert camera.runs == "AB"
    for step in range(12):
        at_ms = 2_000 * step
        camera.arrive(fragment("B", 9 + step, -2_000 + at_ms), at_ms=at_ms)
        camera.arrive(fragment("A", 5 + step, -50_000 + at_ms), at_ms=at_ms)
    assert camera.runs == "AB"
    assert [section.number for section in camera.sections] == numbers
    assert camera.sections[0].last_seq == 4
    assert camera.sections[1].last_seq == 20
    assert camera.sections[1].overlap_ms is None


@pytest.mark.parametrize("offset_ms", [-700, 0, 700, 1_900])
def test_of_two_recorders_one_is_live_and_the_overlap_is_noted(offset_ms: int) -> None:
    camera = Camera()
    for seq in range(60):
        at_ms = 2_000 * (seq + 1)
        camera.arrive(
            fragment("A", seq, 2_000 * seq),
            fragment("B", seq, 2_000 * seq + offset_ms),
            at_ms=at_ms,
        )
    assert camera.runs == "A"
    assert camera.sections[0].last_seq == 59
    if offset_ms <= 700:
        assert camera.sections[0].overlap_ms == NOW_MS + 120_000


def test_the_other_recorder_takes_over_where_the_live_one_falls_silent() -> None:
    camera = Camera()
    for seq in range(30):
        at_ms = 2_000 * (seq + 1)
        camera.arrive(fragment("A", seq, 2_000 * seq), at_ms=at_ms)
        if seq < 10:
            camera.arrive(fragment("B", seq, 2_000 * seq + 700), at_ms=at_ms)
    for seq in range(30, 60):
        camera.arrive(fragment("B", seq, 2_000 * seq + 700), at_ms=2_000 * (seq + 1))
    assert camera.runs == "AB"
    assert camera.sections[1].first_seq <= 30 + TAKEOVER_MS // 2_000


@pytest.mark.parametrize("ahead_ms", [20_000, 120_000, 290_000])
def test_a_clock_that_was_set_back_hides_nothing(ahead_ms: int) -> None:
    camera = Camera(ends={"A": 9})
    camera.arrive(*(fragment("A", seq, ahead_ms - 20_000 + 2_000 * seq) for seq in range(10)))
    camera.arrive(fragment("B", 0, -2_000), at_ms=0)
    assert camera.runs == "AB"
    crashed = Camera()
    crashed.arrive(fragment("A", 0, ahead_ms))
    for seq in range(12):
        crashed.arrive(fragment("B", seq, 2_000 * seq), at_ms=2_000 * (seq + 1))
    assert crashed.runs == "AB", "its end is not known; after a while it is silent"


def test_old_footage_is_never_live() -> None:
    camera = Camera(ends={"B": 0})
    camera.arrive(fragment("B", 0, -2_000))
    camera.arrive(fragment("A", 0, -3_600_000), at_ms=60_000)
    assert camera.runs == "B"


def with_form(seq: int, form: str | None) -> LiveFragment:
    return LiveFragment("A", seq, NOW_MS + seq * 2_000, NOW_MS + seq * 2_000 + 2_000, form)


def test_a_section_ends_where_the_run_changes_its_tracks() -> None:
    section = first_section(with_form(5, "h264"), NOW_MS)
    assert not changes_form(section, with_form(6, "h264"))
    assert changes_form(section, with_form(8, "h264 aac"))
    closed = close(section, 7)
    after = next_section(closed, with_form(8, "h264 aac"), 8, NOW_MS)
    assert after.number == section.number + 3, "seqs keep their numbers"
    assert after.discontinuities == 1
    assert not changes_form(after, with_form(7, "h264")), "it belongs to the section before"


def test_a_section_of_an_older_version_takes_the_form_that_comes() -> None:
    section = first_section(with_form(5, None), NOW_MS)
    assert not changes_form(section, with_form(6, "h264"))
    assert extend(section, with_form(6, "h264"), NOW_MS).form == "h264"


def test_a_change_that_arrives_out_of_order_begins_earlier() -> None:
    closed = close(first_section(with_form(5, "h264"), NOW_MS), 7)
    section = next_section(closed, with_form(8, "h264 aac"), 8, NOW_MS)
    start_ms = section.start_ms
    assert began_before(section, with_form(7, "h264 aac"), start_ms + HOLD_MS - 1)
    assert not began_before(section, with_form(7, "h264 aac"), start_ms + HOLD_MS), "it is listed"
    assert not began_before(section, with_form(7, "h264"), start_ms)
    moved = begin_earlier(section, with_form(7, "h264 aac"))
    assert (moved.number, moved.first_seq) == (section.number - 1, 7)
    assert moved.next_number == section.next_number
