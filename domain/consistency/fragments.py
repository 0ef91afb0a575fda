"""One fragment: its object in S3 and its row, against what the chunks of its run hold."""

from dataclasses import dataclass, field

from domain.consistency.findings import (
    Announce,
    AskJoiner,
    Delete,
    DropFragmentRow,
    GracePeriods,
    Inconsistency,
    Kind,
    Repair,
)
from domain.identity import fragment_key
from domain.seqs import SeqRanges


@dataclass(frozen=True, slots=True)
class IndexedFragment:
    """A fragment that is playable on its own."""

    seq: int
    start_ms: int
    indexed_ms: int


@dataclass(frozen=True, slots=True)
class RunView:
    """What is known of a run: seqs as ranges, few however long it is."""

    camera: str
    run: str
    joined: SeqRanges = field(default_factory=SeqRanges)
    """In current chunks, by S3's manifests; by the catalog for days that were not listed."""
    left_out: SeqRanges = field(default_factory=SeqRanges)
    """Left out by their chunk because their bytes are unusable."""
    disputed: SeqRanges = field(default_factory=SeqRanges)
    """Those of `left_out` whose bytes differ from their notice: the notice may be wrong."""
    settled: SeqRanges = field(default_factory=SeqRanges)
    """Held by the catalog's chunk rows, or reported there as gaps."""
    tombstoned: SeqRanges = field(default_factory=SeqRanges)
    """Deleted on purpose, long enough ago for the objects to be gone."""
    just_tombstoned: SeqRanges = field(default_factory=SeqRanges)
    """Deleted on purpose just now: the objects may still exist."""


def check_fragment(
    run: RunView,
    seq: int,
    modified_ms: int | None,
    row: IndexedFragment | None,
    grace: GracePeriods,
) -> tuple[list[Inconsistency], bool]:
    """Return what is wrong with a fragment, and whether it is still in progress.

    `modified_ms` is None if it has no object, `row` is None if it has no row. It has at least
    one of the two.
    """
    found: list[Inconsistency] = []
    key = fragment_key(run.camera, run.run, seq)

    def report(kind: Kind, text: str, repair: Repair | None) -> None:
        at_ms = row.start_ms if row is not None else None
        found.append(
            Inconsistency(
                kind, run.camera, text, run=run.run, seq=seq, at_ms=at_ms, key=key, repair=repair
            )
        )

    if seq in run.tombstoned:
        if modified_ms is not None:
            text = "it was deleted, but its object exists"
            report("tombstoned-stands", text, Delete(key, tombstoned=True))
        if row is not None:
            report("tombstoned-stands", "it was deleted, but its row exists", _drop(run, seq))
        return found, False
    if seq in run.just_tombstoned:
        return found, True
    if row is not None and seq in run.settled:
        text = "it has a row of its own, but a chunk's row accounts for it"
        report("fragment-row-covered", text, DropFragmentRow(run.run, seq, covered=True))
    if seq in run.joined:
        return found, False
    if seq in run.left_out:
        if modified_ms is None or seq not in run.disputed:
            return found, False
        if grace.is_recent(modified_ms):
            return found, True
        text = "its chunk left it out because of a wrong notice, but it is whole in S3"
        report("fragment-left-out", text, AskJoiner(run.run, seq))
        return found, False
    if modified_ms is None and row is not None:
        abandoned = grace.is_abandoned(row.indexed_ms)
        text = "the catalog says it is playable, but S3 has neither it nor a chunk with it"
        report("fragment-row-without-object", text, _drop(run, seq) if abandoned else None)
        return found, False
    recent = grace.is_recent(modified_ms or 0) or (
        row is not None and grace.is_recent(row.indexed_ms)
    )
    if recent:
        return found, True
    if row is not None and seq not in run.settled:
        text = "it was indexed when it arrived, but was never joined into a chunk"
        report("fragment-stuck", text, AskJoiner(run.run, seq))
    else:
        report("fragment-unjoined", "it is in no current chunk", Announce(run.run, seq))
    return found, False


def _drop(run: RunView, seq: int) -> DropFragmentRow:
    return DropFragmentRow(run.run, seq)
