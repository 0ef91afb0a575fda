"""Which chunks of another window length replace which.

    old 60 s   [---- 0 .. 14 ----)[---- 15 .. 29 ---)
    new 40 s   [-- 0..9 -)[- 10..19 -)[- 20..29 ----)
    border     |                                     |  every 120 s: no window crosses it

A section is the time between two borders: its old chunks are replaced in one transaction. A
chunk that would hold the same fragments from the same start stays as it is. Its bytes would be
the same, and so would its name in a tombstone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import lcm

from domain.chunks import digest_of, forms_of, with_forms
from domain.errors import ConfigError
from domain.events import ChunkComplete, ChunkDue, FragmentRef, Gap
from domain.seqs import SeqRanges

MAX_SECTION_MS = 21_600_000
"""Six hours: what is held in memory and replaced in one transaction."""


def border_ms(lengths: Iterable[int]) -> int:
    """Return how far apart the common borders of windows of all these lengths are (ms).

    Raises ConfigError if that is too long for one transaction.
    """
    given = sorted(set(lengths))
    found = lcm(*given)
    if found > MAX_SECTION_MS:
        seconds = ", ".join(f"{each // 1_000} s" for each in given)
        raise ConfigError(
            f"Windows of {seconds} share a border only every {found // 1_000} s. Choose a --window "
            f"that shares one at least every {MAX_SECTION_MS // 3_600_000} h."
        )
    return found


def aligned(from_ms: int, to_ms: int, border: int, latest_ms: int) -> tuple[int, int]:
    """Return [from, to) at borders: outward, but never beyond `latest_ms` (UTC, ms)."""
    end_ms = -(-to_ms // border) * border
    if end_ms > latest_ms:
        end_ms = latest_ms // border * border
    return from_ms // border * border, end_ms


@dataclass(frozen=True, slots=True)
class RechunkPlan:
    """How the chunks of one section change."""

    replaced: tuple[ChunkComplete, ...]
    """These are deleted; the others stay."""
    made: tuple[ChunkDue, ...]
    """These replace them: together they hold the same fragments, each once."""


def plan_rechunk(chunks: Sequence[ChunkComplete], window_ms: int) -> RechunkPlan:
    """Return how the current chunks of a section change to windows of another length."""
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
    return RechunkPlan(tuple(replaced), tuple(made))


@dataclass(frozen=True, slots=True)
class ExistingWindow:
    """The window of a current chunk, of another length than the due one."""

    window_start_ms: int
    window_ms: int
    seqs: SeqRanges


def in_existing_windows(due: ChunkDue, existing: Sequence[ExistingWindow]) -> list[ChunkDue]:
    """Return a due window split by the windows that a replay has made since.

    `existing` are the current chunks that overlap the window. Their fragments are not due any
    more. The others belong to the nearest existing window. Without any, it stays as it is.
    """
    if not existing:
        return [due]
    windows: dict[tuple[int, int], list[FragmentRef]] = {}
    for fragment in due.fragments:
        if any(fragment.seq in each.seqs for each in existing):
            continue
        near = min(existing, key=lambda each: _distance(each, fragment.start_ms))
        start_ms = fragment.start_ms // near.window_ms * near.window_ms
        windows.setdefault((start_ms, near.window_ms), []).append(fragment)
    return [
        due.model_copy(
            update={
                "window_start_ms": start_ms,
                "window_ms": window_ms,
                "reason": "late",
                "fragments": fragments,
                # The existing chunks report the gaps already, and the joiner shortens them.
                "gaps": [],
            }
        )
        for (start_ms, window_ms), fragments in sorted(windows.items())
    ]


def _distance(window: ExistingWindow, at_ms: int) -> int:
    end_ms = window.window_start_ms + window.window_ms
    return max(window.window_start_ms - at_ms, at_ms - end_ms + 1, 0)


def _dues(chunks: Sequence[ChunkComplete], window_ms: int) -> list[ChunkDue]:
    """Return the fragments of one run's chunks in windows of the new length, in order."""
    windows: dict[int, list[tuple[FragmentRef, ChunkComplete]]] = {}
    starts: dict[int, int] = {}
    forms = {seq: form for chunk in chunks for seq, form in forms_of(chunk).items()}
    by_seq = sorted(
        ((fragment, chunk) for chunk in chunks for fragment in chunk.fragments),
        key=lambda pair: pair[0].seq,
    )
    for fragment, chunk in by_seq:
        start_ms = starts[fragment.seq] = fragment.start_ms // window_ms * window_ms
        windows.setdefault(start_ms, []).append((fragment, chunk))
    gaps = _gaps_by_window(chunks, starts)
    dues = []
    for start_ms, members in sorted(windows.items()):
        last = members[-1][1]
        refs = [
            FragmentRef.model_validate(each.model_dump(include=set(FragmentRef.model_fields)))
            for each, _ in members
        ]
        version, form, fragments = with_forms(refs, forms)
        dues.append(
            ChunkDue(
                version=version,
                camera=last.camera,
                run=last.run,
                window_start_ms=start_ms,
                window_ms=window_ms,
                reason=last.reason,
                form=form,
                fragments=fragments,
                gaps=gaps.get(start_ms, []),
            )
        )
    return dues


def _gaps_by_window(
    chunks: Sequence[ChunkComplete], starts: dict[int, int]
) -> dict[int, list[Gap]]:
    """Return the gaps by the window that reports them: the one with the footage after the gap.

    The last window reports what is missing after the last fragment.
    """
    seqs = sorted(starts)
    placed: dict[int, list[Gap]] = {}
    for gap in sorted((gap for chunk in chunks for gap in chunk.gaps), key=lambda g: g.first_seq):
        after = next((seq for seq in seqs if seq > gap.last_seq), seqs[-1])
        placed.setdefault(starts[after], []).append(gap)
    return placed
