"""Which seqs are missing around the fragments of a window, from when to when, and why.

    seq     4 |  .  .  7  8  .  10 |           5..6 from the end of 4 to the start of 7
    window    [-------- w1 -------)            9    from the end of 8 to the start of 10

A hole between two windows belongs to the later one, so that it is reported once. The hole after
a run's last fragment belongs to the window that is sealed last.
"""

from collections.abc import Iterable

from domain.events import Gap
from domain.seqs import Range, SeqRanges
from domain.window_state import OpenFragment, RunEnd

OBJECT_MISSING = "its object is not in the store"
BYTES_DIFFER = "its bytes differ from its event"
"""How the reason begins if a notice and S3 do not agree: the notice may be the wrong one."""
GIVEN_UP = "given up by the edge's spool"
NEVER_ARRIVED = "never arrived in the cloud"
PARTLY_GIVEN_UP = f"partly {GIVEN_UP}, partly {NEVER_ARRIVED}"


def gap_reason(hole: Range, given_up: SeqRanges) -> str:
    """Return why the seqs of `hole` are missing, in words fit for a timeline."""
    if not given_up.within(*hole):
        return NEVER_ARRIVED
    return PARTLY_GIVEN_UP if given_up.missing(*hole) else GIVEN_UP


def gaps_of(
    fragments: Iterable[OpenFragment],
    accounted: SeqRanges,
    *,
    before: int,
    since_ms: int | None,
    end: RunEnd | None,
    to_the_end: bool,
) -> list[Gap]:
    """Return what `accounted` lacks above `before` and between `fragments` (ascending by seq).

    `since_ms` is when the footage up to `before` ended, None where unknown. With `to_the_end`,
    what is missing up to the run's end is reported too.
    """
    given_up = end.given_up if end else SeqRanges()
    gaps: list[Gap] = []

    def report(first: int, last: int, from_ms: int, to_ms: int) -> None:
        for hole in accounted.missing(first, last):
            gaps.append(
                Gap(
                    from_ms=from_ms,
                    to_ms=max(from_ms, to_ms),
                    first_seq=hole[0],
                    last_seq=hole[1],
                    reason=gap_reason(hole, given_up),
                )
            )

    previous, at_ms = before, since_ms
    for fragment in fragments:
        from_ms = fragment.start_ms if at_ms is None else min(at_ms, fragment.start_ms)
        report(previous + 1, fragment.seq - 1, from_ms, fragment.start_ms)
        previous, at_ms = fragment.seq, fragment.end_ms
    if to_the_end and end is not None and at_ms is not None:
        report(previous + 1, end.last_seq, at_ms, end.ended_ms)
    return gaps
