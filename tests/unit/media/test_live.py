"""Live playlists: whatever two answers show, a segment has one number in both."""

import random
import re

import pytest

from domain.live_sections import LiveSection
from media.live import HOLD_MS, MAX_MISSING, live
from media.playlist import Segment

RUNS = [f"0189000{n}-0000-7000-8000-00000000000{n}" for n in range(5)]
START = 7_000
"""Number of the first section."""


def uri(run: str, seq: int) -> str:
    return f"fragments/{run}/{seq}.ts"


def segments(
    run: str, seqs: range | list[int], start_ms: int, duration_ms: int = 4_000
) -> list[Segment]:
    first = seqs[0]
    return [
        Segment(run, seq, start_ms + (seq - first) * duration_ms, duration_ms, uri(run, seq))
        for seq in seqs
    ]


def section(run: str, number: int, last_seq: int, **more: int) -> LiveSection:
    given = {
        "first_seq": 0,
        "start_ms": 0,
        "newest_end_ms": 0,
        "arrived_ms": 0,
        "longest_ms": 4_000,
    }
    return LiveSection(
        **{"run": run, "number": START + number, "last_seq": last_seq, "discontinuities": 0}
        | given
        | more
    )


def playlist(
    parts: list[Segment], sections: list[LiveSection], now_ms: int, from_ms: int = -1
) -> str:
    text = live(parts, sections, from_ms, now_ms, uri)
    assert text is not None
    return text


def numbers(text: str) -> dict[str, int]:
    """Address -> media sequence."""
    first = int(re.search(r"#EXT-X-MEDIA-SEQUENCE:(\d+)", text)[1])
    addresses = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {address: first - START + place for place, address in enumerate(addresses)}


def discontinuities(text: str) -> dict[str, int]:
    """Address -> discontinuity sequence, as section 6.2.1 counts it."""
    found = re.search(r"#EXT-X-DISCONTINUITY-SEQUENCE:(\d+)", text)
    at, counted = int(found[1]) if found else 0, {}
    for line in text.splitlines():
        if line == "#EXT-X-DISCONTINUITY":
            at += 1
        elif line and not line.startswith("#"):
            counted[line] = at
    return counted


def test_numbers_follow_from_the_section() -> None:
    text = playlist(segments(RUNS[0], range(5, 9), 0), [section(RUNS[0], 0, 8)], 40_000)
    assert numbers(text) == {uri(RUNS[0], seq): seq for seq in range(5, 9)}
    assert "#EXT-X-ENDLIST" not in text
    assert "#EXT-X-PLAYLIST-TYPE" not in text


def test_the_next_section_continues_after_a_discontinuity() -> None:
    sections = [section(RUNS[0], 0, 3), section(RUNS[1], 4, 1, discontinuities=1)]
    both = segments(RUNS[0], range(4), 0) + segments(RUNS[1], range(2), 20_000)
    text = playlist(both, sections, 90_000)
    assert numbers(text)[uri(RUNS[1], 0)] == 4
    assert discontinuities(text)[uri(RUNS[0], 3)] == 0
    assert discontinuities(text)[uri(RUNS[1], 0)] == 1
    later = playlist(segments(RUNS[1], range(2), 20_000), sections, 90_000)
    assert numbers(later)[uri(RUNS[1], 0)] == 4
    assert discontinuities(later)[uri(RUNS[1], 0)] == 1


def test_a_section_may_continue_the_run_with_other_tracks() -> None:
    first = section(RUNS[0], 0, 2, discontinuities=4)
    second = section(RUNS[0], 3, 5, discontinuities=5, first_seq=3)
    parts = segments(RUNS[0], range(6), 0)
    text = playlist(parts, [first, second], 90_000)
    assert numbers(text) == {uri(RUNS[0], seq): seq for seq in range(6)}
    assert list(discontinuities(text).values()) == [4, 4, 4, 5, 5, 5]
    slid = playlist(parts[4:], [first, second], 90_000)
    assert discontinuities(slid)[uri(RUNS[0], 4)] == 5


def test_what_has_no_number_is_not_listed() -> None:
    """A's backlog: its seqs after the section's last one, and a run without a section."""
    sections = [section(RUNS[0], 0, 1), section(RUNS[1], 2, 1, discontinuities=1)]
    parts = segments(RUNS[1], range(2), 60_000)
    before = playlist(parts + segments(RUNS[0], range(2), 0), sections, 90_000)
    late = segments(RUNS[0], range(9), 0) + segments(RUNS[2], range(3), 30_000)
    assert playlist(parts + late, sections, 90_000) == before


def test_a_missing_seq_holds_back_what_follows_for_a_while() -> None:
    parts = segments(RUNS[0], range(2), 0) + segments(RUNS[0], [3, 4], 12_000)
    sections = [section(RUNS[0], 0, 4)]
    soon = playlist(parts, sections, 16_000 + HOLD_MS - 1)
    assert list(numbers(soon)) == [uri(RUNS[0], 0), uri(RUNS[0], 1)]
    later = playlist(parts, sections, 16_000 + HOLD_MS)
    assert numbers(later) == {uri(RUNS[0], seq): seq for seq in range(5)}
    assert later.count("#EXT-X-GAP\n") == 1
    lines = later.splitlines()
    gap = lines.index("#EXT-X-GAP")
    assert lines[gap + 2 : gap + 4] == ["#EXTINF:4.000,", uri(RUNS[0], 2)]
    come = playlist(segments(RUNS[0], range(5), 0), sections, 16_000 + HOLD_MS)
    assert numbers(come) == numbers(later)
    assert "#EXT-X-GAP" not in come


