"""Live playlists: whatever two answers show, a segment has one number in both."""

import random
import re

import pytest

from media.live import HOLD_MS, MAX_MISSING, RunNumbers, live
from media.playlist import Segment

RUNS = [f"0189000{n}-0000-7000-8000-00000000000{n}" for n in range(5)]


def uri(run: str, seq: int) -> str:
    return f"fragments/{run}/{seq}.ts"


def segments(run: str, seqs: range | list[int], start_ms: int) -> list[Segment]:
    first = seqs[0]
    return [
        Segment(run, seq, start_ms + (seq - first) * 4_000, 4_000, uri(run, seq)) for seq in seqs
    ]


def numbers(text: str) -> dict[str, int]:
    """Address -> media sequence."""
    first = int(re.search(r"#EXT-X-MEDIA-SEQUENCE:(\d+)", text)[1])
    addresses = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {address: first + place for place, address in enumerate(addresses)}


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


def test_numbers_are_the_seqs_of_the_first_run() -> None:
    text = live(segments(RUNS[0], range(5, 9), 0), [RunNumbers(RUNS[0], 8, None)], 40_000, uri)
    assert numbers(text) == {uri(RUNS[0], seq): seq for seq in range(5, 9)}
    assert "#EXT-X-ENDLIST" not in text
    assert "#EXT-X-PLAYLIST-TYPE" not in text


def test_the_next_run_goes_on_counting_after_a_discontinuity() -> None:
    runs = [RunNumbers(RUNS[0], 3, 16_000), RunNumbers(RUNS[1], 1, None)]
    both = segments(RUNS[0], range(4), 0) + segments(RUNS[1], range(2), 20_000)
    text = live(both, runs, 90_000, uri)
    assert numbers(text)[uri(RUNS[1], 0)] == 4
    assert discontinuities(text)[uri(RUNS[0], 3)] == 0
    assert discontinuities(text)[uri(RUNS[1], 0)] == 1
    later = live(segments(RUNS[1], range(2), 20_000), runs, 90_000, uri)
    assert numbers(later)[uri(RUNS[1], 0)] == 4
    assert discontinuities(later)[uri(RUNS[1], 0)] == 1


def test_a_missing_seq_holds_back_what_follows_for_a_while() -> None:
    parts = segments(RUNS[0], [0, 1, 3, 4], 0)
    runs = [RunNumbers(RUNS[0], 4, None)]
    soon = live(parts, runs, 16_000 + HOLD_MS - 1, uri)
    assert list(numbers(soon)) == [uri(RUNS[0], 0), uri(RUNS[0], 1)]
    later = live(parts, runs, 16_000 + HOLD_MS, uri)
    assert numbers(later) == {uri(RUNS[0], seq): seq for seq in range(5)}
    assert later.count("#EXT-X-GAP\n") == 1
    lines = later.splitlines()
    gap = lines.index("#EXT-X-GAP")
    assert lines[gap + 2 : gap + 4] == ["#EXTINF:4.000,", uri(RUNS[0], 2)]
    come = live(segments(RUNS[0], range(5), 0), runs, 16_000 + HOLD_MS, uri)
    assert numbers(come) == numbers(later)
    assert "#EXT-X-GAP" not in come


def test_the_tail_of_an_ended_run_is_missed_too() -> None:
    runs = [RunNumbers(RUNS[0], 3, 16_000), RunNumbers(RUNS[1], 0, None)]
    parts = segments(RUNS[0], range(2), 0) + segments(RUNS[1], range(1), 20_000)
    assert numbers(live(parts, runs, 24_000, uri)) == {uri(RUNS[0], 0): 0, uri(RUNS[0], 1): 1}
    text = live(parts, runs, 24_000 + HOLD_MS, uri)
    assert numbers(text)[uri(RUNS[1], 0)] == 4
    assert text.count("#EXT-X-GAP\n") == 2


def test_a_new_run_waits_while_the_old_one_may_go_on() -> None:
    runs = [RunNumbers(RUNS[0], 1, None), RunNumbers(RUNS[1], 0, None)]
    parts = segments(RUNS[0], range(2), 0) + segments(RUNS[1], range(1), 20_000)
    assert uri(RUNS[1], 0) not in live(parts, runs, 24_000 + HOLD_MS - 1, uri)
    assert uri(RUNS[1], 0) in live(parts, runs, 24_000 + HOLD_MS, uri)


def test_a_long_hole_starts_the_list_again_with_the_same_numbers() -> None:
    after = MAX_MISSING + 2
    parts = segments(RUNS[0], [0], 0) + segments(RUNS[0], [after, after + 1], after * 4_000)
    text = live(parts, [RunNumbers(RUNS[0], after + 1, None)], 10_000_000, uri)
    assert numbers(text) == {uri(RUNS[0], after): after, uri(RUNS[0], after + 1): after + 1}


@pytest.mark.parametrize("seed", range(25))
def test_numbers_never_change_whatever_is_asked_when(seed: int) -> None:
    """Fragments come in some order, windows slide; each run ends before the next begins."""
    draw = random.Random(seed)
    print("seed", seed)
    script: list[Segment] = []
    runs: list[RunNumbers] = []
    at = 0
    for run in RUNS[: draw.randint(1, 4)]:
        length = draw.randint(0, 12)
        if length:
            script += segments(run, range(length), at)
        at += length * 4_000
        runs.append(RunNumbers(run, length - 1, at))
        at += draw.randint(0, 30_000)
    number: dict[str, int] = {}
    cut: dict[str, int] = {}
    arrived: list[Segment] = []
    for segment in sorted(script, key=lambda each: each.start_ms + draw.randint(0, 20_000)):
        arrived.append(segment)
        now_ms = max(each.end_ms for each in arrived)
        since_ms = now_ms - draw.choice([20_000, 60_000, 10_000_000])
        shown = [each for each in arrived if each.end_ms > since_ms]
        newest = max(each.run for each in shown)
        text = live(shown, [run for run in runs if run.run <= newest], now_ms, uri)
        for address, value in numbers(text).items():
            assert number.setdefault(address, value) == value
        for address, value in discontinuities(text).items():
            assert cut.setdefault(address, value) == value
    assert len(set(number.values())) == len(number)


def test_nothing_to_list() -> None:
    assert live([], [], 0, uri).splitlines()[0] == "#EXTM3U"
