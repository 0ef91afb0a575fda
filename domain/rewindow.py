"""Cutting footage anew: which chunks of another window length take the place of which.

    old 60 s   [---- 0 .. 14 ----)[---- 15 .. 29 ---)
    new 40 s   [-- 0..9 -)[- 10..19 -)[- 20..29 ----)
    border     |                                     |  every 120 s: no window crosses it

A stretch is what lies between two borders: its old chunks give way all at once. A chunk that
would hold the same fragments from the same start is left as it is, whatever its window's length:
its bytes would be the same, and so would its name in a tombstone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import lcm

from domain.chunks import digest_of
from domain.errors import ConfigError
from domain.events import ChunkComplete, ChunkDue, FragmentRef, Gap, VideoForm
from domain.seqs import SeqRanges

LONGEST_STRETCH_MS = 21_600_000
"""Six hours: what is held in memory and replaced in one transaction."""


def border_ms(lengths: Iterable[int]) -> int:
    """Return how far apart the borders are that windows of all these lengths share (ms).

    Raises ConfigError where that is too long to be replaced at once.
    """
    given = sorted(set(lengths))
    found = lcm(*given)
    if found > LONGEST_STRETCH_MS:
        words = ", ".join(f"{each // 1_000} s" for each in given)
        raise ConfigError(
            f"Windows of {words} share a border only every {found // 1_000} s; choose a --window "
            f"that shares one at least every {LONGEST_STRETCH_MS // 3_600_000} h."
        )
    return found


def aligned(from_ms: int, to_ms: int, border: int, latest_ms: int) -> tuple[int, int]:
    """Return [from, to) at borders: outward, but never beyond `latest_ms` (UTC, ms)."""
    end_ms = -(-to_ms // border) * border
    if end_ms > latest_ms:
        end_ms = latest_ms // border * border
    return from_ms // border * border, end_ms


@dataclass(frozen=True, slots=True)
class Recut:
    """What becomes of the chunks of one stretch."""

    replaced: tuple[ChunkComplete, ...]
    """They give way; the others stay."""
    made: tuple[ChunkDue, ...]
    """They take their place: together they hold the same fragments, each once."""


def recut(chunks: Sequence[ChunkComplete], window_ms: int) -> Recut:
    """Return how the current chunks of a stretch are cut into windows of another length."""
    made: list[ChunkDue] = []
    staying: set[tuple[str, int]] = set()
    for run in sorted({chunk.run for chunk in chunks}):
        mine = [chunk for chunk in chunks if chunk.run == run]
        known = {(chunk.window_start_ms, chunk.digest) for chunk in mine}
        for due in _dues(mine, window_ms):
            digest = digest_of(due.camera, run, due.fragments)
            if (due.window_start_ms, digest) in known:
                staying.add((run, due.window_start_ms))
            else:
                made.append(due)
    replaced = [each for each in chunks if (each.run, each.window_start_ms) not in staying]
    return Recut(tuple(replaced), tuple(made))


@dataclass(frozen=True, slots=True)
class Standing:
    """A current chunk of a run, in a window of another length than is asked for."""

    window_start_ms: int
    window_ms: int
    seqs: SeqRanges


def as_cut(due: ChunkDue, standing: Sequence[Standing]) -> list[ChunkDue]:
    """Return what is due where a replay has cut the run's footage into other windows meanwhile.

    `standing` overlaps the window. What stands in it already is not due, the rest belongs to the
    windows that the replay made; without any, the due is as it was.
    """
    if not standing:
        return [due]
    windows: dict[tuple[int, int], list[FragmentRef]] = {}
    for fragment in due.fragments:
        if any(fragment.seq in each.seqs for each in standing):
            continue
        near = min(standing, key=lambda each: _distance(each, fragment.start_ms))
        start_ms = fragment.start_ms // near.window_ms * near.window_ms
        windows.setdefault((start_ms, near.window_ms), []).append(fragment)
    return [
        due.model_copy(
            update={
                "window_start_ms": start_ms,
                "window_ms": window_ms,
                "reason": "late",
                "fragments": fragments,
                "gaps": [],  # the chunks that stand tell them, and are cut by what comes
            }
        )
        for (start_ms, window_ms), fragments in sorted(windows.items())
    ]


def _distance(window: Standing, at_ms: int) -> int:
    end_ms = window.window_start_ms + window.window_ms
    return max(window.window_start_ms - at_ms, at_ms - end_ms + 1, 0)


def _dues(chunks: Sequence[ChunkComplete], window_ms: int) -> list[ChunkDue]:
    """Return the windows of one run's chunks, cut anew, in order."""
    windows: dict[int, list[tuple[FragmentRef, ChunkComplete]]] = {}
    starts: dict[int, int] = {}
    held = sorted(
        ((fragment, chunk) for chunk in chunks for fragment in chunk.fragments),
        key=lambda pair: pair[0].seq,
    )
    for fragment, chunk in held:
        start_ms = starts[fragment.seq] = fragment.start_ms // window_ms * window_ms
        windows.setdefault(start_ms, []).append((fragment, chunk))
    gaps = _placed(chunks, starts)
    dues = []
    for start_ms, members in sorted(windows.items()):
        last = members[-1][1]
        dues.append(
            ChunkDue(
                camera=last.camera,
                run=last.run,
                window_start_ms=start_ms,
                window_ms=window_ms,
                reason=last.reason,
                form=VideoForm.model_validate(last.model_dump(include=set(VideoForm.model_fields))),
                fragments=[
                    FragmentRef.model_validate(
                        each.model_dump(include=set(FragmentRef.model_fields))
                    )
                    for each, _ in members
                ],
                gaps=gaps.get(start_ms, []),
            )
        )
    return dues


def _placed(chunks: Sequence[ChunkComplete], starts: dict[int, int]) -> dict[int, list[Gap]]:
    """Return the gaps by the window that tells of them: the one with the footage after it.

    What is missing after the last fragment is told by the last window.
    """
    seqs = sorted(starts)
    placed: dict[int, list[Gap]] = {}
    for gap in sorted((gap for chunk in chunks for gap in chunk.gaps), key=lambda g: g.first_seq):
        after = next((seq for seq in seqs if seq > gap.last_seq), seqs[-1])
        placed.setdefault(starts[after], []).append(gap)
    return placed
