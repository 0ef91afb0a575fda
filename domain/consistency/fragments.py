"""One fragment: its object in S3 and its row, against what the chunks of its run hold."""

from dataclasses import dataclass, field

from domain.consistency.findings import (
    Announce,
    AskJoiner,
    Delete,
    DropFragmentRow,
    Finding,
    Kind,
    Mend,
    Patience,
)
from domain.identity import fragment_key
from domain.seqs import SeqRanges


@dataclass(frozen=True, slots=True)
class FragmentRow:
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
    """In current chunks, by S3's manifests; by the catalog where nobody looked at S3."""
    left_out: SeqRanges = field(default_factory=SeqRanges)
    """Left out by their chunk for a reason that an object's standing does not remove."""
    settled: SeqRanges = field(default_factory=SeqRanges)
    """That the catalog's chunk rows hold or tell as gaps."""
    buried: SeqRanges = field(default_factory=SeqRanges)
    """Deleted on purpose, long enough ago."""
    dying: SeqRanges = field(default_factory=SeqRanges)
    """Deleted on purpose just now."""


def judge_fragment(
    run: RunView, seq: int, modified_ms: int | None, row: FragmentRow | None, patience: Patience
) -> tuple[list[Finding], bool]:
    """Return what is wrong with a fragment, and whether it is in work.

    `modified_ms` is None where it has no object, `row` None without one. At least one stands.
    """
    findings: list[Finding] = []
    key = fragment_key(run.camera, run.run, seq)

    def tell(kind: Kind, says: str, mend: Mend | None) -> None:
        at_ms = row.start_ms if row is not None else None
        findings.append(
            Finding(kind, run.camera, says, run=run.run, seq=seq, at_ms=at_ms, key=key, mend=mend)
        )

    if seq in run.buried:
        if modified_ms is not None:
            says = "it was deleted and its object stands"
            tell("tombstoned-stands", says, Delete(key, tombstoned=True))
        if row is not None:
            tell("tombstoned-stands", "it was deleted and its row stands", _drop(run, seq))
        return findings, False
    if seq in run.dying:
        return findings, True
    if row is not None and seq in run.settled:
        says = "it has a row of its own though a chunk's row accounts for it"
        tell("fragment-row-covered", says, DropFragmentRow(run.run, seq, covered=True))
    if seq in run.joined or seq in run.left_out:
        return findings, False
    if modified_ms is None and row is not None:
        forlorn = patience.forlorn(row.indexed_ms)
        says = "the catalog says it is playable; S3 has neither it nor a chunk that holds it"
        tell("fragment-row-without-object", says, _drop(run, seq) if forlorn else None)
        return findings, False
    young = patience.young(modified_ms or 0) or (row is not None and patience.young(row.indexed_ms))
    if young:
        return findings, True
    if row is not None and seq not in run.settled:
        says = "it was indexed when it arrived, and no chunk came of it"
        tell("fragment-stuck", says, AskJoiner(run.run, seq))
    else:
        tell("fragment-unjoined", "it stands in no current chunk", Announce(run.run, seq))
    return findings, False


def _drop(run: RunView, seq: int) -> DropFragmentRow:
    return DropFragmentRow(run.run, seq)
