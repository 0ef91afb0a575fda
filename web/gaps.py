"""Why is there no footage? Pure rules.

footage    ████████░░░░░░░░░░░░████████
manifests          ▒▒▒▒                  what a manifest reports is believed first
run ends           ·       ↑             the rest: why the run before it ended
                                         else: not yet explained
"""

from collections.abc import Sequence

from stores.catalog.intervals import TOLERANCE_MS, Interval
from stores.catalog.timeline import EndedRun, FootageGap

UNEXPLAINED = "not yet explained"
END_SLACK_MS = 5_000
"""A run's end may be told this much after its last fragment's."""


def uncovered_intervals(covered: Sequence[Interval], from_ms: int, to_ms: int) -> list[Interval]:
    """Return the intervals of [from, to) outside `covered` (ascending), small ones left out."""
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

    `reported` and `ends` ascend by time. `began_ms`: where the footage before the first hole
    ended, which may be before the range asked for.
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
                explained.append(FootageGap(at, low, _ended(at, within)))
            explained.append(FootageGap(low, high, gap.reason))
            at = high
        if end - at >= TOLERANCE_MS:
            explained.append(FootageGap(at, end, _ended(at, within)))
    return _joined(explained)


def _ended(at_ms: int, ends: Sequence[EndedRun]) -> str:
    """Return why the last run before `at_ms` ended, else the first one in the hole."""
    before = [each for each in ends if each.ended_ms <= at_ms + END_SLACK_MS]
    if before:
        return before[-1].reason
    return ends[0].reason if ends else UNEXPLAINED


def _joined(gaps: list[FootageGap]) -> list[FootageGap]:
    joined: list[FootageGap] = []
    for gap in gaps:
        last = joined[-1] if joined else None
        if last and last.reason == gap.reason and gap.from_ms - last.to_ms < TOLERANCE_MS:
            joined[-1] = FootageGap(last.from_ms, gap.to_ms, gap.reason)
        else:
            joined.append(gap)
    return joined