def test_the_tail_of_an_ended_run_is_missed_too() -> None:
    sections = [section(RUNS[0], 0, 3), section(RUNS[1], 4, 0)]
    parts = segments(RUNS[0], range(2), 0) + segments(RUNS[1], range(1), 20_000)
    assert numbers(playlist(parts, sections, 24_000)) == {uri(RUNS[0], 0): 0, uri(RUNS[0], 1): 1}
    text = playlist(parts, sections, 24_000 + HOLD_MS)
    assert numbers(text)[uri(RUNS[1], 0)] == 4
    assert text.count("#EXT-X-GAP\n") == 2


def test_a_long_hole_starts_the_list_again_with_the_same_numbers() -> None:
    after = MAX_MISSING + 2
    parts = segments(RUNS[0], [0], 0) + segments(RUNS[0], [after, after + 1], after * 4_000)
    text = playlist(parts, [section(RUNS[0], 0, after + 1)], 10_000_000)
    assert numbers(text) == {uri(RUNS[0], after): after, uri(RUNS[0], after + 1): after + 1}


def test_a_clock_that_was_set_back() -> None:
    """A is ahead by 20 s. It slides out of the list before the first of B does."""
    sections = [section(RUNS[0], 0, 4), section(RUNS[1], 5, 9, discontinuities=1)]
    parts = segments(RUNS[0], range(5), 20_000) + segments(RUNS[1], range(10), 10_000)
    text = playlist(parts, sections, 60_000, from_ms=9_000)
    assert numbers(text) == {uri(RUNS[0], n): n for n in range(5)} | {
        uri(RUNS[1], n): 5 + n for n in range(10)
    }
    assert "#EXT-X-GAP" not in text
    slid = playlist(parts, sections, 60_000, from_ms=19_000)
    assert next(iter(numbers(slid))) == uri(RUNS[1], 2)
    # What is no longer read at all slid out, too.
    cut = [each for each in parts if each.end_ms > 17_000]
    assert playlist(cut, sections, 60_000, from_ms=19_000) == slid


def test_the_first_number_never_falls_when_a_late_fragment_arrives() -> None:
    sections = [section(RUNS[0], 0, 9)]
    every = segments(RUNS[0], range(10), 0)
    without = [each for each in every if each.seq not in {4, 5}]
    for from_ms in range(0, 36_000, 500):
        before = playlist(without, sections, 100_000, from_ms)
        assert numbers(before) == numbers(playlist(every, sections, 100_000, from_ms))


def test_the_target_duration_is_constant() -> None:
    short = segments(RUNS[0], range(5), 0, 2_000)
    long = [*short, Segment(RUNS[0], 5, 10_000, 6_000, uri(RUNS[0], 5))]
    sections = [section(RUNS[0], 0, 5, longest_ms=2_000)]
    for parts in (short, long):
        assert "#EXT-X-TARGETDURATION:6\n" in playlist(parts, sections, 90_000)
    slow = [section(RUNS[0], 0, 5, longest_ms=90_000)]
    assert "#EXT-X-TARGETDURATION:120\n" in playlist(short, slow, 90_000)


@pytest.mark.parametrize("seed", range(25))
def test_numbers_never_change_whatever_is_asked_when(seed: int) -> None:
    """Fragments come in some order, windows slide, runs overlap and clocks are set back."""
    draw = random.Random(seed)
    print("seed", seed)
    script: list[Segment] = []
    sections: list[LiveSection] = []
    at = 100_000
    for order, run in enumerate(RUNS[: draw.randint(1, 4)]):
        length = draw.randint(1, 12)
        script += segments(run, range(length + draw.randint(0, 3)), at)
        number = sections[-1].next_number - START if sections else 0
        sections.append(section(run, number, length - 1, discontinuities=order))
        at += length * 4_000 + draw.randint(-20_000, 30_000)
    number: dict[str, int] = {}
    cut: dict[str, int] = {}
    arrived: list[Segment] = []
    for segment in sorted(script, key=lambda each: each.start_ms + draw.randint(0, 20_000)):
        arrived.append(segment)
        now_ms = max(each.end_ms for each in arrived)
        since_ms = now_ms - draw.choice([20_000, 60_000, 10_000_000])
        shown = [each for each in arrived if each.end_ms > since_ms - 60_000]
        text = live(shown, sections, since_ms, now_ms, uri)
        if text is None:
            continue
        for address, value in numbers(text).items():
            assert number.setdefault(address, value) == value
        for address, value in discontinuities(text).items():
            assert cut.setdefault(address, value) == value
    assert len(set(number.values())) == len(number)


def test_nothing_to_list() -> None:
    assert live([], [], 0, 0, uri) is None
    assert live(segments(RUNS[0], range(3), 0), [], 0, 0, uri) is None
