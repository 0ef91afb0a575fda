"""Live sections: which run of a camera is shown live, and the numbers that its fragments have.

A live playlist promises that a fragment keeps its media sequence number. So a number is given once,
when it is known which run continues the live view, and it is stored:

    run A: seqs 0 1 2 3            run B: seqs 0 1 2
    section 7, A, 0..3             section 11, B, 0..
    numbers  7 8 9 10                      11 12 13

What arrives later of A (seq 4, from a backlog) has no number. It is history: a recorded playlist
shows it. At any time one run is live. Another takes over where it is newer by time. Fresh footage
also takes over where the live run has ended or is silent. So a clock that was set back hides
nothing.

A section has one form: its tracks, their codecs and its size. Where a run changes them, the next
section begins, so that a discontinuity precedes it. The numbers continue.
"""

from dataclasses import dataclass, replace

TAKEOVER_MS = 15_000
"""A live run without a known end is replaced by one so much newer, or after so long a silence."""
HOLD_MS = 15_000
"""So long after its end, a fragment is listed although earlier ones are missing."""
FRESH_MS = 60_000
"""Footage that ended at most so long ago is live, not a backlog."""
TOLERANCE_MS = 150
"""A run that begins so much before the live run's end still begins after it."""
OVERLAP_SHOWN_MS = 60_000
"""How long after the newest overlap two recorders are reported."""


@dataclass(frozen=True, slots=True)
class LiveSection:
    """Seqs of one run with consecutive media sequence numbers. Times: UTC ms."""

    run: str
    number: int
    """Media sequence number of `first_seq`."""
    discontinuities: int
    """Sections of the camera before this one."""
    first_seq: int
    last_seq: int
    """Newest known seq. After the next section began: the last seq with a number."""
    start_ms: int
    """Start of the fragment that began it."""
    newest_end_ms: int
    arrived_ms: int
    """When its newest fragment was indexed."""
    longest_ms: int
    """Longest fragment of the last sections: live playlists have a constant target duration."""
    overlap_ms: int | None = None
    """When footage of another run for the same time was indexed; None: never."""
    form: str | None = None
    """Tracks, codecs and size of its fragments; None: not known."""

    @property
    def next_number(self) -> int:
        """The number after the last known seq's."""
        return self.number + self.last_seq - self.first_seq + 1


@dataclass(frozen=True, slots=True)
class LiveFragment:
    """What counts of a fragment that arrives."""

    run: str
    seq: int
    start_ms: int
    end_ms: int
    form: str | None = None
    """Its tracks, their codecs and its size."""


def first_section(fragment: LiveFragment, now_ms: int) -> LiveSection:
    """Return a camera's first section.

    Its number follows from the time: a catalog that is rebuilt continues above the old numbers.
    """
    return LiveSection(
        run=fragment.run,
        number=fragment.start_ms // 1_000,
        discontinuities=0,
        first_seq=fragment.seq,
        last_seq=fragment.seq,
        start_ms=fragment.start_ms,
        newest_end_ms=fragment.end_ms,
        arrived_ms=now_ms,
        longest_ms=fragment.end_ms - fragment.start_ms,
        form=fragment.form,
    )


def extend(section: LiveSection, fragment: LiveFragment, now_ms: int) -> LiveSection:
    """Return the live section after a fragment arrived that does not start another."""
    if fragment.run == section.run:
        if fragment.seq < section.first_seq:
            return section
        return replace(
            section,
            last_seq=max(section.last_seq, fragment.seq),
            newest_end_ms=max(section.newest_end_ms, fragment.end_ms),
            arrived_ms=now_ms,
            longest_ms=max(section.longest_ms, fragment.end_ms - fragment.start_ms),
            form=section.form or fragment.form,
        )
    middle_ms = (fragment.start_ms + fragment.end_ms) // 2
    is_fresh = fragment.end_ms >= now_ms - FRESH_MS
    overlaps = is_fresh and section.start_ms <= middle_ms < section.newest_end_ms
    if overlaps and now_ms - section.arrived_ms < TAKEOVER_MS:
        return replace(section, overlap_ms=now_ms)
    return section


def takes_over(
    section: LiveSection,
    last_seq: int | None,
    fragment: LiveFragment,
    now_ms: int,
    *,
    was_live: bool = False,
) -> bool:
    """Return whether a fragment of another run begins the next section.

    `last_seq` is the live run's last, where its end is known. A run that `was_live` before does not
    return while the live run continues: two recorders would take turns.
    """
    if fragment.run == section.run:
        return False
    complete = last_seq is not None and section.last_seq >= last_seq
    silent = now_ms - section.arrived_ms >= TAKEOVER_MS
    newer_ms = fragment.end_ms - section.newest_end_ms
    if complete or silent:
        return newer_ms > 0 or fragment.end_ms >= now_ms - FRESH_MS
    return newer_ms >= TAKEOVER_MS and not was_live


def next_section(
    closed: LiveSection, fragment: LiveFragment, first_seq: int, now_ms: int
) -> LiveSection:
    """Return the section of the run that takes over, from `first_seq` on."""
    return LiveSection(
        run=fragment.run,
        number=closed.next_number,
        discontinuities=closed.discontinuities + 1,
        first_seq=first_seq,
        last_seq=fragment.seq,
        start_ms=fragment.start_ms,
        newest_end_ms=fragment.end_ms,
        arrived_ms=now_ms,
        longest_ms=max(closed.longest_ms, fragment.end_ms - fragment.start_ms),
        form=fragment.form,
    )


def changes_form(section: LiveSection, fragment: LiveFragment) -> bool:
    """Return whether the live run has other tracks from this fragment on: a section begins."""
    return (
        fragment.run == section.run
        and fragment.seq > section.last_seq
        and None not in (section.form, fragment.form)
        and fragment.form != section.form
    )


def began_before(section: LiveSection, fragment: LiveFragment, now_ms: int) -> bool:
    """Return whether the section's form began with this fragment, which arrived out of order.

    A section's start moves only while no list has it: what follows a missing seq is held back.
    """
    return (
        fragment.run == section.run
        and fragment.seq < section.first_seq
        and fragment.form == section.form
        and now_ms - section.start_ms < HOLD_MS
    )


def begin_earlier(section: LiveSection, fragment: LiveFragment) -> LiveSection:
    """Return the section with its start moved to an earlier fragment; seqs keep their numbers."""
    return replace(
        section,
        number=section.number - section.first_seq + fragment.seq,
        first_seq=fragment.seq,
        start_ms=fragment.start_ms,
    )


def close(section: LiveSection, last_seq: int | None) -> LiveSection:
    """Return the section with its final last seq: a missing tail keeps its numbers."""
    return replace(section, last_seq=max(section.last_seq, last_seq or 0))
