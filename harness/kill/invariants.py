"""What must be stored after the kills: every picture that the cameras showed, and no more.

shown    0 1 2 3 4 │ 5 6 7 8 9 │ 10 11 ✗
kept     ──────────┘             0..4 must be stored; of the rest a beginning may
S3       0 1 2 3 4   5 6 7 8 9   each once, in order, byte for byte what was handed over
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from domain.events import AnyEvent, Detection
from domain.seqs import SeqRanges
from harness.edge_cloud import StoredRuns, differences
from harness.kill.edge_process import PICTURES, Word

RunKey = tuple[str, str]
"""Camera and run."""
BEING_WRITTEN = 2 * PICTURES
"""Pictures that a run may lose at a kill: a fragment that is not durable yet, and what was shown of
the one after it."""


@dataclass(slots=True)
class Reported:
    """What the processes reported before they died."""

    shown: dict[RunKey, int] = field(default_factory=dict)
    """How many pictures the camera showed."""
    handed: dict[RunKey, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    """Seq -> SHA-256 of the fragments that the spool was given."""
    kept: dict[RunKey, int] = field(default_factory=lambda: defaultdict(int))
    """How many of them are known to be durable."""
    noted: dict[RunKey, set[int]] = field(default_factory=lambda: defaultdict(set))
    """PTS of the detections that are known to be durable."""

    def hear(self, word: Word) -> None:
        """Take one message."""
        what, camera, run, number, sha256 = word
        run_key = camera, run
        match what:
            case "shown":
                self.shown[run_key] = number + 1
            case "handed":
                self.handed[run_key][number] = sha256
            case "kept":
                self.kept[run_key] = number + 1
            case "noted":
                self.noted[run_key].add(number)


@dataclass(frozen=True, slots=True)
class Stored:
    """What was read from S3 of a run."""

    pictures: Sequence[int]
    """Their numbers, in order of the fragments."""
    sha256: Mapping[int, str]
    """Seq -> hash of the object's bytes."""


def compare(
    reported: Reported,
    found: StoredRuns,
    events: Sequence[AnyEvent],
    stored: Mapping[RunKey, Stored],
) -> dict[str, Any]:
    """Compare what was reported with S3 and queue; `faults` says in words what is wrong."""
    faults = differences(list(events), found)
    lost = doubled = being_written = wrong = fragments_lost = 0
    for run_key in sorted(set(reported.shown) | set(reported.handed) | set(stored)):
        present = stored.get(run_key, Stored([], {}))
        handed = reported.handed.get(run_key, {})
        fragments_lost += len(set(range(reported.kept.get(run_key, 0))) - set(present.sha256))
        wrong += sum(handed.get(seq) != sha256 for seq, sha256 in present.sha256.items())
        shown, sure = reported.shown.get(run_key, 0), reported.kept.get(run_key, 0) * PICTURES
        times = Counter(present.pictures)
        reached = max(times, default=-1) + 1
        # A hole is a loss wherever it is; the end is one only where it was durable.
        lost += len(set(range(max(reached, min(sure, shown)))) - set(times))
        twice = sum(count - 1 for count in times.values())
        doubled += twice + max(reached - shown, 0)
        tail = max(shown - max(reached, sure), 0)
        being_written += tail
        if tail > BEING_WRITTEN:
            faults.append(f"{tail} pictures of {run_key} are gone: more than a fragment")
        if not twice and list(present.pictures) != sorted(present.pictures):
            faults.append(f"pictures of {run_key} are out of order")
    faults += [
        f"{count} {what}"
        for count, what in (
            (lost, "pictures are lost"),
            (doubled, "pictures are stored twice, or were never shown"),
            (fragments_lost, "fragments that were durable are not in S3"),
            (wrong, "fragments have other bytes than were handed over"),
        )
        if count
    ]
    faults += _ends(found)
    seen = [(e.camera, e.run, e.frames[0].pts) for e in events if isinstance(e, Detection)]
    wanted = {(*run_key, pts) for run_key, noted in reported.noted.items() for pts in noted}
    missing = len(wanted - set(seen))
    if missing:
        faults.append(f"{missing} detections are lost")
    if not reported.kept or not wanted:
        faults.append("nothing was recorded: the processes did not live long enough")
    return {
        "runs": len(found),
        "fragments": sum(len(run.fragments) for run in found.values()),
        "kept": sum(reported.kept.values()),
        "lost": fragments_lost,
        "wrong_bytes": wrong,
        "frames_shown": sum(reported.shown.values()),
        "frames": sum(len(stored_run.pictures) for stored_run in stored.values()),
        "frames_lost": lost,
        "frames_doubled": doubled,
        "frames_being_written": being_written,
        "detections": len(wanted),
        "detections_lost": missing,
        "messages_sent_again": len(seen) - len(set(seen)),
        "faults": faults,
    }


def _ends(found: StoredRuns) -> list[str]:
    faults = []
    for run_key, run in found.items():
        seqs = SeqRanges.of(run.fragments)
        if len(seqs.ranges) != 1 or (run.end and run.end.last_seq != len(seqs) - 1):
            faults.append(f"{run_key} has holes: {seqs}, its end says {run.end}")
        if run.end is not None and run.end.given_up:
            faults.append(f"{run_key} gave up {run.end.given_up}")
    return faults
