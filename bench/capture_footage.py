"""What an edge recorded, read from its spool: frames, and what was lost or given up and why."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from domain.events import FragmentArrived
from domain.seqs import SeqRanges
from edge_bridge.spool.files import FragmentFiles
from edge_bridge.spool.loss_rows import read_losses


@dataclass(frozen=True, slots=True)
class SpooledFootage:
    """The content of a spool."""

    runs: int
    frames: int
    frames_lost: int
    """Missing between two fragments that follow each other."""
    given_up: dict[str, dict[str, int]]
    """Reason -> camera -> fragments that the edge gave up, and says so."""
    gaps: int
    """Ranges of fragments that were given up, of all runs."""
    missing: dict[str, str]
    """Run -> seqs that are neither there nor given up. Footage never vanishes silently."""
    overlaps: int
    """Fragments that are there although they were given up."""


def spooled_footage(spool: Path, ticks_per_frame: int) -> SpooledFootage:
    """Read the fragments of a spool whose edge has ended, and what it gave up. MediaError."""
    files = FragmentFiles(spool / "fragments")
    runs: dict[str, dict[int, FragmentArrived]] = {}
    for found in files.all_files():
        event = files.inspect(found.path)
        runs.setdefault(event.run, {})[event.seq] = event
    given_up: dict[str, Counter[str]] = {}
    lost_seqs: dict[str, SeqRanges] = {}
    for loss in read_losses(spool):
        seqs = SeqRanges([(loss.first_seq, loss.last_seq)])
        lost_seqs[loss.run] = lost_seqs.get(loss.run, SeqRanges()) | seqs
        given_up.setdefault(loss.why, Counter())[loss.camera] += len(seqs)
    missing: dict[str, str] = {}
    overlaps = 0
    for run in sorted({*runs, *lost_seqs}):
        there = SeqRanges.of(runs.get(run, {}))
        lost = lost_seqs.get(run, SeqRanges())
        known = there | lost
        overlaps += len(there) + len(lost) - len(known)
        if known != SeqRanges([(0, len(known) - 1)]):
            missing[run] = f"only {known} are there or given up"
    return SpooledFootage(
        runs=len({*runs, *lost_seqs}),
        frames=sum(event.frames for run in runs.values() for event in run.values()),
        frames_lost=sum(_frames_lost(run, ticks_per_frame) for run in runs.values()),
        given_up={why: dict(sorted(cameras.items())) for why, cameras in given_up.items()},
        gaps=sum(len(seqs.ranges) for seqs in lost_seqs.values()),
        missing=missing,
        overlaps=overlaps,
    )


def _frames_lost(run: dict[int, FragmentArrived], ticks_per_frame: int) -> int:
    lost = 0
    for seq, event in run.items():
        if (before := run.get(seq - 1)) is not None:
            expected = before.start_pts + before.frames * ticks_per_frame
            lost += round((event.start_pts - expected) / ticks_per_frame)
    return lost
