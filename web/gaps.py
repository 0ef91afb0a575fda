"""Why footage is missing. Pure rules.

footage    ████████░░░░░░░░░░░░████████
manifests          ▒▒▒▒                  a reason in a manifest comes first
run ends           ·       ↑             for the rest: why the previous run ended
                                         otherwise: not yet explained
"""

from collections.abc import Sequence

from stores.catalog.intervals import TOLERANCE_MS, Interval
from stores.catalog.timeline import EndedRun, FootageGap

UNEXPLAINED = "not yet explained"
END_SLACK_MS = 5_000
"""A run may end at most this much later than its last fragment."""


def uncovered_intervals(covered: Sequence[Interval], from_ms: int, to_ms: int) -> list[Interval]:
    """Return the intervals of [from, to) outside `covered` (ascending), without small ones."""
    found: list[Interval] = []
    at = from_ms
    for start, end in covered:
        if start - at >= TOLERANCE_MS:
            found.append((at, min(start, to_ms)))
        at = max(at, end)
    if to_ms - at >= TOLERANCE_MS:
        found.append((at, to_ms))
    return found


def explain_gaps(
    missing: Sequence[Interval],
    reported: Sequence[FootageGap],
    ends: Sequence[EndedRun],
    began_ms: int,
) -> list[FootageGap]:
    """Return the missing intervals with their reasons, split where the reason changes.

    `reported` and `ends` are in order of time. `began_ms` is when the footage before the first
    missing interval ended; this may be before the requested range.
    """
    explained: list[FootageGap] = []
    for number, (start, end) in enumerate(missing):
        began = began_ms if number == 0 else start
        within = [each for each in ends if began - END_SLACK_MS <= each.ended_ms <= end]
        at = start
        for gap in reported:
            low, high = max(gap.from_ms, at), min(gap.to_ms, end)
            if high <= low:
                continue
            if low - at >= TOLERANCE_MS:
                explained.append(FootageGap(at, low, _end_reason(at, within)))
            explained.append(FootageGap(low, high, gap.reason))
            at = high
        if end - at >= TOLERANCE_MS:
            explained.append(FootageGap(at, end, _end_reason(at, within)))
    return _merge(explained)


def _end_reason(at_ms: int, ends: Sequence[EndedRun]) -> str:
    """Return why the last run before `at_ms` ended, else why the first one after it did."""
    before = [each for each in ends if each.ended_ms <= at_ms + END_SLACK_MS]
    if before:
        return before[-1].reason
    return ends[0].reason if ends else UNEXPLAINED


def _merge(gaps: list[FootageGap]) -> list[FootageGap]:
    joined: list[FootageGap] = []
    for gap in gaps:
        last = joined[-1] if joined else None
        if last and last.reason == gap.reason and gap.from_ms - last.to_ms < TOLERANCE_MS:
            joined[-1] = FootageGap(last.from_ms, gap.to_ms, gap.reason)
        else:
            joined.append(gap)
    return joined
