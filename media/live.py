"""Live playlists with stable numbers: a segment has the same media sequence in each playlist.

Numbers come from the camera's live sections (domain/live_sections.py): seqs of one run with
consecutive numbers, stored once. So any two playlists agree, whatever time they cover and whichever
process makes them. Fragments without a number are history and are not listed.

    section A: seqs 0 1 2 3 (number 7)   section B: seqs 0 1 2 … (number 11)
    numbers        7 8 9 10                         11 12 13 …      a discontinuity before 11

A section may also continue a run: then the run's tracks, codecs or size changed.

A missing seq holds back all later ones for HOLD_MS: most come late by seconds. After that it is
listed as a gap (EXT-X-GAP) with its number. It needs no discontinuity, because the time stamps
continue after it. After a hole of more than MAX_MISSING seqs the list starts again. It is as if
all before had slid out.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence

from domain.live_sections import HOLD_MS, LiveSection
from media.playlist import Segment, render, target_s

MAX_MISSING = 60
HEAD_MS = 60_000
"""Segments are needed from so long before the list's start: they fix which number is first."""
TARGETS_S = (6, 12, 30, 60, 120, 300, 600, 1_200, 3_600)
"""Target durations. A live playlist must not change its own, so they have coarse steps."""

Numbered = tuple[int, Segment]


def live(
    segments: Sequence[Segment],
    sections: Sequence[LiveSection],
    from_ms: int,
    now_ms: int,
    uri_of: Callable[[str, int], str],
) -> str | None:
    """Return the playlist from `from_ms` on, without an end; None where nothing is listed.

    `segments` reach back to HEAD_MS before from_ms. `sections` are the camera's, by number.
    `uri_of` returns the address of a missing fragment, given run and seq. Times are UTC ms.
    """
    listed = _contiguous(_numbered(segments, sections), sections, now_ms, uri_of)
    # What slid out stays out, also where a clock was set back and times are not in order.
    past = max((at for at, (_, each) in enumerate(listed) if each.end_ms <= from_ms), default=-1)
    listed = listed[past + 1 :]
    if not listed:
        return None
    first = listed[0][0]
    longest_ms = max(sections[-1].longest_ms, *(each.duration_ms for _, each in listed))
    target = TARGETS_S[min(bisect_left(TARGETS_S, target_s(longest_ms)), len(TARGETS_S) - 1)]
    starts = {section.number for section in sections}
    breaks = {index for index, (number, _) in enumerate(listed) if index and number in starts}
    return render(
        [each for _, each in listed],
        breaks,
        target=target,
        media_sequence=first,
        discontinuity_sequence=_section_of(first, sections).discontinuities,
    )


def _numbered(segments: Sequence[Segment], sections: Sequence[LiveSection]) -> list[Numbered]:
    """Return the segments that have a number, in the order of the numbers."""
    by_run: dict[str, list[LiveSection]] = {}
    for section in sections:
        by_run.setdefault(section.run, []).append(section)
    first_seqs = {run: [each.first_seq for each in own] for run, own in by_run.items()}
    found: list[Numbered] = []
    for segment in segments:
        at = bisect_right(first_seqs.get(segment.run, ()), segment.seq) - 1
        if at < 0:
            continue
        section = by_run[segment.run][at]
        if section is sections[-1] or segment.seq <= section.last_seq:
            found.append((section.number + segment.seq - section.first_seq, segment))
    return sorted(found, key=lambda each: each[0])


def _contiguous(
    numbered: Sequence[Numbered],
    sections: Sequence[LiveSection],
    now_ms: int,
    uri_of: Callable[[str, int], str],
) -> list[Numbered]:
    """Return consecutive numbers up to the newest: gaps where segments are missing."""
    listed: list[Numbered] = []
    for number, segment in numbered:
        missing = number - listed[-1][0] - 1 if listed else 0
        if missing and now_ms - segment.end_ms < HOLD_MS:
            break
        if missing > MAX_MISSING:
            listed = []
        elif missing:
            listed += _hole(listed[-1], (number, segment), sections, uri_of)
        listed.append((number, segment))
    return listed


def _hole(
    before: Numbered,
    after: Numbered,
    sections: Sequence[LiveSection],
    uri_of: Callable[[str, int], str],
) -> list[Numbered]:
    """Return gaps for the numbers between two segments.

    Within a run they share the time between. Where a run begins, they end where it is known from.
    """
    start_ms, end_ms = before[1].end_ms, after[1].start_ms
    count = after[0] - before[0] - 1
    usual_ms = after[1].duration_ms
    share_ms = max(1, min((end_ms - start_ms) // count, max(usual_ms, before[1].duration_ms)))
    found: list[Numbered] = []
    for number in range(before[0] + 1, after[0]):
        section = _section_of(number, sections)
        if section.run == before[1].run:
            gap_ms, at_ms = share_ms, start_ms + share_ms * (number - before[0] - 1)
        else:
            gap_ms, at_ms = usual_ms, end_ms - usual_ms * (after[0] - number)
        seq = section.first_seq + number - section.number
        uri = uri_of(section.run, seq)
        found.append((number, Segment(section.run, seq, at_ms, gap_ms, uri, missing=True)))
    return found


def _section_of(number: int, sections: Sequence[LiveSection]) -> LiveSection:
    return next(each for each in reversed(sections) if each.number <= number)
