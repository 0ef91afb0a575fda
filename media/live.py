"""Live playlists with stable numbers: a segment has the same media sequence in each playlist.

A segment's number is its seq plus the number of seqs in the camera's earlier runs. So any two
playlists agree on it, whatever time they cover and whichever process makes them:

    run A: seqs 0 1 2 3 (ended at 3)   run B: seqs 0 1 2 …
    numbers     0 1 2 3                       4 5 6 …      a discontinuity before 4

A missing seq holds back all later ones for HOLD_MS: most come late by seconds. After that it is
listed as a gap (EXT-X-GAP) with its number. It needs no discontinuity, because the time stamps
continue after it. After a hole of more than MAX_MISSING seqs the list starts again. It is as if
all before had slid out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from media.playlist import Segment, render

HOLD_MS = 15_000
MAX_MISSING = 60


@dataclass(frozen=True, slots=True)
class RunNumbers:
    """A run of the camera. While it continues (ended_ms None), last_seq is the newest known."""

    run: str
    last_seq: int
    ended_ms: int | None


@dataclass(frozen=True, slots=True)
class _NumberedRun:
    base: int
    """Number of its seq 0."""
    order: int
    """How many runs with footage precede it."""
    known: RunNumbers


def live(
    segments: Sequence[Segment],
    runs: Sequence[RunNumbers],
    now_ms: int,
    uri_of: Callable[[str, int], str],
) -> str:
    """Return the playlist, without an end.

    `runs` are all runs of the camera up to the last segment's, oldest first. `uri_of` returns the
    address of a missing fragment, given run and seq. Times are UTC ms.
    """
    numbered = _number_runs(runs)
    listed: list[Segment] = []
    for segment in sorted(segments, key=lambda each: (numbered[each.run].base, each.seq)):
        if not listed:
            listed.append(segment)
            continue
        before = listed[-1]
        missing = _number_of(segment, numbered) - _number_of(before, numbered) - 1
        open_end = before.run != segment.run and numbered[before.run].known.ended_ms is None
        if (missing or open_end) and now_ms - segment.end_ms < HOLD_MS:
            break
        hole = _hole(before, segment, numbered, uri_of) if missing <= MAX_MISSING else []
        if len(hole) != missing:
            listed = []
        listed += [*hole, segment]
    if not listed:
        return render([], set(), ended=False)
    first = numbered[listed[0].run]
    breaks = {
        index
        for index, (before, after) in enumerate(pairwise(listed), 1)
        if before.run != after.run
    }
    return render(
        listed,
        breaks,
        ended=False,
        media_sequence=first.base + listed[0].seq,
        discontinuity_sequence=first.order,
    )


def _number_runs(runs: Sequence[RunNumbers]) -> dict[str, _NumberedRun]:
    numbered: dict[str, _NumberedRun] = {}
    base = order = 0
    for run in runs:
        numbered[run.run] = _NumberedRun(base, order, run)
        base += run.last_seq + 1
        order += run.last_seq >= 0
    return numbered


def _number_of(segment: Segment, runs: dict[str, _NumberedRun]) -> int:
    return runs[segment.run].base + segment.seq


def _hole(
    before: Segment,
    after: Segment,
    runs: dict[str, _NumberedRun],
    uri_of: Callable[[str, int], str],
) -> list[Segment]:
    """Return the missing segments between two, without those of the runs between them."""
    if before.run == after.run:
        return _missing(before, after.seq - 1, after.start_ms, uri_of)
    known = runs[before.run].known
    tail_end_ms = min(known.ended_ms or before.end_ms, after.start_ms)
    tail = _missing(before, known.last_seq, tail_end_ms, uri_of)
    ahead = Segment(after.run, -1, after.start_ms, 0, "")
    return tail + _missing(ahead, after.seq - 1, after.start_ms, uri_of)


def _missing(
    before: Segment, last_seq: int, end_ms: int, uri_of: Callable[[str, int], str]
) -> list[Segment]:
    """Return the segments after `before` up to last_seq, sharing the time up to end_ms."""
    count = last_seq - before.seq
    if count <= 0:
        return []
    share = max(1, (end_ms - before.end_ms) // count)
    return [
        Segment(
            before.run,
            before.seq + offset + 1,
            before.end_ms + offset * share,
            share,
            uri_of(before.run, before.seq + offset + 1),
            missing=True,
        )
        for offset in range(count)
    ]
